"""An Aes report on planted scores: overall, by category, biases that are there, and a card that lies about nothing."""

import numpy as np
import pytest

from components.evaluation.aes_report import MIN_IMAGES, Seen, card, order_accuracy, report_of


def seen(**changes) -> Seen:
    """Two categories, of which only one is followed; grey costs 5 levels, drawings 20."""
    rng = np.random.default_rng(0)
    n = 60
    labels = rng.uniform(0, 100, n)
    scores = np.where(np.arange(n) < 40, labels + rng.normal(0, 5, n), rng.uniform(0, 100, n))
    told = {
        "scores": scores,
        "labels": labels,
        "names": [f"image{row // 2}" for row in range(n)],
        "categories": ["food"] * 40 + ["travel"] * 16 + ["few"] * 4,
        "groups": [""] * n,
        "grey": scores[:20] - 5 + rng.normal(0, 1, 20),
        "grey_rows": np.arange(20),
        "drawn": rng.normal(60, 5, 30),
        "undamaged": rng.normal(80, 5, 30),
    }
    return Seen(**(told | changes))


def test_categories_are_told_apart():
    found = report_of(seen(), num_resamples=50, seed=0)
    assert found.by_category["food"].srcc.value > 0.95
    assert abs(found.by_category["travel"].srcc.value) < 0.7
    assert found.overall.num_rows == 60
    assert "few" not in found.by_category  # two images tell nothing
    assert MIN_IMAGES > 2


def test_biases_that_are_there_are_found_and_the_others_named():
    black_and_white, snapshots, ai_made = report_of(seen(), num_resamples=10, seed=0).biases
    assert black_and_white.low < -5 < black_and_white.high
    assert ai_made.low < -20 < ai_made.high
    assert snapshots.bias is None
    assert snapshots.measured.startswith("not measured")


def test_a_group_that_the_labels_mark_is_measured_by_its_residuals():
    given = seen(groups=["snapshots"] * 10 + [""] * 50, drawn=np.zeros(0))
    _, snapshots, ai_made = report_of(given, num_resamples=10, seed=0).biases
    residuals = given.scores - given.labels
    assert snapshots.bias == pytest.approx(residuals[:10].mean() - residuals[10:].mean())
    assert ai_made.bias is None


def test_order_is_counted_by_hand():
    scores = np.array([10.0, 20.0, 20.0])
    rows = np.array([[0, 1], [1, 0], [1, 2], [0, 2]])
    assert order_accuracy(scores, rows, np.array([0.0, 0.0, 1.0, 0.5])) == pytest.approx((1 + 0 + 0.5) / 3)
    assert order_accuracy(scores, rows, np.full(4, 0.5)) == 0.5


def test_the_card_names_the_proxy_and_lets_no_text_become_mark_up():
    given = seen(categories=["<script>|x"] * 60)
    told = card(report_of(given, num_resamples=10, seed=0), "a PROXY", True, [("labels", "proxy\n# heading")])
    assert "# Aes model (PROXY labels)" in told
    assert "Do not read its scores as human taste" in told
    assert "<script" not in told.replace("\\<script", "")
    assert "\n# heading" not in told
    assert told.count("not measured") == 2  # the snapshots' value and its reason
    assert "PROXY" not in card(report_of(given, num_resamples=10, seed=0), "people", False, [])
