"""The stage that writes wishes, on tables made here: counts add up, what is held out stays out, faults are one line."""

from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import yaml

from components.data import records
from components.data.errors import DataError
from components.data.splits import concept_hash
from components.enhancer.intent import lost
from components.enhancer.language import language_of
from components.enhancer.wishes import WISH_REFUSALS, WISHES
from flows.stages import wishes

ROOT = Path(__file__).resolve().parents[2]
STYLES = ("Noto", "blob", "clip art")
THINGS = (
    ("food", "apple", "苹果"),
    ("animals", "cat", "猫"),
    ("objects", "key", "钥匙"),
    ("smileys", "sad face", "哭脸"),
)
KINDS = ("old", "new", "wooden", "glass", "paper", "stone", "little", "great")
KINDS_ZH = ("古老", "崭新", "木质", "玻璃", "纸质", "石质", "小", "大")
SEEN = "A shiny apple lies on a table, drawn in Noto style, with a soft shadow to its left and a plain wall behind it."


def params(**changes: object) -> wishes.Params:
    block = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))["wishes"]
    return wishes.Params.model_validate(block | {"max_pairs": 200, "max_heldout_pairs": 60} | changes)


def images() -> list[dict[str, Any]]:
    return [
        {
            "sample_id": f"{style}-{kind} {thing}",
            "title_en": f"{kind} {thing}",
            "title_zh": f"{kind_zh}{zh}" if style != "clip art" else None,
            "tags_en": [thing, kind, "drawing"],
            "tags_zh": [zh, "图案"] if style != "clip art" else [],
            "style": style,
            "category": category,
            "concept": "" if style == "clip art" else f"{kind} {thing}",
        }
        for style in STYLES
        for category, thing, zh in THINGS
        for kind, kind_zh in zip(KINDS, KINDS_ZH, strict=True)
    ]


@pytest.fixture
def tables(tmp_path: Path) -> dict[str, Path]:
    rows = images()
    chosen = [row | {"split": "train"} for row in rows if row["style"] == "Noto"]
    for row in chosen[:3]:
        row["split"] = "heldout_concept"
    made = {
        "catalogue": pa.Table.from_pylist(rows, schema=records.CATALOGUE),
        "verdicts": pa.Table.from_pylist([{**row, "kept": True} for row in rows], schema=records.VERDICTS),
        "categories": pa.Table.from_pylist([{**row, "probability": 1.0} for row in rows], schema=records.CATEGORIES),
        "captions": pa.Table.from_pylist(
            [
                {"sample_id": row["sample_id"], "kind": "long", "language": "en", "text": text, "maker": maker}
                for row in rows
                for text, maker in ((row["title_en"], "metadata/1"), (SEEN, "vlm/some"))
                if maker != "vlm/some" or row["sample_id"] == "Noto-wooden cat"
            ],
            schema=records.CAPTIONS,
        ),
        "selection": pa.Table.from_pylist(chosen, schema=records.SELECTION),
        "rendered": pa.Table.from_pylist(
            [
                {"sample_id": f"r{n}", "layout": "sign", "lines": [f"Line {n}"], "ink": "red", "paper": "white"}
                for n in range(20)
            ],
            schema=records.RENDERED,
        ),
    }
    at = {name: tmp_path / f"{name}.parquet" for name in made}
    for name, table in made.items():
        records.write_table(table, at[name])
    return at | {"checked": at["verdicts"]}


def run(tables: dict[str, Path], folder: Path, **changes: object) -> tuple[wishes.Metrics, list[dict], list[dict]]:
    folder.mkdir(exist_ok=True)
    out = {name: folder / f"{name}.parquet" for name in ("pairs", "refused")}
    metrics = wishes.wishes(params(**changes), **tables, **out)
    pairs, refused = records.read_table(out["pairs"], WISHES), records.read_table(out["refused"], WISH_REFUSALS)
    return metrics, pairs.to_pylist(), refused.to_pylist()


def test_counts_add_up_and_every_pair_keeps_its_wish(tables, tmp_path):
    m, pairs, refused = run(tables, tmp_path / "out")
    assert m.pairs == len(pairs) == m.train_pairs + m.heldout_pairs == m.english_pairs + m.chinese_pairs
    assert m.refused_pairs == len(refused)
    assert m.train_pairs + m.heldout_pairs + m.refused_pairs == 260
    assert min(m.length_ratio_en, m.length_ratio_zh) > 3
    assert len({row["wish_id"] for row in pairs}) == len(pairs)
    for row in pairs:
        assert lost(row["wish"], row["description"], row["language"]) == []
        assert language_of(row["wish"]) == language_of(row["description"]) == row["language"]
        assert "\n" not in row["wish"]


def test_held_out_concepts_are_in_no_wish_to_train_on(tables, tmp_path):
    _, pairs, _ = run(tables, tmp_path / "out")
    held_out = {row["concept"] for row in images()[:3]}
    below = {row["concept"] for row in images() if row["concept"] and concept_hash(row["concept"]) < 0.06}
    assert below - held_out
    concept_of = {row["sample_id"]: row["title_en"] for row in images()}
    split_of = {(concept_of.get(row["sample_id"], "letters"), row["split"]) for row in pairs}
    for concept in held_out | below:
        assert (concept, "train") not in split_of
    assert {split for _, split in split_of} >= {"train", "heldout_concept"}


def test_the_same_tables_give_the_same_files_and_another_seed_others(tables, tmp_path):
    first, again, other = (
        [row["wish"] for row in run(tables, tmp_path / name, seed=seed)[1]]
        for name, seed in (("a", 0), ("b", 0), ("c", 1))
    )
    assert (tmp_path / "a/pairs.parquet").read_bytes() == (tmp_path / "b/pairs.parquet").read_bytes()
    assert first == again != other


def test_captions_of_a_model_that_looked_are_the_descriptions(tables, tmp_path):
    _, pairs, refused = run(tables, tmp_path / "out", max_pairs=2000, max_heldout_pairs=400)
    looked = [row for row in pairs + refused if row["sample_id"] == "Noto-wooden cat" and row["language"] == "en"]
    assert all(row["description"].startswith(SEEN) for row in looked)
    assert {row["reason"].split(":")[0] for row in refused if row in looked} == {"lost thing"}  # it shows no cat


def test_styles_and_languages_can_be_chosen(tables, tmp_path):
    m, pairs, _ = run(tables, tmp_path / "out", styles=["blob"], languages=["en"])
    assert (m.chinese_pairs, m.length_ratio_zh) == (0, 0.0)
    assert {row["sample_id"].split("-")[0][0] for row in pairs} == {"b", "r"}
    assert set(Counter(row["style"] for row in pairs)) == {"keywords", "request", "instruction", "specification"}


def test_an_endpoint_that_cannot_be_reached_is_one_line(tables, tmp_path):
    endpoint = {
        "url": "http://127.0.0.1:9/v1",
        "model": "some/model",
        "max_tokens": 300,
        "timeout_s": 1.0,
        "max_attempts": 1,
        "backoff_s": 0.0,
        "requests_per_s": 1000.0,
        "concurrency": 4,
        "max_failed_frac": 0.0,
        "temperature": 0.7,
    }
    with pytest.raises(DataError, match="got no answer of some/model") as error:
        run(tables, tmp_path / "out", endpoint=endpoint)
    assert "\n" not in str(error.value)


def test_nothing_to_hold_out_is_one_line(tables, tmp_path):
    records.write_table(pa.Table.from_pylist([], schema=records.SELECTION), tables["selection"])
    with pytest.raises(DataError, match="0 held out") as error:
        run(tables, tmp_path / "out", heldout_concept_frac=0.0)
    assert "\n" not in str(error.value)
