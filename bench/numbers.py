"""The arithmetic of the bench: percentiles, the search for the highest rate held, whether a queue grows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf


def percentile(ordered: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` of the values do not exceed (nearest rank); 0.0 of none."""
    if not ordered:
        return 0.0
    rank = -(-share * len(ordered) // 1)
    return ordered[max(0, min(len(ordered), int(rank)) - 1)]


def mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0


def best_window(times: Sequence[float], counts: Sequence[float], width: float) -> float:
    """The highest rate of a rising count over any stretch of at least `width` seconds."""
    best, first = 0.0, 0
    for last in range(len(times)):
        while first < last and times[last] - times[first + 1] >= width:
            first += 1
        span = times[last] - times[first]
        if span >= width:
            best = max(best, (counts[last] - counts[first]) / span)
    return best


def grows(times: Sequence[float], sizes: Sequence[float], rate: float) -> bool:
    """Whether a queue grew in the second half of a window by more than chance.

    Compared are the means of its third and fourth quarter: at a constant load they are the same but for noise, for
    which a tenth of a second of load, a quarter of the queue and a handful are left.
    """
    if len(times) < 8:
        return False
    quarter = len(sizes) // 4
    third, fourth = mean(sizes[-2 * quarter : -quarter]), mean(sizes[-quarter:])
    return fourth > third * 1.25 + rate * 0.1 + 5


@dataclass(frozen=True)
class Found:
    """`held` is the highest rate that was tried and held, `failed` the lowest that was not."""

    held: float
    failed: float | None


def search(estimate: float, holds: Callable[[float], bool], steps: int, span: float = 0.25) -> Found:
    """The highest rate that holds, near `estimate`: widened until it is between a rate that holds and one that does
    not, then halved. In `steps` tries; where none has held by then, in up to as many more until one does."""
    low, high, rate = 0.0, inf, estimate
    for number in range(2 * steps):
        if number >= steps and low:
            break
        if holds(rate):
            low = rate
        else:
            high = rate
        rate = _next(low, high, span)
    return Found(low, None if high == inf else high)


def _next(low: float, high: float, span: float) -> float:
    if high == inf:
        return low * (1 + span)
    if not low:
        return high * (1 - span)
    return (low + high) / 2
