"""The record of consumed samples against what was in fact drawn, over attempts that were killed anywhere."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from components.data.buckets import Bucket
from components.training.batches import BatchSource
from components.training.config import BatchConfig
from components.training.consumed import ConsumedRecord, RecordError, effective, read_consumed, samples_seen


def source_of(store, seed: int = 1, batch_size: int = 6) -> BatchSource:
    return BatchSource({Bucket(32, 32): store}, BatchConfig(batch_size, {"short": 1.0}, 0.1), seed=seed)


@pytest.fixture
def source(store) -> BatchSource:
    return source_of(store)


def drawn(source: BatchSource, start: int, stop: int) -> Counter[str]:
    """What batches of the steps from start / 6 to stop / 6 held."""
    return Counter(one for batch in source.slices(start // 6, (stop - start) // 6) for one in batch.sample_ids)


def test_a_run_without_a_stop_is_all_it_drew(source, tmp_path):
    file = tmp_path / "run" / "consumed.jsonl"
    record = ConsumedRecord(file, source, start=0)
    for position in (12, 12, 60, 120):
        record.reach(position)
    assert [(line.start, line.stop) for line in read_consumed(file)] == [(0, 0), (0, 12), (12, 60), (60, 120)]
    assert samples_seen(file, source, 0, 120) == drawn(source, 0, 120)
    assert samples_seen(file, source, 12, 66) == drawn(source, 12, 66)
    assert samples_seen(file, source, 7, 9).total() == 2
    assert samples_seen(file, source, 7, 7).total() == 0


@pytest.mark.parametrize("seed", range(20))
def test_whatever_the_attempts_the_positions_are_those_that_reached_the_weights(source, tmp_path, seed):
    rng = np.random.default_rng(seed)
    file, by_attempt, start = tmp_path / "consumed.jsonl", {}, 0
    for attempt in range(1, 8):
        record, stop = ConsumedRecord(file, source, start=start), start
        by_attempt = {position: of for position, of in by_attempt.items() if position < start}
        for _ in range(rng.integers(0, 4)):
            record.reach(stop + int(rng.integers(0, 50)))
            by_attempt |= dict.fromkeys(range(stop, read_consumed(file)[-1].stop), attempt)
            stop = read_consumed(file)[-1].stop
        start = int(rng.integers(0, stop + 1))  # the checkpoint that the next attempt finds
    told = {position: piece.attempt for piece in effective(read_consumed(file))
            for position in range(piece.start, piece.stop)}  # fmt: skip
    assert told == by_attempt
    assert sum(piece.stop - piece.start for piece in effective(read_consumed(file))) == len(told)


def test_a_file_that_was_cut_anywhere_tells_its_whole_lines_and_goes_on(source, tmp_path):
    file = tmp_path / "consumed.jsonl"
    record = ConsumedRecord(file, source, start=0)
    record.reach(30)
    record.reach(60)
    whole, data = read_consumed(file), file.read_bytes()
    for length in range(0, len(data), 9):
        file.write_bytes(data[:length])
        lines = read_consumed(file)
        assert lines == whole[: data[:length].count(b"\n")]
        reached = max([line.stop for line in lines], default=0)
        ConsumedRecord(file, source, start=reached).reach(90)
        pieces = effective(read_consumed(file))
        assert [piece.start for piece in pieces] == [0, *(piece.stop for piece in pieces[:-1])]
        assert pieces[-1].stop == 90


def test_nothing_that_was_written_is_ever_changed(source, tmp_path):
    file = tmp_path / "consumed.jsonl"
    before = b""
    for start in (0, 20, 10, 0):
        ConsumedRecord(file, source, start=start).reach(40)
        assert file.read_bytes().startswith(before)
        before = file.read_bytes()


@pytest.mark.parametrize("change", [{"seed": 2}, {"batch_size": 3}])
def test_a_record_of_another_order_is_refused(store, source, tmp_path, change):
    file = tmp_path / "consumed.jsonl"
    ConsumedRecord(file, source, start=0).reach(60)
    other = source_of(store, **change)
    with pytest.raises(RecordError, match=r"consumed\.jsonl: is of other data, seed or batch size"):
        ConsumedRecord(file, other, start=0)
    with pytest.raises(RecordError, match="than those asked about"):
        samples_seen(file, other, 0, 60)


def test_what_only_a_checkpoint_knows_to_be_consumed_is_added(source, tmp_path):
    file = tmp_path / "consumed.jsonl"
    ConsumedRecord(file, source, start=0).reach(60)
    ConsumedRecord(file, source, start=66).reach(90)
    assert [(line.attempt, line.start, line.stop) for line in effective(read_consumed(file))] == [
        (1, 0, 60), (2, 60, 66), (2, 66, 90)
    ]  # fmt: skip
    assert samples_seen(file, source, 0, 90) == drawn(source, 0, 90)


def test_a_damaged_line_and_images_that_were_not_seen_are_refused(source, tmp_path):
    file = tmp_path / "consumed.jsonl"
    ConsumedRecord(file, source, start=0).reach(60)
    with pytest.raises(RecordError, match="tells of the images 0 to 59, not of 0 to 60"):
        samples_seen(file, source, 0, 61)
    file.write_text('{"seed": 1}\n' + file.read_text())
    with pytest.raises(RecordError, match="damaged"):
        read_consumed(file)


def test_no_file_is_no_lines(source, tmp_path):
    assert read_consumed(Path(tmp_path / "none")) == []
    with pytest.raises(RecordError, match="not of 0 to 5"):
        samples_seen(tmp_path / "none", source, 0, 6)
