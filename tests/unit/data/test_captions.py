"""Captions: dirty words become clean or are refused with a reason; clean ones become three kinds in two languages."""

import pytest

from components.data.captions import (
    WORDS_REASONS,
    Words,
    WordsRefusedError,
    captions_en,
    captions_zh,
    clean_tags,
    clean_title,
    clean_words,
    with_article,
)

REFUSED = {
    "nothing": (None, "empty"),
    "empty": ("", "empty"),
    "white": (" \t\n ", "empty"),
    "only markup": ("<br/>", "empty"),
    "latin-1 bytes": ("café".encode("latin-1"), "not_utf8"),
    "escape sequence": ("red\x1b[31m apple", "control_characters"),
    "nul": ("apple\0", "control_characters"),
    "replacement character": ("caf\ufffd", "control_characters"),
    "numbers": ("0123 - 45", "no_letters"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_unusable_words_are_refused_for_their_reason(case: str) -> None:
    words, reason = REFUSED[case]
    with pytest.raises(WordsRefusedError) as refused:
        clean_words(words)
    assert refused.value.reason == reason


def test_every_reason_has_a_crafted_case() -> None:
    assert {reason for _, reason in REFUSED.values()} == set(WORDS_REASONS)


@pytest.mark.parametrize(
    ("dirty", "clean"),
    [
        ("red_apple_01.svg", "red apple"),
        ("RedApple", "red apple"),
        ("01 - dog", "dog"),
        ("Tom &amp; Jerry", "tom & jerry"),
        ("  two\n lines ", "two lines"),
        ("a chair by John Smith", "a chair"),
        ("ＦＵＬＬ width", "FULL width"),
        ("CAT", "cat"),
        ("<b>Bold</b> bird", "Bold bird"),
        ("café", "café"),
        ("红苹果", "红苹果"),
    ],
)
def test_titles_are_cleaned(dirty: str, clean: str) -> None:
    assert clean_title(dirty) == clean
    assert clean_title(clean_title(dirty)) == clean_title(dirty)


def test_tags_are_lower_case_once_and_few() -> None:
    assert clean_tags(["Fruit", "fruit", "", None, b"\xff", "red_apple", "12"]) == ["fruit", "red apple"]
    assert len(clean_tags([f"tag {chr(97 + i)}" for i in range(20)])) == 8
    assert clean_tags(None) == []


@pytest.mark.parametrize(
    ("phrase", "expected"),
    [
        ("red apple", "a red apple"),
        ("apple", "an apple"),
        ("grapes", "grapes"),
        ("glass", "a glass"),
        ("cactus", "a cactus"),
        ("Statue of Liberty", "Statue of Liberty"),
        ("a cat", "a cat"),
    ],
)
def test_articles(phrase: str, expected: str) -> None:
    assert with_article(phrase) == expected


APPLE = Words("red apple", ["apple", "fruit", "red apple"], "", "blob", "food")


def test_english_captions_name_thing_style_and_category() -> None:
    texts = {caption.kind: caption.text for caption in captions_en(APPLE)}
    assert texts == {
        "tags": "red apple, apple, fruit, blob style, food",
        "short": "a red apple, blob style",
        "sentence": "A picture of a red apple drawn in blob style, food, with apple, fruit.",
    }


def test_chinese_captions_name_thing_style_and_category() -> None:
    words = Words("红苹果", ["水果"], "", "blob", "food")
    assert [caption.text for caption in captions_zh(words)] == [
        "红苹果，水果，blob 风格，食物",
        "红苹果，blob 风格",
        "一幅blob 风格的红苹果图画，食物，水果。",
    ]


def test_a_description_is_told_in_the_sentence() -> None:
    words = Words("dog", [], "A dog that runs. ", "clip art", "animals")
    assert captions_en(words)[2].text == "A picture of a dog drawn in clip art style, animals: A dog that runs."


def test_a_tag_stands_in_for_an_unusable_title() -> None:
    assert captions_en(Words("001", ["Dog"], "", "clip art", "animals"))[1].text == "a dog, clip art style"
    with pytest.raises(WordsRefusedError, match="no_letters"):
        captions_en(Words("001", [], "", "clip art", "animals"))
