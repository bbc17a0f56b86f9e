"""Versions, aliases and runs side by side, by the rules of the gate, and what they drew: what `easel compare` shows."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from flows import settings
from flows.parameters import PARAMS_FILE, read_gate
from flows.requests import FAMILIES, family_of

if TYPE_CHECKING:
    from components.registry.gate import Contrast, Gate

SAMPLES, HEADING_PX = "samples.png", 36
ALL = "all"
RUN_ID = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True)
class Row:
    """A metric of each, and how each but the first stands to the first; "" where the gate has no rule for it."""

    metric: str
    better: str
    values: Sequence[float | None]
    contrasts: "Sequence[Contrast | str]"


@dataclass(frozen=True)
class Comparison:
    """What was compared, as it is called, with the gate's metrics first.

    `front` are those that no other beats, `beaten_by` says of each which ones do: as good in every metric of the gate,
    and better in one.
    """

    names: Sequence[str]
    rows: Sequence[Row]
    front: Sequence[str]
    beaten_by: Mapping[str, Sequence[str]]


def compare(root: Path, models: Sequence[str]) -> Comparison:
    """The metrics of `models` (versions, aliases, `turbo:3`, ids of runs), the first being what others stand to.

    Which these are `chosen` says. Where differences stay within the gate's margins none is called better.

    Raises:
        ValueError: in one line, naming what there is.
    """
    models = chosen(root, models)
    family = next((family_of(model)[0] for model in models if not RUN_ID.fullmatch(model)), FAMILIES[""][0])
    measured = dict(_measured(root, model) for model in models)
    if len(measured) < 2:
        raise ValueError(f"{', '.join(models)}: these are one and the same, {next(iter(measured))}")
    return side_by_side(read_gate(root / PARAMS_FILE, family), measured)


def chosen(root: Path, models: Sequence[str]) -> Sequence[str]:
    """`models`, where `all` and `turbo:all` are every version there is, and one alone has its champion before it."""
    if len(models) != 1:
        return models
    family, _, wanted = models[0].rpartition(":")
    words = f"{family}:" if family else ""
    if wanted == ALL:
        from components.registry.promotion import candidates

        found = candidates(settings.tracking_uri(root), family_of(models[0])[0])
        return [f"{words}{one.number}" for one in found]
    family, _, _ = models[0].partition(":")
    return [f"{family}:champion" if family and family in FAMILIES else "champion", *models]


def _measured(root: Path, model: str) -> tuple[str, dict[str, float]]:
    """Name and number, or the run's id, and what was measured."""
    from components.registry.promotion import candidate, run_metrics

    uri = settings.tracking_uri(root)
    if RUN_ID.fullmatch(model):
        return model, run_metrics(uri, model)
    name, _, wanted = family_of(model)
    found = candidate(uri, name, wanted)
    return f"{name}/{found.number}", found.metrics


def side_by_side(gate: "Gate", measured: Mapping[str, Mapping[str, float]]) -> Comparison:
    """The table of `measured`, by name, whose first is what the others stand to."""
    from components.registry.gate import beaten_by, contrast, pareto_front

    rules = {rule.metric: rule for rule in gate.rules}
    everywhere = sorted(set().union(*measured.values()) - rules.keys())
    rows: list[Row] = []
    for metric in (*rules, *everywhere):
        values = [values.get(metric) for values in measured.values()]
        rule = rules.get(metric)
        contrasts = [contrast(rule, value, values[0]) if rule else "" for value in values[1:]]
        rows.append(Row(metric, rule.better if rule else "", values, contrasts))
    return Comparison(list(measured), rows, pareto_front(gate, measured), beaten_by(gate, measured))


def write_sheet(root: Path, models: Sequence[str], out: Path) -> Path:
    """What each of `models` drew for the report, one above the other under its name, as a PNG at `out`.

    Versions that were evaluated on the same held-out prompts drew from the same noise.

    Raises:
        ValueError: in one line: there is no such folder or model, or one has no samples.
    """
    from PIL import Image, ImageDraw

    from components.registry.promotion import candidate
    from components.registry.registration import download
    from flows.generate import check_output, save_png

    check_output(out)
    uri, sheets = settings.tracking_uri(root), dict[str, Image.Image]()
    for model in models:
        name, _, wanted = family_of(model)
        found = candidate(uri, name, wanted)
        file = download(str(found.number), uri=uri, name=name) / SAMPLES
        if not file.is_file():
            raise ValueError(f"{name}/{found.number} was exported without {SAMPLES}; compare its metrics alone")
        with Image.open(file) as image:
            sheets[f"{name}/{found.number}"] = image.convert("RGB")
    height = sum(HEADING_PX + image.height for image in sheets.values())
    page, top = Image.new("RGB", (max(image.width for image in sheets.values()), height), "white"), 0
    for name, image in sheets.items():
        ImageDraw.Draw(page).text((12, top + 8), name, fill="black", font_size=HEADING_PX // 2)
        page.paste(image, (0, top + HEADING_PX))
        top += HEADING_PX + image.height
    save_png(page, out, {"Software": "easel", "models": ", ".join(sheets)})
    return out
