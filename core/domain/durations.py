"""Lengths of time as a person reads them."""

from __future__ import annotations


def waits(seconds: float) -> str:
    """Two figures are enough to see what is old: 3 d 4 h, 12 min 5 s."""
    whole = max(0, int(seconds))
    for size, name, below, next_name in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= size:
            return f"{whole // size} {name} {whole % size // below} {next_name}"
    return f"{whole} s"
