"""What the commands that look into the data set print."""

import json
import sys
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from rich.console import Group
from rich.table import Table

from components.data.report.diff import Change, Difference
from flows.console import out, printable


def as_json(value: Any) -> None:
    """Print `value` as JSON for machines."""
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def show_sample(known: Mapping[str, Any]) -> None:
    """One screen: a block for each table that knows the sample, without what is empty."""
    out.print(f"[bold]{known['sample_id']}[/]\n{printable(known['fate'])}")
    for name, rows in known.items():
        if isinstance(rows, Mapping):
            _block(name, {key: value for key, value in rows.items() if value not in (None, "", [])})
        elif isinstance(rows, list) and rows:
            table = _grid()
            for row in rows:
                table.add_row(*(printable(row[key]) for key in ("kind", "language", "maker", "text") if key in row))
            out.print(Group(f"\n[bold]{name}[/]", table))


def _grid() -> Table:
    """A table without lines, in which long words are broken and not cut."""
    table = Table(box=None, show_header=False, pad_edge=False)
    for _ in range(4):
        table.add_column(overflow="fold")
    return table


def _block(name: str, rows: Mapping[str, Any]) -> None:
    """A line for each value, but one for all measures together: there are many and each is short."""
    table = _grid()
    measures = {key: value for key, value in rows.items() if isinstance(value, float)}
    for key, value in rows.items():
        if key not in measures:
            table.add_row(f"[dim]{_words(key)}[/]", printable(value))
    if measures:
        told = " · ".join(f"{_words(key)} [bold]{printable(value)}[/]" for key, value in measures.items())
        table.add_row("[dim]numbers[/]", told)
    out.print(Group(f"\n[bold]{name}[/]", table))


def _words(key: str) -> str:
    return printable(key.replace("_", " "))


def difference_json(found: Difference) -> dict[str, Any]:
    """The difference as JSON values."""
    return asdict(found) | {"changes": [asdict(change) for change in found.changes]}


def show_difference(found: Difference) -> None:
    """The images that came and went, and every count that changed, group by group."""
    before, after = printable(found.before), printable(found.after)
    if found.is_empty:
        out.print(f"{before} and {after} hold the same.")
        return
    if found.came is None:
        out.print(f"From {before} to {after} (figures only: which images they are of is not known)")
    else:
        out.print(
            f"From {before} to {after}: {found.came:,} images in, {found.went:,} out, {found.regrouped:,} regrouped"
        )
    by_group = dict[str, list[Change]]()
    for change in found.changes:
        by_group.setdefault(change.group, []).append(change)
    for group, changes in by_group.items():
        with_moves = changes[0].came is not None
        table = Table(group, before, after, "change", *(["in", "out"] if with_moves else []), box=None, pad_edge=False)
        for column in table.columns[1:]:
            column.justify = "right"
        for change in changes:
            moves = [f"{number:,}" for number in (change.came, change.went) if number is not None]
            counts = f"{change.before:,}", f"{change.after:,}", f"{change.after - change.before:+,}"
            table.add_row(printable(change.name or "none"), *counts, *moves)
        out.print()
        out.print(table)
