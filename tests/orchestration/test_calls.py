"""Around a provider's call: no transaction is open meanwhile, and what it answered is committed sooner or later."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa

from core.orchestration import execute, settle
from core.orchestration.together import Alone, Together
from tests.support.world import World


def test_no_transaction_is_open_during_a_call(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, list[str]] = {}
    perform = execute._perform

    def watched(step: Any) -> Any:
        seen.setdefault(execute._operation(step), []).extend(world.open_transactions())
        return perform(step)

    monkeypatch.setattr(execute, "_perform", watched)
    with world.without_webhooks("stripe"):
        with world.fault("stripe", effect="reset_after", operation="payment_intents.create"):
            payment = world.create(capture="manual")
            world.work(("payments",))
        world.advance(60)
        world.work(("payments",))
        world.post(f"/v1/payments/{payment['id']}/capture", {})
        world.work(("payments",))
    assert set(seen) >= {"start", "look_up", "capture"}
    assert all(rows == [] for rows in seen.values()), seen


def test_one_that_is_open_would_be_seen(world: World) -> None:
    with world.worker.database.unscoped() as connection:
        connection.exec_driver_sql("SELECT 1")
        assert len(world.open_transactions()) == 1


def alone(*_: Any) -> Any:
    raise Alone


class Refusing:
    """Postgres, away while the first so many outcomes are written."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, times: int) -> None:
        self._settle, self.left = settle.settle, times
        monkeypatch.setattr(execute, "_COMMIT_PAUSES", (0.0, 0.0))
        monkeypatch.setattr(settle, "settle", self)
        monkeypatch.setattr(Together, "settle", alone)

    def __call__(self, *arguments: Any) -> Any:
        if self.left:
            self.left -= 1
            raise sa.exc.OperationalError("COMMIT", {}, Exception("the server went away"))
        return self._settle(*arguments)


def test_an_outcome_that_could_not_be_committed_is_committed_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusing = Refusing(monkeypatch, 2)
    with world.without_webhooks("stripe"):
        payment = world.create()
        world.work(("payments",))
    assert refusing.left == 0
    (sent,) = world.transactions(payment["id"])
    assert (sent["status"], sent["send_count"], sent["lookup_count"]) == ("succeeded", 1, 0)


def test_then_it_is_left_to_the_lease_and_charged_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    refusing = Refusing(monkeypatch, 3)
    with world.without_webhooks("stripe"):
        payment = world.create()
        world.work(("payments",))
        assert refusing.left == 0
        assert world.payment(payment["id"])["status"] == "processing"
        world.advance(61)
        world.work(("payments",))
    assert world.payment(payment["id"])["status"] == "succeeded"
    assert len(world.charges("stripe", payment["id"])) == 1
