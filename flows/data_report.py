"""The data report on request: made if stale, compared with another version, and one image looked up in its tables."""

import re
from pathlib import Path
from typing import Any

from flows import settings
from flows.data_versions import REPORT, find_summary
from flows.freshness import verdicts
from flows.parameters import PARAMS_FILE, check_file, parse_block, read_blocks
from flows.pipeline import PIPELINE
from flows.start import Executor, start_build

STAGE = PIPELINE["data_report"]


def fresh_page(root: Path, profile: str, executor: Executor) -> Path:
    """The report's page, after running what is stale of the stages that it stands on."""
    check_file(PIPELINE, root / PARAMS_FILE)
    chosen = PIPELINE.select(until=STAGE.name)
    stale = verdicts(PIPELINE, root)
    if any(stale[name].is_stale for name in chosen):
        start_build(root, chosen, profile, executor, force=False)
    return root / REPORT / "index.html"


def compared_page(root: Path, since: str) -> Path:
    """The same page with every figure beside what it was in the version `since`; it lies outside the artifacts."""
    from components.data.report.build import build_report
    from components.data.report.tables import read_tables

    previous = find_summary(root, since)
    params: Any = parse_block(STAGE, read_blocks(root / PARAMS_FILE), Path(PARAMS_FILE))
    files = {role: root / artifact.path for role, artifact in STAGE.inputs.items()}
    images = files.pop("images")
    _, page = build_report(read_tables(**files), images, params.show, params.limits, previous, since)
    file = settings.home(root) / "data_report" / f"since-{re.sub(r'[^A-Za-z0-9._-]+', '-', since)}.html"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(page, encoding="utf-8")
    return file


def known_of(root: Path, sample: str) -> dict[str, Any]:
    """Everything that the tables know of the image that `sample` names; DataError if it names none."""
    from components.data.report.one_sample import describe_sample, find_sample

    files = {role: root / artifact.path for role, artifact in STAGE.inputs.items()}
    images = files.pop("images")
    for refused in ("refusals", "quarantine"):  # has no id
        del files[refused]
    return describe_sample(find_sample(files["catalogue"], sample), files, images)


def image_bytes(root: Path, sample_id: str) -> bytes:
    """The image as it was received."""
    from components.data.records import read_table
    from components.data.report.tables import CATALOGUED
    from components.data.report.thumbnails import read_bytes

    files = {role: root / artifact.path for role, artifact in STAGE.inputs.items()}
    return read_bytes(files["images"], read_table(files["catalogue"], CATALOGUED), [sample_id])[sample_id]
