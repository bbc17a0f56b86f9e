import pytest

from components.enhancer.language import language_of


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("a red apple", "en"),
        ("cat", "en"),
        ("一只猫", "zh"),
        ("猫", "zh"),
        ("主体：猫；风格：Noto 风格", "zh"),
        ("dvd，Fluent 3D 风格", "zh"),
        ("ok按钮，flat Twemoji 风格", "zh"),
        ("a picture of 龙", "en"),
        ("draw a cat 猫咪", "en"),
        ("画一只 cat", "zh"),
        ("一个 sofa 上的两只 cats", "zh"),
        ("a sign that says “营业中”", "en"),
        ("一块写着“Fresh Bread and Hot Coffee”的牌子", "zh"),
        ("“营业中”", "zh"),
        ("“OPEN”", "en"),
        ("", None),
        ("🍎🍎", None),
        ("123 + 4", None),
        ("красное яблоко", None),
        ("りんごをください", None),
        ("빨간 사과", None),
        ("تفاحة حمراء", None),
        ("a café in São Paulo", "en"),
    ],
)
def test_the_language_is_that_of_the_words_outside_of_quotation_marks(text: str, language: str | None) -> None:
    assert language_of(text) == language
