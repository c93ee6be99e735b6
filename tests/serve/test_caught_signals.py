"""Signals that only append to a list, and wake the selector of the loop that acts on them."""

from __future__ import annotations

import os
import selectors
import signal
from collections.abc import Iterator

import pytest

from mockllm.serve.caught_signals import CaughtSignals
from tests.support.processes import posix

pytestmark = posix


@pytest.fixture
def caught() -> Iterator[CaughtSignals]:
    signals = CaughtSignals()
    yield signals
    signals.close()


def test_a_signal_wakes_the_selector_once(caught: CaughtSignals) -> None:
    with selectors.DefaultSelector() as selector, caught.catching([signal.SIGUSR1], selector):
        os.kill(os.getpid(), signal.SIGUSR1)

        ((key, _),) = selector.select(10)
        assert key.data is caught
        caught.sleep_again()
        assert selector.select(0) == []
        assert caught.has_any([signal.SIGUSR1, signal.SIGTERM])
        assert not caught.has_any([signal.SIGTERM])


def test_a_signal_that_is_taken_is_forgotten_however_often_it_came(caught: CaughtSignals) -> None:
    numbers = [signal.SIGUSR1, signal.SIGUSR2]
    with selectors.DefaultSelector() as selector, caught.catching(numbers, selector):
        for number in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGUSR1):
            os.kill(os.getpid(), number)

        assert caught.take(signal.SIGUSR1)
        assert not caught.take(signal.SIGUSR1)
        assert caught.has_any(numbers)
        caught.clear()
        assert not caught.has_any(numbers)


def test_the_handlers_from_before_are_restored(caught: CaughtSignals) -> None:
    before = signal.getsignal(signal.SIGUSR1)
    with selectors.DefaultSelector() as selector, caught.catching([signal.SIGUSR1], selector):
        assert signal.getsignal(signal.SIGUSR1) is not before

    assert signal.getsignal(signal.SIGUSR1) is before
    assert signal.set_wakeup_fd(-1) == -1
