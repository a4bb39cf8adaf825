"""Each alert fires when what it is about happens, is silent before, names what is exported, and has its entry."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from api.app import build_app
from core.orchestration import figures
from tests.monitoring.conditions import CONDITIONS, Ground
from tests.support.alerts import ALERTS, firing
from tests.support.bench import Bench
from tests.support.promql import Query, scrape
from tests.support.world import World
from workers import counts

ROOT = Path(__file__).resolve().parents[2]
_NAME = re.compile(r"\btollgate_\w+")


@pytest.fixture(scope="module")
def bench(world: World) -> Iterator[Bench]:
    made = Bench(world.urls)
    yield made
    made.close()


@pytest.fixture
def ground(world: World, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ground]:
    monkeypatch.setattr(figures, "BELIEVED", 0.0)
    counts.begin()
    made = Ground(world, bench, build_app(world.api).test_client(), monkeypatch)
    yield made
    made.clear_jobs()
    made.sql("DELETE FROM schedule_runs")


def test_every_alert_has_its_condition() -> None:
    assert set(CONDITIONS) == set(ALERTS)


@pytest.mark.parametrize("name", list(ALERTS))
def test_it_fires_when_it_happens_and_not_before(name: str, ground: Ground) -> None:
    before = ground.shown()
    assert firing([before], before, only=name) == set()
    after = CONDITIONS[name](ground)
    assert firing([before, before], after, only=name) == {name}


def test_nothing_fires_over_a_service_that_is_well(ground: Ground) -> None:
    ground.world.pay()
    shown = ground.shown()
    assert firing([shown], shown) == set()


@pytest.mark.parametrize("name", list(ALERTS))
def test_it_asks_for_what_a_running_service_exports(name: str, ground: Ground) -> None:
    """By the table of the documents, which another test compares with what is shown."""
    told = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    exported = set(re.findall(r"^\| `(tollgate_\w+)` \|", told, flags=re.M))
    assert set(_NAME.findall(ALERTS[name].text)) <= exported


def test_every_alert_has_its_entry_in_the_runbook_and_no_other() -> None:
    text = (ROOT / "docs" / "runbook.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^### `(Tollgate\w+)`$", text, flags=re.M)) == set(ALERTS)
    for name, alert in ALERTS.items():
        assert alert.rule["annotations"]["runbook"] == f"docs/runbook.md#{name.lower()}"
        assert alert.rule["labels"]["severity"] in ("page", "work")
        assert alert.rule["annotations"]["summary"]


TEXT = 'a_total{x="1"} 3\na_total{x="2"} 5\nb 2\n'


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("b", [2]),
        ("b > 1", [2]),
        ("b > 2", []),
        ('a_total{x="1"}', [3]),
        ('a_total{x!="1"}', [5]),
        ('a_total{x=~"1|2"} > 4', [5]),
        ("max(a_total) - min(a_total)", [2]),
        ("sum by (x) (a_total) > 2 * max by (x) (a_total)", []),
        ("sum(a_total) / 2 == 4", [4]),
        ("max(b) unless max(a_total)", []),
        ("max(b) and max(a_total) > 4", [2]),
        ("absent(c)", [1]),
        ("absent(b)", []),
        ("absent(up == 1)", []),
        ("abs(b - 5)", [3]),
        ('sum(increase(a_total{x="1"}[5m]))', [3]),
    ],
)
def test_the_language_is_read_as_prometheus_reads_it(query: str, found: list[float]) -> None:
    before = TEXT.replace('x="1"} 3', 'x="1"} 0')
    scrapes = [scrape(0, before), scrape(15, TEXT)]
    assert list(Query(query)(scrapes, 15).values()) == found


def test_a_count_that_begins_anew_has_not_fallen() -> None:
    shown = [scrape(at * 15.0, f"a_total {value}\n") for at, value in enumerate((5, 8, 1, 2))]
    assert list(Query("sum(increase(a_total[5m]))")(shown, 45).values()) == [5]
    assert list(Query("sum(increase(a_total[20s]))")(shown, 45).values()) == [1]


@pytest.mark.parametrize("wrong", ["max(", "a >", "a ~ b", "a b", "rate a"])
def test_what_it_does_not_know_is_an_error(wrong: str) -> None:
    with pytest.raises((ValueError, IndexError)):
        Query(wrong)
