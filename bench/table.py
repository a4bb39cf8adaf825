"""Rows of the result: what was wanted, what was measured, whether it is met; written as JSON and Markdown."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

Verdict = Literal["met", "missed", "said"]

RESULTS = Path(__file__).resolve().parent / "results"


@dataclass(frozen=True)
class Row:
    """One line. `verdict` "said" is of a row without a goal of its own."""

    figure: str
    goal: str
    measured: str
    ratio: str
    verdict: Verdict
    note: str = ""


def at_least(value: float, goal: float) -> Verdict:
    return "met" if value >= goal else "missed"


def at_most(value: float, goal: float) -> Verdict:
    return "met" if value <= goal else "missed"


def both(*verdicts: Verdict) -> Verdict:
    """Missed if one is missed; met if all that have a goal are met."""
    if "missed" in verdicts:
        return "missed"
    return "met" if "met" in verdicts else "said"


def ratio(value: float, other: float) -> float:
    """0.0 where there is nothing to compare with: a goal is then missed, never met by accident."""
    return value / other if other else 0.0


def markdown(sections: Mapping[str, Any]) -> str:
    """The file for people; `sections` as `write` keeps them."""
    lines = ["# What was measured", "", "What each row means and how it is counted: [README.md](../README.md)."]
    for name, section in sections.items():
        machine = section["machine"]
        lines += [
            "",
            f"## {name}",
            "",
            f"Commit {machine['commit']}{' with changes' if machine['changed'] else ''}, {machine['date']}. "
            f"{machine['cores']} cores of {machine['cpu']}, {machine['memory_gb']} GB, {machine['system']}, "
            f"Python {machine['python']}; everything on this one machine.",
        ]
        if section["rows"]:
            lines += [
                "",
                "| figure | goal | measured | ratio | verdict | note |",
                "| --- | --- | --- | --- | --- | --- |",
            ]
        for row in section["rows"]:
            cells = (row[key] for key in ("figure", "goal", "measured", "ratio", "verdict", "note"))
            lines.append("| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |")
        if section.get("text"):
            lines += ["", section["text"].rstrip()]
    return "\n".join(lines) + "\n"


def write(
    name: str,
    rows: Sequence[Row],
    machine: Mapping[str, Any],
    raw: Mapping[str, Any],
    text: str = "",
    folder: Path = RESULTS,
) -> None:
    """Puts a section of this name into `latest.json` and makes `latest.md` anew; other sections stay.

    `machine` as `bench.machine.describe` gives it; `text` is Markdown that follows the table.
    """
    folder.mkdir(exist_ok=True)
    target = folder / "latest.json"
    sections = json.loads(target.read_text(encoding="utf-8")) if target.exists() else {}
    shown = [asdict(row) for row in rows]
    sections[name] = {"machine": dict(machine), "rows": shown, "raw": dict(raw), "text": text}
    target.write_text(json.dumps(sections, indent=1, default=str) + "\n", encoding="utf-8")
    (folder / "latest.md").write_text(markdown(sections), encoding="utf-8")
