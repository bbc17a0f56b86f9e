"""The checks on tables of generated samples: sound ones pass, and each planted fault stops with its name."""

import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, get_args

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from components.data import records
from components.data.errors import DataError
from components.data.readers.interface import Status
from components.quality import measures
from components.quality.receipt import write_reference
from components.tracking import open_run
from flows.stages import check_selection, check_sft, check_tables

ROOT = Path(__file__).resolve().parents[2]
PARAMS = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
CATEGORIES = PARAMS["check_tables"]["categories"]["required"]
NUM_IMAGES = 700
TABLES = {
    "catalogue": records.CATALOGUE,
    "refusals": records.REFUSALS,
    "quarantine": records.QUARANTINE,
    "verdicts": records.VERDICTS,
    "categories": records.CATEGORIES,
    "captions": records.CAPTIONS,
    "ocr": records.OCR,
    "scores": records.SCORES,
    "selection": records.SELECTION,
    "rendered_catalogue": records.CATALOGUE,
    "rendered_captions": records.CAPTIONS,
    "rendered": records.RENDERED,
    "sft_selection": records.SFT_SELECTION,
    "sft_prompts": records.SFT_PROMPTS,
}
OF_SELECTION = ("verdicts", "selection")
OF_SFT = (
    "verdicts",
    "selection",
    "rendered_catalogue",
    "rendered_captions",
    "rendered",
    "sft_selection",
    "sft_prompts",
)
OF_TABLES = ("catalogue", "refusals", "quarantine", "verdicts", "categories", "captions", "ocr", "scores")
Columns = dict[str, list]
Tables = dict[str, Columns]


def sha(text: object) -> str:
    return hashlib.sha256(str(text).encode()).hexdigest()


def columns(schema: pa.Schema, rows: int, **known: list) -> Columns:
    """Neutral values of every column but the `known` ones."""

    def neutral(kind: pa.DataType) -> object:
        if pa.types.is_list(kind):
            return []
        if pa.types.is_boolean(kind):
            return False
        return "" if pa.types.is_string(kind) else 1

    return {field.name: known.get(field.name, [neutral(field.type)] * rows) for field in schema}


def sound(n: int = NUM_IMAGES) -> Tables:
    """All tables of `n` images: every tenth is dropped as a repeat of the one before, the rest are sound."""
    rng = np.random.default_rng(0)
    ids, is_kept = [sha(i) for i in range(n)], [i % 10 != 9 for i in range(n)]
    kept = [i for i in range(n) if is_kept[i]]
    kept_ids, places = [ids[i] for i in kept], [CATEGORIES[k % len(CATEGORIES)] for k in range(len(kept))]
    splits = [("train", "train", "train", "heldout_concept")[k % 4] for k in range(len(kept))]
    num_train = splits.count("train")
    texts = [text for _ in kept for text in ("a red apple", "一个红苹果")]
    sides = {"width": [64] * n, "height": [64] * n, "num_bytes": [900] * n}
    return {
        "catalogue": columns(
            records.CATALOGUE, n, sample_id=ids, **sides, licence=["MIT"] * n, shard=[0] * n, row=list(range(n))
        ),
        "refusals": columns(records.REFUSALS, 4, name=["a"] * 4, status=list(get_args(Status)), reason=["link"] * 4),
        "quarantine": columns(records.QUARANTINE, 2, reason=["truncated"] * 2, detail=["cut short"] * 2),
        "verdicts": columns(
            records.VERDICTS,
            n,
            sample_id=ids,
            kept=is_kept,
            reason=["" if keep else "near_duplicate" for keep in is_kept],
            duplicate_of=["" if is_kept[i] else ids[i - 1] for i in range(n)],
            blank_frac=[0.2] * n,
        ),
        "categories": columns(
            records.CATEGORIES,
            len(kept),
            sample_id=kept_ids,
            category=places,
            label_source=["tree"] * len(kept),
            probability=[1.0] * len(kept),
        ),
        "captions": columns(
            records.CAPTIONS,
            2 * len(kept),
            sample_id=[i for i in kept_ids for _ in range(2)],
            kind=["short"] * 2 * len(kept),
            language=["en", "zh"] * len(kept),
            text=texts,
        ),
        "ocr": columns(records.OCR, 2, sample_id=kept_ids[:2], ocr_text=["OPEN", "EXIT"], confidence=[0.9, 0.7]),
        "scores": columns(
            records.SCORES, len(kept), sample_id=kept_ids, aesthetic=rng.normal(2, 3, len(kept)).tolist()
        ),
        "selection": columns(
            records.SELECTION,
            len(kept),
            sample_id=kept_ids,
            category=places,
            split=splits,
            concept=[f"{split}{k}" for k, split in enumerate(splits)],
            probability=[1 / num_train if split == "train" else 0.0 for split in splits],
        ),
    }


def sound_sft(n: int = 8) -> Tables:
    """`n` rendered images, and a fine-tuning set of them and of the first `n` training images."""
    drawn = [sha(f"drawn {k}") for k in range(n)]
    base = sound(40)["selection"]
    chosen = [i for i, split in zip(base["sample_id"], base["split"], strict=True) if split == "train"][:n] + drawn
    sides = {"width": [64] * n, "height": [64] * n, "num_bytes": [900] * n, "licence": ["CC0-1.0"] * n}
    texts = [f'a poster that says "词语 {k}"' for k in range(n)]
    return {
        "rendered_catalogue": columns(records.CATALOGUE, n, sample_id=drawn, **sides, row=list(range(n))),
        "rendered_captions": columns(records.CAPTIONS, n, sample_id=drawn, language=["en"] * n, text=texts),
        "rendered": columns(records.RENDERED, n, sample_id=drawn, lines=[["词语"]] * n),
        "sft_selection": columns(records.SFT_SELECTION, 2 * n, sample_id=chosen, weight=[1 / (2 * n)] * 2 * n),
        "sft_prompts": columns(
            records.SFT_PROMPTS, 2 * n, sample_id=chosen, language=["en"] * 2 * n, text=["draw an apple"] * 2 * n
        ),
    }


class Chain:
    """Tables in a folder, and the two checks on them."""

    def __init__(self, home: Path) -> None:
        self.home, self.reference = home, home / "reference.json"
        self.reference.write_text("{}")

    def write(self, tables: Tables) -> None:
        for name, content in tables.items():
            records.write_table(pa.table(content, schema=TABLES[name]), self.home / f"{name}.parquet")

    def tables(self) -> check_tables.Metrics:
        return self.run(check_tables, "tables", OF_TABLES, reference=self.reference)

    def selection(self) -> check_selection.Metrics:
        return self.run(check_selection, "selection", OF_SELECTION, reference=self.reference)

    def sft(self) -> check_sft.Metrics:
        return self.run(check_sft, "sft", OF_SFT)

    def run(self, module: ModuleType, part: str, tables: tuple[str, ...], **more: Path) -> Any:
        name, receipt = f"check_{part}", self.home / f"{part}.json"
        receipt.unlink(missing_ok=True)
        files = {table: self.home / f"{table}.parquet" for table in tables}
        return getattr(module, name)(module.Params.model_validate(self.limits(name)), **files, **more, receipt=receipt)

    def limits(self, check: str) -> dict:
        if "categories" not in PARAMS[check]:
            return PARAMS[check]
        return PARAMS[check] | {"categories": PARAMS[check]["categories"] | {"min_images": 20}}


@pytest.fixture
def chain(tmp_path: Path) -> Chain:
    made = Chain(tmp_path)
    made.write(sound() | sound_sft())
    return made


def put(table: str, column: str, value: object, row: int = 0) -> Callable[[Tables], None]:
    def plant(tables: Tables) -> None:
        tables[table][column] = [*tables[table][column]]
        tables[table][column][row] = value

    return plant


def drop_rows(table: str, is_dropped: Callable[[dict], bool]) -> Callable[[Tables], None]:
    def plant(tables: Tables) -> None:
        rows = [dict(zip(tables[table], values, strict=True)) for values in zip(*tables[table].values(), strict=True)]
        left = [row for row in rows if not is_dropped(row)]
        tables[table] = {name: [row[name] for row in left] for name in tables[table]}

    return plant


def relabel(tables: Tables) -> None:
    tables["categories"]["category"] = [c if c != "food" else "animals" for c in tables["categories"]["category"]]


def write_chinese(tables: Tables) -> None:
    captions = tables["captions"]
    captions["text"] = [captions["text"][1] if k < 40 else text for k, text in enumerate(captions["text"])]


def same_concept(tables: Tables) -> None:
    tables["selection"]["concept"] = ["apple"] * len(tables["selection"]["concept"])


TABLE_FAULTS = {
    "a duplicate id": (put("scores", "sample_id", sha(1)), "scores: expect_column_values_to_be_unique(sample_id)"),
    "an id that is no hash": (put("catalogue", "sample_id", "../x"), "catalogue: expect_column_values_to_match_regex"),
    "an orphan": (put("captions", "sample_id", sha("x")), r"captions_facts: expect_column_max_to_be_between(orphans)"),
    "a repeat of nothing": (put("verdicts", "duplicate_of", sha("x"), 9), "verdicts_facts: .*(originals_not_kept)"),
    "a sample without a score": (drop_rows("scores", lambda r: r["sample_id"] == sha(0)), "scores_facts: .*(missing)"),
    "a score out of range": (put("scores", "aesthetic", 1e4), "scores: expect_column_values_to_be_between(aesthetic)"),
    "a score that is no number": (put("scores", "aesthetic", float("nan")), "scores_facts: .*(not_finite)"),
    "dropped without a reason": (put("verdicts", "reason", "", 9), "(kept_without_or_dropped_with_no_reason)"),
    "two images in one place": (put("catalogue", "row", 1), "expect_compound_columns_to_be_unique(shard, row)"),
    "no licence": (put("catalogue", "licence", None), "catalogue_facts: .*(licensed_frac)"),
    "a missing category": (relabel, "categories_facts: .*(images_of[food]): observed 0, allowed at least 20"),
    "the wrong language": (write_chinese, "captions: expect_column_values_to_be_between(script_margin)"),
    "an unknown language": (
        put("captions", "language", "<b>"),
        "captions: .*in_set(language)",
    ),
    "an empty caption": (put("captions", "text", ""), "captions: expect_column_values_to_be_between(chars)"),
    "a control character": (put("captions", "text", "a\x07pple"), "captions: .*(control_characters)"),
    "text read in no image": (put("ocr", "sample_id", sha("x")), "ocr_facts: .*(orphans)"),
    "a confidence above 1": (put("ocr", "confidence", 1.5), "ocr: .*(confidence)"),
    "no reason in landing": (put("refusals", "reason", ""), "refusals: .*(reason)"),
    "an unknown way of not landing": (put("refusals", "status", "lost"), "refusals: .*in_set(status)"),
    "no reason for a refusal": (put("quarantine", "reason", ""), "quarantine: .*(reason)"),
}
SELECTION_FAULTS = {
    "an orphan": (put("selection", "sample_id", sha("x")), "selection_facts: .*(orphans)"),
    "a dropped image": (put("selection", "sample_id", sha(9)), "selection_facts: .*(orphans)"),
    "mass that is not 1": (put("selection", "probability", 0.5), "selection_facts: .*(training_mass)"),
    "a held-out image that is drawn": (put("selection", "probability", 0.1, 3), "selection_facts: .*(held_out_mass)"),
    "a leak": (same_concept, "selection_facts: .*(training_images_of_held_out_concepts)"),
    "an unknown split": (put("selection", "split", "test"), "selection: expect_column_values_to_be_in_set(split)"),
    "a missing category": (drop_rows("selection", lambda r: r["category"] == "food"), "(images_of[food])"),
}

SFT_FAULTS = {
    "a held-out image": (put("sft_selection", "sample_id", sha(3)), "sft_selection_facts: .*(held_out_images)"),
    "an orphan": (put("sft_selection", "sample_id", sha("x")), "sft_selection_facts: .*(orphans)"),
    "weights that are not 1": (put("sft_selection", "weight", 0.9), "sft_selection_facts: .*(mass)"),
    "an image without a prompt": (
        put("sft_prompts", "sample_id", sha("drawn 1")),
        "sft_prompts_facts: ",
    ),
    "a prompt in Chinese that says English": (
        put("sft_prompts", "text", "画一个苹果"),
        "(script_margin)",
    ),
    "a rendered image without words": (put("rendered", "lines", []), "rendered: .*(lines)"),
    "no caption of a rendered image": (
        put("rendered_captions", "sample_id", sha("drawn 1")),
        "rendered_captions_facts",
    ),
}


def says(text: str) -> str:
    return ".*".join(map(re.escape, text.split(".*")))


def test_sound_tables_pass_and_leave_receipts_without_times(chain: Chain) -> None:
    assert chain.tables().checked_tables == 8
    first = (chain.home / "tables.json").read_bytes()
    chain.tables()
    assert (chain.home / "tables.json").read_bytes() == first
    assert json.loads(first)["verdict"] == "passed"
    assert chain.selection().checked_rows == NUM_IMAGES * 9 // 10
    assert chain.sft().checked_tables == 5


@pytest.mark.parametrize("fault", TABLE_FAULTS)
def test_a_planted_fault_in_a_table_stops_with_its_name(chain: Chain, fault: str) -> None:
    plant, said = TABLE_FAULTS[fault]
    tables = sound()
    plant(tables)
    chain.write(tables)
    with pytest.raises(DataError, match=says(said)) as error:
        chain.tables()
    assert "\n" not in str(error.value)
    assert not (chain.home / "tables.json").exists()


@pytest.mark.parametrize("fault", SELECTION_FAULTS)
def test_a_planted_fault_in_the_selection_stops_with_its_name(chain: Chain, fault: str) -> None:
    plant, said = SELECTION_FAULTS[fault]
    tables = sound()
    plant(tables)
    chain.write(tables)
    with pytest.raises(DataError, match=says(said)) as error:
        chain.selection()
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("fault", SFT_FAULTS)
def test_a_planted_fault_in_the_fine_tuning_set_stops_with_its_name(chain: Chain, fault: str) -> None:
    plant, said = SFT_FAULTS[fault]
    tables = sound_sft()
    plant(tables)
    chain.write(tables)
    with pytest.raises(DataError, match=says(said)) as error:
        chain.sft()
    assert "\n" not in str(error.value)


def test_a_missing_column_and_one_of_another_type_are_named(chain: Chain) -> None:
    table = pq.read_table(chain.home / "scores.parquet").drop_columns(["entropy"])
    index = table.schema.get_field_index("aesthetic")
    pq.write_table(
        table.set_column(index, "aesthetic", table["aesthetic"].cast("string")), chain.home / "scores.parquet"
    )
    with pytest.raises(DataError, match=r"schemas: .*scores.missing_columns.* add entropy; .*") as error:
        chain.tables()
    assert "cast aesthetic (string, not float)" in str(error.value)


def test_the_accepted_version_is_what_drift_is_measured_from(chain: Chain) -> None:
    chain.tables()
    chain.selection()
    write_reference(chain.reference, measures.summaries(chain.home))
    chain.tables()  # no drift from itself
    chain.selection()
    tables = sound()
    tables["scores"]["aesthetic"] = [value + 6 for value in tables["scores"]["aesthetic"]]
    tables["captions"]["text"] = [text * 2 for text in tables["captions"]["text"]]
    tables["selection"]["probability"] = [
        0.0 if split != "train" else (3.0 if category == "food" else 1.0)
        for split, category in zip(tables["selection"]["split"], tables["selection"]["category"], strict=True)
    ]
    total = sum(tables["selection"]["probability"])
    tables["selection"]["probability"] = [value / total for value in tables["selection"]["probability"]]
    chain.write(tables)
    with pytest.raises(DataError, match=r"tables_drift: .*caption_length_change.* tables_drift: .*score_shift"):
        chain.tables()
    with pytest.raises(DataError, match=r"selection_drift: .*category_distance.*`easel data accept`"):
        chain.selection()
    write_reference(chain.reference, measures.summaries(chain.home))  # it is meant
    chain.tables()
    chain.selection()


def test_pages_are_attached_when_the_check_fails_and_run_nothing_of_the_data(chain: Chain, tmp_path: Path) -> None:
    tables = sound()
    put("captions", "language", "<script>alert(1)</script>")(tables)
    put("captions", "text", "<script>alert(2)</script>")(tables)
    chain.write(tables)
    store = {"uri": f"sqlite:///{tmp_path / 'mlflow.db'}", "artifact_root": tmp_path / "kept", "experiment": "easel"}
    with pytest.raises(DataError), open_run("check_tables", **store):
        chain.tables()
    pages = list((tmp_path / "kept").rglob("data_docs/**/*.html"))
    text = "\n".join(page.read_text(encoding="utf-8") for page in pages)
    assert {"index.html", "captions.html"} <= {page.name for page in pages}
    assert "Content-Security-Policy" in text
    assert not re.search(r"<(script|link|img)\b|https?://|alert\(2\)", text)
