"""The sandbox's own time: the machine's clock plus an offset that only ever grows."""

from __future__ import annotations

import time


class Clock:
    def __init__(self, offset: float = 0.0) -> None:
        self.offset = offset

    def now(self) -> float:
        """Unix seconds as the sandbox sees them."""
        return time.time() + self.offset

    def advance(self, seconds: float) -> float:
        """Moves time forward; it never goes back, as objects already carry its stamps.

        Raises ValueError for a negative number of seconds.
        """
        if seconds < 0:
            raise ValueError("advance_seconds must be 0 or more")
        self.offset += seconds
        return self.now()
