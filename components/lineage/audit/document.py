"""A document made from records in which every figure names where it comes from.

A *figure* is a value, the rule that it follows from, and links to places in records: `record:ID#POINTER`, where ID is a
record's id and POINTER a JSON pointer (RFC 6901) into the record's JSON. `figures.check_links` walks the links back.
Whatever the ledger cannot answer is a line that says so: nothing is filled in.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, cast

from components.lineage.record import Record

State = Literal["recorded", "stated", "not stated", "not recorded"]
"""In the ledger; said by the provider; to be said by the provider; the ledger holds no such thing."""
Rule = Literal["is", "sum", "count", "products", "spans", "seconds", "earliest", "latest", "union", "tally", "unlisted"]
RULES: dict[str, str] = {
    "is": "the value at the place",
    "sum": "the sum of the values at the places",
    "count": "the number of the places",
    "products": "the sum of the products of the values, two and two places together, without its fraction",
    "spans": "the differences between the values at the places, two and two together, summed",
    "seconds": "the seconds between the times at the places, two and two together, summed, without the fraction",
    "earliest": "the first of the times at the places",
    "latest": "the last of the times at the places",
    "union": "the number of different samples in the sets at the places",
    "tally": "the images of the tables at the places that are in the sets at the places, with the words of the line",
    "unlisted": "the samples of the sets at the places that no table at the places names",
}


class AuditError(ValueError):
    """A figure that its records do not bear out, or a statement that cannot be read; one line says which."""


@dataclass(frozen=True)
class Link:
    """A place in a record."""

    record: str
    pointer: str

    def __str__(self) -> str:
        return f"record:{self.record}#{self.pointer}"


@dataclass(frozen=True)
class Figure:
    """A value that follows from the places in `links` by `rule`; a tally's `where` says which rows are counted."""

    value: int | str
    rule: Rule
    links: tuple[Link, ...]
    where: tuple[tuple[str, str], ...] = ()


Part = str | Figure
Cell = tuple[Part, ...]


@dataclass(frozen=True)
class Line:
    """A field of the document and what fills it."""

    label: str
    state: State
    parts: Cell = ()


@dataclass(frozen=True)
class Table:
    """Rows of cells under a heading each; `empty` stands in its place when there are none."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""
    empty: str = "none"


@dataclass(frozen=True)
class Section:
    """A numbered part of the document: lines, then tables, then sections below it."""

    number: str
    title: str
    lines: tuple[Line, ...] = ()
    tables: tuple[Table, ...] = ()
    parts: tuple["Section", ...] = ()


@dataclass(frozen=True)
class Document:
    """The whole: what it is, about which record, from which state of the log, and its sections.

    Args:
        title: what it is called.
        draft: the first sentence: what this is and what it is not.
        subject: id of the record that it is about.
        log_size, log_root: the head of the log that it was made from; -1 and "" where there was none.
        remarks: what the records themselves hold against what is said here.
        sections: the text.
    """

    title: str
    draft: str
    subject: str
    log_size: int = -1
    log_root: str = ""
    remarks: tuple[str, ...] = ()
    sections: tuple[Section, ...] = field(default=())


def figures(document: Document) -> Iterator[Figure]:
    """Every figure, in the order of reading."""
    for cell in cells(document):
        yield from (part for part in cell if isinstance(part, Figure))


def cells(document: Document) -> Iterator[Cell]:
    """Every cell of lines and tables, in the order of reading."""
    for section in sections(document):
        yield from (line.parts for line in section.lines)
        yield from (cell for table in section.tables for row in table.rows for cell in row)


def sections(document: Document) -> Iterator[Section]:
    """Every section, those below it after it."""
    waiting = list(reversed(document.sections))
    while waiting:
        section = waiting.pop()
        yield section
        waiting.extend(reversed(section.parts))


def missing(document: Document) -> tuple[str, ...]:
    """The fields that the provider has to state and did not, by section."""
    return tuple(
        f"{section.number} {line.label}"
        for section in sections(document)
        for line in section.lines
        if line.state == "not stated"
    )


def pointer(*keys: str | int) -> str:
    """The JSON pointer that leads along `keys`."""
    return "".join(f"/{str(key).replace('~', '~0').replace('/', '~1')}" for key in keys)


def value_at(value: Any, place: str) -> Any:
    """What stands at the JSON pointer `place` in `value`.

    Raises:
        AuditError: nothing does.
    """
    for key in place.split("/")[1:]:
        name = key.replace("~1", "/").replace("~0", "~")
        if isinstance(value, dict) and name in value:
            value = cast(dict[str, Any], value)[name]
        elif isinstance(value, list) and name.isdecimal() and int(name) < len(cast(list[Any], value)):
            value = cast(list[Any], value)[int(name)]
        else:
            raise AuditError(f"{place}: nothing stands there")
    return value


def recorded(record: Record, *keys: str | int) -> Figure:
    """The figure that stands in `record` along `keys`."""
    place = pointer(*keys)
    found = value_at(record.model_dump(mode="json"), place)
    return Figure(
        found if isinstance(found, int) and not isinstance(found, bool) else str(found), "is", link(record, *keys)
    )


def link(record: Record, *keys: str | int) -> tuple[Link, ...]:
    """The one link to the place along `keys`, as figures take them."""
    return (Link(record.id, pointer(*keys)),)


def document_json(document: Document) -> dict[str, Any]:
    """The document as JSON: figures are objects with `value`, `rule`, `links` and, of tallies, `where`."""
    return {
        "title": document.title,
        "draft": document.draft,
        "subject": f"record:{document.subject}",
        "log": {"size": document.log_size, "root": document.log_root},
        "missing": list(missing(document)),
        "remarks": list(document.remarks),
        "rules": RULES,
        "sections": [_section_json(section) for section in document.sections],
    }


def _section_json(section: Section) -> dict[str, Any]:
    return {
        "number": section.number,
        "title": section.title,
        "lines": [
            {"label": line.label, "state": line.state, "parts": _cell_json(line.parts)} for line in section.lines
        ],
        "tables": [
            {
                "title": table.title,
                "note": table.note,
                "header": list(table.header),
                "rows": [[_cell_json(cell) for cell in row] for row in table.rows],
            }
            for table in section.tables
        ],
        "parts": [_section_json(part) for part in section.parts],
    }


def _cell_json(cell: Cell) -> list[Any]:
    return [part if isinstance(part, str) else _figure_json(part) for part in cell]


def _figure_json(figure: Figure) -> dict[str, Any]:
    found: dict[str, Any] = {"value": figure.value, "rule": figure.rule, "links": [str(one) for one in figure.links]}
    return found | ({"where": dict(figure.where)} if figure.where else {})
