"""The arithmetic of the bench: a wrong percentile or verdict would make every figure a wrong one."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from bench import generator, table
from bench.load import Load
from bench.numbers import best_window, grows, percentile, search
from bench.profile import normal, part_of
from bench.rows import make
from bench.table import Row, at_least, at_most, both, ratio


@pytest.mark.parametrize(
    ("values", "share", "wanted"),
    [
        ([], 0.5, 0.0),
        ([7.0], 0.99, 7.0),
        ([1.0, 2.0, 3.0, 4.0], 0.5, 2.0),
        ([float(n) for n in range(1, 101)], 0.99, 99.0),
    ],
)
def test_a_percentile_is_the_nearest_rank(values: list[float], share: float, wanted: float) -> None:
    assert percentile(values, share) == wanted


@pytest.mark.parametrize(("capacity", "estimate"), [(100.0, 100.0), (100.0, 60.0), (100.0, 190.0), (33.0, 40.0)])
def test_the_search_ends_between_what_holds_and_what_does_not(capacity: float, estimate: float) -> None:
    tried: list[float] = []

    def holds(rate: float) -> bool:
        tried.append(rate)
        return rate <= capacity

    found = search(estimate, holds, 8)
    assert found.held in tried
    assert found.held <= capacity < (found.failed or 0)
    assert found.held > 0.9 * capacity


def test_the_search_ends_where_nothing_holds_and_stops_at_the_first_that_does_after_its_steps() -> None:
    late: list[float] = []
    assert search(100.0, lambda rate: late.append(rate) is None and len(late) == 5, 3).held == late[-1]
    assert len(late) == 5
    tried: list[float] = []
    found = search(100.0, lambda rate: bool(tried.append(rate)), 3)
    assert len(tried) == 6
    assert (found.held, found.failed) == (0.0, tried[-1])


def test_a_queue_grows_only_when_it_goes_on_growing() -> None:
    times = [float(n) for n in range(40)]
    assert not grows(times, [30.0] * 40, 100.0)
    assert not grows(times, [min(n, 10) * 3.0 for n in range(40)], 100.0), "filling the pipe is no growth"
    assert grows(times, [n * 10.0 for n in range(40)], 100.0)
    assert not grows(times[:4], [0.0, 50.0, 100.0, 150.0], 100.0), "too little was seen"


def test_the_best_window_is_the_steepest_stretch() -> None:
    times = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]
    assert best_window(times, [0, 10, 60, 110, 120, 120], 2.0) == 50.0
    assert best_window(times[:1], [0], 2.0) == 0.0


def test_verdicts() -> None:
    assert (at_least(0.6, 0.6), at_least(0.59, 0.6)) == ("met", "missed")
    assert (at_most(10.0, 10.0), at_most(10.1, 10.0)) == ("met", "missed")
    assert both("met", "said") == "met"
    assert both("met", "missed", "said") == "missed"
    assert both("said") == "said"
    assert ratio(5.0, 0.0) == 0.0


def held(rate: float) -> dict[str, Any]:
    step = {"cpu": {"api": 1.0}, "commits": 4.0, "wal_kb": 9.0}
    return {"rate": rate, "failed": rate * 1.1, "at": step if rate else None}


def test_the_rows_compare_with_the_goals() -> None:
    raw = {"e2e": {"tollgate": held(300), "floor": held(400), "plain": held(100), "plain, tuned": held(200)}}
    found = {row.goal: (row.ratio, row.verdict) for row in make(raw)}
    assert found["at least 0.6 times"] == ("0.75", "met")
    assert found["at least 5 times"] == ("3.00", "missed")
    assert found["at least 1.5 times"] == ("1.50", "met")


def test_a_rate_that_was_never_held_meets_no_goal() -> None:
    assert [row.verdict for row in make({"e2e": {"tollgate": held(0), "floor": held(400)}})] == ["missed"]
    assert make({"e2e": {"tollgate": held(10), "floor": held(0)}})[0].verdict == "missed"


def test_a_section_is_replaced_and_others_stay(tmp_path: Path) -> None:
    machine = {"commit": "abc", "changed": False, "date": "today", "cpu": "a", "cores": 2, "memory_gb": 4}
    machine |= {"system": "Linux", "python": "3.11"}
    row = Row("a figure", "a goal", "1 | 2", "", "met")
    table.write("growth", [row], machine, {}, folder=tmp_path)
    table.write("bench", [row, row], machine, {"raw": 1}, "The end.", folder=tmp_path)
    table.write("bench", [row], machine, {"raw": 2}, "The end.", folder=tmp_path)
    kept = json.loads((tmp_path / "latest.json").read_text())
    assert {name: len(section["rows"]) for name, section in kept.items()} == {"growth": 1, "bench": 1}
    shown = (tmp_path / "latest.md").read_text()
    assert "## growth" in shown
    assert "1 \\| 2" in shown
    assert shown.endswith("The end.\n")


def test_statements_are_counted_without_their_values() -> None:
    first = normal("UPDATE jobs SET worker = 'it''s 1'  WHERE id = ANY(ARRAY['a'::uuid, 'b'::uuid]) LIMIT 5")
    assert first == normal("UPDATE jobs SET worker = 'b' WHERE id = ANY(ARRAY['c'::uuid]) LIMIT 50")
    assert first != normal("UPDATE jobs SET status = 'b' WHERE id = ANY(ARRAY['c'::uuid]) LIMIT 50")


def test_a_function_belongs_to_the_first_part_that_fits() -> None:
    assert part_of("core/persistence/vault.py", "seal") == "encryption"
    assert part_of("core/persistence/database.py", "scoped") == "core/persistence"
    assert part_of("", "<method 'execute' of 'psycopg2.extensions.cursor' objects>") == "psycopg2"
    assert part_of("selectors.py", "select") == "standard library and the rest"


class Slow(asyncio.Protocol):
    """Answers each request after 50 ms, one connection at a time not disturbing another."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        answer = b"HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\n\r\n{}"
        asyncio.get_running_loop().call_later(0.05, self.transport.write, answer)


async def _loaded(connections: int, rate: float, count: int) -> dict[str, Any]:
    server = await asyncio.get_running_loop().create_server(Slow, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    text = generator.request("POST", "/", {}, "{}")
    plan = {
        "host": "127.0.0.1",
        "port": port,
        "seconds": count / rate if rate else 5.0,
        "rate": rate,
        "final_rate": rate,
    }
    async with server:
        return await Load({**plan, "connections": connections, "requests": [text] * count, "repeat": False}).run()


def test_the_load_is_counted_from_when_a_request_was_due() -> None:
    """One connection answers 20 a second; at 200 a second the twentieth has waited for nineteen others."""
    report = asyncio.run(_loaded(1, 200.0, 20))
    assert report["statuses"] == {"202": 20}
    assert report["latencies"][-1] > 0.05 * 20 * 1000 - 20 / 200.0 * 1000 - 1
    assert report["most_waiting"] >= 10


def test_with_rate_0_each_connection_sends_as_soon_as_it_has_an_answer() -> None:
    report = asyncio.run(_loaded(4, 0.0, 12))
    assert report["statuses"] == {"202": 12}
    assert report["sent"] == 12
