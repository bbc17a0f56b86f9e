"""Image bytes from shards: the order asked for, whatever lies where; damage named."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.data.errors import DataError
from components.data.image_shards import ImageShards, read_from_pools
from components.data.records import CATALOGUE, IMAGES, part_file, write_table


def shards(folder: Path) -> pa.Table:
    """Three shards of 5, 3 and 4 images in row groups of 2; returns the catalogue's three columns."""
    rows = []
    for shard, size in enumerate((5, 3, 4)):
        ids = [f"s{shard}{row}" for row in range(size)]
        table = pa.table({"sample_id": ids, "bytes": [one.encode() * 3 for one in ids]}, schema=IMAGES)
        pq.write_table(table, part_file(folder, shard), row_group_size=2)
        rows += [{"sample_id": one, "shard": shard, "row": row} for row, one in enumerate(ids)]
    return pa.Table.from_pylist(rows)


@pytest.mark.parametrize("seed", range(3))
def test_any_selection_comes_in_the_order_asked_for(tmp_path: Path, seed: int) -> None:
    catalogue = shards(tmp_path)
    reader = ImageShards(tmp_path, catalogue.take(np.random.default_rng(seed).permutation(12)))
    ids = np.random.default_rng(seed + 10).permutation(catalogue["sample_id"].to_pylist())[: 4 * seed].tolist()
    for _ in range(2):
        images = reader.take(ids)
        assert images.schema == IMAGES
        assert images["sample_id"].to_pylist() == ids
        assert images["bytes"].to_pylist() == [one.encode() * 3 for one in ids]


def test_what_is_wrong_is_named(tmp_path: Path) -> None:
    catalogue = shards(tmp_path)
    with pytest.raises(DataError, match="no sample elsewhere"):
        ImageShards(tmp_path, catalogue).take(["elsewhere"])
    moved = catalogue.set_column(2, "row", pa.array(catalogue["row"].to_pylist()[::-1]))
    with pytest.raises(DataError, match="ingest"):
        ImageShards(tmp_path, moved).take(catalogue["sample_id"].to_pylist())
    part_file(tmp_path, 1).write_bytes(part_file(tmp_path, 1).read_bytes()[:50])
    with pytest.raises(DataError, match=r"part-00001\.parquet: damaged or missing"):
        ImageShards(tmp_path, catalogue).take(["s10"])


@pytest.fixture
def pools(tmp_path: Path) -> dict[str, tuple[Path, Path]]:
    """Two pools whose shards have the same names and other images."""
    places = {}
    for pool in ("one", "two"):
        folder, file = tmp_path / pool, tmp_path / f"{pool}.parquet"
        ids = [f"{pool}{row}" for row in range(4)]
        rows = [{"sample_id": one, "shard": 0, "row": row} for row, one in enumerate(ids)]
        write_table(pa.Table.from_pylist(rows, schema=CATALOGUE), file)
        images = [{"sample_id": one, "bytes": one.encode()} for one in ids]
        write_table(pa.Table.from_pylist(images, schema=IMAGES), part_file(folder, 0))
        places[pool] = (folder, file)
    return places


def test_two_pools_are_read_in_one_order(pools: dict[str, tuple[Path, Path]]) -> None:
    ids = ["two3", "one1", "two0", "one2"]
    chosen = pa.table({"sample_id": ids, "pool": [one[:3] for one in ids]})
    samples, read = read_from_pools(chosen, pools)
    assert samples["sample_id"].to_pylist() == ids
    for some in (ids, ids[2:], ids[:1], []):
        assert read(some)["bytes"].to_pylist() == [one.encode() for one in some]


def test_a_pool_that_is_none_and_a_sample_that_is_in_another_are_named(pools: dict[str, tuple[Path, Path]]) -> None:
    with pytest.raises(DataError, match="pool 'three' is unknown"):
        read_from_pools(pa.table({"sample_id": ["one1"], "pool": ["three"]}), pools)
    with pytest.raises(DataError, match=r"two\.parquet: has no sample one1"):
        read_from_pools(pa.table({"sample_id": ["one1"], "pool": ["two"]}), pools)
