"""What every command prints by: strangers' words never steer the terminal."""

import pytest

from flows.console import printable


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("\x1b[31mred\x07", r"\x1b[31mred\x07"),
        ("two\nlines\u202e", r"two\nlines\u202e"),
        ("[bold]not[/]", r"\[bold]not\[/]"),
        (["a", "苹果"], "a, 苹果"),
        (0.123456, "0.1235"),
        (12, "12"),
    ],
)
def test_words_are_printed_as_they_are_and_nothing_is_obeyed(value: object, text: str) -> None:
    assert printable(value) == text
