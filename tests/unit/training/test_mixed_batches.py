"""Sources that take turns: each as if it were alone, by its share, whatever the ranks."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from same_batches import assert_same, joined

from components.data.buckets import Bucket
from components.training.batches import BatchSource
from components.training.config import BatchConfig
from components.training.consumed import ConsumedRecord, Traceable, samples_seen
from components.training.mixed_batches import MixedSource

SQUARE = Bucket(32, 32)
CONFIG = BatchConfig(6, {"short": 3.0, "tags": 1.0}, 0.2)


def alone(store, name: str, seed: int = 1, batch_size: int = 6) -> BatchSource:
    """A source whose samples are called by `name`."""
    ids = [f"{name}{row}" for row in range(store.rows.num_rows)]
    rows = store.rows.set_column(0, "sample_id", [ids])
    own = replace(store, rows=rows, manifest_hash=name)
    return BatchSource({SQUARE: own}, replace(CONFIG, batch_size=batch_size), seed=seed)


def mixed(store, share: float = 0.25, seed: int = 1) -> MixedSource:
    return MixedSource({"new": (alone(store, "new", seed), 1 - share), "old": (alone(store, "old", seed), share)})


def test_each_source_is_seen_in_its_own_order_and_nothing_else_changes(store):
    taken = Counter[str]()
    for step, batch in enumerate(mixed(store).slices(0, 200)):
        name = batch.sample_ids[0][:3]
        assert {one[:3] for one in batch.sample_ids} == {name}
        expected = alone(store, name).at(6 * taken[name], 6)
        assert batch.start == 6 * step
        assert_same(replace(batch, start=expected.start), expected)
        taken[name] += 1


@pytest.mark.parametrize("share", [0.0, 0.1, 0.25, 0.5])
def test_every_source_has_its_share_of_the_steps_at_any_time(store, share):
    taken = Counter[str]()
    for step, (first, *_) in enumerate(mixed(store, share).sample_ids(0, 6 * 1000), start=1):
        taken[first[:3]] += 1
        assert abs(taken["old"] - step * share) < 18 + np.log2(1 + step / 64)
    assert (taken["old"] > 0) == (share > 0)
    assert taken["old"] / 1000 == pytest.approx(share, abs=0.01)


def test_a_run_that_continues_sees_what_the_uninterrupted_one_would(store):
    whole, rest = list(mixed(store).slices(0, 100)), list(mixed(store).slices(93, 7))
    for one, other in zip(whole[93:], rest, strict=True):
        assert_same(one, other)


@pytest.mark.parametrize(("world_size", "accumulate"), [(1, 2), (2, 1), (2, 3), (3, 2)])
def test_ranks_and_micro_batches_together_are_the_batch_of_one_process(store, world_size, accumulate):
    source = mixed(store, 0.5)
    parts = [
        list(source.slices(7, 12, rank=rank, world_size=world_size, accumulate=accumulate))
        for rank in range(world_size)
    ]
    for step, whole in enumerate(source.slices(7, 12)):
        mine = slice(step * accumulate, (step + 1) * accumulate)
        assert_same(joined([part for of_rank in parts for part in of_rank[mine]]), whole)
        assert source.at(whole.start, 6).sample_ids == whole.sample_ids


def test_the_record_of_what_was_consumed_names_the_samples_of_both(store, tmp_path):
    source, file = mixed(store), tmp_path / "consumed.jsonl"
    assert isinstance(source, Traceable)
    ConsumedRecord(file, source, start=0).reach(6 * 40)
    drawn = Counter(one for batch in source.slices(0, 40) for one in batch.sample_ids)
    assert samples_seen(file, source, 0, 6 * 40) == drawn
    cut = [one for names in source.sample_ids(4, 15) for one in names]
    assert cut == [one for names in source.sample_ids(0, 18) for one in names][4:15]


def test_shares_and_sources_are_part_of_what_a_run_is(store):
    hashes = {mixed(store, share).manifest_hash for share in (0.1, 0.2)}
    swapped = MixedSource({"new": (alone(store, "old"), 0.8), "old": (alone(store, "new"), 0.2)})
    assert len(hashes | {swapped.manifest_hash}) == 3
    one, other = (list(mixed(store, 0.5, seed).sample_ids(0, 600)) for seed in (1, 2))
    assert one != other


def test_sources_of_other_batches_or_without_any_share_are_refused(store):
    with pytest.raises(ValueError, match=r"one seed and one batch size, got \[\(1, 6\), \(1, 8\)\]"):
        MixedSource({"new": (alone(store, "new"), 0.5), "old": (alone(store, "old", batch_size=8), 0.5)})
    with pytest.raises(ValueError, match="positive sum"):
        MixedSource({"new": (alone(store, "new"), 0.0)})
