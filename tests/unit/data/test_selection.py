"""Places in the tree and the selection table."""

import numpy as np
import pyarrow as pa
import pytest

from components.data import categories as tree
from components.data.config import SplitShares, TwoLevelSampling
from components.data.errors import DataError
from components.data.records import CATEGORIES
from components.data.selection import Wanted, fewer_concepts, select, selection_report, selection_table

STYLES = ("Noto", "blob", "EmojiOne", "flat Twemoji")
WEIGHTS = TwoLevelSampling(0.5, 0.5, 1.0, 10.0, 3.0)
SHARES = SplitShares(0.1, 0.15, ())
NUM_CONCEPTS = 60


def samples() -> pa.Table:
    cells = [(style, f"{concept:x}") for concept in range(NUM_CONCEPTS) for style in STYLES] + [("clip art", "")] * 20
    names = ["food", "travel", "symbols"]
    return pa.table(
        {
            "sample_id": [f"id {k}" for k in range(len(cells))],
            "style": [style for style, _ in cells],
            "concept": [concept for _, concept in cells],
            "category": [names[int(concept, 16) % 3] if concept else None for _, concept in cells],
            "subcategory": ["any"] * len(cells),
        }
    )


def placed(table: pa.Table, heldout_concept_frac: float = 0.25) -> pa.Table:
    known = tree.labelled(table, heldout_concept_frac)
    odds = np.full((table.num_rows, 3), 0.2)
    odds[:, 1] = 0.6
    return tree.place(table, known, ["food", "symbols", "travel"], odds)


def scores(table: pa.Table) -> pa.Table:
    return pa.table({"aesthetic": np.random.default_rng(0).normal(size=table.num_rows).astype(np.float32)})


def everything(table: pa.Table) -> Wanted:
    return Wanted(["food", "travel", "symbols"], [*STYLES, "clip art"], 0.0)


def test_labels_are_kept_and_the_rest_is_predicted_with_its_probability() -> None:
    table = placed(samples())
    assert table.schema == CATEGORIES
    rows = table.to_pylist()
    assert {row["label_source"] for row in rows[: NUM_CONCEPTS * 4]} == {"tree"}
    for row in rows[NUM_CONCEPTS * 4 :]:
        assert (row["category"], row["label_source"]) == ("symbols", "model")
        assert row["probability"] == pytest.approx(0.6)
    assert [row["category"] for row in rows[: NUM_CONCEPTS * 4]] == samples()["category"].to_pylist()[
        : NUM_CONCEPTS * 4
    ]


def test_nothing_to_fit_on_is_one_line() -> None:
    with pytest.raises(DataError, match=r"20 labelled images|0 labelled images"):
        tree.labelled(samples().slice(NUM_CONCEPTS * 4), 0.25)


def test_only_wanted_captioned_and_sure_rows_are_selected() -> None:
    table = samples()
    captioned = set(table["sample_id"].to_pylist()[1:])
    is_wanted = select(table, placed(table), captioned, Wanted(["food", "symbols"], ["Noto", "clip art"], 0.5))
    chosen = table.filter(pa.array(is_wanted))
    assert set(chosen["style"].to_pylist()) == {"Noto", "clip art"}
    assert "travel" not in chosen["category"].to_pylist()
    assert "id 0" not in chosen["sample_id"].to_pylist()
    surer = select(table, placed(table), captioned, Wanted(["food", "symbols"], ["Noto", "clip art"], 0.7))
    assert is_wanted.sum() - surer.sum() == 20


def test_unknown_names_and_empty_selections_are_refused() -> None:
    table = samples()
    with pytest.raises(ValueError, match=r"sample.styles has \['Nota'\]; allowed: \['EmojiOne'"):
        select(table, placed(table), set(), Wanted(["food"], ["Nota"], 0.0))
    with pytest.raises(DataError, match="no image is left of"):
        select(table, placed(table), set(), everything(table))


def test_probability_is_on_training_rows_and_sums_to_one() -> None:
    table = samples()
    selection = selection_table(table, placed(table), scores(table), SHARES, WEIGHTS)
    probability, splits = selection["probability"].to_numpy(), np.array(selection["split"].to_pylist())
    assert set(splits) == {"train", "heldout_cell", "heldout_concept"}
    assert probability[splits == "train"].sum() == pytest.approx(1)
    assert (probability[splits != "train"] == 0).all()
    report = selection_report(selection, scores(table)["aesthetic"].to_numpy())
    assert report["mean_aesthetic_sampled"] > report["mean_aesthetic_natural"]
    assert report["sampled_entropy_bits"] <= np.log2(3)
    assert report["expected_repeats_p99"] <= report["expected_repeats_max"] <= 3 + 1e-9


def test_images_that_the_judges_saw_are_not_held_out() -> None:
    table = samples()
    with pytest.raises(DataError, match="were used to fit the classifiers"):
        selection_table(table, placed(table, 0.1), scores(table), SHARES, WEIGHTS)


def test_fewer_concepts_takes_those_in_most_styles_then_the_shortest_names():
    # Concept n of a category is drawn in n % 4 + 3 styles and has a name of n + 1 letters.
    rows = [(c, f"{c}{n}", s, "x" * (n + 1)) for c in "ab" for n in range(12) for s in range(6) if s <= n % 4 + 2]
    categories, concepts, styles, titles = (np.array(column, object) for column in zip(*rows, strict=True))
    few = fewer_concepts(categories, concepts, styles, titles, 5)
    for category in "ab":
        in_six = {f"{category}{n}" for n in (3, 7, 11)}
        shortest_in_five = {f"{category}{n}" for n in (2, 6)}
        assert set(concepts[few & (categories == category)]) == in_six | shortest_in_five
    assert fewer_concepts(categories, concepts, styles, titles, 99).all()
    backwards = fewer_concepts(categories[::-1], concepts[::-1], styles[::-1], titles[::-1], 5)
    assert (few == backwards[::-1]).all()
    with pytest.raises(ValueError, match="max_concepts is 0"):
        fewer_concepts(categories, concepts, styles, titles, 0)
