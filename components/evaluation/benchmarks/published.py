"""Numbers that others have published, as data: each row with its source and how certain it is.

`release` is a release of the model's own authors, `report` their technical report. Nothing here was measured by us.
"""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_FOLDER = Path(__file__).parent / "published"
_WORDS = ("model", "source", "certainty")


@dataclass(frozen=True)
class Published:
    """A model's published numbers by metric, where they stand, and how certain they are."""

    model: str
    values: Mapping[str, float]
    source: str
    certainty: str


def tables() -> list[str]:
    """The names of the tables."""
    return sorted(file.stem for file in _FOLDER.glob("*.csv"))


def published(table: str) -> Sequence[Published]:
    """The rows of a table, in its own order; ValueError naming the tables for another name."""
    if table not in tables():
        raise ValueError(f"{table!r} is no table of published numbers; known: {', '.join(tables())}")
    with (_FOLDER / f"{table}.csv").open(encoding="utf-8", newline="") as stream:
        return [
            Published(
                row["model"],
                {name: float(value) for name, value in row.items() if name not in _WORDS},
                row["source"],
                row["certainty"],
            )
            for row in csv.DictReader(stream)
        ]
