import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.enhancer.wish import MAX_CHARS, WishError, clean_wish


@pytest.mark.parametrize("wish", ["", "   ", "\n\t", "\u200b", "\x00\x07", "\u202e"])
def test_a_wish_without_anything_to_see_is_refused_in_one_line(wish: str) -> None:
    with pytest.raises(WishError, match="the wish is empty; say what to draw") as caught:
        clean_wish(wish)
    assert "\n" not in str(caught.value)


def test_a_wish_of_ten_thousand_characters_is_refused_with_its_length_in_one_short_line() -> None:
    with pytest.raises(WishError, match=f"the wish has 10000 characters, at most {MAX_CHARS} are read") as caught:
        clean_wish("a" * 10_000)
    assert len(str(caught.value)) < 150


def test_the_limit_itself_is_allowed_and_one_more_is_not() -> None:
    assert clean_wish("a" * MAX_CHARS) == "a" * MAX_CHARS
    with pytest.raises(WishError):
        clean_wish("a" * (MAX_CHARS + 1))


@pytest.mark.parametrize(
    ("wish", "cleaned"),
    [
        ("  a  red\tapple\n", "a red apple"),
        ("Subject: cat\r\nStyle: Noto", "Subject: cat Style: Noto"),
        ("a\x00 c\x07at\x1b[31m", "a cat[31m"),
        ("a cat\u202egod a\u202c", "a catgod a"),
        ("a ca\u200bt", "a cat"),
        ("e\u0301clair", "éclair"),
        ("一只\u3000猫", "一只 猫"),
        ("a cat \U000e0061\U000e0062", "a cat"),
        ("a cat \ud800", "a cat"),
        ("full width ！stays", "full width ！stays"),
    ],
)
def test_what_is_invisible_goes_and_what_is_seen_stays(wish: str, cleaned: str) -> None:
    assert clean_wish(wish) == cleaned


@pytest.mark.parametrize("emoji", ["👩‍🚀", "❤️‍🔥", "🏳️‍🌈", "👨‍👩‍👧"])
def test_an_emoji_of_several_stays_one(emoji: str) -> None:
    assert clean_wish(f"{emoji} please") == f"{emoji} please"


@given(st.text(max_size=60))
def test_cleaning_twice_is_cleaning_once_and_leaves_one_line_that_can_be_encoded(text: str) -> None:
    try:
        once = clean_wish(text)
    except WishError:
        return
    assert clean_wish(once) == once
    assert not any(unicodedata.category(char) in ("Cc", "Cs") for char in once)
    once.encode()
