"""The selection table: who may be selected, who is held out, and what the sampling expects."""

import hashlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from components.data.config import SplitShares, TwoLevelSampling
from components.data.errors import DataError
from components.data.records import BALANCE, CATEGORIES, SELECTION, read_table
from components.data.selection import CANDIDATES, Wanted, candidates_of, fewer_concepts, select, write_selection
from components.data.splits import concept_hash

STYLES = ("Noto", "blob", "EmojiOne", "flat Twemoji")
WEIGHTS = TwoLevelSampling(0.5, 0.5, 1.0, 10.0, 0.05, 3.0)
SHARES = SplitShares(0.1, 0.15, 0.2, ())
NUM_CONCEPTS = 60
NUM_PHOTOS = 40
ALL = Wanted(None, None)


def samples() -> pa.Table:
    """Drawings of concepts in every style, then photos, which show no named concept."""
    cells = [(style, f"{c:x}") for c in range(NUM_CONCEPTS) for style in STYLES] + [(None, None)] * NUM_PHOTOS
    columns = {
        "sample_id": [hashlib.sha256(bytes([k % 256, k // 256])).hexdigest() for k in range(len(cells))],
        "style": [style for style, _ in cells],
        "concept": [concept for _, concept in cells],
        "title_en": ["a thing"] * len(cells),
    }
    return pa.table({name: pa.array(values, pa.string()) for name, values in columns.items()})


def placed(table: pa.Table, heldout_concept_frac: float = 0.25) -> pa.Table:
    """Drawings labelled by people; of the photos the first half placed by a model, the rest left without a category."""
    names = ["food", "travel", "symbols"]
    rows = [
        {
            "sample_id": sample_id,
            "category": names[int(concept, 16) % 3] if concept else "food" if k % 2 else "",
            "subcategory": "any",
            "label_source": "tree" if concept else "model" if k % 2 else "abstained",
            "probability": 1.0,
            "is_probe_heldout": bool(concept) and concept_hash(concept) < heldout_concept_frac,
        }
        for k, (sample_id, concept) in enumerate(
            zip(*(table[n].to_pylist() for n in ("sample_id", "concept")), strict=True)
        )
    ]
    return pa.Table.from_pylist(rows, schema=CATEGORIES)


def scores(table: pa.Table) -> pa.Table:
    return pa.table({"aesthetic": np.random.default_rng(0).normal(size=table.num_rows).astype(np.float32)})


def candidates(heldout_concept_frac: float = 0.25) -> pa.Table:
    table = samples()
    return candidates_of(table, placed(table, heldout_concept_frac), scores(table))


def captioned(table: pa.Table) -> pa.Array:
    return table["sample_id"].unique()


def test_null_means_all_and_names_mean_those() -> None:
    table = samples()
    assert select(table, placed(table), captioned(table), ALL).all()
    some = select(table, placed(table), captioned(table.slice(1)), Wanted(["food", "symbols"], ["Noto"]))
    chosen = table.filter(pa.array(some))
    assert set(chosen["style"].to_pylist()) == {"Noto"}
    assert {int(concept, 16) % 3 for concept in chosen["concept"].to_pylist()} == {0, 2}
    assert not some[0]
    assert some.sum() == NUM_CONCEPTS * 2 // 3 - 1


def test_images_without_a_category_need_all_categories_wanted() -> None:
    table = samples()
    is_wanted = select(table, placed(table), captioned(table), Wanted(["food", "travel", "symbols"], None))
    assert (~is_wanted).sum() == NUM_PHOTOS // 2


def test_unknown_names_and_empty_selections_are_refused() -> None:
    table = samples()
    with pytest.raises(ValueError, match=r"sample.styles has \['Nota'\]; allowed: \['', 'EmojiOne'.* or null for all"):
        select(table, placed(table), captioned(table), Wanted(["food"], ["Nota"]))
    with pytest.raises(DataError, match="no image is left of"):
        select(table, placed(table), pa.array([], pa.string()), ALL)


@pytest.mark.parametrize("batch_size", [17, 1000])
def test_the_selection_adds_up_and_the_balance_is_what_it_expects(tmp_path: Path, batch_size: int) -> None:
    table = candidates()
    files = tmp_path / "selection.parquet", tmp_path / "balance.parquet"
    report = write_selection(lambda names: table.select(names).to_batches(batch_size), SHARES, WEIGHTS, *files)
    selection, balance = read_table(files[0], SELECTION), read_table(files[1], BALANCE)
    assert selection["sample_id"].to_pylist() == table["sample_id"].to_pylist()
    probability, splits = selection["probability"].to_numpy(), np.array(selection["split"].to_pylist())
    is_train = splits == "train"
    assert {name: int((splits == name).sum()) for name in report.split_images} == report.split_images
    assert min(report.split_images.values()) > 0
    assert probability[is_train].sum() == pytest.approx(1)
    assert (probability[is_train] > 0).all()
    assert (probability[~is_train] == 0).all()
    categories, aesthetic = (
        np.array(selection["category"].to_pylist()),
        table["aesthetic"].to_numpy().astype(np.float64),
    )
    for row in balance.to_pylist():
        mine = (categories == row["category"]) & is_train
        assert row["images"] == mine.sum()
        assert row["natural_frac"] == pytest.approx(mine.sum() / is_train.sum())
        assert row["sampled_frac"] == pytest.approx(probability[mine].sum())
        assert row["expected_images"] == pytest.approx(probability[mine].sum() * is_train.sum())
        assert row["mean_aesthetic"] == pytest.approx(aesthetic[mine].mean())
    assert report.mean_aesthetic_sampled == pytest.approx(probability @ aesthetic)
    assert report.mean_aesthetic_sampled > report.mean_aesthetic_natural == pytest.approx(aesthetic[is_train].mean())
    assert report.expected_repeats_max == pytest.approx(probability.max() * is_train.sum())
    assert report.expected_repeats_max <= 3 + 1e-9
    assert report.effective_images_frac == pytest.approx(1 / (probability @ probability) / is_train.sum())


def test_a_pool_that_nobody_labelled_is_split_by_the_images_alone(tmp_path: Path) -> None:
    ids = [hashlib.sha256(str(k).encode()).hexdigest() for k in range(300)]
    texts = [pa.array([""] * 300, pa.string())] * 3
    table = pa.table(
        [pa.array(ids), *texts, pa.array(np.zeros(300, np.float32)), pa.array([False] * 300)], schema=CANDIDATES
    )
    files = tmp_path / "selection.parquet", tmp_path / "balance.parquet"
    report = write_selection(lambda names: table.select(names).to_batches(), SHARES, WEIGHTS, *files)
    held = sum(concept_hash(sample_id) < 0.2 for sample_id in ids)
    assert report.split_images == {
        "train": 300 - held,
        "heldout_cell": 0,
        "heldout_concept": 0,
        "heldout_image": held,
    }
    assert read_table(files[1], BALANCE)["sampled_frac"].to_pylist() == [pytest.approx(1.0)]


def test_images_that_the_judges_saw_are_not_held_out(tmp_path: Path) -> None:
    table = candidates(0.1)
    with pytest.raises(DataError, match="were used to fit the classifiers"):
        write_selection(
            lambda names: table.select(names).to_batches(),
            SHARES,
            WEIGHTS,
            tmp_path / "selection",
            tmp_path / "balance",
        )
    assert list(tmp_path.iterdir()) == []


def test_fewer_concepts_takes_those_in_most_styles_then_the_shortest_names():
    # Concept n of a category is drawn in n % 4 + 3 styles and has a name of n + 1 letters.
    rows = [
        (c, f"{c}{n}", s, "x" * (n + 1))
        for c in "ab"
        for n in range(12)
        for s in "stuvwx"
        if "stuvwx".index(s) <= n % 4 + 2
    ]
    table = pa.table([list(column) for column in zip(*rows, strict=True)], ["category", "concept", "style", "title"])
    categories, concepts = (np.array(table[name].to_pylist()) for name in ("category", "concept"))
    few = fewer_concepts(table, 5)
    for category in "ab":
        in_six = {f"{category}{n}" for n in (3, 7, 11)}
        shortest_in_five = {f"{category}{n}" for n in (2, 6)}
        assert set(concepts[few & (categories == category)]) == in_six | shortest_in_five
    assert fewer_concepts(table, 99).all()
    backwards = fewer_concepts(table.take(np.arange(len(rows))[::-1].copy()), 5)
    assert (few == backwards[::-1]).all()
    with pytest.raises(ValueError, match="max_concepts is 0"):
        fewer_concepts(table, 0)
