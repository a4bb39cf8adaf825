"""The parts of the growth bench that need no server: what it fills in, what it counts, how it judges."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bench.growth import report, rows, shape
from bench.growth.meter import Cost, summary, trimmed
from bench.growth.report import Figure, Report, Size
from bench.growth.shape import Span
from core.persistence.tables import metadata

UNTIL = datetime(2026, 3, 31, 15, tzinfo=UTC)


def cost(cpu: float, wall: float = 2.0, error: str | None = None) -> Cost:
    return Cost(100, cpu / 2, cpu / 2, wall, wall, error)


def figure(name: str, goal: str | None, *ratios: float) -> Figure:
    pairs = {10 * (place + 1): (cost(1.0), cost(ratio)) for place, ratio in enumerate(ratios)}
    return Figure(name, goal, pairs)


def a_report(*figures: Figure) -> Report:
    tables = {"payments": {"table_bytes": 1_500_000_000, "index_bytes": 500_000_000, "rows": 20}}
    size = Size(20, tables, 1.0, 2.0, [("payments_status", 1_000_000)])
    return Report({"date": "2026-01-01", "commit": "abc", "machine": "2 cores"}, [size], list(figures), 10)


def test_months_hold_every_payment_once_and_in_its_own_month() -> None:
    span = Span(10_007, UNTIL)
    months = span.months()
    assert months[0].first == 1
    assert months[-1].last == 10_007
    assert [one.first for one in months[1:]] == [one.last + 1 for one in months[:-1]]
    assert len(months) == shape.MONTHS + 1
    for month in months:
        assert month.begins <= span.at(month.first) <= span.at(month.last) < month.ends


def test_ids_are_of_version_7_and_carry_the_time_of_their_row() -> None:
    span = Span(1000, UNTIL)
    made = span.id_of("payment", 17, 20)
    assert made.version == 7
    assert made.variant == "specified in RFC 4122"
    assert made.int >> 80 == int(span.at(17).timestamp() * 1000) + 20
    assert made != span.id_of("payment", 18, 20) != span.id_of("charge", 18, 20)


def test_one_merchant_has_half_and_one_stops_half_way() -> None:
    owners = Counter(shape.owner_of(number, 100_000) for number in range(1, 100_001))
    assert owners[shape.LARGE] == 50_000
    assert owners[shape.SMALL] == 1000
    assert owners[shape.QUIET] == 4900 / 2
    assert all(shape.owner_of(number, 100_000) != shape.QUIET for number in range(50_001, 100_001))


def test_nearly_all_payments_are_finished() -> None:
    statuses = Counter(shape.status_of(number) for number in range(1, shape.STATUS_SLOTS + 1))
    assert statuses == shape.STATUSES


def test_each_payment_leaves_the_rows_that_are_said() -> None:
    counted: Counter[str] = Counter()
    for filling in rows.FILLINGS:
        for row in filling.rows:
            every = int(row.where.removeprefix("n % ").removesuffix(" = 0")) if row.where != "true" else 1
            counted[filling.table] += 1000 // every
    assert counted == shape.rows_expected(1000)
    assert counted["audit_log"] == 4000
    assert counted["events"] == counted["bodies"] == 2000


@pytest.mark.parametrize("filling", rows.FILLINGS, ids=lambda filling: filling.table)
def test_rows_are_made_for_columns_that_the_tables_have(filling: rows.Filling) -> None:
    columns = metadata.tables[filling.table].columns
    assert set(filling.names) <= set(columns.keys())
    query = filling.query(["text"] * len(filling.names), _Any())
    assert query.count("SELECT") > len(filling.rows)
    assert "{{" not in query


class _Any(dict[str, object]):
    """Stands for whatever a stretch of payments names."""

    def __missing__(self, name: str) -> object:
        return 2


def test_a_trimmed_mean_forgets_the_interrupted_call() -> None:
    assert trimmed([1.0] * 39 + [100.0]) == 1.0
    assert summary([0.001] * 40, [0.002] * 40, [0.004] * 39 + [1.0]).cpu == pytest.approx(3.0)
    assert summary([], [], []).error is not None


def test_the_goal_is_judged_at_the_largest_size_and_by_processor_time() -> None:
    assert figure("grows early, not late", "accept", 1.5, 1.3).met
    assert not figure("grows", "accept", 1.0, 1.31).met
    slow_clock = Figure("waits", "accept", {10: (cost(1.0, wall=1.0), cost(1.0, wall=9.0))})
    assert slow_clock.met
    assert slow_clock.ratio("wall") == 9.0


def test_a_call_that_failed_has_not_met_its_goal() -> None:
    failed = Figure("fails", "timeline", {10: (cost(1.0), cost(1.0, error="QueryCanceled"))})
    assert not failed.met
    assert "fails failed: QueryCanceled" in a_report(failed).as_markdown()


def test_only_the_rows_of_the_goal_decide(tmp_path: Path) -> None:
    beside = figure("admin", None, 1.0, 40.0)
    beside.plans.append("Seq Scan on jobs")
    made = a_report(figure("accept", "accept", 1.0, 1.1), beside)
    assert made.missed == []
    figures, table = report.write(made, tmp_path)
    told = json.loads(figures.read_text())
    assert told["goal"]["met"] is True
    assert told["sizes"][0]["gigabytes"] == 2.0
    text = table.read_text()
    assert "**Met.**" in text
    assert "Seq Scan on jobs" in text
    assert "payments_status (1 MB)" in text
    assert a_report(figure("accept", "accept", 1.0, 1.6)).as_json()["goal"]["missed"] == ["accept"]
