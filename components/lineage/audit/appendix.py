"""What a document's figures stand on, numbered for readers: rows of the ledger, and how others follow from them."""

from collections.abc import Callable
from dataclasses import dataclass

from components.lineage.audit.document import RULES, Document, Figure, Link, figures
from components.lineage.graph import short_ids

MAX_DIGITS = 16
"""A longer row of digits is a name, not a number."""


@dataclass(frozen=True)
class Row:
    """A place in a record, with what stands there."""

    anchor: str
    link: Link
    shown: str
    value: str


@dataclass(frozen=True)
class Derivation:
    """How figures follow from rows: all those with the same rule and places."""

    anchor: str
    rule: str
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Appendix:
    """Rows by record, derivations, and where each figure points to."""

    records: dict[str, tuple[Row, ...]]
    derivations: tuple[Derivation, ...]
    short: dict[str, str]
    rows: dict[Link, Row]
    derived: dict[tuple[str, tuple[Link, ...]], Derivation]

    def anchor(self, figure: Figure) -> str:
        """The anchor of the row that the figure is, or of the derivation that it follows from."""
        if figure.rule == "is":
            return self.rows[figure.links[0]].anchor
        return self.derived[figure.rule, figure.links].anchor

    def reference(self, figure: Figure) -> str:
        """What a reader sees who rests on the figure: its place, or its rule."""
        if figure.rule == "is":
            return self.rows[figure.links[0]].shown
        return f"{RULES[figure.rule]} ({self.anchor(figure)})"


def appendix_of(document: Document, value_of: Callable[[Link], str]) -> Appendix:
    """The appendix of a document; `value_of` says what stands at a place."""
    found = list(figures(document))
    links = list(dict.fromkeys(link for figure in found for link in figure.links))
    short = dict(short_ids([*dict.fromkeys([document.subject, *(link.record for link in links)])]))
    rows = {
        link: Row(f"r{number}", link, f"record:{short[link.record]}#{link.pointer}", value_of(link))
        for number, link in enumerate(links, 1)
    }
    keys = dict.fromkeys((figure.rule, figure.links) for figure in found if figure.rule != "is")
    derived = {
        (rule, places): Derivation(f"f{number}", RULES[rule], tuple(rows[place] for place in places))
        for number, (rule, places) in enumerate(keys, 1)
    }
    by_record: dict[str, tuple[Row, ...]] = {}
    for link, row in rows.items():
        by_record[link.record] = (*by_record.get(link.record, ()), row)
    return Appendix(by_record, tuple(derived.values()), short, rows, {**derived})


def shown(value: int | str) -> str:
    """A figure's value for people: thousands apart, decimals to five significant digits; texts as they are."""
    if isinstance(value, int) or (value.isdecimal() and not value.startswith("0") and len(value) < MAX_DIGITS):
        return f"{int(value):,}"
    try:
        number = float(value)
    except ValueError:
        return value
    is_decimal = (
        any(mark in value for mark in ".e") and value.lower().strip("-").replace(".", "").replace("e-", "").isdigit()
    )
    return f"{number:,.5g}" if is_decimal else value
