"""Places in the tree: labels kept, guesses with their probability, abstention, clusters, and what is told of them."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from components.data import categories as tree
from components.data.records import CATEGORIES, CATEGORY_CONFUSION, CATEGORY_REPORT, read_table

NAMES = np.array(["food", "symbols", "travel"], dtype=object)
NUM_LABELLED, NUM_OTHERS = 90, 30


def samples() -> pa.Table:
    """Labelled drawings of 30 concepts in 3 styles, then images that nobody placed."""
    n = NUM_LABELLED + NUM_OTHERS
    concepts = [f"{k // 3:x}" if k < NUM_LABELLED else "" for k in range(n)]
    return pa.table(
        {
            "sample_id": [f"id {k}" for k in range(n)],
            "concept": concepts,
            "style": [("Noto", "blob", "flat")[k % 3] if k < NUM_LABELLED else "clip art" for k in range(n)],
            "category": [NAMES[k // 3 % 3] if k < NUM_LABELLED else None for k in range(n)],
            "subcategory": ["any"] * n,
        }
    )


def placed(min_probability: float, source: str = "model") -> pa.Table:
    table = samples()
    known = tree.labelled(table, 0.3)
    rng = np.random.default_rng(0)
    return tree.place(
        table, known, NAMES[rng.integers(0, 3, NUM_OTHERS)], rng.random(NUM_OTHERS), min_probability, source
    )


def test_labels_are_kept_whatever_the_threshold() -> None:
    table = placed(0.99)
    assert table.schema == CATEGORIES
    rows = table.to_pylist()[:NUM_LABELLED]
    assert [row["category"] for row in rows] == samples()["category"].to_pylist()[:NUM_LABELLED]
    assert {(row["label_source"], row["probability"]) for row in rows} == {("tree", 1.0)}


def test_abstention_grows_with_the_threshold_and_keeps_the_probability() -> None:
    steps = np.linspace(0, 1, 11)
    sets = [{r["sample_id"] for r in placed(step).to_pylist() if r["label_source"] == "abstained"} for step in steps]
    assert all(low <= high for low, high in pairwise(sets))
    assert (len(sets[0]), len(sets[-1])) == (0, NUM_OTHERS)
    for row in placed(0.5).to_pylist()[NUM_LABELLED:]:
        assert (row["category"] == "") == (row["label_source"] == "abstained") == (row["probability"] < 0.5)


def test_images_of_one_concept_are_held_out_together() -> None:
    known = tree.labelled(samples(), 0.3)
    assert 0 < known.is_heldout.sum() < NUM_LABELLED
    for flags in (known.is_heldout, known.is_first):
        assert (flags.reshape(-1, 3) == flags.reshape(-1, 3)[:, :1]).all()
    assert not (known.is_first & ~known.is_heldout).any()
    assert known.others(NUM_LABELLED + NUM_OTHERS).tolist() == list(range(NUM_LABELLED, NUM_LABELLED + NUM_OTHERS))


def test_images_without_a_concept_are_held_out_one_by_one() -> None:
    table = samples()
    known = tree.labelled(table.set_column(1, "concept", pa.array([""] * table.num_rows)), 0.3)
    assert 0.1 < known.is_heldout.mean() < 0.5


def test_every_so_many_th_is_chosen_by_the_sample_not_by_its_place() -> None:
    table = samples()
    known = tree.labelled(table, 0.3)
    ids = np.array(table["sample_id"].to_pylist())
    chosen = set(ids[known.rows[known.every(table, 3)]])
    assert NUM_LABELLED * 0.15 < len(chosen) < NUM_LABELLED * 0.5
    later = table.slice(7)
    fewer = tree.labelled(later, 0.3)
    assert set(ids[7:][fewer.rows[fewer.every(later, 3)]]) == chosen - set(ids[:7])
    assert len(known.every(table, 1)) == NUM_LABELLED


def test_clusters_are_seeded_units_that_nothing_was_fitted_on() -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 3, 200)
    features = (10 * np.eye(3, 8)[truth] + rng.normal(0, 0.3, (200, 8))).astype(np.float16)
    names, probability = tree.likeness(features, 3, seed=0)
    assert (names == tree.likeness(features, 3, seed=0)[0]).all()
    assert set(probability) == {1.0}
    for number in range(3):  # a planted group is one cluster
        assert len(set(names[truth == number])) == 1
    assert set(names) == {"cluster-000", "cluster-001", "cluster-002"}
    assert tree.likeness(features[:0], 3, seed=0)[0].shape == (0,)
    table = placed(0.0, "cluster")
    assert all(table["is_probe_heldout"].to_pylist())


def test_reports_count_what_is_there(tmp_path: Path) -> None:
    known = tree.labelled(samples(), 0.3)
    table = placed(0.5)
    truth = known.categories[known.is_heldout]
    seen_as = np.roll(truth, 1)
    tree.write_reports(table, known, seen_as, tmp_path)
    report = read_table(tmp_path / "category_report.parquet", CATEGORY_REPORT).to_pylist()
    counts = tree.source_counts(table)
    assert sum(row["labelled_images"] for row in report) == NUM_LABELLED == counts["tree"]
    assert sum(row["assigned_images"] for row in report) == NUM_OTHERS == counts["model"] + counts["abstained"]
    assert sum(row["heldout_right"] for row in report) == (truth == seen_as).sum()
    assert next(row for row in report if row["category"] == "")["assigned_images"] == counts["abstained"]
    pairs = read_table(tmp_path / "category_confusion.parquet", CATEGORY_CONFUSION).to_pylist()
    assert sum(pair["images"] for pair in pairs) == len(truth)
    for row in report:
        mine = [pair for pair in pairs if pair["category"] == row["category"]]
        assert sum(pair["images"] for pair in mine) == row["heldout_images"]
        right = sum(pair["images"] for pair in mine if pair["seen_as"] == row["category"])
        assert row["heldout_recall"] == (
            pytest.approx(right / row["heldout_images"]) if row["heldout_images"] else None
        )
