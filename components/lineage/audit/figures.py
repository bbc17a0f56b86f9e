"""What figures come to: from the records, sample sets and tables that their links name, and nothing else."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal, InvalidOperation
from hashlib import file_digest
from pathlib import Path
from typing import Any, Protocol, cast

from components.lineage.audit.attributions import Attributions
from components.lineage.audit.document import RULES, AuditError, Document, Figure, Link, Rule, figures, value_at
from components.lineage.manifest import root_of
from components.lineage.record import Record


class Facts(Protocol):
    """What is asked of a ledger."""

    def find(self, reference: str) -> Record:
        """The record of that id."""
        ...

    def sample_set(self, root: str) -> bytes:
        """The packed ids of the set with that root."""
        ...


class Evidence:
    """Computes figures; keeps what it has read, so that a thousand figures cost one reading.

    Args:
        ledger: where records and sample sets are.
        tables: where the bytes of catalogues lie, by SHA-256; compared with it before they are believed.
    """

    def __init__(self, ledger: Facts, tables: Mapping[str, Path] | None = None) -> None:
        self._ledger, self._tables = ledger, dict(tables or {})
        self._records: dict[str, Any] = {}
        self._checked: set[str] = set()
        self._counts: dict[Any, Counter[tuple[str, ...]]] = {}
        self._numbers: dict[Any, int] = {}

    def figure(self, rule: Rule, links: Sequence[Link], where: Mapping[str, str] | None = None) -> Figure:
        """The figure that follows from the links by the rule."""
        bare = Figure(0, rule, tuple(links), tuple((where or {}).items()))
        return Figure(self.value(bare), rule, bare.links, bare.where)

    def tally(self, links: Sequence[Link], by: Sequence[str]) -> Mapping[tuple[str, ...], int]:
        """The number of images of sets (links to roots) by words of their catalogues (links to digests)."""
        key = (tuple(links), tuple(by))
        if key not in self._counts:
            self._counts[key] = self._attributions(links).tally(by)
        return self._counts[key]

    def has_table(self, sha256: str) -> bool:
        """Whether the bytes of that catalogue are at hand."""
        return sha256 in self._tables

    def row(self, link: Link) -> str:
        """What stands at the place, as text for people; of a whole record, what it is about."""
        value = self._at(link)
        return f"{value['kind']} {value['subject']}" if link.pointer == "" else str(value)

    def value(self, figure: Figure) -> int | str:
        """What the figure comes to, whatever it says.

        Raises:
            AuditError: a link leads nowhere, or to something that its rule cannot use.
        """
        links = figure.links
        match figure.rule:
            case "is":
                return self._plain(links[0])
            case "union" | "unlisted":
                return self._of_sets(figure)
            case "tally":
                names = tuple(name for name, _ in figure.where)
                return self.tally(links, names).get(tuple(value for _, value in figure.where), 0)
            case rule:
                values = [self._at(link) for link in links]
        try:
            return _follows(rule, values)
        except (InvalidOperation, TypeError, ValueError):
            place = links[0] if links else "a figure"
            raise AuditError(f"{place}: no {rule} of what stands there") from None

    def _of_sets(self, figure: Figure) -> int:
        key = (figure.rule, figure.links)
        if key not in self._numbers:
            held = self._attributions(figure.links)
            self._numbers[key] = held.count() if figure.rule == "union" else held.unlisted()
        return self._numbers[key]

    def _attributions(self, links: Sequence[Link]) -> Attributions:
        tables = [self._table(link) for link in links if link.pointer.endswith("/sha256")]
        roots = dict.fromkeys(str(self._at(link)) for link in links if link.pointer.endswith("/root"))
        return Attributions(tables, map(self._set, roots))

    def _set(self, root: str) -> bytes:
        packed = self._ledger.sample_set(root)
        if root not in self._checked and root_of(packed) != root:
            raise AuditError(f"sets/{root}: its members do not have this root; `easel lineage check` says more")
        self._checked.add(root)
        return packed

    def _table(self, link: Link) -> Path:
        sha256 = str(self._at(link))
        if sha256 not in self._tables:
            raise AuditError(
                f"{link}: the table with SHA-256 {sha256[:12]}… is not here; bring it back (`dvc checkout`)"
            )
        file = self._tables[sha256]
        if sha256 not in self._checked:
            with file.open("rb") as stream:
                found = file_digest(stream, "sha256").hexdigest()
            if found != sha256:
                raise AuditError(f"{file}: SHA-256 {found[:12]}…, but {link} says {sha256[:12]}…; run `dvc checkout`")
            self._checked.add(sha256)
        return file

    def _at(self, link: Link) -> Any:
        if link.record not in self._records:
            self._records[link.record] = self._ledger.find(link.record).model_dump(mode="json")
        try:
            return value_at(self._records[link.record], link.pointer)
        except AuditError:
            raise AuditError(f"{link}: nothing stands there in the ledger's record") from None

    def _plain(self, link: Link) -> int | str:
        value = self._at(link)
        return value if isinstance(value, int) and not isinstance(value, bool) else str(value)


def check_links(document: Document, ledger: Facts, tables: Mapping[str, Path] | None = None) -> int:
    """Walk every figure of the document back to its records and compare; how many there were.

    Raises:
        AuditError: names the first figure that its records do not bear out, what it says and what they say.
    """
    return check_figures(list(figures(document)), ledger, tables)


def check_figures(given: Sequence[Figure], ledger: Facts, tables: Mapping[str, Path] | None = None) -> int:
    """The same of figures that stand alone, as `read_figures` returns them."""
    evidence = Evidence(ledger, tables)
    for number, figure in enumerate(given, 1):
        found = evidence.value(figure)
        if found != figure.value:
            of = f" of {', '.join(value for _, value in figure.where)}" if figure.where else ""
            raise AuditError(
                f"figure {number} says {figure.value}, but {figure.rule}{of} at {figure.links[0]} is {found}"
            )
    return len(given)


def read_figures(document: Any) -> list[Figure]:
    """The figures of a document that was written as JSON, in the order of reading.

    Raises:
        AuditError: it is no such document.
    """
    if not isinstance(document, dict) or "sections" not in document:
        raise AuditError("no audit summary in JSON; `easel audit summary MODEL --format json` writes one")
    found = list[Figure]()
    waiting: list[Any] = [document["sections"]]
    while waiting:
        match waiting.pop():
            case {"value": int() | str() as value, "rule": str() as rule, "links": list() as links, **more}:
                where = more.get("where", {})
                found.append(Figure(value, _rule(rule), tuple(map(_link, links)), tuple(where.items())))
            case dict() as part:
                waiting.extend(reversed(list(part.values())))
            case list() as parts:
                waiting.extend(reversed(parts))
            case _:
                pass
    return found


def _rule(name: str) -> Rule:
    if name not in RULES:
        raise AuditError(f"rule {name!r} is not known; known: {', '.join(RULES)}")
    return cast(Rule, name)


def _link(text: Any) -> Link:
    kind, _, place = str(text).partition(":")
    record, mark, at = place.partition("#")
    if kind != "record" or not mark:
        raise AuditError(f"{text}: no link; it should be record:ID#POINTER")
    return Link(record, at)


def _follows(rule: Rule, values: Sequence[Any]) -> int | str:
    """What the values at a figure's places come to by an arithmetical rule."""
    match rule:
        case "count":
            return len(values)
        case "earliest":
            return min(map(str, values))
        case "latest":
            return max(map(str, values))
        case "sum":
            return _written(sum(map(_number, values), Decimal()))
        case "products":
            return int(sum(_number(a) * _number(b) for a, b in _pairs(values)))
        case "spans":
            return int(sum(_number(b) - _number(a) for a, b in _pairs(values)))
        case _:
            return int(sum((_time(b) - _time(a)).total_seconds() for a, b in _pairs(values)))


def _pairs(values: Sequence[Any]) -> list[tuple[Any, Any]]:
    if len(values) % 2:
        raise ValueError("an odd number of places")
    return [(values[at], values[at + 1]) for at in range(0, len(values), 2)]


def _number(value: Any) -> Decimal:
    return Decimal(str(value))


def _time(value: Any) -> datetime:
    return datetime.fromisoformat(str(value))


def _written(number: Decimal) -> int | str:
    """An integer as such, else the decimal string."""
    return int(number) if number == number.to_integral_value() else str(number.normalize())
