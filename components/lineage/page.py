"""The lineage of one record as the body of a page: a drawn graph, and an answer to each question below it.

Names and words come from other people: the page is rendered with escaping on, loads nothing, and holds no script.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise, takewhile
from typing import Any
from unicodedata import east_asian_width

from jinja2 import Environment, StrictUndefined

from components.lineage.chain import measured_by
from components.lineage.differences import Change, Differences
from components.lineage.graph import Graph, short_ids
from components.lineage.history import figure, flat, key_figures, marks, seconds, who
from components.lineage.layout import NODE_HEIGHT, NODE_WIDTH, draw, reduced
from components.lineage.page_template import TEMPLATE
from components.lineage.record import Item, Record

_TITLE_PX, _UNDER_PX, _MARGIN = 13.0, 11.0, 6.0
Point = tuple[float, float]


@dataclass(frozen=True)
class Verified:
    """What a verification found: the steps that hold, and the first thing that does not ("" if all do).

    Where it could not be asked `is_asked` is false, and `fault` says why.
    """

    steps: Sequence[tuple[str, str]] = ()
    fault: str = ""
    is_asked: bool = True


@dataclass(frozen=True)
class Question:
    """What a page is about.

    Args:
        reference: the word that a person gave, and `record_id` what it means.
        graph: every record of the ledger.
        differences: from what came before, which `compared_with` names; None if nothing did.
        verified: None where there is nothing to verify.
        head: the log's newest signed head, as words; empty if there is none.
    """

    reference: str
    record_id: str
    graph: Graph
    differences: Differences | None = None
    compared_with: str = ""
    verified: Verified | None = None
    head: Mapping[str, str] | None = None


def render_body(question: Question) -> str:
    """The page's body as HTML."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["number"] = lambda value: f"{value:,}"
    graph = question.graph
    above, below = graph.above(question.record_id), graph.below(question.record_id)
    chosen = sorted({question.record_id, *(one.id for one in (*above, *below))}, key=graph.index)
    takedowns = [one for one in graph.ids if graph.record(one).kind == "takedown"]
    compared = [question.differences.old] if question.differences else []
    details = list(dict.fromkeys([*chosen, *takedowns, *compared]))
    sources = graph.sources(question.record_id)
    page = environment.from_string(TEMPLATE).render(
        reference=question.reference,
        command=question.reference if " " not in question.reference else question.record_id[:16],
        asked=_entry(graph, question.record_id),
        facts=_facts(graph, chosen, sources, question.verified),
        drawing=_drawing(graph, chosen, question.record_id),
        records=[_entry(graph, one) for one in chosen],
        details=[_entry(graph, one) for one in details],
        takedowns=[_entry(graph, one) for one in takedowns],
        sources=sources,
        nodes=frozenset(details),
        names={one: graph.record(one).subject for one in graph.ids},
        short=short_ids(graph.ids),
        differences=question.differences,
        measures=_moved(question.differences),
        compared_with=question.compared_with,
        verified=question.verified,
        head=question.head,
    )
    return "\n".join(line for line in page.splitlines() if line.strip()) + "\n"


def _moved(found: Differences | None) -> list[Change]:
    """The measures that differ, to four digits."""
    moved = [one for one in found.measures if one.old != one.new] if found else []
    return [Change(one.place, figure(one.old), figure(one.new)) for one in moved]


def _facts(graph: Graph, chosen: Sequence[str], sources: Sequence[Item], verified: Verified | None) -> dict[str, str]:
    records = [graph.record(one) for one in chosen]
    images = max((one.count for record in records for one in record.samples.sets if one.role == "received"), default=0)
    drawn = {one.root: one.count for record in records for one in record.samples.sets if one.role == "drawn"}
    bad = sum(not record.is_promotable for record in records)
    return {
        "records": f"{len(records):,}",
        "sources": f"{len(sources):,}",
        "images received": f"{images:,}",
        "largest training drew": f"{max(drawn.values(), default=0):,} samples",
        "commits": f"{len({str(record.code.get('commit', '')) for record in records} - {''}):,}",
        "first record": min(record.started_at for record in records)[:10],
        "last record": max(record.ended_at for record in records)[:10],
        "not promotable": f"{bad:,} of them" if bad else "none of them",
        "verified": _verdict(verified),
    }


def _verdict(verified: Verified | None) -> str:
    if verified is None or not verified.is_asked:
        return "not asked"
    return "does not hold" if verified.fault else "everything holds"


def _entry(graph: Graph, record_id: str) -> dict[str, Any]:
    """A record as the template reads it: its fields, and parts of it as flat tables of words."""
    record = graph.record(record_id)
    times = {"started": record.started_at, "ended": record.ended_at}
    dropped = {f"dropped, {name}": f"{count:,}" for name, count in record.samples.dropped.items()}
    derived = {f"made of them, {name}": f"{count:,}" for name, count in record.samples.derived.items()}
    drawn = {
        f"consumed {number}": f"positions {one.start:,} to {one.stop:,}, seed {one.seed}, batches of {one.batch_size}"
        for number, one in enumerate(record.samples.consumed, 1)
    }
    opt_out = {"opt-out list": record.samples.opt_out} if record.samples.opt_out else {}
    made = {name: value for name, value in (("fingerprint", record.fingerprint), ("attempt", str(record.attempt)))}
    return {
        "id": record_id,
        "record": record,
        "marks": marks(record),
        "who": who(record),
        "seconds": seconds(record),
        "commit": str(record.code.get("commit", "")),
        "figures": key_figures(record),
        "circumstances": times | flat(record.people) | flat(record.place),
        "notes": {str(number): note for number, note in enumerate(record.notes, 1)},
        "decision": dict(sorted(flat(record.decision).items(), key=lambda pair: bool({".", "["} & set(pair[0])))),
        "samples": dropped | derived | drawn | opt_out,
        "parameters": flat(record.parameters),
        "code": (made if record.fingerprint else {}) | flat(record.code),
        "environment": flat(record.environment),
        "parents": graph.parents(record_id),
        "children": graph.children(record_id),
    }


def _drawing(graph: Graph, chosen: Sequence[str], asked: str) -> dict[str, Any]:
    """Places and words of the nodes, and the paths of the lines between them."""
    parents, sources = _parents(graph, chosen)
    lines, beside = _lines(graph, parents)
    drawing = draw(lines)
    touching: dict[str, list[str]] = {node: [] for node in parents}
    for child, direct in parents.items():
        for parent in direct:
            points = drawing.edges.get((parent, child)) or (drawing.nodes[parent], drawing.nodes[child])
            for end in (parent, child):
                touching[end].append(_path(points))
    nodes: list[dict[str, Any]] = []
    for node, (x, y) in drawing.nodes.items():
        words = _source_words(sources[node]) if node in sources else _record_words(graph.record(node), node == asked)
        box = {"x": round(x - NODE_WIDTH / 2, 1), "y": round(y - NODE_HEIGHT / 2, 1), "middle": round(x, 1)}
        size = {"width": NODE_WIDTH, "height": NODE_HEIGHT}
        nodes.append({"link": "" if node in sources else node, "more": touching[node], **words, **box, **size})
    edges = [
        {"path": _path(points), "kind": "edge beside" if edge in beside else "edge"}
        for edge, points in drawing.edges.items()
    ]
    return {"width": round(drawing.width, 1), "height": round(drawing.height, 1), "nodes": nodes, "edges": edges}


def _parents(graph: Graph, chosen: Sequence[str]) -> tuple[dict[str, Sequence[str]], dict[str, Item]]:
    """Parents of each node of the drawing, sources first; and the sources by their node."""
    sources: dict[str, Item] = {}
    read: dict[str, list[str]] = {one: [] for one in chosen}
    for one in chosen:
        for item in graph.unmade(one):
            name = f"source {item.path} {item.sha256}"
            sources.setdefault(name, item)
            read[one].append(name)
    own = frozenset(chosen)
    records = {one: [*read[one], *(other for other in graph.parents(one) if other in own)] for one in chosen}
    return {**dict.fromkeys(sources, ()), **records}, sources


def _lines(
    graph: Graph, parents: Mapping[str, Sequence[str]]
) -> tuple[dict[str, list[str]], frozenset[tuple[str, str]]]:
    """The parents of each node to which lines are drawn, and the lines that only say that one measured the other.

    A longer way through an evaluation tells nothing of what a model is made of, so that it takes no other line's place.
    """
    measured = {one: measured_by(graph.record(one)) if one in graph else frozenset[str]() for one in parents}
    kept = reduced({one: [up for up in direct if up not in measured[one]] for one, direct in parents.items()})
    beside = {one: [up for up in direct if up in measured[one]] for one, direct in reduced(parents).items()}
    lines = {one: [*kept[one], *beside[one]] for one in parents}
    return lines, frozenset((up, one) for one, those in beside.items() for up in those)


def _source_words(item: Item) -> dict[str, Any]:
    under = f"{item.count:,} {'file' if item.count == 1 else 'files'}"
    full = f"{item.path}: {item.sha256}"
    return {
        "title": _cut(item.path, _TITLE_PX),
        "under": _cut(under, _UNDER_PX),
        "full": full,
        "kind": "source",
        "mark": False,
    }


def _record_words(record: Record, is_asked: bool) -> dict[str, Any]:
    trained = next((one.count for one in record.samples.sets if one.role == "drawn"), None)
    sets = [f"{one.role} {one.count:,}" for one in record.samples.sets][:1]
    words = [f"drew {trained:,} samples"] if trained is not None else sets or [record.started_at[:16].replace("T", " ")]
    if record.kind != "stage":
        words = [f"{record.kind} by {who(record)}" if who(record) else record.kind]
    kind = "decision" if record.kind != "stage" else "training" if trained is not None else "stage"
    found = marks(record)
    return {
        "title": _cut(record.subject, _TITLE_PX),
        "under": _cut(words[0], _UNDER_PX),
        "full": "; ".join([record.subject, *words, *found]),
        "kind": f"{kind} asked" if is_asked else kind,
        "mark": bool(found),
    }


def _cut(words: str, size: float) -> str:
    """As much as a node has room for in letters of so many pixels, by the widths of a wide typeface."""
    room = NODE_WIDTH - 2 * _MARGIN
    if sum(map(_width, words)) * size <= room:
        return words
    room -= size
    kept = takewhile(lambda width: width * size <= room, accumulate(map(_width, words)))
    return f"{words[: len(list(kept))]}…"


def _width(letter: str) -> float:
    """The width of a letter, as a share of the letters' size."""
    if east_asian_width(letter) in "WF" or letter in "MW@%mw":
        return 1.0
    return 0.78 if letter.isupper() else 0.64


def _path(points: Sequence[Point]) -> str:
    """A line from the bottom of the first box to the top of the last, straight where it passes a layer."""
    half = NODE_HEIGHT / 2
    parts = [f"M{points[0][0]:.1f} {points[0][1] + half:.1f}"]
    for (x, y), (next_x, next_y) in pairwise(points):
        top, bottom = y + half, next_y - half
        middle = (top + bottom) / 2
        parts.append(f"C{x:.1f} {middle:.1f} {next_x:.1f} {middle:.1f} {next_x:.1f} {bottom:.1f}")
        if (next_x, next_y) != points[-1]:
            parts.append(f"V{next_y + half:.1f}")
    return "".join(parts)
