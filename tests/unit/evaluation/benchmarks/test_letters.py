"""What of a text can be read: against a textbook recursion, and against worked examples of the benchmarks' formulas."""

from functools import cache

import numpy as np
import pytest

from components.evaluation.benchmarks.letters import (
    compare,
    edit_distance,
    edit_share,
    language_of,
    plain,
    readings,
    text_score,
    word_accuracy,
)


def recursive(one: str, other: str) -> int:
    """Levenshtein's definition as it is written."""

    @cache
    def of(i: int, j: int) -> int:
        if not i or not j:
            return i + j
        return min(of(i - 1, j) + 1, of(i, j - 1) + 1, of(i - 1, j - 1) + (one[i - 1] != other[j - 1]))

    return of(len(one), len(other))


def test_edits_are_those_of_the_definition() -> None:
    draw = np.random.default_rng(0)
    for _ in range(60):
        one, other = ("".join(draw.choice(list("abc 猫"), size=draw.integers(0, 12))) for _ in range(2))
        assert edit_distance(one, other) == recursive(one, other) == edit_distance(other, one)
    assert edit_distance("kitten", "sitting") == 3


def test_plain_text_has_no_marks() -> None:
    assert plain("  Open: 9–5,\nDaily! ", "en", keep_case=False) == "open 95 daily"
    assert plain("  Café: 9", "en", keep_case=True) == "Café 9"
    assert plain("今日，营业 9:00！", "zh", keep_case=True) == "今日营业900"


def test_words_count_as_often_as_they_occur_in_any_order() -> None:
    found = compare("the cat and the dog", "The dog, the the bird", "en", keep_case=False)
    assert (found.num_found, found.num_asked) == (3, 5)
    assert compare("the cat", "The cat", "en", keep_case=True).num_found == 1
    chinese = compare("小猫小狗", "小猫小鸟", "zh", keep_case=True)
    assert (chinese.num_found, chinese.num_asked, chinese.num_edits, chinese.num_letters) == (3, 4, 1, 4)


def test_accuracy_is_of_all_words_together_and_not_a_mean_of_prompts() -> None:
    long, short = compare("a b c d e f", "a b c d e f", "en", keep_case=False), compare("x", "", "en", keep_case=False)
    rows = readings([[long, long], [short, short]])
    assert word_accuracy(rows) == pytest.approx(12 / 14)
    assert edit_share(rows) == pytest.approx(0.5)


@pytest.mark.parametrize(("language", "longest"), [("en", 100), ("zh", 50)])
def test_the_text_score_is_the_benchmarks_formula(language: str, longest: int) -> None:
    rows = np.array([[3.0, 4.0, 10.0, 0.2, 0.25], [0.0, 4.0, 30.0, 1.0, 0.25]])
    assert text_score(rows, language) == pytest.approx(1 - 20 * 0.75 * (5 / 8) / longest)
    nothing = np.array([[0.0, 9.0, 400.0, 1.0, 0.0]])
    assert text_score(nothing, language) == 0


def test_the_language_is_that_of_most_texts() -> None:
    assert language_of(["Hello", "今日营业", "上海"]) == "zh"
    assert language_of(["Hello", "今日营业"]) == "en"
