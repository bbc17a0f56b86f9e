"""Image bytes by sample, read from the shards as they are asked for: never the whole pool in memory."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from components.data.arrow import pc
from components.data.errors import DataError
from components.data.records import CATALOGUE, IMAGES, part_file, read_table, take_ids


class ImageShards:
    """The ingested images of `catalogue`, whose columns `shard` and `row` say where each lies.

    The row group read last is kept, so that asking in the catalogue's order reads everything once.
    """

    def __init__(self, directory: Path, catalogue: pa.Table) -> None:
        self._directory = directory
        self._places = catalogue.select(["sample_id", "shard", "row"])
        self._last: tuple[tuple[int, int], pa.Table] | None = None

    def take(self, sample_ids: Sequence[str]) -> pa.Table:
        """Image bytes (`IMAGES`) in the order of `sample_ids`; DataError if one is not there or a shard is damaged."""
        places = take_ids(self._places, sample_ids, self._directory)
        shards, rows = (places.column(name).to_numpy() for name in ("shard", "row"))
        found = list[pa.Table]()
        order = np.zeros(len(sample_ids), np.int64)
        done = 0
        for shard in np.unique(shards):
            mine = np.flatnonzero(shards == shard)
            by_row = mine[np.argsort(rows[mine], kind="stable")]
            found += self._rows_of_shard(int(shard), rows[by_row])
            order[by_row] = np.arange(done, done + len(by_row))
            done += len(by_row)
        images = pa.concat_tables([IMAGES.empty_table(), *found]).take(order)
        if images.column("sample_id").to_pylist() != list(sample_ids):
            raise DataError(f"{self._directory}: its shards are not those of the catalogue; run `ingest` again")
        return images

    def _rows_of_shard(self, shard: int, rows: np.ndarray) -> list[pa.Table]:
        """The wanted rows (rising) of one shard, one table per row group that has some."""
        file = part_file(self._directory, shard)
        try:
            with pq.ParquetFile(file) as part:
                sizes = [part.metadata.row_group(group).num_rows for group in range(part.num_row_groups)]
                starts = np.cumsum([0, *sizes])
                groups = np.searchsorted(starts, rows, side="right") - 1
                return [
                    self._group(part, shard, int(group)).take(rows[groups == group] - starts[group])
                    for group in np.unique(groups)
                ]
        except (OSError, pa.ArrowException, IndexError) as error:
            detail = " ".join(str(error).split())[:160]
            raise DataError(f"{file}: damaged or missing ({detail}); run `ingest` again") from error

    def _group(self, part: pq.ParquetFile, shard: int, group: int) -> pa.Table:
        if self._last is None or self._last[0] != (shard, group):
            self._last = ((shard, group), part.read_row_group(group, columns=IMAGES.names))
        return self._last[1]


def read_from_pools(
    chosen: pa.Table, places: Mapping[str, tuple[Path, Path]]
) -> tuple[pa.Table, Callable[[Sequence[str]], pa.Table]]:
    """Catalogue rows of `chosen` (its `sample_id`, each in its `pool`), in its order, and what reads image bytes.

    `places` are the images and the catalogue of each pool. DataError for a pool that is none of them, or a sample that
    is not in its pool.
    """
    if unknown := sorted(set(chosen.column("pool").to_pylist()) - set(places)):
        raise DataError(f"pool {unknown[0]!r} is unknown (there: {', '.join(places)}); run the stage that chose again")
    found, shards = list[pa.Table](), dict[str, ImageShards]()
    for pool, (images, catalogue) in places.items():
        ids = chosen.filter(pc.equal(chosen["pool"], pool)).column("sample_id").to_pylist()
        found.append(take_ids(read_table(catalogue, CATALOGUE), ids, catalogue))
        shards |= dict.fromkeys(ids, ImageShards(images, found[-1]))

    def read(sample_ids: Sequence[str]) -> pa.Table:
        readers = {id(shards[one]): shards[one] for one in sample_ids}
        parts = [reader.take([one for one in sample_ids if shards[one] is reader]) for reader in readers.values()]
        return take_ids(pa.concat_tables([IMAGES.empty_table(), *parts]), sample_ids, "images")

    return take_ids(pa.concat_tables(found), chosen.column("sample_id").to_pylist(), "catalogue"), read
