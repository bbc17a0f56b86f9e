"""The order of training: a function of position, with the stated distribution."""

import numpy as np
import pytest
from scipy import stats

from components.data.order import draw, order_key, uniforms

KEY = order_key("manifest", 7)


def test_positions_do_not_depend_on_how_they_are_asked_for():
    whole = uniforms(KEY, "sample", 0, 1000)
    for start, count in [(0, 1), (1, 3), (4, 4), (7, 250), (998, 2), (123, 0)]:
        np.testing.assert_array_equal(uniforms(KEY, "sample", start, count), whole[start : start + count])


@pytest.mark.parametrize("num_ranks", [1, 2, 3, 8])
def test_ranks_together_draw_what_one_rank_draws(num_ranks):
    probabilities = np.arange(1.0, 11.0)
    batch, start = 48, 4800
    share = batch // num_ranks
    parts = [draw(probabilities, KEY, start + rank * share, share) for rank in range(num_ranks)]
    np.testing.assert_array_equal(np.concatenate(parts), draw(probabilities, KEY, start, batch))


def test_far_positions_cost_nothing_and_differ():
    far = uniforms(KEY, "sample", 10**15, 100)
    assert len(set(far) & set(uniforms(KEY, "sample", 0, 100))) == 0


@pytest.mark.parametrize("stream", ["sample", "caption", "dropout"])
def test_numbers_are_uniform(stream):
    assert stats.kstest(uniforms(KEY, stream, 5, 50_000), "uniform").pvalue > 0.01


def test_streams_and_keys_are_independent():
    sample, caption = uniforms(KEY, "sample", 0, 50_000), uniforms(KEY, "caption", 0, 50_000)
    other = uniforms(order_key("manifest", 8), "sample", 0, 50_000)
    assert abs(np.corrcoef(sample, caption)[0, 1]) < 0.02
    assert abs(np.corrcoef(sample, other)[0, 1]) < 0.02
    # Neighbours within and across the four lanes of a count.
    assert abs(np.corrcoef(sample[:-1], sample[1:])[0, 1]) < 0.02


def test_draws_follow_the_probabilities():
    probabilities = np.array([0.5, 0.0, 0.3, 0.15, 0.05])
    counts = np.bincount(draw(probabilities, KEY, 0, 100_000), minlength=5)
    assert counts[1] == 0
    positive = probabilities > 0
    assert stats.chisquare(counts[positive], probabilities[positive] * 100_000).pvalue > 0.01


def test_the_sum_of_the_probabilities_does_not_matter():
    probabilities = np.random.default_rng(0).random(100)
    np.testing.assert_array_equal(draw(probabilities, KEY, 0, 1000), draw(probabilities * 16, KEY, 0, 1000))


def test_the_ends_of_the_table_are_drawn():
    assert set(draw(np.array([0.0, 1.0, 1.0, 0.0]), KEY, 0, 1000)) == {1, 2}


def test_the_key_changes_with_manifest_and_seed():
    keys = {order_key("a", 0), order_key("a", 1), order_key("b", 0)}
    assert len(keys) == 3
    assert order_key("a", 0) == order_key("a", 0)


@pytest.mark.parametrize("bad", [[], [0.0, 0.0], [0.5, -0.1], [np.nan, 1.0], [np.inf, 1.0]])
def test_probabilities_that_are_none_are_refused(bad):
    with pytest.raises(ValueError, match="probabilities"):
        draw(np.array(bad), KEY, 0, 1)


def test_a_negative_position_is_refused():
    with pytest.raises(ValueError, match="-1"):
        uniforms(KEY, "sample", -1, 4)
