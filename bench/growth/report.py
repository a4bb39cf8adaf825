"""The figures as JSON and as a table, and whether the goal is met."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bench import machine, table, why
from bench.growth.meter import Cost
from bench.table import Row, Verdict

#: Cost at the largest size over cost at the smallest, at most.
GOAL = 1.3
GOAL_TEXT = "accept, claim, poll, list page, timeline, sweep: cost at the largest size at most 1.3 times the smallest"


@dataclass
class Figure:
    """One road: by size, its cost there and the cost at the smallest size measured in turn with it."""

    name: str
    goal: str | None
    pairs: dict[int, tuple[Cost, Cost]] = field(default_factory=dict)
    trips: int = 0
    statements: int = 0
    plans: list[str] = field(default_factory=list)

    def ratio(self, of: str, size: int | None = None) -> float | None:
        """`of` is "cpu" or "wall"; None when something was not measured."""
        small, large = self.pairs[size or max(self.pairs)]
        if small.error or large.error or not getattr(small, of):
            return None
        return float(getattr(large, of) / getattr(small, of))

    @property
    def met(self) -> bool:
        ratio = self.ratio("cpu")
        return ratio is not None and ratio <= GOAL

    @property
    def failed(self) -> str | None:
        return next((cost.error for pair in self.pairs.values() for cost in pair if cost.error), None)


@dataclass
class Size:
    """What stood in the tables of one size, and how long it took to fill and to measure them."""

    payments: int
    tables: Mapping[str, Mapping[str, int]]
    fill_seconds: float
    measure_seconds: float = 0.0
    unread: Sequence[tuple[str, int]] = ()

    @property
    def gigabytes(self) -> float:
        return sum(one["table_bytes"] + one["index_bytes"] for one in self.tables.values()) / 1e9


@dataclass
class Report:
    run: Mapping[str, Any]
    sizes: list[Size]
    figures: list[Figure]
    smallest: int
    seconds: float = 0.0

    @property
    def missed(self) -> list[Figure]:
        return [one for one in self.figures if one.goal and not one.met]

    def as_json(self) -> dict[str, Any]:
        return {
            "run": {**self.run, "seconds": round(self.seconds)},
            "goal": {"text": GOAL_TEXT, "ratio": GOAL, "met": not self.missed, "missed": [m.name for m in self.missed]},
            "smallest": self.smallest,
            "sizes": [{**asdict(one), "gigabytes": round(one.gigabytes, 2)} for one in self.sizes],
            "figures": [_figure(one) for one in self.figures],
        }

    def as_markdown(self) -> str:
        lines = [*_head(self), *_table(self.figures, self.smallest), "", *_beneath(self)]
        return "\n".join(lines) + "\n"


def _figure(figure: Figure) -> dict[str, Any]:
    return {
        "name": figure.name,
        "goal": figure.goal,
        "trips": figure.trips,
        "statements": figure.statements,
        "cpu_ratio": figure.ratio("cpu"),
        "wall_ratio": figure.ratio("wall"),
        "met": figure.met,
        "costs": {str(size): {"smallest": asdict(a), "here": asdict(b)} for size, (a, b) in figure.pairs.items()},
        "plans": figure.plans,
    }


def short(payments: int) -> str:
    """E.g. 10k, 5M."""
    for unit, letter in ((1_000_000, "M"), (1000, "k")):
        if payments >= unit:
            return f"{payments / unit:g}{letter}"
    return str(payments)


def _head(report: Report) -> list[str]:
    run = report.run
    verdict = "Met." if not report.missed else f"Missed by: {', '.join(one.name for one in report.missed)}."
    return [
        "# Growth: what a call costs as the tables fill",
        "",
        f"{run['date']}, commit {run['commit']}, {run['machine']}; {report.seconds / 60:.0f} minutes in all.",
        "",
        f"Goal: {GOAL_TEXT}. **{verdict}**",
        "",
        "Cost is the processor time of a call in this process and in its Postgres backends (mean without the top and",
        "bottom 5 %). The time by the clock (median) stands beside it: it holds the commit's wait for the disk, and",
        "other work on the machine disturbs it more. Each size is measured in turn with the smallest.",
        "",
    ]


def _table(figures: Sequence[Figure], smallest: int) -> list[str]:
    sizes = sorted({size for one in figures for size in one.pairs})
    titles = ["call", "trips", "statements"]
    for unit in ("CPU", "clock"):
        titles.append(f"{unit} ms {short(smallest)}")
        for size in sizes:
            titles += [f"{unit} ms {short(size)}", "ratio"]
    lines = [f"| {' | '.join([*titles, 'goal'])} |", "| --- |" + " ---: |" * (len(titles) - 1) + " --- |"]
    return lines + [_line(one, sizes) for one in figures]


def _line(figure: Figure, sizes: Sequence[int]) -> str:
    cells = [figure.name, str(figure.trips), str(figure.statements)]
    for of in ("cpu", "wall"):
        small, _ = figure.pairs[max(figure.pairs)]
        cells.append(_number(small, of))
        for size in sizes:
            ratio = figure.ratio(of, size)
            cells += [_number(figure.pairs[size][1], of), "–" if ratio is None else f"{ratio:.2f}"]
    verdict = "met" if figure.met else "**missed**"
    cells.append(verdict if figure.goal else f"beside it, {verdict}")
    return f"| {' | '.join(cells)} |"


def _number(cost: Cost, of: str) -> str:
    return "failed" if cost.error else f"{getattr(cost, of):.2f}"


def _beneath(report: Report) -> list[str]:
    lines = ["| payments | rows | tables and indexes | filled in | measured in |", "| ---: |" + " ---: |" * 4]
    for size in report.sizes:
        count = sum(one["rows"] for one in size.tables.values())
        cells = [f"{size.payments:,}", f"{count:,}", f"{size.gigabytes:.2f} GB"]
        lines.append(f"| {' | '.join(cells)} | {size.fill_seconds:.0f} s | {size.measure_seconds:.0f} s |")
    unread = report.sizes[-1].unread
    names = ", ".join(f"{name} ({size / 1e6:.0f} MB)" for name, size in unread)
    lines += ["", f"Indexes nothing has read in this run (unique ones guard all the same): {names or 'none'}."]
    for figure in report.figures:
        if figure.failed:
            lines += ["", f"{figure.name} failed: {figure.failed}"]
        if figure.plans:
            lines += ["", f"## Above {GOAL}: {figure.name}", "", "```", "\n\n".join(figure.plans), "```"]
    return lines


def rows_of(found: Mapping[str, Any]) -> list[Row]:
    """The figures that have a goal, as rows of the common table; `found` is what `as_json` gives."""
    largest = short(max(int(size) for one in found["figures"] for size in one["costs"]))
    rows = []
    for one in found["figures"]:
        if one["goal"]:
            costs = one["costs"][max(one["costs"], key=int)]
            here, least = (costs[size]["own_cpu"] + costs[size]["backend_cpu"] for size in ("here", "smallest"))
            text = f"{here:.2f} ms CPU at {largest}, {least:.2f} ms at the smallest"
            verdict: Verdict = "met" if one["met"] else "missed"
            share = "failed" if one["cpu_ratio"] is None else f"{one['cpu_ratio']:.2f}"
            rows.append(Row(f"growth: {one['name']}", f"at most {GOAL}", text, share, verdict))
    return rows


def write(report: Report, directory: Path) -> list[Path]:
    directory.mkdir(parents=True, exist_ok=True)
    rows = rows_of(report.as_json())
    raw = {"sizes": [size.payments for size in report.sizes], "seconds": round(report.seconds)}
    table.write("growth", rows, machine.describe(), raw, why.text(rows), directory)
    told = directory / "growth.json", directory / "growth.md"
    told[0].write_text(json.dumps(report.as_json(), indent=1) + "\n", encoding="utf-8")
    told[1].write_text(report.as_markdown(), encoding="utf-8")
    return list(told)
