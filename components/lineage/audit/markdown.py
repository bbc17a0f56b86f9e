"""The document as Markdown; what people wrote is shown, never taken as markup."""

import html
import re
from collections.abc import Callable, Iterator, Sequence

from components.lineage.audit.appendix import Appendix, appendix_of, shown
from components.lineage.audit.document import Document, Line, Link, Part, Section, Table, missing


def markdown(document: Document, value_of: Callable[[Link], str]) -> str:
    """The whole document; `value_of` says what stands at a place in the ledger."""
    appendix = appendix_of(document, value_of)
    return "\n".join([*_head(document, appendix), *_body(document, appendix), *_tail(appendix)]) + "\n"


def plain(text: str) -> str:
    """`text` on one line, with everything that Markdown or HTML would act on made harmless."""
    escaped = html.escape(" ".join(text.split()), quote=False)
    return re.sub(r"([\\|`*_\[\]#!~])", r"\\\1", escaped).replace("://", "&#58;//").replace("@", "&#64;")


def _head(document: Document, appendix: Appendix) -> Iterator[str]:
    yield f"**{plain(document.draft)}**\n"
    yield f"# {plain(document.title)}\n"
    log = f", as the ledger stood at {document.log_size} entries with root `{document.log_root}`"
    yield (
        f"About `record:{appendix.short[document.subject]}`{log if document.log_root else ''}. Every linked figure "
        "leads to the row of the ledger that it comes from, below; `easel lineage show` prints that record.\n"
    )
    if lacking := missing(document):
        yield f"## Not stated: {len(lacking)} fields are missing\n"
        yield from (f"- {plain(one)}" for one in lacking)
        yield ""
    if document.remarks:
        yield "## What the records say against themselves\n"
        yield from (f"- {plain(one)}" for one in document.remarks)
        yield ""


def _body(document: Document, appendix: Appendix) -> Iterator[str]:
    waiting = [(section, 2) for section in reversed(document.sections)]
    while waiting:
        section, depth = waiting.pop()
        yield from _section(section, depth, appendix)
        waiting.extend((part, min(depth + 1, 4)) for part in reversed(section.parts))


def _section(section: Section, depth: int, appendix: Appendix) -> Iterator[str]:
    yield f"{'#' * depth} {section.number} {plain(section.title)}\n"
    if section.lines:
        yield from (_line(line, appendix) for line in section.lines)
        yield ""
    for table in section.tables:
        yield from _table(table, appendix)


def _line(line: Line, appendix: Appendix) -> str:
    said = {"recorded": "", "stated": " *(stated by the provider)*"}.get(line.state, f" *{line.state}*")
    return f"- **{plain(line.label)}:** {_cell(line.parts, appendix)}{said}"


def _table(table: Table, appendix: Appendix) -> Iterator[str]:
    yield f"**{plain(table.title)}**\n"
    if table.rows:
        yield f"| {' | '.join(map(plain, table.header))} |"
        yield f"|{' --- |' * len(table.header)}"
        yield from (f"| {' | '.join(_cell(cell, appendix) for cell in row)} |" for row in table.rows)
        yield ""
    else:
        yield f"{plain(table.empty)}\n"
    if table.note:
        yield f"{plain(table.note)}\n"


def _cell(parts: Sequence[Part], appendix: Appendix) -> str:
    shown_parts = (
        _words(part) if isinstance(part, str) else f"[{plain(shown(part.value))}](#{appendix.anchor(part)})"
        for part in parts
    )
    return "".join(shown_parts)


def _words(text: str) -> str:
    """Text between figures keeps the spaces at its ends."""
    start, end = " " * text[:1].isspace(), " " * text[-1:].isspace()
    return f"{start}{plain(text)}{end}" if text.strip() else text[:1]


def _tail(appendix: Appendix) -> Iterator[str]:
    yield "## Appendix A: how figures follow from rows\n"
    yield "| | rule | places |\n| --- | --- | --- |"
    for one in appendix.derivations:
        places = " ".join(f"[{plain(row.shown)}](#{row.anchor})" for row in one.rows)
        yield f'| <a id="{one.anchor}"></a>{one.anchor} | {plain(one.rule)} | {places} |'
    yield "\n## Appendix B: rows of the ledger\n"
    for record, rows in appendix.records.items():
        yield f"### record:{appendix.short[record]}\n\n`{record}`\n\n| place | value |\n| --- | --- |"
        yield from (f'| <a id="{row.anchor}"></a>{plain(row.shown)} | {plain(row.value)} |' for row in rows)
        yield ""
