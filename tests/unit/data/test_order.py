"""The order of training: a function of position, with the stated distribution."""

import numpy as np
import pytest
from scipy import stats

from components.data.order import Rounds, order_key, seeds, uniforms

KEY = order_key("manifest", 7)


def test_positions_do_not_depend_on_how_they_are_asked_for():
    whole = uniforms(KEY, "caption", 0, 1000)
    for start, count in [(0, 1), (1, 3), (4, 4), (7, 250), (998, 2), (123, 0)]:
        np.testing.assert_array_equal(uniforms(KEY, "caption", start, count), whole[start : start + count])


def test_far_positions_cost_nothing_and_differ():
    far = uniforms(KEY, "caption", 10**15, 100)
    assert len(set(far) & set(uniforms(KEY, "caption", 0, 100))) == 0


@pytest.mark.parametrize("stream", ["caption", "dropout"])
def test_numbers_are_uniform(stream):
    assert stats.kstest(uniforms(KEY, stream, 5, 50_000), "uniform").pvalue > 0.01


def test_streams_and_keys_are_independent():
    caption, dropout = uniforms(KEY, "caption", 0, 50_000), uniforms(KEY, "dropout", 0, 50_000)
    other = uniforms(order_key("manifest", 8), "caption", 0, 50_000)
    assert abs(np.corrcoef(caption, dropout)[0, 1]) < 0.02
    assert abs(np.corrcoef(caption, other)[0, 1]) < 0.02
    # Neighbours within and across the four lanes of a count.
    assert abs(np.corrcoef(caption[:-1], caption[1:])[0, 1]) < 0.02


def test_the_key_changes_with_manifest_and_seed():
    keys = {order_key("a", 0), order_key("a", 1), order_key("b", 0)}
    assert len(keys) == 3
    assert order_key("a", 0) == order_key("a", 0)


def test_a_negative_position_is_refused():
    with pytest.raises(ValueError, match="-1"):
        uniforms(KEY, "caption", -1, 4)


@pytest.mark.parametrize("size", [1, 2, 7, 64, 100, 1000, 4097])
@pytest.mark.parametrize("number", [0, 1, 5, 10**6])
def test_a_round_takes_each_as_often_as_expected_rounded_down_or_up(size, number):
    weights = np.random.default_rng(size).random(100)
    weights[::7] = 0
    counts = np.bincount(Rounds(weights, KEY, size).at(number * size, size), minlength=100)
    expected = size * weights / weights.sum()
    assert (counts >= np.floor(expected - 1e-9)).all()
    assert (counts <= np.ceil(expected + 1e-9)).all()


def test_a_round_of_equal_images_is_a_permutation_and_the_next_is_another():
    rounds = Rounds(np.ones(1000), KEY, 1000)
    first, second = rounds.at(0, 1000), rounds.at(1000, 1000)
    assert sorted(first) == sorted(second) == list(range(1000))
    assert (first != second).mean() > 0.98
    assert abs(np.corrcoef(first, np.arange(1000))[0, 1]) < 4 / np.sqrt(1000)
    assert abs(np.corrcoef(first[1:], first[:-1])[0, 1]) < 4 / np.sqrt(1000)


def test_rounds_do_not_depend_on_how_they_are_asked_for():
    rounds = Rounds(np.arange(1.0, 11.0), KEY, 90)
    parts = [rounds.at(start, 37) for start in range(0, 300, 37)]
    np.testing.assert_array_equal(np.concatenate(parts)[:300], rounds.at(0, 300))


@pytest.mark.parametrize("size", [3, 64])
def test_after_any_number_of_rounds_counts_are_nearer_than_the_ones_of_its_digits(size):
    weights = np.random.default_rng(1).random(7) ** 3
    rounds = Rounds(weights, KEY, size)
    drawn = rounds.at(0, 200 * size).reshape(200, size)
    counts = np.cumsum([np.bincount(one, minlength=7) for one in drawn], axis=0)
    for number in range(1, 201):
        expected = number * size * weights / weights.sum()
        assert np.abs(counts[number - 1] - expected).max() < number.bit_count()
        np.testing.assert_array_equal(rounds.counts(number), counts[number - 1])


def test_counts_are_known_where_nobody_could_count():
    rounds = Rounds(np.array([0.5, 0.0, 0.3, 0.2]), KEY, 64)
    counts = rounds.counts(3 * 10**9)
    assert counts.sum() == 3 * 10**9 * 64
    np.testing.assert_array_less(np.abs(counts - 3 * 10**9 * 64 * np.array([0.5, 0, 0.3, 0.2])), 33)


def test_a_turn_tells_what_it_is_and_how_often_it_was():
    rounds = Rounds(np.array([3.0, 1.0, 0.0, 2.0]), KEY, 16)
    drawn = rounds.at(0, 200)
    for position in (0, 1, 15, 16, 137, 199, 20):
        one, before = rounds.turn(position)
        assert one == drawn[position]
        assert before == (drawn[:position] == one).sum()


def test_different_keys_round_differently():
    weights = np.array([0.5, 0.5])
    firsts = [Rounds(weights, order_key("manifest", seed), 1).at(0, 1)[0] for seed in range(2000)]
    assert stats.binomtest(int(np.sum(firsts)), 2000).pvalue > 0.01


def test_an_index_of_weight_zero_is_never_drawn_and_the_sum_does_not_matter():
    weights = np.array([0.0, 1.0, 0.0, 3.0, 0.0])
    drawn = Rounds(weights, KEY, 5).at(0, 5000)
    assert set(drawn) == {1, 3}
    np.testing.assert_array_equal(drawn, Rounds(weights / 8, KEY, 5).at(0, 5000))


@pytest.mark.parametrize("bad", [[], [0.0, 0.0], [0.5, -0.1], [np.nan, 1.0], [np.inf, 1.0]])
def test_weights_that_are_none_are_refused(bad):
    with pytest.raises(ValueError, match="weights must be"):
        Rounds(np.array(bad), KEY, 1)


def test_a_round_without_positions_is_refused():
    with pytest.raises(ValueError, match="size is 0"):
        Rounds(np.ones(3), KEY, 0)


def test_seeds_are_distinct_spread_and_a_function_of_the_position():
    made = seeds(KEY, 10**9, 100_000)
    assert len(set(made.tolist())) == 100_000
    assert stats.kstest(made / 2**32, "uniform").pvalue > 0.01
    np.testing.assert_array_equal(seeds(KEY, 10**9 + 500, 7), made[500:507])
    assert seeds(KEY, 0, 4).tolist() != seeds(order_key("manifest", 8), 0, 4).tolist()


def test_after_all_seeds_were_used_they_come_again_in_another_order():
    around = seeds(KEY, 2**32 - 2, 4)
    assert around[2:].tolist() != seeds(KEY, 0, 2).tolist()
    assert ((around >= 0) & (around < 2**32)).all()
