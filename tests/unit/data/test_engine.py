"""The engine: order kept, one batch size as good as another, mistakes of a batch function told."""

import pyarrow as pa
import pytest

from components.data.engine import ahead, map_batches

TABLE = pa.table({"n": pa.array(range(100), pa.int64()), "raw": [bytes([k]) * k for k in range(100)]})
SCHEMA = pa.schema([("square", pa.int64()), ("length", pa.int32()), ("name", pa.string())])


def measure(batch: pa.Table) -> pa.Table:
    n, raw = batch.column("n").to_pylist(), batch.column("raw").to_pylist()
    return pa.table([[k * k for k in n], [len(r) for r in raw], [str(k) for k in n]], names=SCHEMA.names)


@pytest.mark.parametrize("batch_size", [1, 7, 100, 1000])
def test_mapping_in_batches_is_mapping_at_once(batch_size: int) -> None:
    mapped = map_batches(TABLE, measure, SCHEMA, batch_size=batch_size)
    assert mapped.equals(measure(TABLE).cast(SCHEMA))


def test_no_rows_give_no_rows() -> None:
    assert map_batches(TABLE.slice(0, 0), measure, SCHEMA, batch_size=8).equals(SCHEMA.empty_table())


def test_batches_are_no_larger_than_asked() -> None:
    def size(batch: pa.Table) -> pa.Table:
        return pa.table({"size": pa.array([batch.num_rows] * batch.num_rows, pa.int64())})

    sizes = map_batches(TABLE, size, pa.schema([("size", pa.int64())]), batch_size=16)["size"].to_pylist()
    assert len(sizes) == 100
    assert max(sizes) <= 16


def test_an_error_of_a_batch_function_comes_through() -> None:
    def fail(batch: pa.Table) -> pa.Table:
        raise ValueError("row 3 is bad")

    with pytest.raises(ValueError, match="row 3 is bad"):
        map_batches(TABLE, fail, SCHEMA, batch_size=50)


@pytest.mark.parametrize(
    "function", [lambda batch: measure(batch).slice(1), lambda batch: measure(batch).select(["name"])]
)
def test_other_rows_or_columns_are_refused(function) -> None:
    with pytest.raises(ValueError, match="a batch function returned"):
        map_batches(TABLE, function, SCHEMA, batch_size=50)


def test_batch_size_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="batch_size is 0"):
        map_batches(TABLE, measure, SCHEMA, batch_size=0)


@pytest.mark.parametrize("count", [0, 1, 5])
def test_what_is_made_ahead_comes_in_order_and_no_more_than_one_early(count: int) -> None:
    made = list[int]()

    def make(item: int) -> int:
        made.append(item)
        return item * item

    for place, result in enumerate(ahead(make, range(count))):
        assert result == place * place
        assert len(made) <= place + 2
    assert made == list(range(count))


def test_an_error_made_ahead_comes_when_its_turn_does() -> None:
    results = ahead(lambda item: 1 // item, [2, 0, 1])
    assert next(results) == 0
    with pytest.raises(ZeroDivisionError):
        next(results)
