"""What a chaos run prints as it goes, keeps as JSON, and ends with."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

Verdict = Literal["ok", "FAILED", "not built yet"]

HEADINGS = ("case", "faults", "jobs", "recovered in", "verdict")
NAME_WIDTH = 58


@dataclass(frozen=True)
class Options:
    """`scratch` is a folder of the run's own; `only` keeps the rows whose name holds it."""

    seed: int
    scratch: Path
    short: bool = False
    json: Path | None = None
    only: str | None = None


@dataclass(frozen=True)
class Row:
    """`recovered`: seconds until what the fault hit was worked on again, None where nothing had to recover.

    `took`: seconds from the row before it, starts of a service among them; set by the report.
    """

    name: str
    faults: int
    jobs: int
    recovered: float | None
    verdict: Verdict
    note: str = ""
    took: float = 0.0


@dataclass
class Report:
    """The rows of one part; printed as they are added. `summary` holds figures that are no row's."""

    part: str
    seed: int
    rows: list[Row] = field(default_factory=list)
    summary: dict[str, Any] = field(default_factory=dict)
    begun: float = field(default_factory=time.monotonic)
    # Of a run of several parts all are written at its end: each says how long it took itself.
    ended: float | None = None

    def __post_init__(self) -> None:
        say(f"{self.part} (SEED={self.seed})")
        say(_line(*HEADINGS))

    def add(self, row: Row) -> None:
        before = sum(one.took for one in self.rows)
        self.rows.append(replace(row, took=round(time.monotonic() - self.begun - before, 1)))
        recovered = "" if row.recovered is None else f"{row.recovered:.1f} s"
        say(_line(row.name, str(row.faults), str(row.jobs), recovered, row.verdict))
        if row.note:
            say("".join(f"    {line}\n" for line in row.note.splitlines()).rstrip("\n"))

    @property
    def failed(self) -> bool:
        """Did any row fail, or was nothing run at all?"""
        return any(row.verdict == "FAILED" for row in self.rows) or all(row.verdict != "ok" for row in self.rows)

    def figures(self) -> dict[str, Any]:
        verdicts = {one: sum(row.verdict == one for row in self.rows) for one in ("ok", "FAILED", "not built yet")}
        recovered = [row.recovered for row in self.rows if row.recovered is not None]
        return {
            "part": self.part,
            "seed": self.seed,
            "seconds": round((self.ended or time.monotonic()) - self.begun, 1),
            "faults": sum(row.faults for row in self.rows),
            "jobs": sum(row.jobs for row in self.rows),
            "longest_recovery": round(max(recovered), 2) if recovered else None,
            "verdicts": verdicts,
            **self.summary,
        }

    def close(self) -> None:
        """Prints the figures that sum the part up."""
        self.ended = time.monotonic()
        for name, value in self.figures().items():
            if name not in ("part", "seed"):
                say(f"  {name}: {_shown(value)}")
        say(f"{self.part}: {'FAILED' if self.failed else 'ok'} (SEED={self.seed})\n")


def written(reports: list[Report], file: Path) -> None:
    """All parts of a run as JSON."""
    body = [{**one.figures(), "rows": [asdict(row) for row in one.rows]} for one in reports]
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(body, indent=1, default=str) + "\n", encoding="utf-8")


def chosen_seed(given: int | None) -> int:
    return random.SystemRandom().randrange(1, 1_000_000) if given is None else given


def say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - the table is what the command is for


def _line(name: str, *cells: str) -> str:
    return f"{name:<{NAME_WIDTH}} " + " ".join(f"{cell:>12}" for cell in cells)


def _shown(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_shown(one)}" for name, one in value.items()) or "none"
    return str(value)
