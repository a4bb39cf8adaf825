"""Charts stand where their values say, and their labels are money of the right size."""

from __future__ import annotations

import pytest

from api.dashboard import charts
from api.dashboard.charts import HEIGHT, Point
from api.dashboard.overview import short_money
from core.domain.durations import waits


def test_bars_and_shares_stand_where_their_values_say() -> None:
    points = [Point("1 Nov", 0, "nothing"), Point("2 Nov", 50, "half"), Point("3 Nov", 100, "all")]
    drawn = charts.bars(points, lambda value: f"{value:.0f}")
    heights = [bar.height for bar in drawn.bars]
    assert heights[0] == 0
    assert heights[2] == pytest.approx(2 * heights[1], abs=0.2)
    assert all(bar.y + bar.height == pytest.approx(drawn.base, abs=0.2) for bar in drawn.bars)
    assert [line.label for line in drawn.lines] == ["0", "25", "50", "75", "100"]
    assert [bar.told for bar in drawn.bars] == ["nothing", "half", "all"]


def test_a_day_without_a_decision_breaks_the_line() -> None:
    drawn = charts.shares([Point(str(day), value, "") for day, value in enumerate((1.0, None, 0.5, 0.0))])
    assert drawn.path.count("M") == 2
    assert drawn.path.count("L") == 1
    assert len(drawn.dots) == 3
    assert drawn.dots[0].y < drawn.dots[1].y < drawn.dots[2].y < HEIGHT


@pytest.mark.parametrize(("most", "top"), [(0, 4), (1, 1), (3, 4), (9, 10), (11, 20), (987_654, 1_000_000)])
def test_the_top_of_a_chart_is_round_and_above_all(most: int, top: int) -> None:
    assert charts.nice_top(most) == top


@pytest.mark.parametrize("count", [0, 1, 7, 90])
def test_any_number_of_days_stays_inside(count: int) -> None:
    drawn = charts.bars([Point(str(day), 5, "") for day in range(count)], str)
    assert all(drawn.left <= bar.x and bar.x + bar.width <= drawn.right + 0.2 for bar in drawn.bars)
    assert len(drawn.marks) <= 4


SHORT = [
    (0, "USD", "$0"),
    (125_000, "USD", "$1.2K"),
    (50, "USD", "$0.5"),
    (400_000, "JPY", "¥400K"),
    (1_500, "KWD", "KWD1.5"),
]
WAITS = [(0, "0 s"), (-3, "0 s"), (65, "1 min 5 s"), (7500, "2 h 5 min"), (90000, "1 d 1 h")]


@pytest.mark.parametrize(("amount", "currency", "said"), SHORT)
def test_money_beside_a_chart_is_short(amount: int, currency: str, said: str) -> None:
    assert short_money(amount, currency).replace("\u00a0", "") == said


@pytest.mark.parametrize(("seconds", "said"), WAITS)
def test_how_long_a_job_waits(seconds: float, said: str) -> None:
    assert waits(seconds) == said
