"""The table of crash points and operations leaves no point, no kind of job and no operation out."""

from __future__ import annotations

from core.audit.sealing import KIND
from core.orchestration.jobs import LANES
from core.points import POINTS
from tests.chaos.crash import MOST_DEATHS, every_pair, waves
from tests.chaos.crossing import OPERATIONS


def test_every_point_and_every_kind_of_job_has_a_row() -> None:
    assert {point for one in OPERATIONS for point in one.points} == set(POINTS)
    assert {one.kind for one in OPERATIONS} == {*LANES, KIND}


def test_names_are_told_apart_and_points_are_in_the_order_of_their_road() -> None:
    names = [one.name for one in every_pair()]
    assert len(set(names)) == len(names)
    order = list(POINTS)
    for one in OPERATIONS:
        assert [order.index(point) for point in one.points] == sorted(order.index(point) for point in one.points)


def test_every_pair_dies_once_and_no_two_of_a_kind_in_one_wave() -> None:
    pairs = every_pair()
    dying = list(waves(pairs))
    assert sorted(one.name for wave in dying for one in wave) == sorted(one.name for one in pairs)
    for wave in dying:
        kinds = [one.operation.kind for one in wave]
        assert len(set(kinds)) == len(kinds) <= MOST_DEATHS
        assert len(wave) == 1 or not any(one.operation.alone for one in wave)
