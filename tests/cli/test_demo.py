"""The demo's own judgement: it must see money that differs, steps that went wrong, and say so in its result.

That the tour itself goes well is `make demo`'s to show, in `.ci/run`.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import pytest
import requests
from rich.console import Console

from cli.demo import table
from cli.demo.client import Surprise
from cli.demo.ledger import Ledgers, Line, Sums, compare
from cli.demo.schedule import Schedule
from cli.demo.steps import Scene, Step
from cli.demo.tour import STEPS, run
from core.orchestration import scheduled
from tests.support.waiting import wait_until
from tests.support.world import World

SUMS = ("amount_received", "amount_refunded", "amount_disputed")


def token(name: str) -> dict[str, str]:
    return {"type": "token", "token": name}


def ledgers(world: World) -> Ledgers:
    return Ledgers({name: sandbox.url for name, sandbox in world.sandboxes.items()})


def line(world: World, payment: Mapping[str, Any]) -> Line:
    return ledgers(world).lines([payment])[0]


def later(world: World, path: str, field: str, value: Any) -> None:
    """Until the provider has told what becomes of it later."""

    def done() -> bool:
        world.settle()
        return bool(world.get(path).json()[field] == value)

    wait_until(done, f"{field} to be {value}")


def part_refunded(world: World) -> Any:
    payment = world.pay(capture="manual")
    world.post(f"/v1/payments/{payment['id']}/capture", {"amount": 3000})
    world.settle()
    world.post(f"/v1/payments/{payment['id']}/refunds", {"amount": 1000})
    world.settle()
    return world.payment(payment["id"])


def held_on_a_page(world: World) -> Any:
    payment = page(world, currency="ZAR", amount=90000, capture="manual")
    pay_page(payment)
    world.settle()
    return world.payment(payment["id"])


def paid_too_late(world: World) -> Any:
    payment = page(world, currency="NGN", amount=300000)
    world.advance(24 * 3600 + 60)
    scheduled.close_abandoned(world.worker)
    world.settle()
    pay_page(payment)
    world.settle()
    return world.payment(payment["id"])


def disputed(world: World) -> Any:
    payment = world.pay(payment_method=token("pm_card_createDispute"))
    later(world, f"/v1/payments/{payment['id']}", "amount_disputed", 5000)
    return world.payment(payment["id"])


def refund_failed(world: World) -> Any:
    payment = world.pay(payment_method=token("pm_card_refundFail"))
    refund = world.post(f"/v1/payments/{payment['id']}/refunds").json()["refund"]
    later(world, f"/v1/refunds/{refund['id']}", "status", "failed")
    return world.payment(payment["id"])


def page(world: World, **changes: Any) -> Any:
    return world.pay(**world.redirect_body(provider="paystack", **changes))


def pay_page(payment: Any) -> None:
    fields = {"action": "pay", "card": "4084084084084081"}
    answer = requests.post(payment["next_action"]["url"], data=fields, allow_redirects=False, timeout=10)
    assert answer.status_code == 303


class TestBooks:
    @pytest.mark.parametrize(
        ("make", "sums"),
        [
            (lambda world: world.pay(), Sums(5000, 0, 0, 0)),
            (lambda world: world.pay(capture="manual"), Sums(0, 0, 0, 5000)),
            (held_on_a_page, Sums(0, 0, 0, 90000)),
            (part_refunded, Sums(3000, 1000, 0, 0)),
            (disputed, Sums(5000, 0, 5000, 0)),
            (refund_failed, Sums(5000, 0, 0, 0)),
            (paid_too_late, Sums(300000, 0, 0, 0)),
        ],
        ids=["paid", "held", "held_on_a_page", "part_refunded", "disputed", "refund_failed", "paid_too_late"],
    )
    def test_both_sides_are_told_as_they_are(self, world: World, make: Any, sums: Sums) -> None:
        payment = make(world)
        seen = line(world, payment)
        assert (seen.ours, seen.theirs) == (sums, sums)
        assert seen.agrees

        for name in SUMS:
            assert not line(world, {**payment, name: payment[name] + 1}).agrees, name
        if payment["status"] == "authorized":
            assert not line(world, {**payment, "status": "canceled"}).agrees

    def test_a_second_charge_is_seen_wherever_it_was_made(self) -> None:
        payment = {"id": "pay_1", "provider": "stripe", "status": "succeeded"}
        payment |= {"amount_authorized": 50, "amount_received": 100, "amount_refunded": 0, "amount_disputed": 0}
        charge = {"id": "1", "status": "succeeded", "amount_captured": 50, "amount_refunded": 0}
        book = {"charges": [{**charge, "metadata": {"tollgate_payment": "pay_1"}}], "disputes": []}
        seen = compare(payment, {"stripe": book, "paystack": book})
        assert seen.ours == seen.theirs
        assert seen.charges == 2
        assert not seen.agrees

    @pytest.mark.parametrize(
        ("provider", "told", "withheld"),
        [
            ("stripe", {"status": "warning_needs_response"}, 0),
            ("stripe", {"status": "under_review"}, 70),
            ("stripe", {"status": "lost"}, 70),
            ("stripe", {"status": "won"}, 0),
            ("paystack", {"status": "awaiting-bank-feedback", "amount_lost": 0}, 70),
            ("paystack", {"status": "resolved", "amount_lost": 60}, 60),
        ],
    )
    def test_what_a_dispute_keeps_back(self, provider: str, told: dict[str, Any], withheld: int) -> None:
        payment = {"id": "pay_1", "provider": provider, "status": "succeeded"}
        payment |= {"amount_received": 100, "amount_refunded": 0, "amount_disputed": withheld}
        charge = {"id": "1", "status": "succeeded", "amount_captured": 100, "amount_refunded": 0}
        book = {
            "charges": [{**charge, "metadata": {"tollgate_payment": "pay_1"}}],
            "disputes": [{"charge": "1", "amount": 70, **told}, {"charge": "another", "amount": 1, **told}],
        }
        assert compare(payment, {provider: book}).agrees


def good(scene: Scene, step: Step) -> None:
    step.expect("sum", 1, 1)
    step.statuses = ["processing", "succeeded"]


def wrong(scene: Scene, step: Step) -> None:
    good(scene, step)
    step.expect("refunded", 5000, 0)


def stuck(scene: Scene, step: Step) -> None:
    good(scene, step)
    raise Surprise("job job_1 did not end")


def blind(scene: Scene, step: Step) -> None:
    """Looks at nothing."""


class TestVerdict:
    def steps(self) -> list[Step]:
        acts = [("good", good), ("wrong", wrong), ("stuck", stuck), ("blind", blind), ("good again", good)]
        return list(run(None, acts))  # type: ignore[arg-type]  # none of these acts looks at the scene

    def test_trouble_in_a_step_is_told_and_does_not_end_the_tour(self) -> None:
        steps = self.steps()
        assert [step.passed for step in steps] == [True, False, False, False, True]
        assert [step.wrong for step in steps[:3]] == ["", "refunded: 5000, not 0", "Surprise: job job_1 did not end"]

    @pytest.mark.parametrize(
        ("spoiled", "good_ones"),
        [(None, 4), ("step", 3), ("line", 3), ("delivered", 3), ("forged", 3)],
    )
    def test_one_thing_wrong_is_enough(self, spoiled: str | None, good_ones: int) -> None:
        fine, bad, *_ = self.steps()
        sums = Sums(1, 0, 0, 0)
        lines = [Line("pay_1", "stripe", sums, sums, 1)]
        lines += [Line("pay_2", "stripe", sums, Sums(1, 1, 0, 0) if spoiled == "line" else sums, 1)]
        console = Console(file=io.StringIO(), width=120)
        delivered, forged = 2 - (spoiled == "delivered"), int(spoiled == "forged")
        well = table.sum_up(console, [bad if spoiled == "step" else fine], lines, delivered, forged)
        assert well is (spoiled is None)
        printed = console.file.getvalue()  # type: ignore[attr-defined]  # the StringIO above
        assert f"{good_ones} of 4 as expected" in printed
        assert ("DIFFERENT" in printed) is (spoiled == "line")

    def test_titles_fit_into_their_column(self) -> None:
        assert [title for title, _ in STEPS if len(title) > table.TITLE] == []


def test_a_broker_that_is_away_is_trouble_with_a_name() -> None:
    schedule = Schedule({"DATABASE_URL": "postgresql://u:p@127.0.0.1/d", "REDIS_URL": "redis://127.0.0.1:1/0"})
    with pytest.raises(Surprise, match="broker"):
        schedule.run("close_abandoned")
    schedule.close()
