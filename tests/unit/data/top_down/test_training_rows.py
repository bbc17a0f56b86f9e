"""Rows of the SFT set: shares kept, concepts whole, nothing held out that was seen before."""

from collections import Counter

import numpy as np
import pyarrow as pa
import pytest

from components.data.errors import DataError
from components.data.records import SELECTION, SFT_SELECTION
from components.data.top_down.training_rows import heldout_split, training_rows

SHARES = {"poster": 0.5, "nature": 0.3, "symbol": 0.2}


def chosen(seed: int = 0, images: int = 60, concepts: int = 30) -> pa.Table:
    """Three domains that share concepts; three images have none."""
    rng = np.random.default_rng(seed)
    rows = [
        {
            "sample_id": f"{domain}{number}",
            "pool": "catalogue",
            "domain": domain,
            "found_by": "words",
            "relevance": 1.0,
            "weight": share / images,
            "category": "food",
            "style": "Noto",
            "concept": f"concept{rng.integers(concepts)}" if number else "",
        }
        for domain, share in SHARES.items()
        for number in range(images)
    ]
    return pa.Table.from_pylist(rows, schema=SFT_SELECTION)


def domains(table: pa.Table) -> np.ndarray:
    return np.array([one.rstrip("0123456789") for one in table["sample_id"].to_pylist()])


@pytest.mark.parametrize("seed", range(5))
def test_every_domain_keeps_its_share_and_holds_out_about_what_was_asked(seed: int):
    table = chosen(seed)
    rows = training_rows(table, set(), 0.2, seed)
    assert rows.schema == SELECTION
    assert rows["sample_id"].to_pylist() == table["sample_id"].to_pylist()
    split, probability = np.array(rows["split"].to_pylist()), rows["probability"].to_numpy()
    assert not probability[split != "train"].any()
    assert (probability[split == "train"] > 0).all()
    for domain, share in SHARES.items():
        mine = domains(rows) == domain
        assert probability[mine].sum() == pytest.approx(share)
        assert set(split[mine]) == {"train", heldout_split(domain)}
        # As many images as asked for and up to one concept more; shared concepts that others hold out come on top.
        assert 0.2 <= (split[mine] != "train").mean() <= 0.45


def test_all_images_of_a_concept_go_one_way_in_every_domain():
    rows = training_rows(chosen(), set(), 0.3, 1).to_pylist()
    ways = {(row["concept"] or row["sample_id"], row["split"] == "train") for row in rows}
    assert max(Counter(concept for concept, _ in ways).values()) == 1


def test_what_was_held_out_depends_on_the_seed_and_stays_when_more_images_come():
    def held(table: pa.Table, seed: int, frac: float = 0.2) -> set[str]:
        return {
            row["concept"] for row in training_rows(table, set(), frac, seed).to_pylist() if row["split"] != "train"
        }

    assert held(chosen(), 1) == held(chosen(), 1) != held(chosen(), 2)
    assert held(chosen(), 1) < held(chosen(), 1, 0.4)


def test_images_that_were_trained_on_before_are_never_held_out_nor_are_others_of_their_concept():
    table = chosen()
    seen = set(table["sample_id"].to_pylist()[::3])
    concepts = {row["concept"] or row["sample_id"] for row in table.to_pylist() if row["sample_id"] in seen}
    rows = training_rows(table, seen, 0.2, 0).to_pylist()
    held = {row["concept"] or row["sample_id"] for row in rows if row["split"] != "train"}
    assert not held & concepts
    nothing_new = training_rows(table, set(table["sample_id"].to_pylist()), 0.2, 0)
    assert set(nothing_new["split"].to_pylist()) == {"train"}


def test_nothing_is_held_out_of_a_domain_with_one_concept_or_if_nothing_is_asked():
    one = chosen(concepts=1).slice(1, 59)
    assert set(training_rows(one, set(), 0.5, 0)["split"].to_pylist()) == {"train"}
    assert set(training_rows(chosen(), set(), 0.0, 0)["split"].to_pylist()) == {"train"}


def test_weights_within_a_domain_are_kept():
    table = chosen().slice(0, 60)
    weights = np.random.default_rng(0).uniform(1, 9, 60)
    rows = training_rows(table.set_column(5, "weight", [weights]), set(), 0.2, 0)
    probability = rows["probability"].to_numpy()
    trained = probability > 0
    np.testing.assert_allclose(probability[trained], weights[trained] / weights[trained].sum(), rtol=1e-12)


def test_a_set_without_images_is_refused():
    with pytest.raises(DataError, match="no image is left to train on"):
        training_rows(chosen().slice(0, 0), set(), 0.1, 0)
