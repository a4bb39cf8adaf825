"""The circuit breaker step by step; no test waits, the time is handed in."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID, uuid4

import pytest

from core.orchestration import breaker
from core.orchestration.breaker import Breaker, Counts, State

BAD = {60: Counts(5, 20), 600: Counts(5, 20)}
FINE = {60: Counts(20, 0), 600: Counts(20, 0)}


def opened(now: float = 100.0, operation: str = "start") -> Breaker:
    return breaker.failed(Breaker(), BAD, operation, now)


def half_open(answers: int = 0) -> Breaker:
    found = breaker.seen_at(opened(), 105.0)
    for _ in range(answers):
        found = breaker.answered(found, 106.0)
    return found


def payments(share: Sequence[int]) -> list[UUID]:
    return [UUID(int=thousandth) for thousandth in share]


class TestOpening:
    @pytest.mark.parametrize(
        ("minute", "ten_minutes", "opens"),
        [
            ((10, 10), (10, 10), True),
            ((11, 10), (11, 10), False),
            ((0, 19), (0, 9), False),
            ((0, 20), (0, 9), True),
            ((0, 5), (1, 9), True),
            ((0, 5), (2, 9), False),
            ((0, 5), (0, 9), False),
            ((0, 0), (0, 10), True),
        ],
    )
    def test_by_share_and_number(self, minute: tuple[int, int], ten_minutes: tuple[int, int], opens: bool) -> None:
        windows = {60: Counts(*minute), 600: Counts(*ten_minutes)}
        assert (breaker.failed(Breaker(), windows, "start", 1.0).state is State.OPEN) == opens

    def test_a_failure_among_answers_changes_nothing(self) -> None:
        assert breaker.failed(Breaker(), FINE, "start", 1.0) == Breaker()

    def test_it_waits_five_seconds_and_what_comes_late_changes_nothing(self) -> None:
        found = opened()
        assert (found.state, found.since, found.until) == (State.OPEN, 100.0, 105.0)
        assert breaker.answered(found, 101.0) == breaker.failed(found, BAD, "start", 101.0) == found
        assert breaker.seen_at(found, 104.9) == found
        assert breaker.waits(found, uuid4(), 103.0) == 2.0

    def test_each_probe_that_fails_doubles_the_wait_up_to_a_minute(self) -> None:
        found, now, waits = Breaker(), 0.0, []
        for _ in range(6):
            found = breaker.failed(found, BAD, "start", now)
            waits.append(found.until - now)
            now = found.until
            found = breaker.seen_at(found, now)
            assert found.state is State.HALF_OPEN
        assert waits == [5, 10, 20, 40, 60, 60]

    def test_what_is_a_question(self) -> None:
        lists = {"list_refunds", "list_changes", "list_charges", "list_statement"}
        assert {"look_up", "read_dispute", "identify"} | lists == breaker.QUESTIONS

    def test_questions_come_back_after_two_seconds_every_time(self) -> None:
        found = opened(operation="look_up")
        assert found.until == 102.0
        again = breaker.failed(breaker.seen_at(found, 102.0), BAD, "look_up", 103.0)
        assert again.until == 105.0


class TestRecovery:
    def test_first_one_probe_and_nobody_else(self) -> None:
        found = half_open()
        assert {breaker.waits(found, one, 106.0) for one in payments(range(1000))} == {None}

    @pytest.mark.parametrize(("answers", "share"), [(1, 100), (2, 100), (3, 250), (5, 250), (6, 500), (9, 500)])
    def test_then_a_growing_share_that_is_always_the_same(self, answers: int, share: int) -> None:
        found = half_open(answers)
        let_through = [one for one in payments(range(1000)) if breaker.waits(found, one, 106.0) == 0.0]
        assert let_through == payments(range(share))
        assert breaker.waits(found, UUID(int=999), 106.0) is None, "the rest may be the probe"

    def test_ten_answers_close_it(self) -> None:
        assert half_open(9).state is State.HALF_OPEN
        found = half_open(10)
        assert (found.state, found.opens) == (State.CLOSED, 0)
        assert breaker.waits(found, uuid4(), 106.0) == 0.0

    def test_so_does_one_and_time(self) -> None:
        assert breaker.seen_at(half_open(0), 1000.0).state is State.HALF_OPEN
        assert breaker.seen_at(half_open(1), 124.0).state is State.HALF_OPEN
        assert breaker.seen_at(half_open(1), 125.0).state is State.CLOSED

    def test_one_failure_opens_it_again(self) -> None:
        found = breaker.failed(half_open(9), FINE, "start", 107.0)
        assert (found.state, found.opens, found.until) == (State.OPEN, 2, 117.0)

    def test_a_question_that_is_answered_brings_the_probe_forward(self) -> None:
        long = breaker.failed(half_open(), BAD, "start", 110.0)
        assert long.until == 120.0
        assert breaker.heard(long).until == 115.0
        assert breaker.heard(breaker.heard(long)) == breaker.heard(long)
        assert breaker.heard(opened()) == opened()
        assert breaker.heard(half_open()) == half_open()


def test_every_step_counts_a_version() -> None:
    path = [Breaker(), opened(), half_open(), half_open(1), half_open(10)]
    assert [one.version for one in path] == sorted({one.version for one in path})
    assert breaker.heard(breaker.failed(half_open(), BAD, "start", 110.0)).version == 4
