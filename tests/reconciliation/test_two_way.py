"""Two-way over holds, surplus charges and sums: what agrees is no finding, what was decided is not asked again."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import pytest
import requests

from core.domain.identifiers import new_id, parse_id, public_id
from core.invariants import books
from core.providers.stripe import StripeProvider
from core.reconciliation import findings, two_way
from tests.orchestration import by_hand, test_holds_at_paystack
from tests.reconciliation.test_findings import ADA, audited, finding_of, late_charge
from tests.reconciliation.test_runs import done
from tests.support.world import World

HOUR = 3600


@pytest.fixture(autouse=True)
def apart(world: World) -> None:
    """What one test leaves lies before the windows of the next."""
    by_hand.keep_webhooks_back(world)
    world.advance(12 * HOUR)
    world.settle()


def settled(world: World) -> None:
    """Until what was done is old enough to be compared."""
    world.work()
    world.advance(20 * 60)
    world.work()


def opened(world: World, payment: Mapping[str, Any], kind: str) -> list[Mapping[str, Any]]:
    about = parse_id("payment", payment["id"])
    return world.rows("SELECT * FROM findings WHERE payment_id = :id AND kind = :kind ORDER BY id", id=about, kind=kind)


def ask(world: World, payment: Mapping[str, Any], what: str, body: dict[str, Any] | None = None) -> requests.Response:
    answer = world.post(f"/v1/payments/{payment['id']}/{what}", body)
    world.work()
    return answer


class TestHoldsThatWereLetGo:
    def test_at_paystack_where_no_list_names_them(self, world: World) -> None:
        payment = test_holds_at_paystack.held(world)
        assert test_holds_at_paystack.ask(world, payment, "cancel")["status"] == "canceled"
        settled(world)
        found = done(world, "two_way", "paystack")
        assert found["counts"]["absent"] == 1
        assert (found["counts"].get("missing", 0), found["findings"], found["sums"]) == (0, 0, {})
        assert opened(world, payment, "missing_at_provider") == []

    def test_on_a_page_that_was_paid_in_a_later_slice(self, world: World) -> None:
        payment = world.pay(**world.redirect_body(provider="stripe", capture="manual"))
        world.advance(5 * HOUR)
        page = world.payment(payment["id"])["next_action"]["url"]
        form = {"action": "pay", "card": "4242424242424242"}
        assert requests.post(page, data=form, allow_redirects=False, timeout=10).ok
        ask(world, payment, "sync")
        assert world.payment(payment["id"])["status"] == "authorized"
        ask(world, payment, "cancel")
        assert world.payment(payment["id"])["status"] == "canceled"
        settled(world)
        found = done(world, "two_way", hours=7)
        assert (found["counts"]["absent"], found["counts"].get("missing", 0), found["findings"]) == (1, 0, 0)

    def test_one_let_go_at_the_dashboard_is_asked_about(self, world: World) -> None:
        payment = world.create(capture="manual")
        world.work()
        by_hand.client(world).v1.payment_intents.cancel(by_hand.intent_of(world, payment))
        settled(world)
        found = done(world, "two_way")
        assert (found["counts"]["differ"], found["counts"]["asked"]) == (1, 1)
        world.work()
        assert world.payment(payment["id"])["status"] == "canceled"
        assert by_hand.findings(world, payment) == ["operation_not_ours"]
        assert done(world, "two_way")["counts"].get("differ", 0) == 0


def charged_twice(world: World) -> tuple[dict[str, Any], Any]:
    """A payment of 5000, and beside it a charge of 5000 that a person linked to it as the runbook says."""
    paid = world.create()
    world.work()
    charge = late_charge(world, paid, tollgate_transaction=public_id("transaction", new_id()))
    settled(world)
    assert done(world, "two_way")["counts"]["unknown"] == 1
    number = finding_of(world, "unknown_charge")["id"]
    findings.resolve(world.admin, world.scope, number, "link", ADA, parse_id("payment", paid["id"]))
    world.work()
    now = world.payment(paid["id"])
    assert (now["amount_captured"], now["amount_received"], now["amount_refunded"]) == (5000, 10000, 0)
    return paid, charge


def give_back_at_the_dashboard(world: World, charge: str, amount: int, *, by_webhook: bool, payment: Any) -> None:
    made = by_hand.client(world).v1.refunds.create({"payment_intent": charge, "amount": amount})
    if by_webhook:
        by_hand.deliver_all(world, by_hand.stripe_events(world, made.id, "refund.created"))
    else:
        ask(world, payment, "sync")


class TestADoubleCharge:
    @pytest.mark.parametrize("by_webhook", [True, False])
    def test_is_given_back_and_the_right_charge_can_be_refunded(self, world: World, by_webhook: bool) -> None:
        paid, charge = charged_twice(world)
        give_back_at_the_dashboard(world, charge.id, 5000, by_webhook=by_webhook, payment=paid)
        assert world.payment(paid["id"])["amount_refunded"] == 5000
        settled(world)
        found = done(world, "two_way")
        assert found["counts"].get("differ", 0) == 0, found["counts"]
        too_much = ask(world, paid, "refunds", {"amount": 5001})
        assert (too_much.status_code, too_much.json()["code"]) == (422, "amount_too_large")
        assert ask(world, paid, "refunds", {"amount": 3000}).status_code == 202
        assert ask(world, paid, "refunds").status_code == 202
        settled(world)
        assert sorted(refunded_of(world, by_hand_intent(world, paid))) == [2000, 3000]
        assert refunded_of(world, charge.id) == [5000]
        assert world.payment(paid["id"])["amount_refunded"] == 10000
        spent = ask(world, paid, "refunds", {"amount": 1})
        assert (spent.status_code, spent.json()["code"]) == (409, "nothing_to_refund")
        found = done(world, "two_way")
        assert found["counts"].get("differ", 0) == 0, found["counts"]
        assert [one for one in books.check(world.worker.database) if one.invariant in ("I2", "I3")] == []

    def test_a_dashboard_s_refund_of_the_right_charge_leaves_nothing_of_it(self, world: World) -> None:
        paid, _ = charged_twice(world)
        own = by_hand_intent(world, paid)
        give_back_at_the_dashboard(world, own, 4000, by_webhook=True, payment=paid)
        refused = ask(world, paid, "refunds", {"amount": 1001})
        assert (refused.status_code, refused.json()["code"]) == (422, "amount_too_large")
        assert ask(world, paid, "refunds").status_code == 202
        assert sorted(refunded_of(world, own)) == [1000, 4000]

    def test_a_surplus_charge_gives_back_no_more_than_it_took(self, world: World) -> None:
        paid, charge = charged_twice(world)
        give_back_at_the_dashboard(world, charge.id, 5000, by_webhook=True, payment=paid)
        give_back_at_the_dashboard(world, by_hand_intent(world, paid), 4000, by_webhook=True, payment=paid)
        about = str(parse_id("payment", paid["id"]))
        with world.owner.begin() as connection:  # as if a provider named the wrong charge
            all_of_them = "(SELECT string_agg(id::text, ' ') FROM refunds WHERE payment_id = %s)"
            noted = f"UPDATE transactions SET extra = extra || jsonb_build_object('given_back', {all_of_them})"
            connection.exec_driver_sql(f"{noted} WHERE payment_id = %s AND surplus", (about, about))
        refused = ask(world, paid, "refunds", {"amount": 1001})
        assert (refused.status_code, refused.json()["code"]) == (422, "amount_too_large")
        assert ask(world, paid, "refunds", {"amount": 1000}).status_code == 202

    def test_refunds_at_once_never_give_back_more_than_the_right_charge_took(self, world: World) -> None:
        paid, charge = charged_twice(world)
        give_back_at_the_dashboard(world, charge.id, 5000, by_webhook=True, payment=paid)
        path = f"/v1/payments/{paid['id']}/refunds"
        one = partial(world.post, path, {"amount": 900})
        answers = by_hand.at_once([one] * 12)
        assert sum(answer.status_code == 202 for answer in answers) == 5
        settled(world)
        assert sum(refunded_of(world, by_hand_intent(world, paid))) == 4500

    def test_a_surplus_refund_that_fails_later_counts_no_more(self, world: World) -> None:
        paid, charge = charged_twice(world)
        give_back_at_the_dashboard(world, charge.id, 5000, by_webhook=True, payment=paid)
        with world.owner.begin() as connection:  # as the provider tells days later
            connection.exec_driver_sql(
                "UPDATE refunds SET status = 'failed' WHERE payment_id = %s", (str(parse_id("payment", paid["id"])),)
            )
            connection.exec_driver_sql(
                "UPDATE payments SET amount_refunded = 0 WHERE id = %s", (str(parse_id("payment", paid["id"])),)
            )
        refused = ask(world, paid, "refunds", {"amount": 5001})
        assert (refused.status_code, refused.json()["code"]) == (422, "amount_too_large")


def by_hand_intent(world: World, payment: Mapping[str, Any]) -> str:
    """Of the payment's own charge."""
    return str(next(row["provider_id"] for row in world.transactions(payment["id"]) if not row["surplus"]))


def refunded_of(world: World, intent: str) -> list[int]:
    return [one["amount"] for one in world.ledger("stripe")["refunds"] if one["payment"] == intent]


class TestSums:
    def test_a_hold_that_was_captured_at_another_sum(self, world: World) -> None:
        payment = world.create(capture="manual")
        world.work()
        assert ask(world, payment, "capture").status_code == 202
        say_captured(world, payment, 3000)
        settled(world)
        found = done(world, "two_way")
        assert (found["counts"]["differ"], found["findings"], found["sums"]) == (1, 1, {"USD.at_stake": 2000})
        (row,) = opened(world, payment, "amount_mismatch")
        assert (row["amount"], row["evidence"]["theirs"]["received"]) == (2000, 5000)
        assert row["evidence"]["ours"]["payment_amount_received"] == 3000
        done(world, "two_way")
        assert len(opened(world, payment, "amount_mismatch")) == 1

        say_captured(world, payment, 5000)
        assert done(world, "two_way")["findings"] == 0
        (row,) = opened(world, payment, "amount_mismatch")
        assert (row["status"], row["resolved_by"]) == ("resolved", "reconciliation")
        (told,) = audited(world, row["id"])
        assert (told["action"], told["actor"], told["to_status"]) == ("finding.resolved", "reconciliation", "resolved")

    def test_a_part_that_both_captured(self, world: World) -> None:
        payment = world.create(capture="manual")
        world.work()
        assert ask(world, payment, "capture", {"amount": 3000}).status_code == 202
        settled(world)
        found = done(world, "two_way")
        assert (found["counts"].get("differ", 0), found["findings"]) == (0, 0)


def say_captured(world: World, payment: Mapping[str, Any], amount: int) -> None:
    """As our books would say after a fault of ours."""
    about = str(parse_id("payment", payment["id"]))
    with world.owner.begin() as connection:
        sums = "UPDATE payments SET amount_captured = %s, amount_received = %s WHERE id = %s"
        connection.exec_driver_sql(sums, (amount, amount, about))
        capture = "UPDATE transactions SET amount = %s WHERE payment_id = %s AND kind = 'capture'"
        connection.exec_driver_sql(capture, (amount, about))


class TestWhatAPersonEnded:
    def test_an_unknown_charge_is_not_told_again_unless_it_changes(self, world: World) -> None:
        paid = world.create()
        world.work()
        charge = late_charge(world, paid, tollgate_transaction=public_id("transaction", new_id()))
        settled(world)
        done(world, "two_way")
        row = finding_of(world, "unknown_charge")
        assert row["dedupe_key"] == charge.id
        findings.resolve(world.admin, world.scope, row["id"], "ignore", ADA)
        by_hand.client(world).v1.refunds.create({"payment_intent": charge.id})
        assert done(world, "two_way")["counts"]["unknown"] == 1
        assert finding_of(world, "unknown_charge")["id"] == row["id"]

    def test_a_missing_charge(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        paid = world.create()
        world.work()
        (sent,) = world.transactions(paid["id"])
        settled(world)
        monkeypatch.setattr(StripeProvider, "list_charges", lambda *_: iter(()))
        rename(world, sent["id"], "pi_gone", "ch_gone")
        assert done(world, "two_way")["counts"]["missing"] == 1
        (first,) = opened(world, paid, "missing_at_provider")
        findings.resolve(world.admin, world.scope, first["id"], "done", ADA)
        assert done(world, "two_way")["counts"]["missing"] == 1
        assert len(opened(world, paid, "missing_at_provider")) == 1

    def test_what_came_right_is_closed_and_what_goes_wrong_again_is_told(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        paid = world.create()
        world.work()
        (sent,) = world.transactions(paid["id"])
        settled(world)
        monkeypatch.setattr(StripeProvider, "list_charges", lambda *_: iter(()))
        for count in (1, 2):
            rename(world, sent["id"], "pi_gone", "ch_gone")
            done(world, "two_way")
            assert [row["status"] for row in opened(world, paid, "missing_at_provider")][count - 1 :] == ["open"]
            rename(world, sent["id"], sent["provider_id"], sent["provider_charge_id"])
            done(world, "two_way")
            closed = opened(world, paid, "missing_at_provider")
            assert [row["resolved_by"] for row in closed] == ["reconciliation"] * count
            (told,) = audited(world, closed[-1]["id"])
            assert (told["action"], told["cause"]) == ("finding.resolved", "clock")


def rename(world: World, transaction_id: UUID, *names: str) -> None:
    with world.owner.begin() as connection:
        query = "UPDATE transactions SET provider_id = %s, provider_charge_id = %s WHERE id = %s"
        connection.exec_driver_sql(query, (*names, str(transaction_id)))


class TestChunks:
    def test_each_of_ours_is_read_once_however_they_are_cut(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        payments = [world.create(reference=str(uuid4())) for _ in range(7)]
        world.work()
        moment = world.one("SELECT app_now() AS now")["now"]
        with world.owner.begin() as connection:  # several of one moment, so that the id decides
            for payment in payments[:4]:
                query = "UPDATE payments SET created_at = %s WHERE id = %s"
                connection.exec_driver_sql(query, (moment, str(parse_id("payment", payment["id"]))))
        settled(world)
        whole = done(world, "two_way", hours=1)["counts"]
        assert whole["ours"] == 7
        for chunk in (1, 2, 3):
            monkeypatch.setattr(two_way, "CHUNK", chunk)
            assert done(world, "two_way", hours=1)["counts"] == whole
