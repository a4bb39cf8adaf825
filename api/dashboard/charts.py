"""Charts made on the server: plain shapes for an SVG, sized for a phone, with a table of the same figures beneath."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

#: Of the drawing, in its own units: a phone shows it at about its size, a desk larger.
WIDTH, HEIGHT = 400, 190
_LEFT, _RIGHT, _TOP, _BOTTOM = 58, 6, 10, 24
_LINES = 4
#: Labels under the bars, at most: more would overlap.
_LABELS = 4


@dataclass(frozen=True, slots=True)
class Point:
    """One value of a chart. `told` is what it says when pointed at; None is no value at all."""

    label: str
    value: float | None
    told: str


@dataclass(frozen=True, slots=True)
class Bar:
    x: float
    y: float
    width: float
    height: float
    told: str


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the grid with its label."""

    y: float
    label: str


@dataclass(frozen=True, slots=True)
class Mark:
    x: float
    label: str
    anchor: str


@dataclass(frozen=True, slots=True)
class Chart:
    """`path` joins the values of a line chart, broken where there is none; a bar chart has `bars` instead."""

    bars: tuple[Bar, ...]
    dots: tuple[Bar, ...]
    path: str
    lines: tuple[Line, ...]
    marks: tuple[Mark, ...]
    width: int = WIDTH
    height: int = HEIGHT
    left: int = _LEFT
    right: int = WIDTH - _RIGHT
    base: int = HEIGHT - _BOTTOM


def bars(points: Sequence[Point], label: Callable[[float], str]) -> Chart:
    """Values from 0 up, one bar each."""
    top = nice_top(max((point.value or 0 for point in points), default=0))
    step, width = _steps(len(points))
    found = tuple(
        Bar(round(_LEFT + index * step + (step - width) / 2, 1), _y(point.value or 0, top), round(width, 1),
            round(HEIGHT - _BOTTOM - _y(point.value or 0, top), 1), point.told)
        for index, point in enumerate(points)
    )  # fmt: skip
    return Chart(found, (), "", _grid(top, label), _marks(points, step))


def shares(points: Sequence[Point]) -> Chart:
    """Parts of one, as a line from 0 to 100 %."""
    step, _ = _steps(len(points))
    dots, path, joined = [], [], False
    for index, point in enumerate(points):
        if point.value is None:
            joined = False
            continue
        x, y = round(_LEFT + index * step + step / 2, 1), _y(point.value, 1.0)
        dots.append(Bar(x, y, 0, 0, point.told))
        path.append(f"{'L' if joined else 'M'}{x} {y}")
        joined = True
    return Chart((), tuple(dots), " ".join(path), _grid(1.0, lambda part: f"{part:.0%}"), _marks(points, step))


def nice_top(most: float) -> float:
    """The next of 1, 2, 4, 10, 20, 40 … at or above: its quarters are round."""
    if most <= 0:
        return 4.0
    size = 1.0
    while size * 10 < most:
        size *= 10
    return next(size * one for one in (1, 2, 4, 8, 10) if size * one >= most)


def _steps(count: int) -> tuple[float, float]:
    """(from bar to bar, width of one)"""
    step = (WIDTH - _LEFT - _RIGHT) / max(count, 1)
    return step, max(1.0, min(step * 0.7, 28.0))


def _y(value: float, top: float) -> float:
    room = HEIGHT - _TOP - _BOTTOM
    return round(_TOP + room * (1 - value / top), 1)


def _grid(top: float, label: Callable[[float], str]) -> tuple[Line, ...]:
    return tuple(Line(_y(top * part / _LINES, top), label(top * part / _LINES)) for part in range(_LINES + 1))


def _marks(points: Sequence[Point], step: float) -> tuple[Mark, ...]:
    every = max(1, -(-len(points) // _LABELS))
    found = []
    for index in range(0, len(points), every):
        x = _LEFT + index * step + step / 2
        anchor = "end" if x > WIDTH - 40 else "middle"
        found.append(Mark(round(min(x, WIDTH - _RIGHT), 1), points[index].label, anchor))
    return tuple(found)
