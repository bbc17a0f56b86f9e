import json
from pathlib import Path
from typing import Any

import pytest

from components.tracking.run import NullRun
from components.tracking.tables import log_tables


class Kept(NullRun):
    """A run that keeps the tables and tags that it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.files: dict[str, Any] = {}
        self.tags: dict[str, Any] = {}

    def log_artifact(self, path: Path, folder: str | None = None) -> None:
        self.files[path.name] = json.loads(path.read_text(encoding="utf-8"), parse_constant=pytest.fail)

    def set_tags(self, tags: Any) -> None:
        self.tags |= tags


def test_rows_are_written_as_mlflow_reads_them_and_named_in_its_tag() -> None:
    run = Kept()
    log_tables(run, {"scores": [{"measure": "a", "value": 0.5}, {"measure": "ö", "value": float("nan")}], "none": []})
    assert run.files == {
        "scores.json": {"columns": ["measure", "value"], "data": [["a", 0.5], ["ö", None]]},
        "none.json": {"columns": [], "data": []},
    }
    named = [{"path": f"{name}.json", "type": "table"} for name in ("scores", "none")]
    assert json.loads(run.tags["mlflow.loggedArtifacts"]) == named


def test_rows_of_other_columns_and_odd_names_are_refused() -> None:
    with pytest.raises(ValueError, match=r"table 'x': a row has the columns \['b'\]; the first one has \['a'\]"):
        log_tables(NullRun(), {"x": [{"a": 1}, {"b": 1}]})
    with pytest.raises(ValueError, match="not allowed"):
        log_tables(NullRun(), {"../x": []})
