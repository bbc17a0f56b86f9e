"""What `easel lineage show` and `diff` print for people: trees and tables of other people's words, none obeyed."""

from collections.abc import Iterable, Sequence

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.tree import Tree

from components.lineage.differences import Change, Differences, SampleChange
from components.lineage.graph import Graph, short_ids
from components.lineage.history import Branch, figure, key_figures, marks, seconds, tree, who
from components.lineage.record import Item
from flows.console import out, printable

_ALSO = 12
_CHANGES = 40


class View:
    """Prints records of one graph, each by the shortest id that tells it from the others."""

    def __init__(self, graph: Graph, console: Console = out) -> None:
        self._graph, self._console, self._short = graph, console, short_ids(graph.ids)

    def show(self, record_id: str, *, back: bool, forward: bool, depth: int | None) -> None:
        """Print a record, what it stands on and what stands on it."""
        self._print(self.title(record_id))
        self._print("\n".join(f"  {line}" for line in self.details(record_id)))
        if back:
            self._show_tree(record_id, "made from", depth, forward=False)
            self._show_sources(self._graph.sources(record_id))
        if forward:
            self._show_tree(record_id, "made of it", depth, forward=True)

    def _show_tree(self, record_id: str, title: str, depth: int | None, *, forward: bool) -> None:
        branch = tree(self._graph, record_id, forward=forward, depth=depth)
        if branch.branches:
            self._print(self._tree(branch, f"\n[bold]{title}"))
        elif forward or not self._graph.sources(record_id):
            self._print(f"\n[bold]{title}[/]: nothing that the ledger knows of")

    def _show_sources(self, sources: Sequence[Item]) -> None:
        if not sources:
            return
        self._print("\n[bold]sources[/], which no record made")
        table = _table("path", "files", "bytes", "SHA-256")
        for item in sources:
            table.add_row(printable(item.path), f"{item.count:,}", f"{item.size:,}", item.sha256[:16])
        self._print(table)

    def title(self, record_id: str) -> str:
        """One line: id, what, when, by whom, commit, and what a reader should know at once."""
        record = self._graph.record(record_id)
        said = [f"[bold]{printable(record.subject)}[/]", f"[cyan]{self._short[record_id]}[/]"]
        if record.kind != "stage":
            said.insert(0, printable(record.kind))
        commit = str(record.code.get("commit", ""))[:10]
        rest = [record.started_at[:16].replace("T", " "), f"by {who(record)}" if who(record) else "", commit]
        said += [f"[dim]{printable(word)}[/]" for word in rest if word]
        said += [f"[yellow]{printable(word)}[/]" for word in marks(record)]
        return "  ".join(said)

    def details(self, record_id: str) -> list[str]:
        """The record's samples, key figures, times and notes, a line each."""
        record = self._graph.record(record_id)
        samples = [f"{one.role} {one.count:,}" for one in record.samples.sets]
        dropped = sum(record.samples.dropped.values())
        made = [f"{item.path} {item.sha256[:12]}" for item in record.outputs]
        told = {
            "samples": [*samples, *([f"dropped {dropped:,}"] if dropped else [])],
            "measures": [f"{name} {value}" for name, value in key_figures(record, 6)],
            "decision": [f"{key} {value}" for key, value in record.decision.items()],
            "took": [f"{seconds(record):,} s"] if seconds(record) else [],
            "wrote": [*made[:6], *([f"and {len(made) - 6} more"] if len(made) > 6 else [])],
            "notes": list(record.notes),
            "missing": [f"record {one[:12]} is not in the ledger" for one in self._graph.missing(record_id)],
        }
        return [f"[dim]{name:9}[/]{printable(words)}" for name, words in told.items() if words]

    def _tree(self, branch: Branch, title: str) -> Tree:
        found = Tree(title, guide_style="dim")
        self._hang(found, branch)
        return found

    def _hang(self, tree_of: Tree, branch: Branch) -> None:
        for one in branch.branches:
            self._hang(tree_of.add(f"{self.title(one.record_id)}{self._figures(one.record_id)}"), one)
        others = [printable(self._graph.record(other).subject) for other in branch.also]
        if others:
            more = f" and {len(others) - _ALSO} more" if len(others) > _ALSO else ""
            tree_of.add(f"[dim]and, shown elsewhere: {', '.join(others[:_ALSO])}{more}[/]")
        if branch.num_left_out:
            tree_of.add(f"[dim]{branch.num_left_out} more, deeper than --depth[/]")

    def _figures(self, record_id: str) -> str:
        record = self._graph.record(record_id)
        words = [f"{one.role} {one.count:,}" for one in record.samples.sets]
        words += [f"{name} {value}" for name, value in key_figures(record, 2)]
        return f"\n[dim]{printable(words)}[/]" if words else ""

    def _print(self, what: RenderableType) -> None:
        self._console.print(what, soft_wrap=isinstance(what, str))

    def show_differences(self, found: Differences) -> None:
        """Print what differs between two histories."""
        for name, record_id in (("from", found.old), ("to", found.new)):
            self._print(f"[dim]{name:5}[/]{self.title(record_id)}")
        stages = {"only after": found.stages_added, "only before": found.stages_removed, "shared": found.stages_shared}
        for name, names in stages.items():
            if names:
                self._print(f"[bold]stages {name}[/]: {printable(list(names))}")
        parts: dict[str, Sequence[Change]] = {
            "commits": found.commits,
            "modules": [Change(one.place, one.old[:12], one.new[:12]) for one in found.modules],
            "parameters": found.parameters,
            "environment": found.environment,
            "sources": [Change(one.place, one.old[:12], one.new[:12]) for one in found.inputs],
            "measures": [
                Change(one.place, figure(one.old), figure(one.new)) for one in found.measures if one.old != one.new
            ],
        }
        for title, changes in parts.items():
            if changes:
                self._print(_changes(title, changes))
        if found.samples:
            self._print(Group("\n[bold]samples", _samples(found.samples)))
            self._print("\n".join(_reasons(found.samples)))
        if not (found.stages_added or found.stages_removed or found.samples or any(parts[one] for one in parts)):
            self._print("nothing differs")


def _table(*columns: str) -> Table:
    """A table whose words go on in the next line where there is no room: nothing is cut."""
    table = Table(box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _changes(title: str, changes: Sequence[Change]) -> RenderableType:
    table = _table("", "before", "after")
    for change in changes[:_CHANGES]:
        table.add_row(printable(change.place), printable(change.old) or "–", printable(change.new) or "–")
    more = [f"[dim]and {len(changes) - _CHANGES} more; --json has all[/]"] if len(changes) > _CHANGES else []
    return Group(f"\n[bold]{title}", table, *more)


def _samples(changes: Iterable[SampleChange]) -> Table:
    table = _table("stage", "role", "before", "after", "came", "went")
    for one in changes:
        counts = (f"{one.old_count:,}", f"{one.new_count:,}", f"+{one.num_added:,}", f"−{one.num_removed:,}")
        table.add_row(printable(one.stage) or "[bold]in all", one.role, *counts)
    return table


def _reasons(changes: Iterable[SampleChange]) -> list[str]:
    """By source and licence, and the first ids, of the changes to the whole history."""
    lines: list[str] = []
    for one in changes:
        if one.missing:
            lines.append(f"{one.role}: {len(one.missing)} sets are not in the ledger, so the counts are of the others")
        if one.stage:
            continue
        for kind, counts in one.by.items():
            words = [f"{value} +{came:,} −{went:,}" for value, (came, went) in counts.items()]
            lines.append(f"[dim]{one.role} by {kind}:[/] {printable(words)}")
        for word, number, ids in (("came", one.num_added, one.added), ("went", one.num_removed, one.removed)):
            if ids:
                more = f"; the first {len(ids)}, --ids lists more" if len(ids) < number else ""
                lines += [f"[dim]{one.role} that {word}: {number:,}{more}[/]", *(f"  {found}" for found in ids)]
    return lines
