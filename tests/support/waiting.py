"""Waiting for a condition with a deadline, instead of sleeping for a guess."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

_PAUSE = threading.Event()


def wait_until(condition: Callable[[], T], what: str, seconds: float = 15.0, every: float = 0.02) -> T:
    """The condition's first true value. Raises AssertionError naming `what` after `seconds`."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < end, f"waited {seconds} s for {what}; last value {value!r}"
        _PAUSE.wait(every)
