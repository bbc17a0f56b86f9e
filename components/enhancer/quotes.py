"""Words in quotation marks: the letters that a picture must show, character by character."""

import re

_MARKS = ("“”", '""', "「」", "『』", "«»", "‘’")
_PAIRS = "|".join(f"{re.escape(mark[0])}([^{re.escape(mark)}]+){re.escape(mark[1])}" for mark in _MARKS)
# A straight or closing single mark is an apostrophe as well: it opens only before a word and closes only after one.
_SINGLE = r"(?<![^\W_])'(?=\S)([^']+?)(?<=\S)'(?![^\W_])"
_QUOTED = re.compile(f"{_PAIRS}|{_SINGLE}")
BREAK = "\n"


def quoted_in(text: str) -> list[str]:
    """What stands in quotation marks of whatever kind, from first to last, without the marks."""
    return [next(filter(None, found)) for found in _QUOTED.findall(text)]


def without_quoted(text: str) -> str:
    """`text` with a line break for each quotation."""
    return _QUOTED.sub(BREAK, text)
