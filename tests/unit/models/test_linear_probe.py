"""The linear probe against scikit-learn, its own optimality condition, and its files."""

import json
from pathlib import Path

import numpy as np
import pytest

from components.models.linear_probe import fit_preference, fit_probe, load_probe, save_probe


def clusters(n: int = 120, d: int = 6, k: int = 3) -> tuple[np.ndarray, list[str]]:
    rng = np.random.default_rng(0)
    centres = rng.normal(0, 1.5, (k, d))
    numbers = rng.integers(0, k, n)
    return (centres[numbers] + rng.normal(0, 1, (n, d))).astype(np.float32), [f"class {c}" for c in numbers]


def test_probabilities_agree_with_scikit_learn() -> None:
    from sklearn.linear_model import LogisticRegression

    x, y = clusters()
    l2 = 0.05
    probe = fit_probe(x, y, l2=l2)
    standardised = (x - x.mean(0)) / (x.std(0) + 1e-3)
    # scikit-learn: sum of losses + |w|^2 / (2 C)
    other = LogisticRegression(C=1 / (l2 * len(x)), tol=1e-8, max_iter=5000).fit(standardised, y)
    np.testing.assert_allclose(probe.predict_proba(x), other.predict_proba(standardised), atol=2e-3)
    assert probe.classes == tuple(other.classes_)


def test_rows_of_probabilities_sum_to_one_even_far_away() -> None:
    x, y = clusters()
    p = fit_probe(x, y, l2=0.01).predict_proba(x * 1e4)
    np.testing.assert_allclose(p.sum(1), 1, rtol=1e-5)
    assert np.isfinite(p).all()


def test_scaling_and_shifting_the_features_changes_nothing() -> None:
    x, y = clusters()
    expected = fit_probe(x, y, l2=0.05).predict_proba(x)
    moved = x * 50 + 7
    np.testing.assert_allclose(fit_probe(moved, y, l2=0.05).predict_proba(moved), expected, atol=2e-2)


@pytest.mark.parametrize("l2", [0.01, 1.0])
def test_mean_probabilities_are_the_class_frequencies(l2: float) -> None:
    x, y = clusters()
    mean = fit_probe(x, y, l2=l2).predict_proba(x).mean(0)  # the optimum's condition on the unpenalised bias
    np.testing.assert_allclose(mean, [y.count(name) / len(y) for name in sorted(set(y))], atol=2e-3)


def test_what_is_saved_is_what_is_loaded(tmp_path: Path) -> None:
    x, y = clusters()
    probe = fit_probe(x, y, l2=0.05)
    save_probe(probe, tmp_path / "classifier", "category", {"accuracy": 0.5})
    loaded, facts = load_probe(tmp_path / "classifier", "category")
    np.testing.assert_array_equal(loaded.predict_proba(x), probe.predict_proba(x))
    assert facts == {"accuracy": 0.5}
    assert sorted(file.name for file in (tmp_path / "classifier").iterdir()) == [
        "category.json",
        "category.safetensors",
    ]
    assert json.loads((tmp_path / "classifier/category.json").read_text())["classes"] == list(probe.classes)


def test_many_classes_are_fitted_in_batches_to_nearly_the_same_minimum() -> None:
    x, y = clusters(600, d=8, k=12)
    exact, batched = fit_probe(x, y, l2=0.02), fit_probe(x, y, l2=0.02, max_logits=0)
    np.testing.assert_allclose(batched.predict_proba(x), exact.predict_proba(x), atol=0.04)
    np.testing.assert_array_equal(batched.weight, fit_probe(x, y, l2=0.02, max_logits=0).weight)


def test_guesses_in_blocks_are_the_most_probable_classes() -> None:
    x, y = clusters(2500)
    probe = fit_probe(x, y, l2=0.05)
    names, probability = probe.guess(x)
    odds = probe.predict_proba(x)
    assert names.tolist() == [probe.classes[number] for number in odds.argmax(axis=1)]
    np.testing.assert_allclose(probability, odds.max(axis=1), rtol=1e-6)


def test_temperature_divides_the_logits() -> None:
    x, y = clusters()
    probe = fit_probe(x, y, l2=0.05)
    np.testing.assert_allclose(probe.tempered(2.5).logits(x), probe.logits(x) / 2.5, rtol=1e-4, atol=1e-5)


def test_margin_ranks_what_it_was_shown() -> None:
    rng = np.random.default_rng(0)
    good = rng.normal([2, 0, 0, 0], 1, (60, 4))
    bad = rng.normal(0, 1, (60, 4))
    probe = fit_preference(good, [bad], l2=0.01)
    assert probe.margin(good).mean() > 0 > probe.margin(bad).mean()
    odds = probe.predict_proba(good)
    np.testing.assert_allclose(probe.margin(good), np.log(odds[:, 0] / odds[:, 1]), rtol=1e-3, atol=1e-3)


def test_mistakes_are_refused() -> None:
    x, y = clusters()
    with pytest.raises(ValueError, match="1 classes"):
        fit_probe(x, ["same"] * len(x), l2=0.1)
    with pytest.raises(ValueError, match=r"unknown \['class 2'\]"):
        fit_probe(x, y, l2=0.1, classes=("class 0", "class 1"))
    with pytest.raises(ValueError, match="3 classes; allowed: 2"):
        fit_probe(x, y, l2=0.1).margin(x)
