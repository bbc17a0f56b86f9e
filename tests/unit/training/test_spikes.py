"""The spike detector on noise whose tails are known and on planted spikes."""

import numpy as np
import pytest

from components.training.spikes import SpikeDetector


def alarms(losses) -> list[int]:
    detector = SpikeDetector()
    return [step for step, loss in enumerate(losses) if detector.observe(float(loss)) is not None]


@pytest.mark.parametrize(
    ("draw", "most"),
    [
        (lambda rng, n: rng.normal(size=n), 0),
        (lambda rng, n: rng.exponential(size=n), 5),
        (lambda rng, n: rng.standard_t(3, size=n), 5),  # variance 3, no third moment
    ],
    ids=["normal", "exponential", "student-t3"],
)
def test_false_alarms_are_as_rare_as_stated(draw, most):
    losses = 1.0 + 0.05 * draw(np.random.default_rng(0), 5_000)
    assert len(alarms(losses)) <= most  # 1 in 1,000


def test_planted_spikes_are_found_and_nothing_else():
    rng = np.random.default_rng(1)
    losses = 0.5 + 0.4 * np.exp(-np.arange(2000) / 300) + 0.02 * rng.normal(size=2000)
    planted = [100, 101, 700, 1500]
    losses[planted] += 0.6
    assert alarms(losses) == planted


def test_a_spike_does_not_hide_the_next():
    losses = [1.0 + 0.01 * (step % 5) for step in range(40)]
    detector = SpikeDetector(patience=5)
    for loss in losses:
        assert detector.observe(loss) is None
    before = detector.recent
    for number in range(1, 5):
        assert detector.observe(9.0) == pytest.approx(detector.score(9.0))
        assert detector.successive == number
    assert detector.recent == before


def test_a_new_level_is_believed_after_patience():
    detector = SpikeDetector(patience=3, warmup=5, window=20)
    for step in range(20):
        detector.observe(1.0 + 0.01 * (step % 5))
    assert [detector.observe(5.0) is not None for _ in range(6)] == [True] * 3 + [False] * 3
    assert detector.recent == (5.0,) * 4


def test_falls_and_rounding_are_no_spikes():
    assert alarms([1.0] * 50 + [0.01] + [1.0 + 1e-7] * 50 + [float("nan")] * 3) == []


def test_a_continued_detector_judges_like_one_that_never_stopped():
    rng = np.random.default_rng(2)
    losses = rng.standard_t(2, size=300)
    whole, first = SpikeDetector(), SpikeDetector()
    expected = [whole.observe(loss) for loss in losses]
    found = [first.observe(loss) for loss in losses[:150]]
    second = SpikeDetector()
    second.restore(first.recent, first.successive)
    assert found + [second.observe(loss) for loss in losses[150:]] == expected


def test_settings_that_cannot_work_are_refused():
    with pytest.raises(ValueError, match="warmup <= window"):
        SpikeDetector(window=10, warmup=20)
