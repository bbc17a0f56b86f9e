"""From a source that nobody prepared to a data set: land it, pin it, and say what became of its images.

Landing is no stage: it asks the world, which answers differently every day. Its result is pinned like the rest of
data/, and every stage stands on that.
"""

import json
from collections.abc import Callable, Collection
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from components.data.landing import Landing, land
from components.data.readers import Kind, open_reader
from components.data.readers.interface import ReadLimits
from flows.freshness import check_raw_data, pin
from flows.pipeline import PIPELINE
from flows.settings import SettingsError
from flows.stages.ingest import PoolName

_LAST = ("encode", "data_report")
_FUNNEL = (
    ("offered", "ingest", "offered_images"),
    ("decoded, none twice", "ingest", "catalogued_images"),
    ("kept by the filters", "filter_images", "kept_images"),
    ("with a caption", "caption", "captioned_images"),
    ("selected", "sample", "selected_images"),
    ("encoded", "encode", "encoded_images"),
)


def land_and_pin(
    root: Path,
    place: str,
    name: str,
    kind: Kind | None,
    *,
    force: bool,
    allowed_private_hosts: Collection[str] = (),
    limits: ReadLimits | None = None,
    progress: Callable[[Landing], None] = lambda _: None,
) -> Landing:
    """Bring what is new at `place` into data/NAME and pin data/.

    Raises:
        SettingsError: a name that is no plain folder name.
        DataError: the source cannot be read, or holds nothing.
        FreshnessError: data/ is not there, or DVC cannot act.
    """
    try:
        TypeAdapter(PoolName).validate_python(name)
    except ValidationError:
        raise SettingsError(f"--name {name!r}: use letters, digits, points, dashes; it becomes data/NAME") from None
    check_raw_data(root)
    origin = place if "://" in place else str(Path(place).absolute())
    reader = open_reader(origin, kind, limits, allowed_private_hosts=allowed_private_hosts)
    landing = land(reader, root / "data" / name, origin=origin, force=force, progress=progress)
    pin(root)
    return landing


def data_stages() -> tuple[str, ...]:
    """The stages that make a data set, in their order."""
    wanted = {name for last in _LAST for name in PIPELINE.select(until=last)}
    return tuple(name for name in PIPELINE.names if name in wanted)


def funnel(root: Path) -> list[tuple[str, int]]:
    """How many images were left after each stage, by the stages' own metrics."""
    counts = list[tuple[str, int]]()
    for label, stage, metric in _FUNNEL:
        file = root / PIPELINE[stage].metrics_path
        metrics = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
        if metric in metrics:
            counts.append((label, metrics[metric]))
    return counts


def summary(landing: Landing, name: str) -> list[str]:
    """What a landing did, in lines for a person."""
    parts = f"{landing.num_parts:,} part{'' if landing.num_parts == 1 else 's'}"
    lines = [f"data/{name}: {landing.num_landed:,} images landed in {parts}"]
    if landing.num_known:
        lines.append(f"  {landing.num_known:,} items were there already")
    if landing.num_changed:
        lines.append(f"  {landing.num_changed:,} items changed: both versions are there now (--force lands all anew)")
    for (status, reason), number in sorted(landing.counts.items(), key=lambda count: (-count[1], count[0])):
        if reason:
            lines.append(f"  {number:,} {status.replace('_', ' ')}: {reason}")
    if landing.first_refusal:
        first = landing.first_refusal
        lines.append(f"  first: {first.name}: {first.reason} {first.detail}".rstrip())
        lines.append(f"  all of them: data/{name}/landed/")
    return lines
