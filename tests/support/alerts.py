"""deploy/alerts.yml, and which of its alerts fire over a row of scrapes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.support.promql import Query, Scrape, scrape, seconds

FILE = Path(__file__).resolve().parents[2] / "deploy" / "alerts.yml"
#: Seconds between two looks, as deploy/prometheus.yml has it.
EVERY = 15.0


@dataclass(frozen=True)
class Alert:
    name: str
    query: Query
    lasting: float
    text: str
    rule: dict[str, Any]


def read() -> dict[str, Alert]:
    groups = yaml.safe_load(FILE.read_text(encoding="utf-8"))["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    return {
        rule["alert"]: Alert(rule["alert"], Query(rule["expr"]), seconds(rule.get("for", "0s")), rule["expr"], rule)
        for rule in rules
    }


ALERTS = read()


def fires(alert: Alert, scrapes: Sequence[Scrape]) -> bool:
    """At the last of the scrapes: has the condition been there at each look for as long as the rule says?"""
    last = scrapes[-1].at
    looks = [one.at for one in scrapes if one.at >= last - alert.lasting - 1e-6]
    held = last - looks[0] >= alert.lasting - 1e-6
    return held and all(alert.query(scrapes, at) for at in looks)


def firing(
    before: Sequence[str | None], after: str | None, seconds: float = 4000.0, only: str | None = None
) -> set[str]:
    """Names of those that fire if targets show `before`, one look each, and then `after` for so long."""
    scrapes = [scrape(number * EVERY, text) for number, text in enumerate(before)]
    begins, shown = len(before) * EVERY, scrape(0, after).samples
    scrapes += [Scrape(begins + number * EVERY, shown) for number in range(int(seconds / EVERY) + 1)]
    asked = ALERTS if only is None else {only: ALERTS[only]}
    return {name for name, one in asked.items() if _ever(one, scrapes, len(before))}


def _ever(alert: Alert, scrapes: Sequence[Scrape], first: int) -> bool:
    # Of a count that rose once the window passes on: it is asked while it is there.
    looks = {first, min(first + int(alert.lasting / EVERY) + 1, len(scrapes) - 1)}
    return any(fires(alert, scrapes[: look + 1]) for look in looks)
