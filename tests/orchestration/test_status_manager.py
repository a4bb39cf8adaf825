"""The one place that writes a status: with its audit record, its event and its deliveries, or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from itertools import pairwise
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy.engine import Connection

from core.domain.identifiers import parse_id, public_id
from core.domain.outcomes import (
    ActionRequired,
    Canceled,
    Decline,
    DeclineCategory,
    Declined,
    Facts,
    NextAction,
    NotExecuted,
    NotExecutedReason,
    Succeeded,
)
from core.domain.statuses import InvalidStep
from core.orchestration import status_manager
from core.orchestration.context import Cause
from core.persistence.queries import payments as rows
from core.providers.base import News
from tests.orchestration import by_hand
from tests.support.world import World

CAUSE = Cause("person", "tests", "req_1", "job 7")


@pytest.fixture(autouse=True, scope="module")
def webhooks_by_hand(world: World) -> None:
    by_hand.keep_webhooks_back(world)


@contextmanager
def opened(world: World, payment: Any) -> Iterator[tuple[Connection, Any, Any]]:
    """(connection, payment, its charge), locked."""
    with world.worker.transaction(world.scope) as connection:
        row = rows.lock_payment(connection, parse_id("payment", payment["id"]))
        sent = rows.transactions_of(connection, row["id"])
        yield connection, row, sent[0] if sent else None


def waiting(world: World) -> Any:
    """A payment whose customer has to authenticate."""
    return world.pay(payment_method={"type": "token", "token": "pm_card_authenticationRequired"})


def audit(world: World, payment: Any) -> list[Any]:
    query = "SELECT * FROM audit_log WHERE payment_id = :id ORDER BY number"
    return world.rows(query, id=parse_id("payment", payment["id"]))


def events(world: World, payment: Any) -> list[Any]:
    query = "SELECT * FROM events WHERE payment_id = :id ORDER BY sequence"
    return world.rows(query, id=parse_id("payment", payment["id"]))


class TestSteps:
    def test_one_the_table_forbids_is_refused_and_nothing_is_written(self, world: World) -> None:
        payment = world.pay()
        before = world.count()
        with pytest.raises(InvalidStep), opened(world, payment) as (connection, row, _):
            status_manager.cancel_unsent(world.worker, connection, row, CAUSE)
        assert (world.payment(payment["id"])["status"], world.count()) == ("succeeded", before)

    def test_status_audit_and_event_are_one_commit(self, world: World) -> None:
        payment = waiting(world)
        before = world.count()

        class PowerCutError(Exception):
            pass

        def cut() -> None:
            with opened(world, payment) as (connection, row, charge):
                status_manager.apply(world.worker, connection, row, charge, Succeeded(Facts(amount=5000)), CAUSE)
                raise PowerCutError

        with pytest.raises(PowerCutError):
            cut()
        assert (world.payment(payment["id"])["status"], world.count()) == ("requires_action", before)

    def test_who_what_and_why_is_in_the_audit_log(self, world: World) -> None:
        payment = waiting(world)
        with opened(world, payment) as (connection, row, charge):
            status_manager.apply(world.worker, connection, row, charge, Canceled(Facts()), CAUSE)
        charge_step, payment_step = audit(world, payment)[-2:]
        assert (charge_step["subject_kind"], charge_step["subject_id"]) == ("transaction", charge["id"])
        assert (charge_step["from_status"], charge_step["to_status"]) == ("requires_action", "canceled")
        assert (payment_step["subject_kind"], payment_step["subject_id"]) == ("payment", row["id"])
        assert (payment_step["from_status"], payment_step["to_status"]) == ("requires_action", "canceled")
        for step in (charge_step, payment_step):
            told = (step["actor"], step["cause"], step["request_id"], step["details"], step["action"])
            assert told == (
                "tests",
                "person",
                "req_1",
                {"reference": "job 7"},
                f"{step['subject_kind']}.status_changed",
            )

    def test_the_same_news_again_leaves_every_row_as_it_was(self, world: World) -> None:
        payment = waiting(world)
        with opened(world, payment) as (connection, row, charge):
            status_manager.apply(world.worker, connection, row, charge, Succeeded(Facts(amount=5000)), CAUSE)
        before = (world.payment(payment["id"]), world.transactions(payment["id"]), world.count())
        world.advance(60)
        with opened(world, payment) as (connection, row, charge):
            status_manager.apply(world.worker, connection, row, charge, Succeeded(Facts(amount=5000)), CAUSE)
        assert (world.payment(payment["id"]), world.transactions(payment["id"]), world.count()) == before

    def test_when_only_the_attempt_ends_the_payment_goes_on(self, world: World) -> None:
        payment = waiting(world)
        refused = NotExecuted(NotExecutedReason.CONNECTION, "refused")
        with opened(world, payment) as (connection, row, charge):
            done = status_manager.apply(world.worker, connection, row, charge, refused, CAUSE, keep_payment=True)
        assert (done.transaction["status"], done.payment["status"]) == ("not_executed", "requires_action")
        assert world.payment(payment["id"])["decline"] is None


class TestEvents:
    def test_are_numbered_without_a_gap_and_carry_the_object(self, world: World) -> None:
        payment = world.pay(capture="manual")
        world.post(f"/v1/payments/{payment['id']}/capture")
        world.work()
        refund = world.post(f"/v1/payments/{payment['id']}/refunds", {"amount": 100}).json()["refund"]["id"]
        world.work()
        found = events(world, payment)
        assert [(one["sequence"], one["type"]) for one in found] == [
            (1, "payment.processing"),
            (2, "payment.authorized"),
            (3, "payment.succeeded"),
            (4, "refund.processing"),
            (5, "refund.succeeded"),
        ]
        statuses = [one["data"]["payment"]["status"] for one in found]
        assert statuses == ["processing", "authorized", "succeeded", "succeeded", "succeeded"]
        assert {one["data"]["refund"]["id"] for one in found[3:]} == {refund}
        assert found[-1]["data"]["payment"]["amount_refunded"] == 100

    def test_hold_no_next_action(self, world: World) -> None:
        payment = waiting(world)
        assert payment["next_action"]["client_secret"]
        assert ["next_action" in one["data"]["payment"] for one in events(world, payment)] == [False, False]

    def test_go_to_who_asked_for_them_in_the_same_commit(self, world: World) -> None:
        def endpoint(kinds: list[str]) -> UUID:
            body = {"url": "http://127.0.0.1:9/hook", "event_types": kinds}
            return parse_id("webhook_endpoint", world.post("/v1/webhook_endpoints", body).json()["id"])

        every, some, other, gone, off = map(
            endpoint, (["*"], ["payment.processing"], ["refund.failed"], ["*"], ["payment.processing"])
        )
        world.request("DELETE", f"/v1/webhook_endpoints/{public_id('webhook_endpoint', gone)}")
        with world.owner.begin() as connection:
            connection.exec_driver_sql("UPDATE webhook_endpoints SET enabled = false WHERE id = %s", (str(off),))
        payment = world.create()
        (event,) = events(world, payment)
        query = "SELECT * FROM jobs WHERE kind = 'deliver_event' AND target_id = :id"
        found = world.rows(query, id=event["id"])
        assert {job["endpoint_id"] for job in found} == {every, some}
        assert other not in {job["endpoint_id"] for job in found}
        assert {(job["lane"], job["status"], job["payment_id"]) for job in found} == {
            ("deliveries", "queued", parse_id("payment", payment["id"]))
        }
        with world.owner.begin() as connection:
            connection.exec_driver_sql("UPDATE webhook_endpoints SET enabled = false")


class TestMoney:
    def test_late_money_is_told_once_and_found(self, world: World) -> None:
        payment = waiting(world)
        for outcome in (Canceled(Facts()), Succeeded(Facts(amount=5000)), Succeeded(Facts(amount=5000))):
            with opened(world, payment) as (connection, row, charge):
                status_manager.apply(world.worker, connection, row, charge, outcome, CAUSE)
        late = world.payment(payment["id"])
        assert (late["status"], late["amount_captured"], late["amount_received"]) == ("canceled", 0, 5000)
        assert by_hand.told(world, payment)[2:] == ["payment.canceled", "payment.surplus_received"]
        assert by_hand.findings(world, payment) == ["surplus_received"]
        assert [(row["status"], row["surplus"]) for row in world.transactions(payment["id"])] == [("succeeded", True)]

    def test_a_contradiction_is_recorded_and_left_to_a_person(self, world: World) -> None:
        payment = waiting(world)
        said = Succeeded(Facts(amount=4000, amount_received=4000))
        with opened(world, payment) as (connection, row, charge):
            done = status_manager.apply(world.worker, connection, row, charge, said, CAUSE)
        assert done.review == "the provider says 4000, we asked for 5000"
        seen = world.payment(payment["id"])
        assert (seen["status"], seen["amount_received"], seen["amount_captured"]) == ("processing", 4000, 0)
        assert by_hand.findings(world, payment) == ["amount_mismatch"]
        found = world.one("SELECT * FROM findings WHERE payment_id = :id", id=row["id"])
        assert (found["amount"], found["currency"]) == (1000, "USD")
        assert found["evidence"]["theirs"] == {"amount": 4000, "amount_received": 4000}
        ours = found["evidence"]["ours"]
        assert (ours["operation"], ours["amount"], ours["currency"]) == ("charge", 5000, "USD")

    @pytest.mark.parametrize(
        "news",
        [
            News("refund", Succeeded(Facts(amount=5)), provider_id=None),
            News("refund", Succeeded(Facts()), provider_id="re_1"),
            News("refund", None, provider_id="re_1"),
        ],
    )
    def test_a_refund_of_the_provider_that_says_too_little_is_not_taken_over(self, world: World, news: News) -> None:
        payment = world.pay()
        before = world.count()
        with opened(world, payment) as (connection, row, _):
            said = status_manager.adopt_refund(world.worker, connection, row, news, CAUSE)
        assert (said, world.count()) == ("a refund of the provider without id or amount", before)


class TestNextAction:
    @pytest.mark.parametrize(("given", "hours"), [(None, 24), (3, 3)])
    def test_is_sealed_and_ends_when_the_provider_says_or_after_a_day(
        self, world: World, given: int | None, hours: int
    ) -> None:
        payment = waiting(world)
        now = world.one("SELECT app_now() AS now")["now"]
        until = now + timedelta(hours=given) if given else None
        action = ActionRequired(Facts(), NextAction("https://pay.example/page", until, "secret_of_the_client"))
        with opened(world, payment) as (connection, row, charge):
            status_manager.apply(world.worker, connection, row, charge, action, CAUSE)
        found = world.one("SELECT * FROM payments WHERE id = :id", id=parse_id("payment", payment["id"]))
        assert abs(found["expires_at"] - now - timedelta(hours=hours)) < timedelta(seconds=30)
        assert b"secret_of_the_client" not in bytes(found["next_action_sealed"])
        assert world.payment(payment["id"])["next_action"]["client_secret"] == "secret_of_the_client"


def test_in_the_end_every_row_stands_where_its_audit_trail_leads(world: World) -> None:
    """After all the above: one record a change, each beginning where the one before it ended."""
    trails: dict[tuple[str, UUID], list[tuple[str | None, str]]] = {}
    for step in world.rows("SELECT * FROM audit_log WHERE to_status IS NOT NULL ORDER BY number"):
        trails.setdefault((step["subject_kind"], step["subject_id"]), []).append(
            (step["from_status"], step["to_status"])
        )
    for steps in trails.values():
        assert steps[0][0] is None
        assert all(before[1] == after[0] for before, after in pairwise(steps))
    for subject, table in (("payment", "payments"), ("transaction", "transactions"), ("refund", "refunds")):
        standing = {row["id"]: row["status"] for row in world.rows(f"SELECT id, status FROM {table}")}
        assert standing == {one: steps[-1][1] for (kind, one), steps in trails.items() if kind == subject}


class TestUnknownWords:
    def test_one_is_counted_each_time_a_charge_ends_with_it_and_told_all_the_same(self, world: World) -> None:
        decline = Decline("generic_decline", DeclineCategory.UNKNOWN, "Declined.", "moon_phase", known=False)
        for _ in range(2):
            payment = waiting(world)
            with opened(world, payment) as (connection, row, charge):
                status_manager.apply(world.worker, connection, row, charge, Declined(Facts(), decline), CAUSE)
            with opened(world, payment) as (connection, row, charge):
                status_manager.apply(world.worker, connection, row, charge, Declined(Facts(), decline), CAUSE)
            assert world.payment(payment["id"])["decline"]["provider_code"] == "moon_phase"
        found = world.one("SELECT provider, kind, word, count FROM unknown_words")
        assert tuple(found.values()) == ("stripe", "decline", "moon_phase", 2)

    def test_one_that_no_text_can_hold_stops_nothing_and_names_nobody(self, world: World) -> None:
        word = "moon\x00 \ud83d 4111111111111111 ada@example.com"
        decline = Decline("generic_decline", DeclineCategory.UNKNOWN, "Declined.", word, known=False)
        payment = waiting(world)
        with opened(world, payment) as (connection, row, charge):
            status_manager.apply(world.worker, connection, row, charge, Declined(Facts(), decline), CAUSE)
        assert world.payment(payment["id"])["status"] == "failed"
        assert world.one("SELECT count FROM unknown_words WHERE word = 'moon  # #'")["count"] == 1

    def test_known_ones_are_not(self, world: World) -> None:
        before = world.rows("SELECT * FROM unknown_words")
        assert world.pay(payment_method={"type": "token", "token": "pm_card_chargeDeclined"})["status"] == "failed"
        assert world.rows("SELECT * FROM unknown_words") == before
