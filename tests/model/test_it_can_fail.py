"""The model itself, tested: on a product that is broken in one place, a few of its rules find what is wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest

from core.domain.outcomes import NotExecuted, NotExecutedReason, Unknown
from core.orchestration import asking, execute
from tests.model.machine import DAY, Machine, bound_to
from tests.model.shop import Violation
from tests.model.stand import Stand


def another_worker_takes_over_what_one_is_sending(machine: Machine) -> None:
    machine.create("card", 5000, None)
    machine.stall(0, ("call.sending", 7))
    machine.holds()


def a_worker_wakes_after_a_day(machine: Machine) -> None:
    machine.create("card", 5000, None)
    machine.stall(0, ("job.announced", DAY))
    machine.holds()


def every_answer_is_lost(machine: Machine) -> None:
    machine.create("card", 5000, None)
    machine.arm("stripe", "POST", {"effect": "reset_after"}, 10)
    for _ in range(8):
        machine.work_all()
        machine.advance(700)
        machine.holds()


def a_key_of_its_own_for_every_send(monkeypatch: pytest.MonkeyPatch) -> None:
    send = execute._send

    def wrong(provider: Any, request: Any) -> Any:
        return send(provider, replace(request, provider_key=uuid4().hex))

    monkeypatch.setattr(execute, "_send", wrong)


def no_look_at_the_lease_before_a_call(monkeypatch: pytest.MonkeyPatch) -> None:
    ask = asking.ask

    def wrong(*arguments: Any) -> Any:
        return ask(*arguments[:5])  # as if it had been announced just now

    monkeypatch.setattr(asking, "ask", wrong)


def a_lost_answer_taken_for_a_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    send = execute._send

    def wrong(provider: Any, request: Any) -> Any:
        answer = send(provider, request)
        lost = isinstance(answer, Unknown)
        return NotExecuted(NotExecutedReason.CONNECTION, "nothing came back") if lost else answer

    monkeypatch.setattr(execute, "_send", wrong)


BROKEN = [
    (a_key_of_its_own_for_every_send, another_worker_takes_over_what_one_is_sending, "charged more than once"),
    (no_look_at_the_lease_before_a_call, a_worker_wakes_after_a_day, "charged, and called failed"),
    (a_lost_answer_taken_for_a_refusal, every_answer_is_lost, "charged, and called failed"),
]


def play(stand: Stand, rules: Callable[[Machine], None]) -> None:
    machine = bound_to(stand)()
    rules(machine)
    machine.teardown()


@pytest.mark.parametrize(("break_it", "rules", "said"), BROKEN, ids=[row[0].__name__ for row in BROKEN])
def test_a_broken_product_is_found(
    stand: Stand, monkeypatch: pytest.MonkeyPatch, break_it: Any, rules: Any, said: str
) -> None:
    with monkeypatch.context() as patched:
        break_it(patched)
        with pytest.raises(Violation, match=said):
            play(stand, rules)
    play(stand, rules)  # and what is not broken passes by the same rules
