"""The schedule inside a worker: by beat's word, by itself when beat is silent, never twice at once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from tests.support.bench import Bench
from tests.support.databases import Urls
from tests.support.waiting import wait_until
from workers import ticks
from workers.schedule import SCHEDULE
from workers.ticks import Ticks


@pytest.fixture
def bench(database: Urls) -> Iterator[Bench]:
    made = Bench(database)
    yield made
    made.close()


def furthest(bench: Bench) -> str:
    query = "SELECT max(relname) AS name FROM pg_class WHERE relname LIKE 'events_20%' AND relkind = 'r'"
    return str(bench.sql(query)[0]["name"])


@pytest.mark.parametrize("name", list(SCHEDULE))
def test_every_entry_runs_with_a_workers_rights(bench: Bench, name: str) -> None:
    assert Ticks(bench.engine).run(name) is True


def test_two_workers_never_run_an_entry_at_the_same_time(bench: Bench) -> None:
    ours = Ticks(bench.engine)
    with bench.owner.begin() as another:
        another.execute(
            sa.text("SELECT pg_advisory_xact_lock(hashtextextended('tollgate.schedule.' || :name, 0))"),
            {"name": "sweep"},
        )
        assert ours.run("sweep") is False
        assert ours.run("deliver_events") is True
    assert ours.run("sweep") is True


def test_beats_word_runs_an_entry(bench: Bench) -> None:
    name = furthest(bench)
    bench.sql(f"DROP TABLE {name}")
    assert Ticks(bench.engine).run_soon("ensure_partitions") is True
    wait_until(lambda: furthest(bench) == name, "the partition to be made again")


def test_a_silent_beat_is_stood_in_for(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    name = furthest(bench)
    bench.sql(f"DROP TABLE {name}")
    monkeypatch.setattr(ticks, "SILENCE", 0.0)
    standing_in = Ticks(bench.engine)
    standing_in.start()
    wait_until(lambda: furthest(bench) == name, "the partition to be made again")
    standing_in.stop()


def test_a_full_lane_puts_an_entry_off(bench: Bench) -> None:
    lane = bench.engine.lanes["maintenance"]
    taken = lane.reserve(lane.places)
    assert Ticks(bench.engine).run_soon("sweep") is False
    lane.give_back(taken)
    assert Ticks(bench.engine).run_soon("sweep") is True
