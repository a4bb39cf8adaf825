"""What a look at the surroundings found: something that forbids the start, or something to know."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Remark:
    """`text` says what is found and what to do, and holds no secret. `refuses`: the process must not start."""

    text: str
    refuses: bool = True


def known(text: str) -> Remark:
    """Worth a line in the log, and no reason to stay away."""
    return Remark(text, refuses=False)
