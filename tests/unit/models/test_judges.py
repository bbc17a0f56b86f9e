"""Judges: fitted where labels suffice, tested on what they never saw, calibrated, saved."""

from pathlib import Path

import numpy as np
import pytest

from components.models.judges import NOT_FITTED, Examples, fit_judge, fit_judges, save_judges, scores
from components.models.linear_probe import accuracy, load_probe


def examples(n: int = 400, k: int = 3) -> tuple[Examples, np.ndarray]:
    rng = np.random.default_rng(0)
    centres, numbers = rng.normal(0, 1.5, (k, 6)), rng.integers(0, k, n)
    x = (centres[numbers] + rng.normal(0, 1, (n, 6))).astype(np.float32)
    rows = np.arange(0, n, 2)
    place = np.arange(n) % 8
    given = Examples(x, x[rows] + np.float32(0.1), rows, place < 2, place < 1)
    return given, np.array([f"class {number}" for number in numbers], dtype=object)


def test_accuracy_is_of_rows_never_seen() -> None:
    given, labels = examples()
    judge = fit_judge(given, labels.tolist(), l2=0.01)
    held = given.is_heldout
    assert judge.scores["accuracy"] == accuracy(judge.probe, given.sharp[held], labels[held].tolist()) > 0.6
    assert judge.scores["chance"] == pytest.approx(1 / 3)
    np.testing.assert_array_equal(judge.heldout_seen_as, judge.probe.predict(given.sharp[held]))
    shuffled = np.random.default_rng(1).permutation(labels)
    assert fit_judge(given, shuffled.tolist(), l2=0.01).scores["accuracy"] < 0.55  # labels that mean nothing


def test_rows_without_a_label_are_as_if_they_were_not_there() -> None:
    given, labels = examples()
    some = labels.copy()
    some[::3] = ""
    is_labelled = some != ""
    judge = fit_judges(given, {"category": some}, l2=0.01)["category"]
    alone = fit_judge(given.of(is_labelled), some[is_labelled].tolist(), l2=0.01)
    np.testing.assert_array_equal(judge.probe.weight, alone.probe.weight)
    part = given.of(is_labelled)
    np.testing.assert_array_equal(part.soft, part.sharp[part.soft_rows] + np.float32(0.1))


def test_too_few_labels_make_no_judge_and_the_scores_say_so(tmp_path: Path) -> None:
    given, labels = examples()
    one, unheld = np.full(len(labels), "same", dtype=object), np.where(given.is_heldout, "", labels)
    fitted = fit_judges(given, {"category": labels, "style": one, "mood": unheld}, l2=0.01)
    assert list(fitted) == ["category"]
    told = scores(fitted, ("category", "style"))
    assert {f"style_{name}": value for name, value in NOT_FITTED.items()}.items() <= told.items()
    save_judges(fitted, tmp_path / "classifier", {"px": 64})
    probe, facts = load_probe(tmp_path / "classifier", "category")
    assert (facts["px"], facts["accuracy"]) == (64, told["category_accuracy"])
    np.testing.assert_array_equal(probe.weight, fitted["category"].probe.weight)
    with pytest.raises(ValueError, match="no classifier of style"):
        load_probe(tmp_path / "classifier", "style")


def test_a_class_shown_only_in_the_test_counts_as_an_error() -> None:
    given, labels = examples()
    labels[np.flatnonzero(given.is_heldout)[:5]] = "unheard of"
    judge = fit_judge(given, labels.tolist(), l2=0.01)
    assert "unheard of" not in judge.probe.classes
    assert judge.scores["accuracy"] <= 1 - 5 / given.is_heldout.sum()
