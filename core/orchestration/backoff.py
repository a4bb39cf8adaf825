"""The one place where waiting times of retries are spread: what failed together does not come back together."""

from __future__ import annotations

import random

#: The longest part by which a wait is lengthened. A provider that was away is met by its whole queue again: a fifth
#: spreads a wait of 60 s over 12 s. Never shorter: "not found" counts only after its full time.
SPREAD = 0.2


def spread(delay: float) -> float:
    """`delay` in seconds, lengthened by up to a fifth; nothing stays nothing."""
    return delay * random.uniform(1.0, 1.0 + SPREAD)  # noqa: S311 - spreads load, hides nothing
