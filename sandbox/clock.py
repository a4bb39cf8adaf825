"""The sandbox's own time: the machine's clock plus an offset that only ever grows."""

from __future__ import annotations

import time

#: Seconds ahead of the machine: ten years. What lies far beyond is no date any more, and the clock never goes back.
FURTHEST = 10 * 366 * 86400.0


class Clock:
    def __init__(self, offset: float = 0.0) -> None:
        self.offset = offset

    def now(self) -> float:
        """Unix seconds as the sandbox sees them."""
        return time.time() + self.offset

    def advance(self, seconds: float) -> float:
        """Moves time forward; it never goes back, as objects already carry its stamps.

        Raises ValueError for a negative number of seconds, and for one that leads beyond FURTHEST.
        """
        left = max(0.0, FURTHEST - self.offset)
        if not 0 <= seconds <= left:  # in this form NaN is refused, too
            raise ValueError(
                f"advance_seconds must be from 0 to {left:.0f}: the clock goes at most ten years ahead, and never "
                "back; for more, start with an empty --data-dir"
            )
        self.offset += seconds
        return self.now()
