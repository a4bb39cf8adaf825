"""What reading one slice of a run's window leaves behind: figures that are added up when the run ends."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass(slots=True)
class SliceResult:
    """`counts` by what was counted, `sums` in minor units by `CURRENCY.what`; `findings`: matters found, not only new
    ones. Reading a slice again gives the same figures."""

    counts: Counter[str] = field(default_factory=Counter)
    sums: Counter[str] = field(default_factory=Counter)
    findings: int = 0
