"""Words that come with an image: a text file, a JSON file or the columns of a table, as text columns of `records.RAW`.

People name such fields in many ways; the names that we know are listed here, and others are left out. A text's language
is told by its letters: Chinese if at least a third of them are, else taken for English. Texts are kept as they are,
HTML and all; whoever shows them escapes them.
"""

import json
from collections.abc import Mapping
from typing import Any, cast

from components.data.readers.interface import ReadLimits, RefusedError
from components.data.records import RAW

_KNOWN_AS: Mapping[str, tuple[str, ...]] = {
    "licence": ("licence", "license"),
    "creator": ("creator", "author", "artist", "photographer"),
    "attribution": ("attribution", "credit", "source_url", "page_url", "url", "image_url"),
    **{name: (name,) for name in ("title_en", "title_zh", "description_en", "category", "subcategory", "style")},
    **{name: (name,) for name in ("folder", "concept")},
}
_TITLES = ("title", "caption", "text", "alt", "alt_text", "prompt")
_DESCRIPTIONS = ("description", "long_caption", "caption", "text", "alt", "alt_text", "prompt")
_TAGS = ("tags", "keywords")

WORD_COLUMNS = tuple(name for name in RAW.names if name not in ("source_id", "source", "image"))


def no_words() -> dict[str, Any]:
    """The text columns of an image that nobody described."""
    return {name: [] if name.startswith("tags_") else None for name in WORD_COLUMNS} | {"concept": ""}


def is_chinese(text: str) -> bool:
    """Whether at least a third of the letters of `text` are Chinese characters."""
    letters = [char for char in text if char.isalpha()]
    return bool(letters) and 3 * sum("\u3400" <= char <= "\u9fff" for char in letters) >= len(letters)


def words_of(fields: Mapping[str, Any], name: str, limits: ReadLimits) -> dict[str, Any]:
    """The text columns that `fields` tell; RefusedError names `name` if a text is not UTF-8 or too long."""
    given = {key.lower(): value for key, value in fields.items()}
    words = no_words()
    for column, keys in _KNOWN_AS.items():
        words[column] = _first(given, keys, name, limits) or words[column]
    for keys, is_long in ((_TITLES, False), (_DESCRIPTIONS, True)):
        for key in keys:
            _place(words, _text(given.get(key), name, limits), is_long=is_long)
    for language in ("en", "zh"):
        words[f"tags_{language}"] = _tags(given.get(f"tags_{language}"), name, limits)
    for tag in [tag for key in _TAGS for tag in _tags(given.get(key), name, limits)]:
        words["tags_zh" if is_chinese(tag) else "tags_en"].append(tag)
    return words


def words_of_json(data: bytes, name: str, limits: ReadLimits) -> dict[str, Any]:
    """The fields of a JSON object; RefusedError if it is none."""
    try:
        fields = json.loads(_decoded(data, name, limits))
    except (ValueError, RecursionError) as error:
        raise RefusedError(name, "words_not_json", str(error)) from None
    if not isinstance(fields, dict):
        raise RefusedError(name, "words_not_json", f"holds a {type(fields).__name__}, not an object")
    return cast(dict[str, Any], fields)


def words_of_text(data: bytes, name: str, limits: ReadLimits) -> dict[str, Any]:
    """A text file as the field `caption`; RefusedError if it is not UTF-8."""
    return {"caption": _decoded(data, name, limits)}


def fields_of(text: bytes | None, described: bytes | None, name: str, limits: ReadLimits) -> dict[str, Any]:
    """What an image's .txt and .json say together; the JSON's caption comes first."""
    fields = words_of_text(text, f"{name}.txt", limits) if text is not None else {}
    return fields | (words_of_json(described, f"{name}.json", limits) if described is not None else {})


def _decoded(data: bytes, name: str, limits: ReadLimits) -> str:
    if len(data) > limits.max_text_bytes:
        raise RefusedError(name, "words_too_long", f"{len(data)} bytes; allowed: {limits.max_text_bytes}")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise RefusedError(name, "words_not_utf8", f"at byte {error.start}; save it as UTF-8") from None


def _text(value: Any, name: str, limits: ReadLimits) -> str:
    """`value` as stripped text ("" if it is none)."""
    if isinstance(value, bytes):
        value = _decoded(value, name, limits)
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        return ""
    if len(value) > limits.max_text_bytes:
        raise RefusedError(name, "words_too_long", f"{len(value)} characters; allowed: {limits.max_text_bytes}")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise RefusedError(name, "words_not_utf8", f"at character {error.start}") from None
    return value.strip()


def _tags(value: Any, name: str, limits: ReadLimits) -> list[str]:
    """A list of texts, or one text with commas, as a list without empty tags."""
    if isinstance(value, str | bytes):
        value = _text(value, name, limits).split(",")
    parts = cast(list[Any], value) if isinstance(value, list | tuple) else []
    return [tag for part in parts if (tag := _text(part, name, limits))]


def _first(given: Mapping[str, Any], keys: tuple[str, ...], name: str, limits: ReadLimits) -> str:
    return next((text for key in keys if (text := _text(given.get(key), name, limits))), "")


def _place(words: dict[str, Any], text: str, *, is_long: bool) -> None:
    """Put `text` where its kind and language belong, if nothing stands there yet and it is not the title again."""
    column = "title_zh" if is_chinese(text) else "description_en" if is_long else "title_en"
    if text and not words[column] and text != words["title_en"]:
        words[column] = text
