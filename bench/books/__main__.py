"""Run: `.venv/bin/python -m bench.books` (or `make bench-books`)."""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from bench.books.fill import DAYS, Shop
from bench.growth import provider, shape
from bench.growth.ground import Ground
from bench.growth.server import Server
from bench.growth.shape import Span
from core.domain.identifiers import new_id
from core.observability import configure_logging
from core.orchestration.context import Core
from core.persistence.database import Scope
from core.persistence.tables import reconciliation_runs
from core.reconciliation import statements
from core.reconciliation.statements import Reading
from core.reports import reading, rollup
from core.reports.reading import Window

RESULTS = Path(__file__).resolve().parent.parent / "results"
#: What the issue asks: lines a second on one core, seconds of a report.
LEAST_LINES, LONGEST_REPORT = 5_000, 1.0


def say(text: str) -> None:
    print(f"{datetime.now(UTC):%H:%M:%S} {text}", flush=True)


def cpu(name: str = "postgres") -> float:
    """Seconds of this process and of every process of that name, ended ones included."""
    ticks = os.sysconf("SC_CLK_TCK")
    total = time.process_time()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            text = (folder / "stat").read_text()
        except OSError:
            continue
        if text[text.index("(") + 1 : text.rindex(")")] == name:
            fields = text[text.rindex(")") + 2 :].split()
            total += sum(int(fields[place]) for place in (11, 12)) / ticks
            total += sum(int(fields[place]) for place in (13, 14)) / ticks if fields[1] == str(os.getpid()) else 0.0
    return total


def peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def statement(core: Core, shop: Shop, scope: Scope, count: int) -> dict[str, Any]:
    """A statement of so many lines, from a generator: no provider is asked."""
    run_id, until = new_id(), datetime.now(UTC)
    with core.database.scoped(scope) as connection:
        connection.execute(
            reconciliation_runs.insert().values(
                id=run_id, merchant_id=scope.merchant_id, mode=scope.mode, provider_account_id=shop.account,
                kind="statement", status="succeeded", window_from=until - timedelta(days=DAYS), window_until=until,
                started_by="bench", progress={}, counts={}, sums={}, findings=0,
            )
        )  # fmt: skip
    before, began, busy = peak_mib(), time.monotonic(), cpu()
    about = Reading(scope, shop.account, run_id, until - timedelta(days=DAYS))
    found = statements.book(core, about, shop.lines(count))
    seconds, busy = time.monotonic() - began, cpu() - busy
    return {
        "lines": count,
        "matched": found.counts["matched"],
        "foreign": found.counts["foreign"],
        "seconds": round(seconds, 1),
        "lines_a_second": round(count / seconds),
        "lines_a_core_second": round(count / busy),
        "microseconds_a_line": round(busy / count * 1e6),
        "peak_mib_before": round(before),
        "peak_mib_after": round(peak_mib()),
    }


def reports(core: Core, scope: Scope) -> Iterator[dict[str, Any]]:
    """Each as a person would ask for it: cold plans, warm pages; the best and the worst of five."""
    today = datetime.now(UTC).date()
    whole, month = Window(today - timedelta(days=DAYS + 1), today), Window(today - timedelta(days=30), today)
    asked: dict[str, Callable[[], Any]] = {
        "whole, by currency": lambda: reading.payments(core, scope, whole, ()),
        "whole, by provider and day": lambda: reading.payments(core, scope, whole, ("provider", "day")),
        "whole, by account and route": lambda: reading.payments(core, scope, whole, ("account", "route")),
        "a month, by day, provider and route": lambda: reading.payments(
            core, scope, month, ("day", "provider", "route")
        ),
        "settlements": lambda: reading.settlements(core, scope, whole),
    }
    for name, ask in asked.items():
        took = []
        for _ in range(5):
            began = time.monotonic()
            ask()
            took.append(time.monotonic() - began)
        yield {"report": name, "best_ms": round(min(took) * 1000, 1), "worst_ms": round(max(took) * 1000, 1)}


def changed_days(core: Core, scope: Scope, days: int, when: str = "") -> dict[str, Any]:
    """The same while so many days have changed and are counted live. `when` is put behind its name."""
    today = datetime.now(UTC).date()
    with core.database.scoped(scope) as connection:
        connection.exec_driver_sql(
            "UPDATE report_days SET changed_at = app_now() WHERE day > %s", (today - timedelta(days=days + 1),)
        )
    began = time.monotonic()
    reading.payments(core, scope, Window(today - timedelta(days=DAYS + 1), today), ("day",))
    return {
        "report": f"whole, by day, {days} days changed{when}",
        "worst_ms": round((time.monotonic() - began) * 1000, 1),
    }


def roll_up(core: Core) -> dict[str, Any]:
    began, days = time.monotonic(), 0
    while counted := rollup.roll_up(core):
        days += counted
    seconds = time.monotonic() - began
    return {"days": days, "seconds": round(seconds, 1), "seconds_a_day": round(seconds / max(1, days), 3)}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.books", description="Statements and reports at size.")
    parser.add_argument("--payments", type=int, default=1_000_000)
    parser.add_argument("--lines", default="10000,100000,1000000", help="sizes of statements, separated by commas")
    parser.add_argument("--directory", type=Path, default=Path(".tollgate") / "bench-books")
    asked = parser.parse_args()
    configure_logging("ERROR", "bench")
    provider.install()  # an account is made without a network; nothing is charged
    server, ground = Server(asked.directory.resolve()), Ground("books", Span(1000, shape.whole_hour()))
    found: dict[str, Any] = {
        "date": datetime.now(UTC).date().isoformat(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
    }
    try:
        with server.running(hasty=True) as postgres:
            ground.make(postgres)
            owner = next(iter(ground.owners.values()))
            shop = Shop(owner.merchant_id, owner.account_id, asked.payments)
            say(f"{asked.payments:,} payments: filling")
            with closing(ground.connect(postgres)) as connection:
                shop.fill(connection)
        with server.running(hasty=False) as postgres, ground.cores(ground.urls(postgres), "bench") as (_, worker, _):
            found["payments"], found["statements"], found["reports"] = asked.payments, [], []
            scope = Scope(shop.merchant, "test")
            found["roll_up"] = roll_up(worker)
            say(f"roll-up: {found['roll_up']}")
            for one in reports(worker, scope):
                found["reports"].append(one)
                say(str(one))
            for days in (1, 3, 7):
                found["reports"].append(changed_days(worker, scope, days))
                say(str(found["reports"][-1]))
            for count in (int(one) for one in asked.lines.split(",")):
                found["statements"].append(statement(worker, shop, scope, count))
                say(str(found["statements"][-1]))
            say(f"roll-up with statements: {roll_up(worker)}")
            found["reports"].append(changed_days(worker, scope, 1, ", with statements"))
            say(str(found["reports"][-1]))
    finally:
        server.remove()
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "books.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    say(f"asked for: {LEAST_LINES} lines a core-second, reports under {LONGEST_REPORT} s")


if __name__ == "__main__":
    main()
