"""Captions from words that people wrote: titles, tags and descriptions, joined with the style and the category.

The words are those of Unicode's CLDR and of the clip art's authors; the templates that join them are ours. Titles of
clip art are file names as often as not, so they are cleaned, and words that cannot be used are refused with a reason.
"""

import html
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

Kind = Literal["tags", "short", "sentence"]
Language = Literal["en", "zh"]
WordsReason = Literal["empty", "not_utf8", "control_characters", "no_letters"]
WORDS_REASONS: tuple[WordsReason, ...] = get_args(WordsReason)

_MAX_TAGS = 8
_MAX_TITLE_CHARS = 80
_MAX_DESCRIPTION_CHARS = 200
_CATEGORY_ZH = {
    "smileys": "表情",
    "animals": "动物与自然",
    "food": "食物",
    "travel": "旅行与地点",
    "activities": "活动",
    "objects": "物品",
    "symbols": "符号",
}
_FILE_ENDING = re.compile(r"\.(svg|png|jpe?g|gif|webp)$", re.IGNORECASE)
_CREDIT = re.compile(r"\s*(\bby\s+[\w.]+(\s+[\w.]+)?|©.*|\(c\).*)$", re.IGNORECASE)
_NUMBERS_AT_THE_ENDS = re.compile(r"^[\s\d.,#-]+(?=\D)|[\s\d.,#-]+$")
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z][a-z])")


class WordsRefusedError(ValueError):
    """Words that cannot become a caption, with a `reason` from a closed list."""

    def __init__(self, reason: WordsReason, words: str) -> None:
        super().__init__(f"{reason}: {words[:60]!r}")
        self.reason: WordsReason = reason


@dataclass(frozen=True)
class Words:
    """What is known of one image in one language."""

    title: str
    tags: Sequence[str]
    description: str
    style: str
    category: str


@dataclass(frozen=True)
class Caption:
    """One text for one image."""

    kind: Kind
    language: Language
    text: str


def clean_words(words: str | bytes | None) -> str:
    """Words fit for a caption: composed Unicode, single spaces, no markup; WordsRefusedError says why not."""
    if isinstance(words, bytes):
        try:
            words = words.decode()
        except UnicodeDecodeError as error:
            raise WordsRefusedError("not_utf8", repr(words)) from error
    text = unicodedata.normalize("NFKC", html.unescape(words or ""))
    text = " ".join(re.sub(r"<[^<>]*>", " ", text).split())
    if not text:
        raise WordsRefusedError("empty", text)
    if any(unicodedata.category(char) in ("Cc", "Cs", "Co", "Cn") or char == "\ufffd" for char in text):
        raise WordsRefusedError("control_characters", text)
    if not any(char.isalpha() for char in text):
        raise WordsRefusedError("no_letters", text)
    return text


def clean_title(title: str | bytes | None) -> str:
    """A title without what file names carry: endings, underscores, numbers, credits, runTogetherWords."""
    text = _FILE_ENDING.sub("", clean_words(title)).replace("_", " ")
    text = _CREDIT.sub("", _CAMEL.sub(" ", text))
    text = _NUMBERS_AT_THE_ENDS.sub("", text).strip(" -.,:;\"'`*~")
    return clean_words(_cut(text.lower() if text.isupper() or text.istitle() else text, _MAX_TITLE_CHARS))


def clean_tags(tags: Sequence[str | bytes | None] | None) -> list[str]:
    """Usable tags in lower case, each once, at most eight; those that cannot be used are left out."""
    cleaned: dict[str, None] = {}
    for tag in tags or ():
        try:
            cleaned[clean_words(tag).replace("_", " ").lower()] = None
        except WordsRefusedError:
            continue
    return list(cleaned)[:_MAX_TAGS]


def captions_en(words: Words) -> list[Caption]:
    """Tags, a short and a sentence caption in English; WordsRefusedError if there is no usable title and no tag."""
    tags = clean_tags(words.tags)
    title = _title_or_tag(words.title, tags)
    style, thing = f"{words.style} style", with_article(title)
    others = [tag for tag in tags if tag != title.lower()]
    try:
        told = f": {_cut(clean_words(words.description).rstrip('. '), _MAX_DESCRIPTION_CHARS)}"
    except WordsRefusedError:
        told = f", with {', '.join(others[:3])}" if others else ""
    return [
        Caption("tags", "en", ", ".join([title, *others, style, words.category])),
        Caption("short", "en", f"{thing}, {style}"),
        Caption("sentence", "en", f"A picture of {thing} drawn in {style}, {words.category}{told}."),
    ]


def captions_zh(words: Words) -> list[Caption]:
    """Tags, a short and a sentence caption in Chinese; WordsRefusedError if there is no usable title and no tag."""
    tags = clean_tags(words.tags)
    title = _title_or_tag(words.title, tags)
    category = _CATEGORY_ZH.get(words.category, words.category)
    others = [tag for tag in tags if tag != title]
    about = f"，{'、'.join(others[:3])}" if others else ""
    return [
        Caption("tags", "zh", "，".join([title, *others, f"{words.style} 风格", category])),
        Caption("short", "zh", f"{title}，{words.style} 风格"),
        Caption("sentence", "zh", f"一幅{words.style} 风格的{title}图画，{category}{about}。"),
    ]


def with_article(phrase: str) -> str:
    """`phrase` with "a" or "an" where it reads as one thing; plurals and names are left alone."""
    last = phrase.split()[-1]
    is_plural = last.endswith("s") and not last.endswith(("ss", "us", "is"))
    has_article = phrase.lower().startswith(("a ", "an ", "the ", "my ", "no "))
    if is_plural or has_article or not phrase[0].islower():
        return phrase
    return f"{'an' if phrase[0] in 'aeiou' else 'a'} {phrase}"


def _title_or_tag(title: str, tags: list[str]) -> str:
    try:
        return clean_title(title)
    except WordsRefusedError:
        if not tags:
            raise
        return tags[0]


def _cut(text: str, max_chars: int) -> str:
    return text if len(text) <= max_chars else text[:max_chars].rsplit(" ", 1)[0]
