from collections import defaultdict

import numpy as np
import pyarrow as pa
import pytest

from components.data.records import CANDIDATES
from components.preference.config import Curriculum, PairRules
from components.preference.pairs import best_against_worst, order_by_margin, outcomes, pairs_from_scores


def rules(
    *,
    min_margin: float = 0.0,
    max_margin: float | None = None,
    pairs_per_prompt: int = 2,
    curriculum: Curriculum = "none",
    seed: int = 3,
) -> PairRules:
    return PairRules(min_margin, max_margin, pairs_per_prompt, curriculum, 0.25, seed)


def candidates(num_prompts: int, images_of_each: int, *, sizes: int = 1) -> pa.Table:
    rows = [
        {
            "sample_id": f"{prompt:03}-{image:03}",
            "prompt": f"prompt {prompt}",
            "category": f"category {prompt % 3}",
            "width": 64 * (1 + image % sizes),
            "height": 64,
        }
        for prompt in range(num_prompts)
        for image in range(images_of_each)
    ]
    return pa.Table.from_pylist(rows, schema=CANDIDATES)


@pytest.fixture
def draw() -> np.random.Generator:
    return np.random.default_rng(5)


@pytest.mark.parametrize("images_of_each", [2, 5, 8])
def test_a_judge_without_noise_recovers_the_planted_order(images_of_each: int, draw: np.random.Generator) -> None:
    table = candidates(20, images_of_each)
    quality = dict(zip(table["sample_id"].to_pylist(), draw.normal(size=table.num_rows).tolist(), strict=True))
    scores = np.array(list(quality.values()))
    pairs = pairs_from_scores(table, scores, "planted", rules())
    assert pairs.table.num_rows == 20 * min(2, images_of_each // 2)
    by_prompt = defaultdict(list)
    for row in pairs.table.to_pylist():
        assert row["margin"] == quality[row["winner"]] - quality[row["loser"]] > 0
        assert row["winner"][:3] == row["loser"][:3]
        assert (row["judge"], row["is_human"]) == ("planted", False)
        assert row["category"] == f"category {int(row['winner'][:3]) % 3}"
        by_prompt[row["prompt"]].append(row)
    for prompt, rows in by_prompt.items():
        own = sorted(quality[name] for name in quality if name[:3] == f"{int(prompt.split()[1]):03}")
        best = max(rows, key=lambda row: row["margin"])
        assert (quality[best["loser"]], quality[best["winner"]]) == (own[0], own[-1])
        used = [image for row in rows for image in (row["winner"], row["loser"])]
        assert len(set(used)) == len(used)


@pytest.mark.parametrize("seed", range(8))
def test_every_image_is_in_a_pair_or_dropped_for_a_reason(seed: int) -> None:
    draw = np.random.default_rng(seed)
    table = candidates(12, 7, sizes=1 + seed % 2)
    table = pa.concat_tables([table, table.take(draw.integers(table.num_rows, size=5))])  # some are listed twice
    scores = np.round(draw.normal(size=table.num_rows), 1)
    scores[draw.random(table.num_rows) < 0.2] = np.nan
    chosen = rules(min_margin=0.3, max_margin=2.0, pairs_per_prompt=1 + seed % 3)
    pairs = pairs_from_scores(table, scores, "noise", chosen)
    assert table.num_rows == 2 * pairs.table.num_rows + pairs.dropped.total()
    assert pairs.dropped["repeated"] == 5
    assert set(pairs.dropped) <= {"repeated", "unjudged", "alone", "tie", "beyond_max_margin", "spare"}
    margins = pairs.table["margin"].to_numpy()
    assert ((margins >= 0.3) & (margins <= 2.0)).all()


@pytest.mark.parametrize(
    ("scores", "kept", "dropped"),
    [
        ([3.0, 1.0], [(0, 1, 2.0)], {}),
        ([1.0, 3.0], [(1, 0, 2.0)], {}),
        ([1.0, 1.0], [], {"tie": 2}),
        ([1.0, 1.2], [], {"tie": 2}),
        ([1.0], [], {"alone": 1}),
        ([np.nan, 1.0], [], {"unjudged": 1, "alone": 1}),
        ([0.0, 9.0], [], {"beyond_max_margin": 2}),
        ([0.0, 9.0, 3.0, 5.0], [(3, 2, 2.0)], {"beyond_max_margin": 2}),  # the next best is still asked
        ([0.0, 4.0, 1.0, 3.0, 2.0], [(1, 0, 4.0)], {"spare": 2, "alone": 1}),
        ([], [], {}),
    ],
)
def test_what_becomes_of_the_images_of_one_prompt(
    scores: list[float], kept: list[tuple[int, int, float]], dropped: dict[str, int]
) -> None:
    matches, why = best_against_worst(
        np.array(scores, np.float64), rules(min_margin=0.5, max_margin=5.0, pairs_per_prompt=1)
    )
    assert [(match.winner, match.loser, match.margin) for match in matches] == kept
    assert dict(why) == dropped


def test_scores_turned_around_swap_winner_and_loser_and_nothing_else(draw: np.random.Generator) -> None:
    table = candidates(15, 6)
    scores = draw.normal(size=table.num_rows)
    one, other = (pairs_from_scores(table, sign * scores, "j", rules()) for sign in (1, -1))
    ordered = [
        sorted(pairs.table.to_pylist(), key=lambda row: row["prompt"] + min(row["winner"], row["loser"]))
        for pairs in (one, other)
    ]
    swapped = [{**row, "winner": row["loser"], "loser": row["winner"]} for row in ordered[1]]
    assert ordered[0] == swapped
    assert one.dropped == other.dropped


def test_the_pairs_do_not_depend_on_the_order_of_the_candidates(draw: np.random.Generator) -> None:
    table = candidates(15, 6)
    scores = np.round(draw.normal(size=table.num_rows))  # many are equal
    order = draw.permutation(table.num_rows)
    one = pairs_from_scores(table, scores, "j", rules())
    other = pairs_from_scores(table.take(order), scores[order], "j", rules())
    assert one.table.equals(other.table)
    assert one.dropped == other.dropped


def test_no_prompt_is_on_both_sides_and_more_prompts_move_none(draw: np.random.Generator) -> None:
    table = candidates(60, 6)
    scores = draw.normal(size=table.num_rows)
    side_of = dict[str, set[str]]()
    for part in (table, table.slice(0, 150)):
        for row in pairs_from_scores(part, scores[: part.num_rows], "j", rules()).table.to_pylist():
            side_of.setdefault(row["prompt"], set()).add(row["split"])
    assert {side for sides in side_of.values() for side in sides} == {"train", "heldout"}
    assert all(len(sides) == 1 for sides in side_of.values())


def test_images_of_two_sizes_are_never_a_pair(draw: np.random.Generator) -> None:
    table = candidates(10, 6, sizes=2)
    width = dict(zip(table["sample_id"].to_pylist(), table["width"].to_pylist(), strict=True))
    pairs = pairs_from_scores(table, draw.normal(size=table.num_rows), "j", rules()).table.to_pylist()
    assert len(pairs) == 20  # of three and three images one pair each
    assert all(width[row["winner"]] == width[row["loser"]] for row in pairs)


def test_scores_of_another_number_of_images_are_refused() -> None:
    with pytest.raises(ValueError, match="3 scores of 4 candidates"):
        pairs_from_scores(candidates(2, 2), np.zeros(3), "j", rules())


@pytest.mark.parametrize("curriculum", ["none", "easy_first", "moderate_first"])
@pytest.mark.parametrize("num", [0, 1, 2, 9, 50])
def test_an_order_is_a_seeded_permutation(curriculum: Curriculum, num: int, draw: np.random.Generator) -> None:
    margins = draw.exponential(size=num)
    order = order_by_margin(margins, curriculum, 1)
    assert sorted(order.tolist()) == list(range(num))
    assert order.tolist() == order_by_margin(margins, curriculum, 1).tolist()


def test_easy_first_falls_and_moderate_first_goes_outwards_from_the_median(draw: np.random.Generator) -> None:
    margins = draw.exponential(size=101)
    easy = margins[order_by_margin(margins, "easy_first", 0)]
    assert (np.diff(easy) <= 0).all()
    order = order_by_margin(margins, "moderate_first", 0)
    assert margins[order[0]] == np.median(margins)
    low, high = np.quantile(margins, [0.25, 0.75])
    assert ((margins[order[:50]] >= low) & (margins[order[:50]] <= high)).all()
    extremes = {int(margins.argmin()), int(margins.argmax())}
    assert extremes <= set(order[-2:].tolist())


def test_equal_margins_are_shuffled_by_the_seed() -> None:
    orders = {tuple(order_by_margin(np.ones(20), "moderate_first", seed).tolist()) for seed in range(5)}
    assert len(orders) == 5


def test_the_table_stands_in_the_order_of_the_curriculum(draw: np.random.Generator) -> None:
    table = candidates(30, 4)
    margins = (
        pairs_from_scores(table, draw.normal(size=table.num_rows), "j", rules(curriculum="easy_first"))
        .table["margin"]
        .to_numpy()
    )
    assert (np.diff(margins) <= 0).all()


def test_outcomes_are_a_win_a_tie_half_a_loss_and_nothing_where_nothing_was_judged() -> None:
    a, b = np.array([2.0, 1.0, 1.0, np.nan, 1.0, -np.inf]), np.array([1.0, 1.0, 2.0, 1.0, np.nan, 0.0])
    np.testing.assert_array_equal(outcomes(a, b), [1, 0.5, 0, np.nan, np.nan, 0])
    np.testing.assert_array_equal(outcomes(a, b) + outcomes(b, a), [1, 1, 1, np.nan, np.nan, 1])
