"""The demand list: shares add up, rules hold for everything taken, held-out images never enter, gaps say why."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import rankdata

from components.data.errors import DataError
from components.data.top_down.candidates import quantiles
from components.data.top_down.config import Domain
from components.data.top_down.demand import (
    Candidates,
    check_demand,
    free_of_held_out,
    gaps_table,
    gaps_text,
    meet,
    selection_table,
    wanted_numbers,
)

ANY = Domain("any", 1.0, "catalogue", (), (), 0.0, 0.0, (), None, 1000)
N = 300


def pool(**columns: object) -> Candidates:
    rng = np.random.default_rng(0)
    kinds = np.array(["dog", "cat", "car"], object)[rng.integers(0, 3, N)]
    plain = Candidates(
        pool="catalogue",
        sample_ids=[f"{n:04d}" for n in range(N)],
        texts=[f"a {kind}, number {n}" for n, kind in enumerate(kinds)],
        styles=np.array(["blob", "Noto"], object)[rng.integers(0, 2, N)],
        categories=np.where(kinds == "car", "travel", "animals").astype(object),
        concepts=np.array([f"{kind}{n % 20}" for n, kind in enumerate(kinds)], object),
        probabilities=rng.random(N),
        quality=(np.argsort(np.argsort(rng.random(N))) + 0.5) / N,
        is_described=np.ones(N, bool),
        is_free=rng.random(N) < 0.9,
        features=rng.normal(size=(N, 4)),
    )
    return replace(plain, **columns)


def test_everything_taken_keeps_every_rule_of_its_domain():
    domain = replace(
        *(ANY,),
        styles=("blob",),
        categories=("animals",),
        min_category_probability=0.3,
        min_quality=0.4,
        queries=("dog",),
        max_per_concept=2,
    )
    candidates = pool()
    (found,) = meet([domain], [candidates], 1000)
    rows = np.array(found.rows)
    fits = (
        candidates.is_free
        & (candidates.styles == "blob")
        & (candidates.categories == "animals")
        & (candidates.probabilities >= 0.3)
        & (candidates.quality >= 0.4)
        & np.array(["dog" in text for text in candidates.texts])
    )
    assert fits[rows].all()
    per_concept = [(candidates.concepts[rows] == name).sum() for name in set(candidates.concepts[rows])]
    assert max(per_concept) <= 2
    assert len(rows) == sum(
        min(2, (candidates.concepts[fits] == name).sum()) for name in set(candidates.concepts[fits])
    )
    left = [number for _, number in found.steps]
    assert left == sorted(left, reverse=True)


def test_an_image_serves_one_domain_and_the_earlier_chooses_first():
    domains = [replace(ANY, name="first", share=0.5), replace(ANY, name="second", share=0.5)]
    found = meet(domains, [pool()], 400)
    assert set(found[0].rows).isdisjoint(found[1].rows)
    assert len(found[0].rows) == 200
    assert len(found[0].rows) + len(found[1].rows) == pool().is_free.sum()


def test_words_come_before_likeness_and_likeness_fills_up():
    rng = np.random.default_rng(3)
    kinds = rng.integers(0, 3, N)
    features = np.eye(3)[kinds] * 5 + rng.normal(size=(N, 3))
    named = (kinds == 1) & (rng.random(N) < 0.4)
    candidates = pool(features=features, texts=["a dog" if own else "?" for own in named], is_free=np.ones(N, bool))
    words_only = replace(ANY, queries=("dog",))
    (few,) = meet([words_only], [candidates], N)
    (more,) = meet([replace(words_only, min_similarity=0.7)], [candidates], N)
    assert set(few.rows) == set(np.flatnonzero(named))
    assert more.found_by == ("words",) * len(few.rows) + ("features",) * (len(more.rows) - len(few.rows))
    beyond = np.array(more.rows[len(few.rows) :])
    assert len(beyond) > 20
    assert (kinds[beyond] == 1).mean() > 0.95


def test_the_gap_report_names_the_condition_that_emptied_a_domain():
    domains = [
        replace(ANY, name="portrait", share=0.5, styles=("photograph",)),
        replace(ANY, name="good dogs", share=0.3, queries=("dog",), min_quality=0.95),
        replace(ANY, name="cars", share=0.2, queries=("car",)),
    ]
    gaps = gaps_table(meet(domains, [pool()], 100))
    rows = {row["domain"]: row for row in gaps.to_pylist()}
    assert (rows["portrait"]["wanted"], rows["portrait"]["found"], rows["portrait"]["missing"]) == (50, 0, 50)
    assert rows["portrait"]["why"].startswith("style: 0 left of")
    assert "no image of the pool has style 'photograph'; there are: Noto, blob" in rows["portrait"]["why"]
    assert rows["good dogs"]["why"].startswith("quality:")
    assert (rows["cars"]["missing"], rows["cars"]["why"]) == (0, "")
    text = gaps_text(gaps)
    assert "portrait: wanted 50, found 0, missing 50" in text


def test_weights_are_the_shares_of_the_domains_that_found_something():
    shares = {"a": 0.6, "b": 0.2, "none": 0.2}
    domains = [replace(ANY, name=name, share=share) for name, share in shares.items()]
    domains[2] = replace(domains[2], styles=("x",))
    candidates = pool()
    table = selection_table(meet(domains, [candidates], 50), [candidates])
    weights, names = table["weight"].to_numpy(), np.array(table["domain"].to_pylist())
    assert weights.sum() == pytest.approx(1)
    assert weights[names == "a"].sum() == pytest.approx(0.75)
    assert len(np.unique(weights[names == "a"])) == 1
    assert len(set(table["sample_id"].to_pylist())) == table.num_rows


def test_a_demand_that_nothing_meets_is_one_line():
    candidates = pool()
    with pytest.raises(DataError, match="no image fits any domain"):
        selection_table(meet([replace(ANY, styles=("x",))], [candidates], 5), [candidates])


@pytest.mark.parametrize("number", [1, 7, 100, 601])
def test_wanted_numbers_add_up_and_follow_the_shares(number: int):
    domains = [replace(ANY, name=str(n), share=share) for n, share in enumerate((0.2, 0.05, 0.33, 0.42))]
    wanted = wanted_numbers(domains, number)
    assert sum(wanted) == number
    assert all(abs(n - domain.share * number) < 1 for n, domain in zip(wanted, domains, strict=True))


@pytest.mark.parametrize("shares", [(), (0.5,), (0.5, 0.6), (1.2, -0.2)])
def test_shares_that_cannot_be_meant_are_refused(shares: tuple[float, ...]):
    with pytest.raises(ValueError, match="allowed"):
        check_demand([replace(ANY, name=str(n), share=share) for n, share in enumerate(shares)])


def test_two_domains_of_one_name_are_refused():
    with pytest.raises(ValueError, match="each name once"):
        check_demand([replace(ANY, share=0.5), replace(ANY, share=0.5)])


@pytest.mark.parametrize("change", [{"min_quality": 1.0}, {"min_category_probability": 1.5}, {"max_per_concept": 0}])
def test_values_outside_their_range_are_refused_with_the_domain(change: dict[str, float]):
    with pytest.raises(ValueError, match="domain any: allowed are"):
        check_demand([replace(ANY, **change)])


def test_nothing_that_is_held_out_is_free():
    ids = ["trained", "cell", "its sibling", "concept", "its other style", "art of it", "other art", "unrelated"]
    concepts = np.array(["apple", "apple", "apple", "fox", "fox", "", "", "car"], object)
    texts = ["", "", "", "", "", "a red fox in snow", "a box", ""]
    splits = {"trained": "train", "cell": "heldout_cell", "concept": "heldout_concept"}
    free = free_of_held_out(ids, concepts, texts, splits, {"fox"})
    assert dict(zip(ids, free.tolist(), strict=True)) == {
        "trained": True,
        "cell": False,
        "its sibling": False,
        "concept": False,
        "its other style": False,
        "art of it": False,
        "other art": True,
        "unrelated": True,
    }


def test_quality_is_the_place_in_the_pool_with_ties_in_the_middle():
    values = np.random.default_rng(0).integers(0, 9, 50).astype(float)
    assert quantiles(values) == pytest.approx((rankdata(values) - 0.5) / 50)
    assert quantiles(np.zeros(0)).shape == (0,)
