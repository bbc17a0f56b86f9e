"""Batches as a function of the position in the run."""

import numpy as np
import pytest
import torch
from scipy import stats

from components.data.latents import EMPTY_TEXT
from components.paths.noise import normal_noise
from components.training.batches import BatchSource, condition_of
from components.training.config import BatchConfig


def config(**changes) -> BatchConfig:
    settings = {"batch_size": 6, "caption_weights": {"short": 3.0, "tags": 1.0}, "caption_dropout_frac": 0.2}
    return BatchConfig(**(settings | changes))


def source(store, start: int = 0, num_batches: int = 5, **changes) -> BatchSource:
    return BatchSource(store, config(**changes), seed=1, num_batches=num_batches, start=start)


def test_a_run_that_continues_sees_what_the_uninterrupted_one_would(store):
    whole, rest = list(source(store)), list(source(store, start=12, num_batches=3))
    for one, other in zip(whole[2:], rest, strict=True):
        np.testing.assert_array_equal(one.rows, other.rows)
        np.testing.assert_array_equal(one.texts, other.texts)
        assert torch.equal(one.x_0, other.x_0)
        assert torch.equal(normal_noise(one.x_0, one.generators), normal_noise(other.x_0, other.generators))


def test_two_halves_are_the_whole_batch(store):
    batches = source(store)
    whole, first, second = batches.at(600, 6), batches.at(600, 3), batches.at(603, 3)
    np.testing.assert_array_equal(whole.rows, np.concatenate([first.rows, second.rows]))
    np.testing.assert_array_equal(whole.texts, np.concatenate([first.texts, second.texts]))
    noises = [normal_noise(batch.x_0, batch.generators) for batch in (whole, first, second)]
    assert torch.equal(noises[0], torch.cat(noises[1:]))
    assert not torch.equal(noises[1], noises[2])


def test_only_training_rows_are_drawn_as_often_as_they_should(store):
    rows = source(store).at(0, 20_000).rows
    assert rows.max() < 8
    assert stats.chisquare(np.bincount(rows), 20_000 * store.probabilities[:8]).pvalue > 0.01


def test_captions_belong_to_their_rows_and_follow_the_weights(store):
    batch = source(store).at(0, 20_000)
    has_tags = batch.rows != 3
    is_empty, is_short = batch.texts == EMPTY_TEXT, batch.texts == batch.rows + 1
    is_tags = batch.texts == batch.rows + 13
    assert (is_empty | is_short | is_tags).all()
    assert is_empty.mean() == pytest.approx(0.2, abs=0.01)
    assert (is_short & has_tags).sum() / (has_tags & ~is_empty).sum() == pytest.approx(0.75, abs=0.015)
    # A row without tags falls back to what it has.
    assert not is_tags[~has_tags].any()


def test_a_dropped_caption_is_the_encoded_empty_prompt_not_zeros(store):
    batch = source(store, caption_dropout_frac=1.0).at(0, 4)
    empty = torch.from_numpy(store.texts.of(EMPTY_TEXT)).float()
    assert batch.condition.lengths.tolist() == [len(empty)] * 4
    for states in batch.condition.states:
        assert torch.equal(states, empty)


def test_latents_and_states_are_those_of_the_rows_and_texts(store):
    batch = source(store).at(100, 6)
    np.testing.assert_array_equal(batch.x_0.numpy(), store.latents[batch.rows].astype(np.float32))
    for row, text in enumerate(batch.texts):
        states = store.texts.of(int(text))
        np.testing.assert_array_equal(batch.condition.states[row, : len(states)].numpy(), states.astype(np.float32))
        assert not batch.condition.states[row, len(states) :].any()


def test_another_seed_or_manifest_is_another_order(store):
    rows = [BatchSource(store, config(), seed=seed, num_batches=1).at(0, 100).rows.tolist() for seed in (1, 2)]
    assert rows[0] != rows[1]


def test_padding_is_to_the_longest_text(store):
    condition = condition_of(store, np.array([0, 5, 9]))
    lengths = [len(store.texts.of(text)) for text in (0, 5, 9)]
    assert condition.lengths.tolist() == lengths
    assert condition.states.shape[1] == max(lengths)


def test_a_kind_that_was_not_encoded_is_named(store):
    with pytest.raises(ValueError, match="sentence"):
        source(store, caption_weights={"sentence": 1.0})


@pytest.mark.parametrize(
    "change",
    [{"batch_size": 0}, {"caption_dropout_frac": 1.5}, {"caption_weights": {}}, {"caption_weights": {"a": 0.0}}],
)
def test_settings_that_make_no_sense_are_refused(change):
    with pytest.raises(ValueError, match="got"):
        config(**change)
