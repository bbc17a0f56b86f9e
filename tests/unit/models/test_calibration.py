"""Temperatures and calibration errors against planted ones."""

import numpy as np
import pytest

from components.models.calibration import calibrate, calibration_error, fit_temperature, mean_nll


def planted(temperature: float, n: int = 4000, k: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """Logits that are `temperature` times what the labels were drawn from."""
    rng = np.random.default_rng(0)
    honest = rng.normal(0, 2, (n, k))
    odds = np.exp(honest)
    labels = (np.cumsum(odds / odds.sum(1, keepdims=True), axis=1) > rng.random((n, 1))).argmax(axis=1)
    return honest * temperature, labels


@pytest.mark.parametrize("temperature", [0.3, 1.0, 4.0])
def test_the_planted_temperature_is_found(temperature: float) -> None:
    logits, labels = planted(temperature)
    assert fit_temperature(logits, labels) == pytest.approx(temperature, rel=0.06)


@pytest.mark.parametrize("temperature", [0.3, 4.0])
def test_calibration_lowers_nll_and_error_on_rows_that_did_not_choose_the_temperature(temperature: float) -> None:
    logits, labels = planted(temperature)
    is_first = np.arange(len(labels)) % 2 == 0
    found = calibrate(logits, labels, is_first)
    assert found.error < 0.04 < found.error_raw
    other = fit_temperature(logits[is_first], labels[is_first])
    after = mean_nll(logits[~is_first] / other, labels[~is_first])
    assert after < mean_nll(logits[~is_first], labels[~is_first])


def test_likelihood_is_best_at_the_temperature_found() -> None:
    logits, labels = planted(2.0, n=300)
    best = fit_temperature(logits, labels)
    nll = [mean_nll(logits / (best * step), labels) for step in (0.9, 1.0, 1.1)]
    assert nll[1] == min(nll)


def test_error_of_known_cases() -> None:
    sure = np.array([[50.0, 0.0]] * 10)
    assert calibration_error(sure, np.zeros(10, int)) == pytest.approx(0, abs=1e-9)
    assert calibration_error(sure, np.ones(10, int)) == pytest.approx(1, abs=1e-9)
    even = np.zeros((1500, 2))  # argmax is 0, told with 1/2
    assert calibration_error(even, np.arange(1500) % 2) == pytest.approx(0, abs=1e-9)


def test_no_rows_change_nothing() -> None:
    none = np.zeros((0, 3))
    found = calibrate(none, np.zeros(0, int), np.zeros(0, bool))
    assert (found.temperature, found.error_raw, found.error) == (1.0, 0.0, 0.0)
