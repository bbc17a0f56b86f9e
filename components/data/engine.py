"""The data engine: a pure per-batch function mapped over a table, in parallel, order kept.

Daft runs the batches from one plan, in threads of this process or on a Ray cluster; `on_runner` says which. This file
is the only one that knows Daft; what it maps is arrow tables in, arrow tables out, nothing read or written, so every
such function is tested on three rows without an engine.
"""

from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, Literal, TypeVar

import daft
import pyarrow as pa

Runner = Literal["threads", "ray"]
BatchFunction = Callable[[pa.Table], pa.Table]
Given = TypeVar("Given")
Made = TypeVar("Made")
_ROW = "_engine_row"
_current: list[Runner] = []


@contextmanager
def on_runner(runner: Runner) -> Generator[None]:
    """Inside the block `map_batches` runs there: the Ray cluster that RAY_ADDRESS names, a local one without it.

    A process stays with the first runner that it maps on.
    """
    _current.append(runner)
    try:
        yield
    finally:
        _current.pop()


def map_batches(table: pa.Table, function: BatchFunction, schema: pa.Schema, *, batch_size: int) -> pa.Table:
    """`function` of every run of `batch_size` rows, put together in the rows' order, with columns as in `schema`.

    `function` gets a table with the columns of `table` and returns one row per row it got; it may run in several
    threads at once, or on another machine. ValueError if it returns another number of rows, or other columns.
    """
    if batch_size < 1:
        raise ValueError(f"batch_size is {batch_size}; allowed: 1 or more")
    if table.num_rows == 0:
        return schema.empty_table()
    runner = _current[-1] if _current else "threads"
    _set_runner(runner)
    names = table.column_names

    struct = daft.DataType.from_arrow_type(pa.struct(list(schema)))
    use_process = None if runner == "ray" else False
    mapped = daft.func.batch(return_dtype=struct, batch_size=batch_size, use_process=use_process)(
        # A lambda: Daft pickles the function, and what type-checks shapes in tests makes a nested def unpicklable.
        lambda *series: _on_series(function, names, schema, series)
    )
    rows = pa.array(range(table.num_rows), pa.int64())
    frame = daft.from_arrow(table.append_column(_ROW, rows)).into_batches(batch_size)
    result = frame.select(frame[_ROW], mapped(*(frame[name] for name in names)).alias("out")).to_arrow()
    # The engine promises no order; the row number does.
    result = result.sort_by(_ROW).column("out").combine_chunks()
    return pa.Table.from_struct_array(result.cast(pa.struct(list(schema)))).cast(schema)


def ahead(make: Callable[[Given], Made], items: Iterable[Given]) -> Generator[Made]:
    """`make` of each item in their order, the next made in a thread while the last is used: two are held at most."""
    with ThreadPoolExecutor(1) as thread:
        waiting: Future[Made] | None = None
        for item in items:
            following = thread.submit(make, item)
            if waiting is not None:
                yield waiting.result()
            waiting = following
        if waiting is not None:
            yield waiting.result()


def _set_runner(runner: Runner) -> None:
    # Daft takes a runner once per process and complains about the second time, even if it is the same.
    wanted = "native" if runner == "threads" else "ray"
    if daft.get_or_infer_runner_type() != wanted:
        (daft.set_runner_native if wanted == "native" else daft.set_runner_ray)()


def _on_series(function: BatchFunction, names: Sequence[str], schema: pa.Schema, series: Sequence[Any]) -> pa.Array:
    batch = pa.table({name: column.to_arrow() for name, column in zip(names, series, strict=True)})
    return _checked(function(batch), batch.num_rows, schema).to_struct_array()


def _checked(out: pa.Table, num_rows: int, schema: pa.Schema) -> pa.RecordBatch:
    if out.num_rows != num_rows or out.column_names != schema.names:
        got, allowed = f"{out.num_rows} rows of {out.column_names}", f"{num_rows} rows of {schema.names}"
        raise ValueError(f"a batch function returned {got}; allowed: {allowed}")
    (batch,) = out.cast(schema).combine_chunks().to_batches()
    return batch
