import pytest

from components.enhancer.quotes import quoted_in, without_quoted


@pytest.mark.parametrize(
    ("text", "quoted"),
    [
        ("a sign “OPEN”", ["OPEN"]),
        ('a sign "Hot Coffee" and "Tea"', ["Hot Coffee", "Tea"]),
        ("招牌写着「营业中」和『欢迎』", ["营业中", "欢迎"]),
        ("a sign that says 'No Entry'", ["No Entry"]),
        ("a sign that says ‘Don’t panic’", ["Don"]),
        ("the cat's and the dogs' bowl", []),
        ("it's five o'clock, isn't it", []),
        ("rock 'n' roll", ["n"]),
        ("“”", []),
        ("an open “quote", []),
    ],
)
def test_what_stands_in_quotation_marks(text: str, quoted: list[str]) -> None:
    assert quoted_in(text) == quoted


def test_quotations_leave_a_break() -> None:
    assert without_quoted("a “red” sign") == "a \n sign"
