"""What is expected of each table: one suite for its rows, one for what was measured over all of it and across tables.

Every expectation carries what to do when it fails. Ranges that are facts of the format stand here; everything that a
person may want to move is a limit in `config`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import great_expectations.expectations as gxe
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from components.data.arrow import pc
from components.quality import measures
from components.quality.config import CaptionLimits, CategoryBalance, ScoreRange, SelectionDrift, TableDrift

_SHA256 = "^[0-9a-f]{64}$"
_CONTROL = r"[\x00-\x09\x0b-\x1f\x7f-\x9f\p{Co}]"  # all but the line feed: a specification has lines
_REBUILD = "run the stage that makes this table again"
_OTHER_RUN = "the tables are of different runs; run `easel run --from filter_images --force`"
_ACCEPT = "look at what changed (`easel data diff`); if it is meant, run `easel data accept` or move the limit"
VERDICT_COLUMNS = ("sample_id", "kept", "reason", "duplicate_of", "blank_frac", "grey_entropy")
NOT_LANDED = ("refused", "opted_out", "failed", "repeated")
CATALOGUE_COLUMNS = ("sample_id", "width", "height", "num_bytes", "shard", "row", "licence")
MAX_SIDE_PX = 65_535
MAX_ENTROPY_BITS = 8.0


@dataclass(frozen=True)
class Check:
    """A suite: the rows that are judged, and what is expected of them."""

    suite: str
    rows: pa.Table
    expectations: Sequence[gxe.Expectation]


@dataclass(frozen=True)
class Fact:
    """A number measured over whole tables, where it may lie, and what to do if it does not."""

    name: str
    value: float
    remedy: str
    least: float | None = None
    most: float | None = None


def facts_check(suite: str, facts: Sequence[Fact]) -> Check:
    """A suite on a table of one row that holds `facts`."""
    rows = pa.table({fact.name: [float(fact.value)] for fact in facts})
    return Check(suite, rows, [_between_fact(fact) for fact in facts])


def schema_check(files: Mapping[str, tuple[Path, pa.Schema]]) -> tuple[Check, bool]:
    """Every table has its columns, of their types, and whether that is so (else no other suite can be asked)."""
    facts: list[Fact] = []
    for table, (file, schema) in files.items():
        there = pq.read_schema(file)
        missing = [name for name in schema.names if name not in there.names]
        other = [f"{f.name} ({there.field(f.name).type}, not {f.type})" for f in schema if not _is_typed(f, there)]
        facts += [
            Fact(f"{table}.missing_columns", len(missing), f"add {', '.join(missing)}; {_REBUILD}", most=0),
            Fact(f"{table}.mistyped_columns", len(other), f"cast {', '.join(other)}; {_REBUILD}", most=0),
        ]
    return facts_check("schemas", facts), not any(fact.value for fact in facts)


def catalogue_checks(catalogue: pa.Table, min_licensed_frac: float, suite: str = "catalogue") -> list[Check]:
    """Identity, sizes, place and licence of every image."""
    rows = [
        *_identity("sample_id"),
        gxe.ExpectColumnValuesToMatchRegex(
            column="sample_id", regex=_SHA256, meta=_to_do("not a SHA-256; " + _REBUILD)
        ),
        _between("width", 1, MAX_SIDE_PX),
        _between("height", 1, MAX_SIDE_PX),
        _between("num_bytes", 1, None),
        gxe.ExpectCompoundColumnsToBeUnique(column_list=["shard", "row"], meta=_to_do("run ingest again")),
    ]
    licensed = pc.mean(pc.fill_null(pc.not_equal(catalogue["licence"], ""), False)).as_py() or 0.0
    facts = [
        Fact("images", catalogue.num_rows, "no image was taken in; look at the quarantine table", least=1),
        Fact("licensed_frac", licensed, "state the licence of the source in its manifest", least=min_licensed_frac),
    ]
    columns = [name for name in CATALOGUE_COLUMNS if name != "licence"]
    return [Check(suite, catalogue.select(columns), rows), facts_check(f"{suite}_facts", facts)]


def refusals_checks(refusals: pa.Table) -> list[Check]:
    """Whatever landing did not take has a name, a reason, and one of the ways in which something is not taken."""
    rows = [_filled("name"), _filled("reason"), _in_set("status", NOT_LANDED, "run ingest again")]
    lengths = {name: pc.utf8_length(refusals[name]) for name in ("name", "reason")}
    return [Check("refusals", pa.table(lengths | {"status": refusals["status"]}), rows)]


def quarantine_checks(quarantine: pa.Table) -> list[Check]:
    """Whatever was refused has a reason and a detail."""
    rows = [_filled("reason"), _filled("detail"), _between("row", 0, None)]
    table = pa.table(
        {
            "reason": pc.utf8_length(quarantine["reason"]),
            "detail": pc.utf8_length(quarantine["detail"]),
            "row": quarantine["row"],
        }
    )
    return [Check("quarantine", table, rows)]


def verdicts_checks(verdicts: pa.Table, ids: pa.ChunkedArray, min_kept_frac: float) -> list[Check]:
    """One verdict for each image; dropped means a reason; a repeat names an image that is there and was not dropped."""
    kept = verdicts["kept"]
    kept_ids = verdicts.filter(kept)["sample_id"]
    unexplained = pc.sum(pc.equal(kept, pc.not_equal(verdicts["reason"], ""))).as_py() or 0
    facts = [
        *_references(verdicts["sample_id"], ids, "the catalogue"),
        Fact("kept_without_or_dropped_with_no_reason", unexplained, "run filter_images again", most=0),
        Fact("originals_not_kept", measures.num_orphans(verdicts["duplicate_of"], kept_ids), _OTHER_RUN, most=0),
        Fact("kept_frac", pc.mean(kept).as_py() or 0.0, "see which filter drops most", least=min_kept_frac),
    ]
    rows = [*_identity("sample_id"), _between("blank_frac", 0, 1), _between("grey_entropy", 0, MAX_ENTROPY_BITS)]
    columns = ["sample_id", "blank_frac", "grey_entropy"]
    return [Check("verdicts", verdicts.select(columns), rows), facts_check("verdicts_facts", facts)]


def categories_checks(categories: pa.Table, kept_ids: pa.ChunkedArray, balance: CategoryBalance) -> list[Check]:
    """One place in the tree for each kept image, with a probability; categories are there and balanced."""
    facts = [
        *_references(categories["sample_id"], kept_ids, "the kept images"),
        *_balance(categories["category"], measures.shares(categories["category"]), balance),
    ]
    rows = [*_identity("sample_id"), _between("probability", 0, 1), _filled("label_source")]
    table = categories.select(["sample_id", "probability"]).append_column(
        "label_source", pc.utf8_length(categories["label_source"])
    )
    return [Check("categories", table, rows), facts_check("categories_facts", facts)]


def captions_checks(
    captions: pa.Table, kept_ids: pa.ChunkedArray, limits: CaptionLimits, suite: str = "captions"
) -> list[Check]:
    """Captions of kept images only, in the languages allowed and written in them, of a length, without repeats."""
    table = pa.table(
        {
            "language": captions["language"],
            "chars": pc.utf8_length(captions["text"]),
            "control_characters": pc.count_substring_regex(captions["text"], _CONTROL),
            "script_margin": measures.script_margin(captions, limits.languages),
        }
    )
    wrong = "the captioner wrote another language than it says; mend its words or leave that language out"
    rows = [
        _in_set("language", [*limits.languages], "add it to the languages of this check in params.yaml"),
        _between("chars", 1, limits.max_chars),
        _between("control_characters", 0, 0),
        _between("script_margin", 0, None, mostly=1 - limits.max_wrong_language_frac, remedy=wrong),
    ]
    keys = captions.group_by(["sample_id", "kind", "language", "text", "maker"]).aggregate([])
    captioned = pc.count_distinct(captions["sample_id"]).as_py() / max(len(kept_ids), 1)
    facts = [
        Fact("orphans", measures.num_orphans(captions["sample_id"], kept_ids), _OTHER_RUN, most=0),
        Fact("repeated_captions", captions.num_rows - keys.num_rows, "run caption again", most=0),
        Fact("captioned_frac", captioned, "see caption's counts of refused words", least=limits.min_captioned_frac),
    ]
    return [Check(suite, table, rows), facts_check(f"{suite}_facts", facts)]


def ocr_checks(ocr: pa.Table, kept_ids: pa.ChunkedArray) -> list[Check]:
    """Text was read in kept images only, with a confidence."""
    orphans = Fact("orphans", measures.num_orphans(ocr["sample_id"], kept_ids), _OTHER_RUN, most=0)
    return [
        Check("ocr", ocr.select(["confidence"]), [_between("confidence", 0, 1)]),
        facts_check("ocr_facts", [orphans]),
    ]


def scores_checks(scores: pa.Table, kept_ids: pa.ChunkedArray, limits: ScoreRange) -> list[Check]:
    """One finite score for each kept image, within its range and not the same for all."""
    rows = [
        *_identity("sample_id"),
        _between("aesthetic", limits.low, limits.high),
        _between("sharpness", 0, None),
        _between("entropy", 0, MAX_ENTROPY_BITS),
        _between("colourfulness", 0, None),
    ]
    aesthetic = scores["aesthetic"].to_numpy().astype(np.float64)
    numbers = np.stack([scores[n].to_numpy() for n in ("aesthetic", "sharpness", "entropy", "colourfulness")])
    facts = [
        *_references(scores["sample_id"], kept_ids, "the kept images"),
        Fact("not_finite", int((~np.isfinite(numbers)).any(axis=0).sum()), "run score again", most=0),
        Fact("aesthetic_std", np.nan_to_num(aesthetic.std()), "the score ranks nothing", least=limits.min_std),
    ]
    columns = ["sample_id", "aesthetic", "sharpness", "entropy", "colourfulness"]
    return [Check("scores", scores.select(columns), rows), facts_check("scores_facts", facts)]


def selection_checks(selection: pa.Table, kept_ids: pa.ChunkedArray, balance: CategoryBalance) -> list[Check]:
    """Kept images only, each once, with probabilities that sum to 1 over training and are 0 elsewhere; no leak."""
    is_train = pc.equal(selection["split"], "train")
    train, held_out = selection.filter(is_train), selection.filter(pc.invert(is_train))
    concepts = selection.filter(pc.equal(selection["split"], "heldout_concept"))["concept"]
    leaks = len(train) - measures.num_orphans(train["concept"], concepts) - _num_empty(train["concept"])
    mass = pc.sum(train["probability"]).as_py() or 0.0
    facts = [
        Fact("orphans", measures.num_orphans(selection["sample_id"], kept_ids), _OTHER_RUN, most=0),
        Fact("training_mass", mass, "run sample again", least=1 - 1e-6, most=1 + 1e-6),
        Fact("held_out_mass", pc.sum(held_out["probability"]).as_py() or 0.0, "run sample again", most=0),
        Fact("training_images_of_held_out_concepts", leaks, "they test what was trained; see sample.split", most=0),
        *_balance(train["category"], measures.shares(train["category"], train["probability"]), balance),
    ]
    splits = ["train", "heldout_cell", "heldout_concept", "heldout_image"]
    rows = [*_identity("sample_id"), _in_set("split", splits, "run sample again"), _between("probability", 0, 1)]
    columns = ["sample_id", "split", "probability"]
    return [Check("selection", selection.select(columns), rows), facts_check("selection_facts", facts)]


def rendered_checks(rendered: pa.Table, ids: pa.ChunkedArray) -> list[Check]:
    """What was drawn is told of each rendered image and of no other; every image has at least one line."""
    table = pa.table({"sample_id": rendered["sample_id"], "lines": pc.list_value_length(rendered["lines"])})
    rows = [*_identity("sample_id"), _between("lines", 1, None)]
    return [
        Check("rendered", table, rows),
        facts_check("rendered_facts", _references(rendered["sample_id"], ids, "the rendered images")),
    ]


def sft_selection_checks(sft: pa.Table, known_ids: pa.ChunkedArray, held_out_ids: pa.ChunkedArray) -> list[Check]:
    """Kept or rendered images only, each once, none of them held out; the weights add up to 1."""
    ids = sft["sample_id"]
    leaks = len(ids) - measures.num_orphans(ids, held_out_ids)
    facts = [
        Fact("orphans", measures.num_orphans(ids, known_ids), _OTHER_RUN, most=0),
        Fact("held_out_images", leaks, "they test what was trained; run curate_sft again", most=0),
        Fact("mass", pc.sum(sft["weight"]).as_py() or 0.0, "run curate_sft again", least=1 - 1e-6, most=1 + 1e-6),
    ]
    rows = [*_identity("sample_id"), _between("weight", 0, 1)]
    return [
        Check("sft_selection", sft.select(["sample_id", "weight"]), rows),
        facts_check("sft_selection_facts", facts),
    ]


def drift_check(suite: str, drift: measures.Facts, limits: TableDrift | SelectionDrift) -> Check:
    """How far this version lies from the last accepted one."""
    return facts_check(suite, [Fact(name, v, _ACCEPT, most=vars(limits)[f"max_{name}"]) for name, v in drift.items()])


def _references(ids: pa.ChunkedArray, known: pa.ChunkedArray, of: str) -> list[Fact]:
    return [
        Fact("orphans", measures.num_orphans(ids, known), f"rows that are not of {of}: {_OTHER_RUN}", most=0),
        Fact("missing", measures.num_missing(ids, known), f"{of} without a row: {_OTHER_RUN}", most=0),
    ]


def _balance(keys: pa.ChunkedArray, fracs: Mapping[str, float], balance: CategoryBalance) -> list[Fact]:
    counts = {entry["values"]: entry["counts"] for entry in pc.value_counts(keys).to_pylist()}
    few = "add images of this category, or leave it out of the required ones"
    return [
        *(Fact(f"images_of[{name}]", counts.get(name, 0), few, least=balance.min_images) for name in balance.required),
        Fact("largest_category_frac", max(fracs.values(), default=0.0), "take fewer of it", most=balance.max_frac),
    ]


def _identity(column: str) -> list[gxe.Expectation]:
    """Each id once; that it is an id at all is asked of the catalogue, to which all other tables must refer."""
    return [
        gxe.ExpectColumnValuesToBeUnique(column=column, meta=_to_do(f"a sample stands twice; {_REBUILD}")),
        gxe.ExpectColumnValuesToNotBeNull(column=column, meta=_to_do(_REBUILD)),
    ]


def _between(
    column: str, low: float | None, high: float | None, *, mostly: float = 1.0, remedy: str = _REBUILD
) -> gxe.Expectation:
    return gxe.ExpectColumnValuesToBeBetween(
        column=column, min_value=low, max_value=high, mostly=mostly, meta=_to_do(remedy)
    )


def _between_fact(fact: Fact) -> gxe.Expectation:
    # The maximum of one row: unlike an expectation on values, it reports the number it saw.
    return gxe.ExpectColumnMaxToBeBetween(
        column=fact.name, min_value=fact.least, max_value=fact.most, meta=_to_do(fact.remedy)
    )


def _filled(column: str) -> gxe.Expectation:
    return _between(column, 1, None)


def _in_set(column: str, allowed: Sequence[str], remedy: str) -> gxe.Expectation:
    return gxe.ExpectColumnValuesToBeInSet(column=column, value_set=list(allowed), meta=_to_do(remedy))


def _to_do(remedy: str) -> dict[str, Any]:
    return {"what_to_do": remedy}


def _is_typed(field: pa.Field, there: pa.Schema) -> bool:
    return field.name not in there.names or there.field(field.name).type == field.type


def _num_empty(values: pa.ChunkedArray) -> int:
    return pc.sum(pc.fill_null(pc.equal(values, ""), True)).as_py() or 0
