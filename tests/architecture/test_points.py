"""The points where a process may die: the table and the places agree, and nothing in the product sets the hook."""

from __future__ import annotations

import re
from pathlib import Path

from core import points

ROOT = Path(__file__).parents[2]
SOURCES = [file for room in ("api", "core", "workers", "cli") for file in (ROOT / room).rglob("*.py")]


def test_every_point_is_reached_somewhere_and_no_other() -> None:
    named = set()
    for file in SOURCES:
        text = file.read_text()
        if file == ROOT / "core/points.py":
            text = text[text.index("class Commit") :]
        named |= set(re.findall(r'"((?:accept|call|inbox|delivery|job|seal)\.[a-z]+)"', text))
    # Kinds of entries on a payment's timeline and in the audit log.
    named -= {f"job.{step}" for step in ("waiting", "review", "ended", "requeued", "resolved", "canceled")}
    named -= {"inbox.replayed"}
    # Pages of the dashboard.
    named -= {"job.html", "inbox.html"}
    assert named == set(points.POINTS)


def test_nothing_of_the_product_sets_the_hook() -> None:
    setting = [file for file in SOURCES if re.search(r"\bpoints\.hook|\bpoints import .*\bhook\b", file.read_text())]
    assert setting == []


def test_without_a_hook_nothing_happens() -> None:
    assert points.hook is None
    points.reached("job.claimed", "create_payment")
