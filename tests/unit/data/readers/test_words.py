"""Words from anywhere become text columns, or are refused by name; never anything else."""

import json
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.data.readers.interface import ReadLimits, RefusedError, printable
from components.data.readers.words import WORD_COLUMNS, fields_of, is_chinese, words_of
from components.data.records import RAW

LIMITS = ReadLimits(max_text_bytes=200)
NAMES = ["title", "Caption", "TEXT", "tags", "keywords", "license", "author", "url", "title_en", "folder", "other", ""]
ANY_TEXT = st.text(st.characters(), max_size=20)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | ANY_TEXT | st.binary(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(ANY_TEXT, inner, max_size=2),
    max_leaves=5,
)


def told(read: Callable[[], dict[str, Any]]) -> dict[str, Any] | str:
    """What was read, or the reason why not."""
    try:
        return read()
    except RefusedError as error:
        return error.refusal.reason


@settings(deadline=None, max_examples=50)
@given(st.dictionaries(st.sampled_from(NAMES) | ANY_TEXT, VALUES, max_size=6))
def test_whatever_the_fields_hold_they_make_a_row_or_a_refusal(fields: dict[str, Any]) -> None:
    words = told(lambda: words_of(fields, "x", LIMITS))
    if isinstance(words, str):
        assert words in ("words_not_utf8", "words_too_long")
        return
    assert set(words) == set(WORD_COLUMNS)
    table = pa.Table.from_pylist([{"source_id": "x", "source": "y", "image": b"", **words}], schema=RAW)
    assert table.to_pylist()[0]["tags_en"] == words["tags_en"]


@settings(deadline=None, max_examples=50)
@given(st.binary(max_size=60), st.binary(max_size=60) | VALUES.map(lambda value: repr(value).encode(errors="ignore")))
def test_whatever_a_sidecar_holds_it_is_fields_or_a_refusal(text: bytes, described: bytes) -> None:
    fields = told(lambda: fields_of(text, described, "x", LIMITS))
    assert isinstance(fields, dict) or fields in ("words_not_utf8", "words_not_json", "words_too_long")


@pytest.mark.parametrize(
    ("fields", "wanted"),
    [
        ({"caption": "an apple"}, {"title_en": "an apple"}),
        ({"caption": "苹果"}, {"title_zh": "苹果"}),
        ({"title": "Apple", "caption": "a red one"}, {"title_en": "Apple", "description_en": "a red one"}),
        ({"title": "Apple", "text": "苹果"}, {"title_en": "Apple", "title_zh": "苹果"}),
        ({"TEXT": "same", "alt": "same"}, {"title_en": "same"}),
        ({"title_en": "own", "title": "other"}, {"title_en": "own"}),
        ({"tags": ["a", "红", "", 7]}, {"tags_en": ["a", "7"], "tags_zh": ["红"]}),
        ({"keywords": "a, b ,,c"}, {"tags_en": ["a", "b", "c"]}),
        ({"license": "CC0", "artist": "Ann"}, {"licence": "CC0", "creator": "Ann"}),
        ({"category": "food", "folder": "x"}, {"category": "food", "folder": "x"}),
        ({"title": {"a": 1}, "tags": 5, "license": True, "nothing": "known"}, {}),
        ({"caption": "<b>bold</b> \u202e"}, {"title_en": "<b>bold</b> \u202e"}),
    ],
)
def test_known_names_go_to_their_columns(fields: dict[str, Any], wanted: dict[str, Any]) -> None:
    words = words_of(fields, "x", LIMITS)
    assert {name: value for name, value in words.items() if value} == wanted


def test_a_json_beside_a_text_file_comes_first() -> None:
    assert fields_of(b"from text", json.dumps({"title": "t"}).encode(), "x", LIMITS) == {
        "caption": "from text",
        "title": "t",
    }
    assert fields_of(b"from text", b'{"caption": "c"}', "x", LIMITS) == {"caption": "c"}


def test_a_text_is_chinese_by_its_letters() -> None:
    assert [is_chinese(text) for text in ("苹果", "iPhone 手机壳", "a 红 apple tree", "123", "")] == [
        True,
        True,
        False,
        False,
        False,
    ]


@settings(deadline=None, max_examples=50)
@given(st.text(st.characters(), max_size=50))
def test_a_printable_name_is_one_line_of_utf8_and_stays_as_it_is_when_made_again(text: str) -> None:
    line = printable(text)
    assert line.encode().decode() == line
    assert line.isprintable()
    assert printable(line) == line
