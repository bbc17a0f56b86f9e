"""A table of a run as MLflow's UI shows it: beside the same table of other runs, row by row.

The page joins rows by their first column and shows the second one of each run, until somebody chooses other columns.
"""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from components.tracking.names import checked_artifact_path
from components.tracking.run import NullRun

_TABLES_TAG = "mlflow.loggedArtifacts"


def log_tables(run: NullRun, tables: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
    """Log each table by its name, as rows of plain values; all tables of a run in one call.

    The columns are those of the first row. ValueError for a name with odd characters, or rows that differ in columns.
    """
    with TemporaryDirectory() as folder:
        for name, rows in tables.items():
            file = Path(folder) / checked_artifact_path(f"{name}.json")
            file.write_text(json.dumps(_split(name, rows), ensure_ascii=False), encoding="utf-8")
            run.log_artifact(file)
    run.set_tags({_TABLES_TAG: json.dumps([{"path": f"{name}.json", "type": "table"} for name in tables])})


def _split(name: str, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    columns = list(rows[0]) if rows else []
    for row in rows:
        if list(row) != columns:
            raise ValueError(f"table {name!r}: a row has the columns {list(row)}; the first one has {columns}")
    return {"columns": columns, "data": [[_shown(value) for value in row.values()] for row in rows]}


def _shown(value: Any) -> Any:
    """The value, or None for a number that JSON has no word for."""
    return None if isinstance(value, float) and not math.isfinite(value) else value
