"""Texts that may stand for an image: their kinds, and the words of strangers made fit for them, or refused.

Words come with images from anywhere: file names, web pages, readers of text in pictures, language models. They are
data: markup is taken out, invisible characters too, and what cannot be used, or speaks to the machine that reads it
instead of about the picture, is refused with a reason.
"""

import html
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

Kind = Literal["tags", "short", "sentence", "long", "structured"]
Language = Literal["en", "zh"]
WordsReason = Literal["empty", "not_utf8", "too_long", "control_characters", "markup", "no_letters", "instruction"]
KINDS: tuple[Kind, ...] = get_args(Kind)
WORDS_REASONS: tuple[WordsReason, ...] = get_args(WordsReason)
MAX_WORDS_CHARS = 4000

_MAX_TAGS = 8
_MAX_TITLE_CHARS = 80
_MAX_VISIBLE_CHARS = 200
_UNESCAPES = 3
_QUOTES = {ord(char): None for char in '"“”„«»「」『』'}
_FILE_ENDING = re.compile(r"\.(svg|png|jpe?g|gif|webp)$", re.IGNORECASE)
_CREDIT = re.compile(r"\s*(\bby\s+[\w.]+(\s+[\w.]+)?|©.*|\(c\).*)$", re.IGNORECASE)
_NUMBERS_AT_THE_ENDS = re.compile(r"^[\s\d.,#-]+(?=\D)|[\s\d.,#-]+$")
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z][a-z])")
_SCRIPT = re.compile(r"<(script|style)\b.*?(</\1\s*>|$)", re.IGNORECASE | re.DOTALL)
_TAG = re.compile(r"<!--.*?-->|<[a-z/!?|][^<>]*>", re.IGNORECASE | re.DOTALL)
_OPEN_TAG = re.compile(r"<[a-z/!?|]", re.IGNORECASE)
_INSTRUCTION = re.compile(
    "|".join(
        (
            r"\b(ignore|disregard|forget|override|bypass)\b.{0,40}\b(instructions?|prompts?|rules|guidelines|directions)\b",
            r"\b(system|developer|hidden)\s+(prompt|message|instructions?)\b",
            r"\b(you are|act|behave) (now|henceforth)\b|\bfrom now on,? you\b|\bpretend (to be|you)\b",
            r"\b(reply|respond|answer|output|print|repeat|say|write)\s+(only|exactly|nothing|verbatim|the following)\b",
            r"\b(note|message|instructions?|attention)\s+(to|for)\s+(the\s+)?(ai|llm|model|assistant|captioner|reader)s?\b",
            r"\b(as an? (ai|language model)|dear (ai|assistant|model))\b",
            r"\[/?inst\]|^#+\s*(instructions?|system)\b|^(system|assistant|user)\s*:",
            r"\b(visit|click|go to|open|fetch)\b.{0,20}(https?://|www\.)|\bjavascript:",
            r"(忽略|无视|忘记|忘掉|不要理会|绕过).{0,16}(指令|指示|提示|规则|要求)",
            r"系统提示|你现在是|从现在起.{0,4}你|(只|仅)(回答|输出|回复)",
        )
    ),
    re.IGNORECASE,
)


class WordsRefusedError(ValueError):
    """Words that cannot become a caption, with a `reason` from a closed list."""

    def __init__(self, reason: WordsReason, words: str) -> None:
        super().__init__(f"{reason}: {words[:60]!r}")
        self.reason: WordsReason = reason


@dataclass(frozen=True)
class Words:
    """What people said of one image in one language, and the letters that can be read in it."""

    title: str
    tags: Sequence[str]
    description: str
    style: str
    category: str
    visible_text: str = ""


@dataclass(frozen=True)
class Caption:
    """One text for one image."""

    kind: Kind
    language: Language
    text: str


def clean_words(words: str | bytes | None) -> str:
    """Words fit for a caption: composed Unicode, single spaces, no markup, nothing invisible.

    WordsRefusedError says why not; more than `MAX_WORDS_CHARS` are a page and no caption.
    """
    text = _plain(words)
    if not text:
        raise WordsRefusedError("empty", text)
    _check_characters(text)
    if not any(char.isalpha() for char in text):
        raise WordsRefusedError("no_letters", text)
    return text


def clean_title(title: str | bytes | None) -> str:
    """A title without what file names carry: endings, underscores, numbers, credits, runTogetherWords."""
    text = _FILE_ENDING.sub("", clean_words(title)).replace("_", " ")
    text = _CREDIT.sub("", _CAMEL.sub(" ", text))
    text = _NUMBERS_AT_THE_ENDS.sub("", text).strip(" -.,:;\"'`*~")
    return clean_words(cut_words(text.lower() if text.isupper() or text.istitle() else text, _MAX_TITLE_CHARS))


def clean_tags(tags: Sequence[str | bytes | None] | None) -> list[str]:
    """Usable tags in lower case, each once, at most eight; those that cannot be used are left out."""
    return kept_tags(tags)[0]


def kept_tags(tags: Sequence[str | bytes | None] | None) -> tuple[list[str], list[WordsReason]]:
    """`clean_tags`, and why the others were left out (being empty is no reason)."""
    cleaned: dict[str, None] = {}
    refused: list[WordsReason] = []
    for tag in tags or ():
        try:
            cleaned[clean_words(tag).replace("_", " ").lower()] = None
        except WordsRefusedError as error:
            if error.reason != "empty":
                refused.append(error.reason)
    return list(cleaned)[:_MAX_TAGS], refused


def clean_visible_text(text: str) -> str:
    """Letters read in a picture, fit to stand in quotes in a caption: one line, at most 200 characters, "" for none.

    WordsRefusedError where they speak to the reader instead, or are no text.
    """
    plain = _plain(text).translate(_QUOTES).strip()
    if not any(char.isalnum() for char in plain):
        return ""
    _check_characters(plain)
    return cut_words(plain, _MAX_VISIBLE_CHARS)


def with_article(phrase: str) -> str:
    """`phrase` with "a" or "an" where it reads as one thing; plurals and names are left alone."""
    last = phrase.split()[-1]
    is_plural = last.endswith("s") and not last.endswith(("ss", "us", "is"))
    has_article = phrase.lower().startswith(("a ", "an ", "the ", "my ", "no "))
    if is_plural or has_article or not phrase[0].islower():
        return phrase
    return f"{'an' if phrase[0] in 'aeiou' else 'a'} {phrase}"


def cut_words(text: str, max_chars: int) -> str:
    """`text`, or as many whole words of it as `max_chars` hold."""
    return text if len(text) <= max_chars else text[:max_chars].rsplit(" ", 1)[0]


def _check_characters(text: str) -> None:
    if not text.isprintable() or "\ufffd" in text:
        raise WordsRefusedError("control_characters", text)
    if _INSTRUCTION.search(text):
        raise WordsRefusedError("instruction", text)
    if _OPEN_TAG.search(text):
        raise WordsRefusedError("markup", text)


def _plain(words: str | bytes | None) -> str:
    if isinstance(words, bytes):
        try:
            words = words.decode()
        except UnicodeDecodeError as error:
            raise WordsRefusedError("not_utf8", repr(words)) from error
    text = words or ""
    if len(text) > MAX_WORDS_CHARS:
        raise WordsRefusedError("too_long", text)
    for _ in range(_UNESCAPES):  # markup is escaped twice where a web page quotes another
        text = html.unescape(text)
    text = unicodedata.normalize("NFKC", text)
    if "<" in text:
        text = _TAG.sub(" ", _SCRIPT.sub(" ", text))
    if not text.isprintable():
        # Format characters are invisible: they turn the reading direction, or hide a second text in the first.
        text = "".join(char for char in text if unicodedata.category(char) != "Cf")
    return " ".join(text.split())
