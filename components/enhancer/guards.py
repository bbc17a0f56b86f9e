"""What stands between a language model and the picture: an answer is used only if it still says the wish.

A guard that fails never stops anybody: one more try with another seed, then the wish itself, with the reason.
"""

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from operator import itemgetter

from components.data.captions import Language
from components.enhancer.intent import lost
from components.enhancer.language import language_of
from components.enhancer.quotes import quoted_in
from components.enhancer.template import MARKS, user_message
from components.enhancer.wish import clean_wish, visible

MAX_ANSWER_CHARS = 2000
ATTEMPTS = 2

_WORD = re.compile(r"[\u3400-\u9fff]|[^\W\u3400-\u9fff]+")
_PHRASE_WORDS, _MAX_SAID = 6, 3  # how often the same six words (or Chinese characters) may come
_BROKEN = "\ufffd"  # what a decoder writes for bytes that are no character
_MARKUP = re.compile(r"</?[a-z!][^<>]*>|<\|[^|<>]*\|>|```|https?://", re.IGNORECASE)

Write = Callable[[str, int], str]
"""From the user message (JSON) and a seed to what the language model answers."""


@dataclass(frozen=True)
class Enhanced:
    """What to draw for a wish.

    Args:
        text: the description, or the wish itself.
        wish: what was asked for, cleaned.
        was_enhanced: whether `text` is the model's.
        reason: why it is not, "" if it is.
        attempts: how often the model was asked.
    """

    text: str
    wish: str
    was_enhanced: bool
    reason: str
    attempts: int


def enhance(wish: str, width: int, height: int, write: Write, seed: int) -> Enhanced:
    """The description that `write` gives for the wish, or the wish itself where none is fit to use.

    Args:
        wish: as somebody typed it; WishError if nothing can be made of it.
        width: of the picture in pixels, as is `height`.
        height: see `width`.
        write: the language model. That it fails (OSError, ValueError, RuntimeError) is a reason as any other.
        seed: of the first try; the second takes the next one. All that is random lies in `write`.
    """
    cleaned = clean_wish(wish)
    language = language_of(cleaned)
    if language is None:
        return Enhanced(cleaned, cleaned, False, "the wish has no words in English or Chinese", 0)
    message, reason = user_message(cleaned, width, height), ""
    for attempt in range(ATTEMPTS):
        try:
            answer = visible(write(message, seed + attempt))
        except (OSError, ValueError, RuntimeError) as error:
            reason = f"the language model failed: {visible(str(error))}"
            continue
        reason = fault_of(cleaned, answer, language)
        if not reason:
            return Enhanced(answer, cleaned, True, "", attempt + 1)
    return Enhanced(cleaned, cleaned, False, reason, ATTEMPTS)


def fault_of(wish: str, answer: str, language: Language) -> str:
    """Why a cleaned answer must not stand for the cleaned wish, in one line; "" if it may."""
    if not answer:
        return "the answer is empty"
    if len(answer) > MAX_ANSWER_CHARS:
        return f"the answer has {len(answer)} characters, at most {MAX_ANSWER_CHARS} are used"
    if len(answer) < len(wish):
        return "the answer is shorter than the wish"
    if mark := _foreign_mark(wish, answer):
        return f"the answer holds {mark!r}, which is no description"
    if phrase := _said_too_often(answer):
        return f"the answer repeats {phrase!r}"
    if (found := language_of(answer)) != language:
        return f"the answer is not in the language of the wish ({found or 'neither'} instead of {language})"
    if added := [words for words in quoted_in(answer) if words.lower() not in wish.lower()]:
        return f"the answer adds the text “{added[0]}”"
    missing = lost(wish, answer, language)
    return f"the answer lost {', '.join(missing)}" if missing else ""


def _foreign_mark(wish: str, answer: str) -> str:
    """A template mark, markup, address or broken character in the answer and not in the wish, "" if there is none."""
    found = [*(mark for mark in (*MARKS, _BROKEN) if mark in answer), *_MARKUP.findall(answer)]
    return next((mark for mark in found if mark not in wish), "")


def _said_too_often(answer: str) -> str:
    """Words that the answer keeps on saying, as small models do that cannot end; "" if there are none."""
    words = _WORD.findall(answer)
    phrases = Counter(zip(*(words[at:] for at in range(_PHRASE_WORDS)), strict=False))
    phrase, times = max(phrases.items(), key=itemgetter(1), default=((), 0))
    return " ".join(phrase) if times > _MAX_SAID else ""
