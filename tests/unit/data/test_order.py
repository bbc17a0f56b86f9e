"""The order of training: a function of position, with the stated distribution."""

import numpy as np
import pytest
from scipy import stats

from components.data.order import draw, draw_epochs, order_key, seeds, uniforms

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


@pytest.mark.parametrize("stream", ["sample", "caption", "dropout", "epoch"])
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


@pytest.mark.parametrize("epoch_images", [1, 2, 7, 100, 1000, 4097])
@pytest.mark.parametrize("epoch", [0, 1, 5])
def test_an_epoch_takes_each_as_often_as_expected_rounded_down_or_up(epoch_images, epoch):
    probabilities = np.random.default_rng(epoch_images).random(100)
    probabilities[::7] = 0
    counts = np.bincount(
        draw_epochs(probabilities, KEY, epoch * epoch_images, epoch_images, epoch_images), minlength=100
    )
    expected = epoch_images * probabilities / probabilities.sum()
    assert (counts >= np.floor(expected - 1e-9)).all()
    assert (counts <= np.ceil(expected + 1e-9)).all()


def test_an_epoch_of_equal_images_is_a_permutation_and_the_next_is_another():
    first, second = (draw_epochs(np.ones(1000), KEY, start, 1000, 1000) for start in (0, 1000))
    assert sorted(first) == sorted(second) == list(range(1000))
    assert (first != second).mean() > 0.98
    assert abs(np.corrcoef(first, np.arange(1000))[0, 1]) < 4 / np.sqrt(1000)
    assert abs(np.corrcoef(first[1:], first[:-1])[0, 1]) < 4 / np.sqrt(1000)


def test_epochs_do_not_depend_on_how_they_are_asked_for():
    probabilities = np.arange(1.0, 11.0)
    whole = draw_epochs(probabilities, KEY, 0, 300, 90)
    parts = [draw_epochs(probabilities, KEY, start, 37, 90) for start in range(0, 300, 37)]
    np.testing.assert_array_equal(np.concatenate(parts)[:300], whole)


def test_over_epochs_the_counts_follow_the_probabilities():
    probabilities = np.array([0.5, 0.3, 0.15, 0.05])
    counts = np.bincount(draw_epochs(probabilities, KEY, 0, 9 * 400, 9), minlength=4)
    np.testing.assert_allclose(counts / 3600, probabilities, atol=0.01)


def test_an_epoch_without_images_is_refused():
    with pytest.raises(ValueError, match="epoch_images"):
        draw_epochs(np.ones(3), KEY, 0, 1, 0)


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
