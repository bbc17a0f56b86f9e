"""The clock of the steps, by a time that the test sets; processes that hang are in the integration tests."""

import pytest

from components.training.watchdog import StepClock, Watchdog


class Time:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_the_clock_measures_steps_without_pauses():
    time = Time()
    clock = StepClock(time)
    assert clock.median_s is None
    for duration in (1.0, 5.0, 2.0):
        time.now += duration
        clock.step()
        with clock.paused():
            time.now += 50
            with clock.paused():
                time.now += 50
            assert clock.silent_s == 0
            time.now += 50
    assert clock.median_s == 2.0
    time.now += 3
    assert clock.training_s == 11.0
    assert clock.silent_s == 3.0


def test_the_limit_follows_the_median(tmp_path):
    time = Time()
    clock = StepClock(time)
    watchdog = Watchdog(clock, tmp_path, lambda _: None, factor=10, floor_s=20, first_s=60)
    assert watchdog.limit_s == 60
    for duration, limit in ((1, 20), (5, 30), (8, 50)):
        time.now += duration
        clock.step()
        assert watchdog.limit_s == limit


def test_a_watchdog_ends_with_its_block(tmp_path):
    clock = StepClock()
    watchdog = Watchdog(clock, tmp_path, lambda _: None, first_s=60)
    with watchdog.watching():
        clock.step()
    assert list(tmp_path.iterdir()) == []


def test_settings_that_cannot_work_are_refused(tmp_path):
    with pytest.raises(ValueError, match="factor > 1"):
        Watchdog(StepClock(), tmp_path, lambda _: None, factor=1)
