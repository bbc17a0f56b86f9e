"""Batches as a function of the position in the run."""

import dataclasses
from collections import Counter

import numpy as np
import pytest
import torch
from same_batches import assert_same, joined
from scipy import stats

from components.data.buckets import Bucket
from components.data.latents import EMPTY_TEXT, LatentStore
from components.models.denoiser import pad_states
from components.training.batches import BatchSource, condition_of
from components.training.config import BatchConfig

SQUARE, WIDE, TALL = Bucket(32, 32), Bucket(16, 64), Bucket(64, 16)


def config(**changes) -> BatchConfig:
    settings = {"batch_size": 6, "caption_weights": {"short": 3.0, "tags": 1.0}, "caption_dropout_frac": 0.2}
    return BatchConfig(**(settings | changes))


def source(store: LatentStore, seed: int = 1, **changes) -> BatchSource:
    return BatchSource({SQUARE: store}, config(**changes), seed=seed)


def part_of(store: LatentStore, rows: list[int], shape: tuple[int, int]) -> LatentStore:
    """Some rows of a store, as if they lay in a bucket of another shape."""
    return dataclasses.replace(
        store,
        latents=store.latents[rows].reshape(len(rows), -1, *shape),
        rows=store.rows.take(rows),
        captions={kind: texts[rows] for kind, texts in store.captions.items()},
    )


@pytest.fixture
def buckets(store) -> dict[Bucket, LatentStore]:
    """Training rows 0 to 3 wide (10 of 36 of the mass), 4 to 7 square (the rest), held-out rows alone tall."""
    return {
        WIDE: part_of(store, [0, 1, 2, 3, 8], (1, 4)),
        SQUARE: part_of(store, [4, 5, 6, 7, 9], (2, 2)),
        TALL: part_of(store, [10, 11], (4, 1)),
    }


def test_a_run_that_continues_sees_what_the_uninterrupted_one_would(buckets):
    whole = list(BatchSource(buckets, config(), seed=1).slices(0, 300))
    rest = list(BatchSource(buckets, config(), seed=1).slices(290, 10))
    for one, other in zip(whole[290:], rest, strict=True):
        assert_same(one, other)


@pytest.mark.parametrize(("world_size", "accumulate"), [(1, 2), (2, 1), (2, 3), (3, 2), (6, 1), (1, 6)])
def test_ranks_and_micro_batches_together_are_the_batch_of_one_process(buckets, world_size, accumulate):
    batches = BatchSource(buckets, config(), seed=1)
    parts = [
        list(batches.slices(7, 5, rank=rank, world_size=world_size, accumulate=accumulate))
        for rank in range(world_size)
    ]
    for step, whole in enumerate(batches.slices(7, 5)):
        mine = slice(step * accumulate, (step + 1) * accumulate)
        assert_same(joined([part for of_rank in parts for part in of_rank[mine]]), whole)


def test_all_ranks_have_one_bucket_at_every_step_and_its_shape(buckets):
    batches = BatchSource(buckets, config(), seed=1)
    for one, other in zip(
        batches.slices(0, 50, rank=0, world_size=2), batches.slices(0, 50, rank=1, world_size=2), strict=True
    ):
        assert one.bucket == other.bucket
        assert one.x_0.shape[2:] == (one.bucket.height // 16, one.bucket.width // 16)


def test_every_bucket_has_its_share_of_the_steps_at_any_time(buckets):
    taken = Counter[Bucket]()
    for step, batch in enumerate(BatchSource(buckets, config(), seed=1).slices(0, 1000), start=1):
        taken[batch.bucket] += 1
        assert abs(taken[WIDE] - step * 10 / 36) < 18 + np.log2(1 + step / 64)
    assert set(taken) == {WIDE, SQUARE}  # nothing in the tall one is trained on


def test_no_image_is_left_over_and_none_comes_before_its_turn(buckets):
    """Over all buckets, each image comes as often as expected, but for the rounding of its epochs and its bucket."""
    steps = 64 * 16
    seen = Counter(one for batch in BatchSource(buckets, config(), seed=1).slices(0, steps) for one in batch.sample_ids)
    assert set(seen) == {f"sample{row}" for row in range(8)}
    for row in range(8):
        expected = steps * 6 * (row + 1) / 36
        # One step of the bucket, in which it comes 6 times its share; and the ones in the digits of the epoch's number.
        mass = (10 if row < 4 else 26) / 36
        num_epochs = steps * 6 * mass / 4
        assert abs(seen[f"sample{row}"] - expected) <= 6 * (row + 1) / 36 / mass + np.log2(num_epochs) + 1


def test_an_epoch_of_equal_images_is_each_of_them_once_over_its_batches(store):
    equal = store.rows.set_column(5, "probability", [[0.125] * 8 + [0.0] * 4])
    rows = [batch.rows for batch in source(dataclasses.replace(store, rows=equal)).slices(0, 8)]
    for epoch in np.concatenate(rows).reshape(6, 8):
        assert sorted(epoch) == list(range(8))


def test_only_training_rows_are_drawn_as_often_as_they_should(store):
    rows = source(store, batch_size=20_000).at(0, 20_000).rows
    assert np.abs(np.bincount(rows, minlength=8) - 20_000 * store.probabilities[:8]).max() <= np.log2(20_000 / 8) + 1


def test_captions_belong_to_their_rows_and_follow_the_weights(store):
    batch = source(store, batch_size=20_000).at(0, 20_000)
    has_tags = batch.rows != 3
    is_empty, is_short = batch.texts == EMPTY_TEXT, batch.texts == batch.rows + 1
    is_tags = batch.texts == batch.rows + 13
    assert (is_empty | is_short | is_tags).all()
    assert stats.binomtest(int(is_empty.sum()), 20_000, 0.2).pvalue > 0.01
    captioned = has_tags & ~is_empty
    assert stats.binomtest(int((is_short & captioned).sum()), int(captioned.sum()), 0.75).pvalue > 0.01
    # A row without tags falls back to what it has.
    assert not is_tags[~has_tags].any()


def test_a_dropped_caption_is_the_encoded_empty_prompt_not_zeros(store):
    batch = source(store, caption_dropout_frac=1.0).at(0, 4)
    empty = torch.from_numpy(store.texts.of(EMPTY_TEXT)).float()
    assert batch.condition.lengths.tolist() == [len(empty)] * 4
    for states in batch.condition.states:
        assert torch.equal(states, empty)


def test_latents_states_and_names_are_those_of_the_rows_and_texts(buckets):
    for batch in BatchSource(buckets, config(), seed=1).slices(0, 20):
        store = buckets[batch.bucket]
        np.testing.assert_array_equal(batch.x_0.numpy(), store.latents[batch.rows].astype(np.float32))
        assert list(batch.sample_ids) == [store.rows["sample_id"][row].as_py() for row in batch.rows]
        for row, text in enumerate(batch.texts):
            states = store.texts.of(int(text))
            np.testing.assert_array_equal(batch.condition.states[row, : len(states)].numpy(), states.astype(np.float32))
            assert not batch.condition.states[row, len(states) :].any()


def test_another_seed_or_manifest_is_another_order(store, buckets):
    rows = [source(store, seed=seed, batch_size=100).at(0, 100).rows.tolist() for seed in (1, 2)]
    assert rows[0] != rows[1]
    other = dataclasses.replace(buckets[TALL], manifest_hash="another")
    sources = [BatchSource(buckets | {TALL: store}, config(), seed=1) for store in (buckets[TALL], other)]
    assert sources[0].manifest_hash != sources[1].manifest_hash
    assert sources[0].at(0, 6).sample_ids != sources[1].at(0, 6).sample_ids


def test_the_order_of_the_mapping_does_not_matter(buckets):
    one, other = (BatchSource(dict(order(buckets.items())), config(), seed=1) for order in (list, lambda b: [*b][::-1]))
    assert_same(one.at(60, 6), other.at(60, 6))


def test_conditions_are_those_of_the_texts_one_by_one(store):
    texts = np.array([0, 5, 9, 5, 0])
    condition = condition_of(store, texts)
    by_hand = pad_states([torch.from_numpy(store.texts.of(int(text))) for text in texts])
    assert torch.equal(condition.states, by_hand.states)
    assert torch.equal(condition.lengths, by_hand.lengths)
    assert condition_of(store, texts[:0]).states.shape == (0, 0, 10)


def test_a_kind_that_was_not_encoded_is_named(store):
    with pytest.raises(ValueError, match="sentence"):
        source(store, caption_weights={"sentence": 1.0})


def test_positions_of_two_steps_are_refused(store):
    with pytest.raises(ValueError, match="positions 4 to 7 are not of one step"):
        source(store).at(4, 4)


@pytest.mark.parametrize(("rank", "world_size", "accumulate"), [(0, 4, 1), (0, 2, 2), (0, 7, 1), (2, 2, 1)])
def test_parts_that_do_not_divide_a_batch_are_refused(store, rank, world_size, accumulate):
    with pytest.raises(ValueError, match=f"rank {rank} of {world_size}, {accumulate} parts each: a batch of 6"):
        next(source(store).slices(0, 1, rank=rank, world_size=world_size, accumulate=accumulate))


def test_buckets_with_held_out_rows_only_are_refused(buckets):
    with pytest.raises(ValueError, match="nothing to train on"):
        BatchSource({TALL: buckets[TALL]}, config(), seed=1)


@pytest.mark.parametrize(
    "change",
    [{"batch_size": 0}, {"caption_dropout_frac": 1.5}, {"caption_weights": {}}, {"caption_weights": {"a": 0.0}}],
)
def test_settings_that_make_no_sense_are_refused(change):
    with pytest.raises(ValueError, match="got"):
        config(**change)
