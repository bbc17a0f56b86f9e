"""Stage `check_sft`: what is expected of rendered images and of the fine-tuning set before a model is tuned on them."""

from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel

from components.quality.config import CaptionLimits


class Params(BaseModel, frozen=True, extra="forbid"):
    """What captions of rendered images and prompts must keep; `min_captioned_frac` is of each table's images."""

    captions: CaptionLimits
    prompts: CaptionLimits


@dataclass(frozen=True)
class Metrics:
    """Every expectation passed: a stage that stops has no metrics."""

    checked_tables: int
    checked_rows: int
    passed_expectations: int


def check_sft(
    p: Params,
    *,
    verdicts: Path,
    selection: Path,
    rendered_catalogue: Path,
    rendered_captions: Path,
    rendered: Path,
    sft_selection: Path,
    sft_prompts: Path,
    receipt: Path,
) -> Metrics:
    """Judge rendered images, the fine-tuning set and its prompts; stop if an expectation fails."""
    import pyarrow as pa

    from components.data import records
    from components.data.arrow import pc
    from components.quality import suites
    from components.quality.judge import pass_or_stop
    from components.quality.receipt import write_receipt
    from components.tracking import current_run

    attach = current_run().log_artifact
    files = {
        "rendered_catalogue": (rendered_catalogue, records.CATALOGUE),
        "rendered_captions": (rendered_captions, records.CAPTIONS),
        "rendered": (rendered, records.RENDERED),
        "sft_selection": (sft_selection, records.SFT_SELECTION),
        "sft_prompts": (sft_prompts, records.SFT_PROMPTS),
    }
    schemas, is_complete = suites.schema_check(files)
    if not is_complete:
        pass_or_stop([schemas], attach)
    tables = {name: records.read_table(file, schema) for name, (file, schema) in files.items()}
    drawn, sft_ids = tables["rendered_catalogue"]["sample_id"], tables["sft_selection"]["sample_id"]
    judged = records.read_table(verdicts, records.VERDICTS)
    chosen = records.read_table(selection, records.SELECTION)
    known = pa.chunked_array([*judged.filter(judged["kept"])["sample_id"].chunks, *drawn.chunks])
    held_out = chosen.filter(pc.not_equal(chosen["split"], "train"))["sample_id"]
    prompts = tables["sft_prompts"].rename_columns({"style": "kind"})
    checks = [
        schemas,
        *suites.catalogue_checks(tables["rendered_catalogue"], 1.0, "rendered_catalogue"),
        *suites.captions_checks(tables["rendered_captions"], drawn, p.captions, "rendered_captions"),
        *suites.rendered_checks(tables["rendered"], drawn),
        *suites.sft_selection_checks(tables["sft_selection"], known, held_out),
        *suites.captions_checks(prompts, sft_ids, p.prompts, "sft_prompts"),
    ]
    outcomes = pass_or_stop(checks, attach)
    write_receipt(receipt, outcomes)
    return Metrics(
        checked_tables=len(tables),
        checked_rows=sum(table.num_rows for table in tables.values()),
        passed_expectations=len(outcomes),
    )
