"""A wish as people type it, made fit to be compared and sent: composed Unicode, one line, nothing invisible."""

import re
import unicodedata

MAX_CHARS = 1000

_INVISIBLE = frozenset(("Cc", "Cf", "Cs", "Co"))
_JOINER = "\u200d"
_TOLD_CHARS = 40
_EMOJI = "\u2190-\u2bff\U0001f000-\U0001faff"
_JOINED_EMOJI = re.compile(f"([{_EMOJI}\ufe0f]){_JOINER}(?=[{_EMOJI}])")
_HELD = "\ufffc"  # stands for a joiner that stays


class WishError(ValueError):
    """A wish that nothing can be made of; says in one line what to do."""


def clean_wish(text: str) -> str:
    """The wish in one line: composed Unicode (NFC), single spaces, no control or format characters.

    WishError if nothing is left, or more than `MAX_CHARS` characters.
    """
    cleaned = visible(text)
    if not cleaned:
        raise WishError("the wish is empty; say what to draw, for example: a red apple")
    if len(cleaned) > MAX_CHARS:
        start = cleaned[:_TOLD_CHARS]
        raise WishError(f"the wish has {len(cleaned)} characters, at most {MAX_CHARS} are read; shorten it: {start}...")
    return cleaned


def visible(text: str) -> str:
    """`text` in one line, without what cannot be seen: that may turn the reading direction or hide a second text.

    A joiner between two emoji stays, since the pair is one picture.
    """
    text = _JOINED_EMOJI.sub(rf"\1{_HELD}", text.replace(_HELD, ""))
    spaced = "".join(" " if char.isspace() else char for char in text)
    seen = "".join(char for char in spaced if unicodedata.category(char) not in _INVISIBLE)
    return " ".join(unicodedata.normalize("NFC", seen.replace(_HELD, _JOINER)).split())
