"""What a vision language model may answer: one object per language, asked for by a JSON schema and checked by hand.

A model repeats what it reads, in pictures too, so its answer is as untrusted as any stranger's words. One table gives
the schema that the model is asked for and the check that its answer must pass.
"""

import json
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any, cast

from components.data.captioners.interface import Reason
from components.data.captioners.metadata import structured
from components.data.captions import Caption, Language, Words, WordsRefusedError, clean_visible_text, clean_words

MAX_CHARS: Mapping[str, int] = {
    "subject": 100,
    "style": 80,
    "category": 80,
    "text": 400,
    "short": 160,
    "sentence": 400,
    "long": 3000,
}
_MAY_BE_EMPTY = ("style", "category", "text")
_MAX_ATTRIBUTES = 12
_MAX_ATTRIBUTE_CHARS = 80
_MIN_SCRIPT_FRAC = 0.5


class AnswerRefusedError(ValueError):
    """An answer that makes no caption, with a `reason` from a closed list."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(f"{reason}: {' '.join(detail.split())[:120]}")
        self.reason: Reason = reason


def answer_schema(languages: Sequence[Language]) -> dict[str, Any]:
    """The JSON schema of an answer in all of `languages`."""
    texts = {
        name: {"type": "string", "minLength": 0 if name in _MAY_BE_EMPTY else 1, "maxLength": chars}
        for name, chars in MAX_CHARS.items()
    }
    attribute = {"type": "string", "minLength": 1, "maxLength": _MAX_ATTRIBUTE_CHARS}
    attributes = {"type": "array", "items": attribute, "maxItems": _MAX_ATTRIBUTES}
    return _object({language: _object({**texts, "attributes": attributes}) for language in languages})


def checked_answer(answer: str, languages: Sequence[Language]) -> list[Caption]:
    """The captions in `answer`, clean and in the language that they claim; AnswerRefusedError says why not."""
    try:
        found = json.loads(answer)
    except (ValueError, RecursionError) as error:
        raise AnswerRefusedError("invalid_json", answer) from error
    by_language = _mapping(found, languages)
    return [caption for language in languages for caption in _captions(by_language[language], language)]


def check_language(text: str, language: Language) -> None:
    """AnswerRefusedError unless at least half of the letters are of the script that `language` is written in."""
    letters = [char for char in text if char.isalpha()]
    script = {"en": "LATIN", "zh": "CJK"}[language]
    fitting = sum(unicodedata.name(char, "").startswith(script) for char in letters)
    if fitting < _MIN_SCRIPT_FRAC * len(letters):
        raise AnswerRefusedError("wrong_language", text)


def clean_answer(text: str, language: Language) -> str:
    """`text` as `clean_words` leaves it, in `language`; AnswerRefusedError says why not."""
    try:
        cleaned = clean_words(text)
    except WordsRefusedError as error:
        raise AnswerRefusedError(error.reason, text) from error
    check_language(cleaned, language)
    return cleaned


def _captions(found: Any, language: Language) -> list[Caption]:
    values = _mapping(found, [*MAX_CHARS, "attributes"])
    attributes = values["attributes"]
    if not isinstance(attributes, list) or len(cast(list[Any], attributes)) > _MAX_ATTRIBUTES:
        raise AnswerRefusedError("wrong_schema", f"attributes: {attributes!r}")
    tags = [_text("attributes", tag, language) for tag in cast(list[Any], attributes)]
    texts = {name: _text(name, values[name], language) for name in MAX_CHARS}
    words = Words(texts["subject"], tags, "", texts["style"], texts["category"], texts["text"])
    return [
        Caption("tags", language, {"en": ", ", "zh": "，"}[language].join([words.title, *tags])),
        Caption("short", language, texts["short"]),
        Caption("sentence", language, texts["sentence"]),
        Caption("long", language, texts["long"]),
        Caption("structured", language, structured(words, language)),
    ]


def _text(name: str, value: Any, language: Language) -> str:
    limit = MAX_CHARS.get(name, _MAX_ATTRIBUTE_CHARS)
    if not isinstance(value, str) or len(value) > limit or not (value or name in _MAY_BE_EMPTY):
        raise AnswerRefusedError("wrong_schema", f"{name}: {value!r}")
    if name == "text":  # what stands in the picture, in whatever language
        try:
            return clean_visible_text(value)
        except WordsRefusedError as error:
            raise AnswerRefusedError(error.reason, value) from error
    return clean_answer(value, language) if value else ""


def _mapping(found: Any, names: Sequence[str]) -> dict[str, Any]:
    if not isinstance(found, dict) or set(cast(dict[str, Any], found)) != set(names):
        raise AnswerRefusedError("wrong_schema", repr(found))
    return cast(dict[str, Any], found)


def _object(properties: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": dict(properties),
        "required": list(properties),
        "additionalProperties": False,
    }
