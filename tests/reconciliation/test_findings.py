"""Findings: shown with both sides, put into hands, ended once, and the repairs that go with it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import pytest
import requests

from core.domain.errors import RequestRefused, StateConflict, TollgateError
from core.domain.findings import KINDS, Kind
from core.domain.identifiers import new_id, parse_id, public_id
from core.orchestration.review import Person
from core.persistence.database import Scope
from core.persistence.queries.findings import open_finding
from core.reconciliation import exports, findings
from tests.orchestration import by_hand
from tests.orchestration.test_late_arrivals import DAY, _die_before_sending
from tests.support.world import World

ADA = Person("cli:ada", "ticket 7: looked at the dashboard")


def late_charge(world: World, payment: Mapping[str, Any], **marks: str) -> Any:
    """Somebody's charge at Stripe that bears the mark of a payment of ours."""
    metadata = {"tollgate_payment": payment["id"], "tollgate_kind": "charge", **marks}
    charge = {"amount": 5000, "currency": "usd", "payment_method": "pm_card_visa", "confirm": True}
    page = {"return_url": "https://shop.example/back", "metadata": metadata}
    return by_hand.client(world).v1.payment_intents.create({**charge, **page})  # type: ignore[typeddict-item]


def surplus(world: World, monkeypatch: pytest.MonkeyPatch) -> tuple[dict[str, Any], UUID]:
    """A payment that failed with proof, and whose money came all the same."""
    by_hand.keep_webhooks_back(world)
    payment = world.create()
    _die_before_sending(world, monkeypatch)
    world.advance(DAY)
    world.work()
    (sent,) = world.transactions(payment["id"])
    charge = late_charge(world, payment, tollgate_transaction=public_id("transaction", sent["id"]))
    by_hand.deliver_all(world, by_hand.stripe_events(world, charge.id, "payment_intent.succeeded"))
    world.work()
    return payment, finding_of(world, "surplus_received")["id"]


def finding_of(world: World, kind: str) -> Mapping[str, Any]:
    return world.one("SELECT * FROM findings WHERE kind = :kind ORDER BY id DESC LIMIT 1", kind=kind)


def refunded(world: World, payment: Mapping[str, Any]) -> list[int]:
    """What went back at Stripe, refund by refund."""
    intent = by_hand.intent_of(world, payment)
    return [one["amount"] for one in world.ledger("stripe")["refunds"] if one["payment"] == intent]


def made(world: World, payment: Mapping[str, Any] | None = None, kind: str = "refund_not_ours", **more: Any) -> UUID:
    about = None if payment is None else parse_id("payment", payment["id"])
    with world.worker.transaction(world.scope) as connection:
        assert open_finding(connection, world.scope, kind, str(new_id()), {}, payment_id=about, **more)
    return UUID(str(finding_of(world, kind)["id"]))


def audited(world: World, finding_id: UUID) -> list[Mapping[str, Any]]:
    return world.rows("SELECT * FROM audit_log WHERE subject_id = :id ORDER BY number", id=finding_id)


class TestALife:
    def test_open_assigned_resolved_each_in_the_audit_log(self, world: World) -> None:
        number = made(world, amount=700, currency="USD", ours={"refunds": 0}, theirs={"refunds": 1})
        row = findings.shown(findings.find(world.admin, number))
        assert (row["status"], row["severity"], row["amount"]) == ("open", "low", 700)
        assert row["evidence"] == {"ours": {"refunds": 0}, "theirs": {"refunds": 1}}
        assert (row["suggestion"], row["repairs"]) == ("done", ["done", "ignore"])

        row = findings.shown(findings.assign(world.admin, world.scope, number, "grace", ADA))
        assert (row["status"], row["assigned_to"]) == ("assigned", "grace")
        done = findings.shown(findings.resolve(world.admin, world.scope, number, "done", ADA))
        assert (done["status"], done["resolved_by"], done["action"]) == ("resolved", "cli:ada", "done")
        told = audited(world, number)
        assert [one["action"] for one in told] == ["finding.assigned", "finding.resolved"]
        assert told[1]["details"]["reason"] == ADA.reason

    def test_resolved_twice_is_refused_and_changes_nothing(self, world: World) -> None:
        number = made(world)
        findings.resolve(world.admin, world.scope, number, "ignore", ADA)
        again = Person("cli:eve", "me too")
        for act in (
            lambda: findings.resolve(world.admin, world.scope, number, "done", again),
            lambda: findings.assign(world.admin, world.scope, number, "eve", again),
        ):
            with pytest.raises(StateConflict, match="resolved by cli:ada"):
                act()
        assert findings.find(world.admin, number)["action"] == "ignore"
        assert len(audited(world, number)) == 1

    def test_of_two_people_at_once_one_decides(self, world: World) -> None:
        number = made(world)

        def decide() -> str:
            try:
                findings.resolve(world.admin, world.scope, number, "done", ADA)
            except StateConflict:
                return "late"
            return "first"

        assert sorted(by_hand.at_once([decide] * 4)) == ["first", "late", "late", "late"]
        assert len(audited(world, number)) == 1

    def test_what_does_not_fit_is_refused(self, world: World) -> None:
        number = made(world)
        with pytest.raises(RequestRefused, match="choose done or ignore"):
            findings.resolve(world.admin, world.scope, number, "take_over", ADA)
        with pytest.raises(RequestRefused, match="tollgate jobs"):
            findings.resolve(world.admin, world.scope, number, "decide_job", ADA)
        with pytest.raises(RequestRefused, match="with no other"):
            findings.resolve(world.admin, world.scope, number, "done", ADA, new_id())
        with pytest.raises(TollgateError, match="no such finding"):
            findings.resolve(world.admin, world.scope, new_id(), "done", ADA)
        assert findings.find(world.admin, number)["status"] == "open"

    def test_lists_by_status_and_kind_and_as_csv(self, world: World) -> None:
        first, second = made(world), made(world, kind="unmatched_event")
        findings.assign(world.admin, world.scope, second, "=cmd()", ADA)

        def listed(**wanted: Any) -> set[UUID]:
            return {row["id"] for row in findings.list_findings(world.admin, world.scope, findings.Wanted(**wanted))}

        assert first in listed(status="open")
        assert second not in listed(status="open")
        assert listed(status="assigned", kind="unmatched_event") == {second}
        assert listed(status="unresolved", severity="low") >= {first}
        text = "".join(exports.lines(["id", "assigned_to"], [findings.shown(findings.find(world.admin, second))]))
        assert text == f"id,assigned_to\r\n{public_id('finding', second)},'=cmd()\r\n", "a spreadsheet runs no formula"


def test_an_export_holds_all_of_them(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(findings, "_PAGE", 2)
    mine = {made(world, kind="payout_failed") for _ in range(5)}
    wanted = findings.Wanted(limit=1, kind="payout_failed", status="open")
    found = [row["id"] for row in findings.all_findings(world.admin, world.scope, wanted)]
    assert (set(found), len(found)) == (mine, 5)


class TestRefundOfASurplus:
    def test_gives_the_money_back_once(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        payment, number = surplus(world, monkeypatch)
        findings.resolve(world.admin, world.scope, number, "refund_surplus", ADA)
        with pytest.raises(StateConflict):
            findings.resolve(world.admin, world.scope, number, "refund_surplus", ADA)
        world.settle()
        world.advance(10)
        world.settle()
        now = world.payment(payment["id"])
        assert (now["status"], now["amount_received"], now["amount_refunded"]) == ("failed", 5000, 5000)
        assert refunded(world, payment) == [5000]

    def test_is_refused_when_the_merchant_was_quicker(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        payment, number = surplus(world, monkeypatch)
        assert world.post(f"/v1/payments/{payment['id']}/refunds").status_code == 202
        with pytest.raises(TollgateError):
            findings.resolve(world.admin, world.scope, number, "refund_surplus", ADA)
        world.settle()
        assert refunded(world, payment) == [5000]
        assert findings.find(world.admin, number)["status"] == "open", "it can still be called done"

    def test_is_refused_when_a_part_of_it_went_back_meanwhile(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        payment, number = surplus(world, monkeypatch)
        assert world.post(f"/v1/payments/{payment['id']}/refunds", {"amount": 1000}).status_code == 202
        world.settle()
        with pytest.raises(StateConflict, match="its amount refunded was 0 and is 1000"):
            findings.resolve(world.admin, world.scope, number, "refund_surplus", ADA)
        assert refunded(world, payment) == [1000]


class TestTakingOver:
    KIND = Kind("high", "theirs differs", "take_over", ("take_over", "link", "done"))

    def test_asks_the_provider_and_records_what_it_says(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(KINDS, "differs", self.KIND)  # type: ignore[index]
        by_hand.keep_webhooks_back(world)
        payment = world.create(payment_method={"type": "token", "token": "pm_card_visa"}, capture="manual")
        world.work()
        by_hand.client(world).v1.payment_intents.cancel(by_hand.intent_of(world, payment))
        number = made(world, payment, "differs", ours={"payment_status": "authorized"})
        findings.resolve(world.admin, world.scope, number, "take_over", ADA)
        world.work()
        assert world.payment(payment["id"])["status"] == "canceled"

    def test_is_refused_when_the_payment_moved_meanwhile(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(KINDS, "differs", self.KIND)  # type: ignore[index]
        payment = world.pay()
        number = made(world, payment, "differs", ours={"payment_status": "processing"})
        with pytest.raises(StateConflict, match="its status was processing and is succeeded"):
            findings.resolve(world.admin, world.scope, number, "take_over", ADA)
        assert findings.find(world.admin, number)["status"] == "open"

    def test_an_unknown_charge_becomes_the_surplus_of_a_payment(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(KINDS, "differs", self.KIND)  # type: ignore[index]
        by_hand.keep_webhooks_back(world)
        paid = world.pay()
        charge = late_charge(world, paid)
        theirs = {"provider_id": charge.id, "amount": 5000, "currency": "USD"}
        account = world.transactions(paid["id"])[0]["provider_account_id"]
        number = made(world, None, "differs", theirs=theirs, account_id=account)
        about = parse_id("payment", paid["id"])
        findings.resolve(world.admin, world.scope, number, "link", ADA, about)
        world.work()
        now = world.payment(paid["id"])
        assert (now["status"], now["amount_captured"], now["amount_received"]) == ("succeeded", 5000, 10000)
        assert finding_of(world, "surplus_received")["payment_id"] == about
        second = made(world, None, "differs", theirs=theirs, account_id=account)
        with pytest.raises(StateConflict, match="known by now"):
            findings.resolve(world.admin, world.scope, second, "link", ADA, about)

    def test_a_charge_behind_a_page_is_linked_to_a_redirected_payment(self, world: World) -> None:
        paid = world.post("/v1/payments", world.redirect_body(provider="stripe")).json()["payment"]
        world.settle()
        pay_on(world.payment(paid["id"])["next_action"]["url"])
        world.post(f"/v1/payments/{paid['id']}/sync")
        world.settle()
        second = another_page(world, paid)
        pay_on(second.url)
        intent = by_hand.client(world).v1.checkout.sessions.retrieve(second.id).payment_intent
        (sent,) = world.transactions(paid["id"])
        theirs = {"provider_id": intent, "amount": 5000, "currency": "USD"}
        known = {"provider_id": "pi_other", "charge_id": sent["provider_charge_id"], "amount": 5000, "currency": "USD"}
        account, about = sent["provider_account_id"], parse_id("payment", paid["id"])
        one = made(world, None, "unknown_charge", theirs=known, account_id=account)
        with pytest.raises(StateConflict, match="known by now"):
            findings.resolve(world.admin, world.scope, one, "link", ADA, about)
        number = made(world, None, "unknown_charge", theirs=theirs, account_id=account)
        findings.resolve(world.admin, world.scope, number, "link", ADA, about)
        world.settle()
        now = world.payment(paid["id"])
        assert (now["status"], now["amount_captured"], now["amount_received"]) == ("succeeded", 5000, 10000)
        linked = world.transactions(paid["id"])[-1]
        assert (linked["status"], linked["surplus"], linked["provider_id"]) == ("succeeded", True, intent)

    def test_a_charge_is_linked_though_its_payer_s_method_is_gone(self, world: World) -> None:
        token, person = {"type": "token", "token": "pm_card_visa"}, {"email": "bob@example.com"}
        first = world.pay(payment_method=token, save_payment_method=True, customer=person)
        method = first["payment_method"]["id"]
        paid = world.pay(payment_method={"type": "saved", "id": method})
        assert world.request("DELETE", f"/v1/payment_methods/{method}").status_code in (200, 202, 204)
        world.settle()
        charge = late_charge(world, paid)
        theirs = {"provider_id": charge.id, "amount": 5000, "currency": "USD"}
        account = world.transactions(paid["id"])[0]["provider_account_id"]
        number = made(world, None, "unknown_charge", theirs=theirs, account_id=account)
        findings.resolve(world.admin, world.scope, number, "link", ADA, parse_id("payment", paid["id"]))
        world.settle()
        assert world.payment(paid["id"])["amount_received"] == 10000


def another_page(world: World, payment: Mapping[str, Any]) -> Any:
    """Somebody's Checkout Session whose charge bears the mark of a payment of ours."""
    price = {"currency": "usd", "unit_amount": 5000, "product_data": {"name": "Tea"}}
    marks = {"metadata": {"tollgate_payment": payment["id"], "tollgate_kind": "charge"}}
    wanted = {"mode": "payment", "success_url": "https://shop.example/back", "payment_intent_data": marks}
    lines = [{"price_data": price, "quantity": 1}]
    return by_hand.client(world).v1.checkout.sessions.create({**wanted, "line_items": lines})  # type: ignore[typeddict-item]


def pay_on(url: str) -> None:
    requests.post(url, data={"action": "pay", "card": "4242424242424242"}, allow_redirects=False, timeout=10)


class TestWhatAReviewFound:
    def test_a_link_stays_within_merchant_and_mode(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(KINDS, "differs", TestTakingOver.KIND)  # type: ignore[index]
        paid, other = world.pay(), Scope(world.merchant_id, "live")
        account = world.transactions(paid["id"])[0]["provider_account_id"]
        theirs = {"provider_id": "pi_1", "amount": 5000, "currency": "USD"}
        with world.worker.transaction(other) as connection:
            open_finding(connection, other, "differs", "live", {}, theirs=theirs, account_id=account)
        number = finding_of(world, "differs")["id"]
        with pytest.raises(TollgateError, match="no such payment"):
            findings.resolve(world.admin, other, number, "link", ADA, parse_id("payment", paid["id"]))

    def test_a_surplus_refund_that_fails_is_told_again(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        payment, number = surplus(world, monkeypatch)
        findings.resolve(world.admin, world.scope, number, "refund_surplus", ADA)
        with world.fault("stripe", operation="refunds.create", effect="status_before", status=402):
            world.settle()
        assert world.payment(payment["id"])["amount_refunded"] == 0
        again = finding_of(world, "surplus_received")
        assert (again["status"], again["amount"], again["id"] != number) == ("open", 5000, True)

    def test_of_two_surplus_charges_none_is_guessed(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(KINDS, "differs", TestTakingOver.KIND)  # type: ignore[index]
        payment, number = surplus(world, monkeypatch)
        (sent,) = world.transactions(payment["id"])
        charge = late_charge(world, payment)
        theirs = {"provider_id": charge.id, "amount": 5000, "currency": "USD"}
        second = made(world, None, "differs", theirs=theirs, account_id=sent["provider_account_id"])
        findings.resolve(world.admin, world.scope, second, "link", ADA, parse_id("payment", payment["id"]))
        world.work()
        assert world.payment(payment["id"])["amount_received"] == 10000
        with pytest.raises(StateConflict, match="its amount received was 5000 and is 10000"):
            findings.resolve(world.admin, world.scope, number, "refund_surplus", ADA)
        with pytest.raises(StateConflict, match="2 charges"):
            findings.resolve(
                world.admin, world.scope, finding_of(world, "surplus_received")["id"], "refund_surplus", ADA
            )
