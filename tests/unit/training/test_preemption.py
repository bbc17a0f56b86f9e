"""Signals that ask training to stop: real ones, sent to this very process."""

import os
import signal
import threading

import pytest

from components.training.preemption import EXIT_PREEMPTED, SIGNALS, PreemptedError, StopRequest


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_asks_and_the_old_handlers_come_back(number):
    heard = []
    before = signal.signal(number, lambda *_: heard.append(number))
    try:
        stop = StopRequest()
        with stop.listening():
            assert not stop.is_asked
            os.kill(os.getpid(), number)
            assert stop.is_asked
        assert heard == []
        os.kill(os.getpid(), number)
        assert heard == [number]
    finally:
        signal.signal(number, before)


def test_the_signals_are_taken_back_from_a_framework():
    heard = []
    stop = StopRequest()
    before = signal.getsignal(signal.SIGTERM)
    with stop.listening():
        signal.signal(signal.SIGTERM, lambda *_: heard.append("framework"))
        stop.listen_again()
        os.kill(os.getpid(), signal.SIGTERM)
    assert stop.is_asked
    assert heard == []
    assert signal.getsignal(signal.SIGTERM) is before


def test_other_threads_install_nothing():
    handlers = []

    def listen() -> None:
        stop = StopRequest()
        with stop.listening():
            stop.listen_again()
            handlers.append(signal.getsignal(signal.SIGTERM))

    before = signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=listen)
    thread.start()
    thread.join()
    assert handlers == [before]


def test_the_error_is_one_line_with_a_code_of_its_own():
    error = PreemptedError(640)
    assert str(error) == "stopped on request after 640 images; run again to continue"
    assert error.exit_code == EXIT_PREEMPTED == 75
