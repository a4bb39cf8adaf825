"""A report in flat columns, the same for every window, so that a spreadsheet can add them up."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from core.domain.outcomes import DeclineCategory


def flat(line: Mapping[str, Any]) -> dict[str, Any]:
    """`declines` as a column a category, nought included."""
    columns: dict[str, Any] = {}
    for name, value in line.items():
        if name == "declines":
            columns |= {f"declined_{one.value}": value.get(one.value, 0) for one in DeclineCategory}
        else:
            columns[name] = value
    return columns
