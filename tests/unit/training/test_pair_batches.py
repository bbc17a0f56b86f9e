"""Batches of pairs: pure functions of the position, whole rounds, winners with their losers, and what is refused."""

from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
import torch
from tiny_pairs import PAIRS_TO_TRAIN, pair_store, pair_table

from components.data.buckets import Bucket
from components.data.errors import DataError
from components.training.pair_batches import PairSource, rows_of_pairs

BUCKET = Bucket(32, 32)
BATCH = 4


def source_of(*, batch_size=BATCH, dropout=0.0, in_order=False, seed=0, pairs=None, buckets=None) -> PairSource:
    return PairSource(
        buckets or {BUCKET: pair_store()},
        pair_table() if pairs is None else pairs,
        batch_size=batch_size,
        caption_dropout_frac=dropout,
        in_order=in_order,
        seed=seed,
    )


def test_a_batch_holds_winners_and_then_their_losers_with_one_text():
    batch = source_of().at(0, BATCH)
    winners, losers = batch.sample_ids[:BATCH], batch.sample_ids[BATCH:]
    assert [name.removeprefix("win") for name in winners] == [name.removeprefix("lose") for name in losers]
    assert (batch.texts[:BATCH] == batch.texts[BATCH:]).all()
    x_win, x_lose = batch.x_0.chunk(2)
    assert (x_win.mean(dim=(1, 2, 3)) > x_lose.mean(dim=(1, 2, 3))).all()
    assert len(batch.generators) == BATCH
    assert len(batch.condition.lengths) == 2 * BATCH


def test_every_round_has_every_pair_to_train_on_once():
    source = source_of(batch_size=5)
    for round_ in range(3):
        names = [
            n for names in source.sample_ids(round_ * PAIRS_TO_TRAIN, (round_ + 1) * PAIRS_TO_TRAIN) for n in names
        ]
        wanted = {f"{kind}{pair}" for kind in ("win", "lose") for pair in range(PAIRS_TO_TRAIN)}
        assert Counter(names) == Counter(wanted)


def test_a_curriculum_is_followed_in_the_first_round_only():
    source = source_of(batch_size=5, in_order=True)
    names = [n for names in source.sample_ids(0, 2 * PAIRS_TO_TRAIN) for n in names if n.startswith("win")]
    in_order = [f"win{pair}" for pair in range(PAIRS_TO_TRAIN)]
    assert names[:PAIRS_TO_TRAIN] == in_order
    assert names[PAIRS_TO_TRAIN:] != in_order
    assert sorted(names[PAIRS_TO_TRAIN:]) == sorted(in_order)


@pytest.mark.parametrize(("world_size", "accumulate"), [(1, 2), (2, 1), (2, 2)])
def test_ranks_and_micro_batches_see_what_one_process_would(world_size, accumulate):
    source = source_of(dropout=0.3)
    shares = [
        list(source.slices(2, 3, rank=r, world_size=world_size, accumulate=accumulate)) for r in range(world_size)
    ]
    for step in range(3):
        whole = source.at((2 + step) * BATCH, BATCH)
        parts = [shares[rank][step * accumulate + part] for part in range(accumulate) for rank in range(world_size)]
        for half in (0, 1):
            together = torch.cat([part.x_0.chunk(2)[half] for part in parts])
            assert torch.equal(together, whole.x_0.chunk(2)[half])
        drawn = [float(torch.randn((), generator=g)) for part in parts for g in part.generators]
        assert drawn == [float(torch.randn((), generator=g)) for g in whole.generators]


def test_a_dropped_caption_is_dropped_for_both_images():
    batch = source_of(dropout=0.5, batch_size=10).at(0, 10)
    is_empty = batch.texts == 0
    assert 0 < is_empty[:10].sum() < 10
    assert (is_empty[:10] == is_empty[10:]).all()


def test_the_order_depends_on_pairs_and_seed():
    def order(**how):
        return [names for names in source_of(**how).sample_ids(0, 40)]

    assert order() == order()
    assert order(seed=1) != order()
    swapped = pair_table().set_column(1, "winner", pair_table()["loser"]).set_column(2, "loser", pair_table()["winner"])
    assert source_of(pairs=swapped).manifest_hash != source_of().manifest_hash


def changed(**columns) -> pa.Table:
    rows = pair_table().to_pylist()
    for name, value in columns.items():
        rows[2][name] = value
    return pa.Table.from_pylist(rows, schema=pair_table().schema)


@pytest.mark.parametrize(
    ("pairs", "batch_size", "message"),
    [
        (changed(loser="win2"), 4, r"pair 2: winner and loser are one image, win2"),
        (changed(winner="gone"), 4, r"pair 2: image gone is not among the encoded ones; run `preferences` again"),
        (pair_table(), 11, r"there are 10 pairs to train on, and 11 are needed"),
        (pair_table().slice(0, 0), 1, r"there are 0 pairs to train on, and 1 are needed"),
        (
            pair_table().set_column(0, "prompt", [["one"] * pair_table().num_rows]),
            4,
            r"all 10 pairs of split 'train' are of one prompt",
        ),
    ],
)
def test_pairs_at_fault_are_named(pairs, batch_size, message):
    with pytest.raises(DataError, match=message):
        source_of(pairs=pairs, batch_size=batch_size)


def test_images_of_two_sizes_are_no_pair():
    store = pair_store()
    halves = {
        BUCKET: store,
        Bucket(64, 16): type(store)(**{**vars(store), "rows": store.rows.slice(0, 0)}),
    }
    ids = np.array(store.rows.column("sample_id").to_pylist())
    is_odd = ids == "lose2"
    for bucket, stays in ((BUCKET, ~is_odd), (Bucket(64, 16), is_odd)):
        rows = store.rows.filter(pa.array(stays))
        captions = {kind: texts[stays] for kind, texts in store.captions.items()}
        halves[bucket] = type(store)(
            **{**vars(store), "rows": rows, "captions": captions, "latents": store.latents[np.flatnonzero(stays)]}
        )
    with pytest.raises(DataError, match=r"pair 2: its images have two sizes, 32x32 and 64x16"):
        rows_of_pairs(halves, pair_table(), "train", 1)
