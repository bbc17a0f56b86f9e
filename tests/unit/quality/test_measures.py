"""Measures over tables, against brute force, closed forms and planted texts."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.quality import measures
from components.quality.pages import safe_page

IDS = st.lists(st.sampled_from(["", "a", "b", "c", "d", None]), max_size=12)


def column(values: list[str | None]) -> pa.ChunkedArray:
    return pa.chunked_array([pa.array(values, pa.string())])


@settings(deadline=None, max_examples=50)
@given(IDS, IDS)
def test_orphans_and_missing_are_what_sets_say(ids, known) -> None:
    assert measures.num_orphans(column(ids), column(known)) == sum(bool(i) and i not in known for i in ids)
    assert measures.num_missing(column(ids), column(known)) == sum(k not in ids for k in known)


def test_shares_sum_to_one_and_follow_the_weights() -> None:
    keys = column(["b", "a", "b", None])
    assert measures.shares(keys) == {"": 0.25, "a": 0.25, "b": 0.5}
    assert measures.shares(keys, pa.chunked_array([[0.0, 3.0, 1.0, 0.0]])) == {"": 0.0, "a": 0.75, "b": 0.25}
    assert measures.shares(column([])) == {}


@pytest.mark.parametrize(
    ("text", "language", "frac"),
    [
        ("a red apple", "en", 1.0),
        ("一个苹果", "zh", 1.0),
        ("一个苹果", "en", 0.0),
        ("ab苹果", "zh", 0.5),
        ('a poster that says "一个苹果"', "en", 1.0),
        ("Москва", "ru", 1.0),
        ("Москва", "en", 0.0),
        ("1984 !", "en", 1.0),
        ("りんごとリンゴ", "ja", 1.0),
        ("사과", "ko", 1.0),
        ("une pomme dorée", "fr", 1.0),
    ],
)
def test_the_script_of_a_text_is_counted_in_letters_outside_quotes(text, language, frac) -> None:
    assert measures.own_script_frac(column([text]), language).tolist() == [frac]


def test_margin_is_against_the_least_of_each_language_and_minus_one_for_others() -> None:
    captions = pa.table({"language": ["en", "zh", "xx"], "text": ["苹果", "ab苹果", "b"]})
    assert measures.script_margin(captions, {"en": 0.5, "zh": 0.1}).tolist() == pytest.approx([-0.5, 0.4, -1.0])


def test_total_variation_is_zero_for_equals_one_for_strangers_and_half_the_difference_between() -> None:
    assert measures.total_variation({"a": 0.3, "b": 0.7}, {"a": 0.3, "b": 0.7}) == 0
    assert measures.total_variation({"a": 1.0}, {"b": 1.0}) == 1
    assert measures.total_variation({"a": 0.5, "b": 0.5}, {"a": 0.7, "b": 0.3}) == pytest.approx(0.2)


def test_drift_is_in_units_of_the_reference() -> None:
    before = {"category_fracs": {"a": 1.0}, "caption_mean_chars": {"en": 20.0}, "score_mean": 1.0, "score_std": 2.0}
    now = before | {"caption_mean_chars": {"en": 30.0}, "score_mean": 4.0, "score_std": 1.0}
    assert measures.tables_drift(now, before) == {
        "category_distance": 0.0,
        "caption_length_change": 0.5,
        "score_shift": 1.5,
        "score_spread_change": 0.5,
    }
    assert set(measures.tables_drift(before, before).values()) == {0.0}


def test_the_summary_is_what_numpy_says() -> None:
    categories = pa.table({"category": ["a", "b", "a", "a"]})
    captions = pa.table({"language": ["en", "zh", "en"], "text": ["abcd", "苹果", "ab"]})
    aesthetic = np.random.default_rng(0).normal(3, 2, 50).astype(np.float32)
    summary = measures.tables_summary(categories, captions, pa.table({"aesthetic": aesthetic}))
    assert summary["category_fracs"] == {"a": 0.75, "b": 0.25}
    assert summary["caption_mean_chars"] == {"en": 3.0, "zh": 2.0}
    assert (summary["score_mean"], summary["score_std"]) == pytest.approx((aesthetic.mean(), aesthetic.std()), rel=1e-6)


def test_a_page_keeps_its_words_and_loses_what_runs_or_fetches() -> None:
    page = (
        '<html><head><link rel="stylesheet" href="https://cdn.example/x.css"><script>alert(1)</script></head>'
        '<body><img src="https://ads.example/a.gif"><p onclick="alert(2)">kept</p><script src="//x"></script><a href="https://ads.example">site</a></body></html>'
    )
    safe = safe_page(page)
    assert "kept" in safe
    assert "Content-Security-Policy" in safe
    assert not any(sign in safe for sign in ("<script", "<img", "<link", "example", "alert"))
