"""What a check is, and what it says when it does not hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Check:
    """One row of the table: `sql` returns the rows that break it, so that none is good.

    It may name :since (the lowest id that is looked at), :since_time, :grace (seconds) and :allowed. `meaning` is what
    a broken row means, `advice` what to do. With `settled_only` it holds only where nothing is under way any more.
    """

    invariant: str
    name: str
    meaning: str
    advice: str
    sql: str
    settled_only: bool = False


@dataclass(frozen=True, slots=True)
class Violation:
    """`what` says in words what is wrong with the rows that `details` names."""

    invariant: str
    what: str
    details: Mapping[str, Any]
    check: str = ""
    advice: str = field(default="", compare=False)
