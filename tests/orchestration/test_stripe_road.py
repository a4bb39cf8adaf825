"""The payment road at Stripe: HTTP in, rows and the provider's ledger out."""

from __future__ import annotations

import pytest
import requests

from core.domain.identifiers import parse_id
from tests.support.world import RETURN_URL, World


def test_a_card_is_charged_once_and_everything_is_written_down(world: World) -> None:
    payment = world.pay(reference="order-42", metadata={"order": "42"})

    assert payment["status"] == "succeeded"
    assert (payment["amount_captured"], payment["amount_received"], payment["amount_refunded"]) == (5000, 5000, 0)
    charges = world.charges("stripe", payment["id"])
    assert [(one["status"], one["amount_captured"], one["currency"].upper()) for one in charges] == [
        ("succeeded", 5000, "USD")
    ]
    found = parse_id("payment", payment["id"])
    steps = world.rows(
        "SELECT subject_kind, from_status, to_status FROM audit_log WHERE payment_id = :id ORDER BY number", id=found
    )
    assert [(row["subject_kind"], row["from_status"], row["to_status"]) for row in steps] == [
        ("payment", None, "processing"),
        ("transaction", None, "sent"),
        ("transaction", "sent", "succeeded"),
        ("payment", "processing", "succeeded"),
    ]
    events = world.rows("SELECT type, sequence FROM events WHERE payment_id = :id ORDER BY sequence", id=found)
    assert [(row["type"], row["sequence"]) for row in events] == [
        ("payment.processing", 1),
        ("payment.succeeded", 2),
    ]


def test_the_job_tells_the_result(world: World) -> None:
    answer = world.post("/v1/payments", world.payment_body())
    job = answer.json()["job"]
    assert (answer.status_code, answer.headers["Location"], job["status"]) == (202, job["url"], "queued")

    world.settle()

    done = world.get(job["url"]).json()
    assert (done["status"], done["result"]["payment"]["status"]) == ("succeeded", "succeeded")


def test_yen_has_no_minor_unit(world: World) -> None:
    payment = world.pay(amount=1200, currency="JPY")
    assert (payment["status"], payment["amount_captured"]) == ("succeeded", 1200)
    assert world.charges("stripe", payment["id"])[0]["amount"] == 1200


def test_amounts_the_provider_cannot_say_are_refused_before_anything_is_stored(world: World) -> None:
    """Stripe takes three-decimal currencies in tens only."""
    before = world.count()
    answer = world.post("/v1/payments", world.payment_body(amount=1001, currency="KWD"))
    assert (answer.status_code, answer.json()["code"]) == (422, "capability_unsupported")
    assert world.count() == before

    payment = world.pay(amount=2000, currency="KWD", capture="manual")
    path = f"/v1/payments/{payment['id']}"
    assert world.post(f"{path}/capture", {"amount": 1001}).status_code == 422
    assert world.post(f"{path}/capture", {"amount": 1500}).status_code == 202
    world.settle()
    assert world.post(f"{path}/refunds", {"amount": 1}).status_code == 422
    assert world.post(f"{path}/refunds").status_code == 202


def test_a_mistyped_token_is_named(world: World) -> None:
    payment = world.pay(payment_method={"type": "token", "token": "pm_card_visaa"})
    assert payment["status"] == "failed"
    assert payment["decline"]["message"] == "The provider refused payment_method.token as invalid."


def test_authorize_capture_a_part_refund_a_part(world: World) -> None:
    payment = world.pay(capture="manual")
    assert (payment["status"], payment["amount_authorized"], payment["amount_captured"]) == ("authorized", 5000, 0)

    path = f"/v1/payments/{payment['id']}"
    assert world.post(f"{path}/capture", {"amount": 3000}).status_code == 202
    world.settle()
    captured = world.payment(payment["id"])
    assert (captured["status"], captured["amount_captured"], captured["amount_received"]) == ("succeeded", 3000, 3000)

    answer = world.post(f"{path}/refunds", {"amount": 1000, "reason": "requested_by_customer"})
    assert answer.status_code == 202
    assert answer.json()["refund"]["status"] == "processing"
    world.settle()
    assert world.payment(payment["id"])["amount_refunded"] == 1000
    refund = world.get(f"/v1/refunds/{answer.json()['refund']['id']}").json()
    assert (refund["status"], refund["amount"]) == ("succeeded", 1000)
    charge = world.charges("stripe", payment["id"])[0]
    assert (charge["amount_captured"], charge["amount_refunded"]) == (3000, 1000)


@pytest.mark.parametrize(
    ("token", "code", "category"),
    [
        ("pm_card_visa_chargeDeclined", "generic_decline", "soft"),
        ("pm_card_visa_chargeDeclinedInsufficientFunds", "insufficient_funds", "soft"),
        ("pm_card_visa_chargeDeclinedStolenCard", "stolen_card", "hard"),
    ],
)
def test_a_decline_fails_the_payment_and_not_the_job(world: World, token: str, code: str, category: str) -> None:
    answer = world.post("/v1/payments", world.payment_body(payment_method={"type": "token", "token": token}))
    world.settle()

    job = world.get(answer.json()["job"]["url"]).json()
    assert job["status"] == "succeeded"
    payment = job["result"]["payment"]
    assert payment["status"] == "failed"
    assert (payment["decline"]["provider_code"], payment["decline"]["category"]) == (code, category)
    assert [one["status"] for one in world.charges("stripe", payment["id"])] in ([], ["failed"])


def test_authentication_is_finished_on_the_providers_page(world: World) -> None:
    payment = world.pay(payment_method={"type": "token", "token": "pm_card_authenticationRequired"})
    assert payment["status"] == "requires_action"
    action = payment["next_action"]
    assert action["type"] == "redirect"
    assert action["client_secret"].startswith("pi_")
    assert action["publishable_key"].startswith("pk_test_")

    back = requests.post(action["url"], data={"action": "authorize"}, allow_redirects=False, timeout=10)
    assert back.headers["Location"].startswith(RETURN_URL)
    world.settle()

    paid = world.payment(payment["id"])
    assert (paid["status"], paid["next_action"]) == ("succeeded", None)
    assert [one["status"] for one in world.charges("stripe", payment["id"])] == ["succeeded"]


def test_failed_authentication_fails_the_payment(world: World) -> None:
    payment = world.pay(payment_method={"type": "token", "token": "pm_card_authenticationRequired"})
    requests.post(payment["next_action"]["url"], data={"action": "fail"}, allow_redirects=False, timeout=10)
    world.settle()
    failed = world.payment(payment["id"])
    assert (failed["status"], failed["decline"]["category"]) == ("failed", "customer_action")
    # What the decline left payable at the provider is ended there: the customer could still pay it.
    assert {row["kind"]: row["status"] for row in world.transactions(payment["id"])} == {
        "charge": "declined",
        "void": "succeeded",
    }


def test_checkout_is_paid_after_a_failed_try(world: World) -> None:
    answer = world.post("/v1/payments", world.redirect_body(provider="stripe"))
    world.settle()
    payment = world.get(answer.json()["job"]["url"]).json()["result"]["payment"]
    assert (payment["status"], payment["provider"]) == ("requires_action", "stripe")

    page = payment["next_action"]["url"]
    requests.post(page, data={"action": "pay", "card": "4000000000000002"}, allow_redirects=False, timeout=10)
    world.settle()
    assert world.payment(payment["id"])["status"] == "requires_action"

    requests.post(page, data={"action": "pay", "card": "4242424242424242"}, allow_redirects=False, timeout=10)
    world.settle()
    paid = world.payment(payment["id"])
    assert (paid["status"], paid["amount_captured"]) == ("succeeded", 5000)

    world.post(f"/v1/payments/{payment['id']}/refunds")
    world.settle()
    assert world.payment(payment["id"])["amount_refunded"] == 5000


def test_sync_asks_when_webhooks_are_lost(world: World) -> None:
    with world.without_webhooks("stripe"):
        created = world.create(payment_method={"type": "token", "token": "pm_card_authenticationRequired"})
        world.work()
        payment = world.payment(created["id"])
        requests.post(payment["next_action"]["url"], data={"action": "authorize"}, allow_redirects=False, timeout=10)
        world.work()
        assert world.payment(payment["id"])["status"] == "requires_action"

        assert world.post(f"/v1/payments/{payment['id']}/sync").status_code == 202
        world.work()
        assert world.payment(payment["id"])["status"] == "succeeded"


class TestCancel:
    def test_before_anything_was_sent(self, world: World) -> None:
        payment = world.create()
        answer = world.post(f"/v1/payments/{payment['id']}/cancel")
        job = world.rows(
            "SELECT id FROM jobs WHERE kind = 'create_payment' AND payment_id = :id",
            id=parse_id("payment", payment["id"]),
        )[0]
        # The creation is due first; hold it back so that the cancellation meets it unsent.
        with world.owner.begin() as connection:
            connection.exec_driver_sql(
                "UPDATE jobs SET run_after = app_now() + interval '1 minute' WHERE id = %s", (str(job["id"]),)
            )
        world.settle()
        assert world.payment(payment["id"])["status"] == "canceled"
        assert world.get(answer.json()["job"]["url"]).json()["status"] == "succeeded"
        assert world.charges("stripe", payment["id"]) == []

    def test_releases_a_hold(self, world: World) -> None:
        payment = world.pay(capture="manual")
        world.post(f"/v1/payments/{payment['id']}/cancel")
        world.settle()
        canceled = world.payment(payment["id"])
        assert (canceled["status"], canceled["amount_captured"], canceled["amount_refunded"]) == ("canceled", 0, 0)
        assert world.charges("stripe", payment["id"])[0]["status"] == "voided"

    def test_ends_an_authentication_nobody_finished(self, world: World) -> None:
        payment = world.pay(payment_method={"type": "token", "token": "pm_card_authenticationRequired"})
        world.post(f"/v1/payments/{payment['id']}/cancel")
        world.settle()
        assert world.payment(payment["id"])["status"] == "canceled"
        assert {row["kind"]: row["status"] for row in world.transactions(payment["id"])} == {
            "charge": "canceled",
            "void": "succeeded",
        }

    def test_is_refused_after_success(self, world: World) -> None:
        payment = world.pay()
        answer = world.post(f"/v1/payments/{payment['id']}/cancel")
        assert (answer.status_code, answer.json()["code"]) == (409, "state_conflict")
