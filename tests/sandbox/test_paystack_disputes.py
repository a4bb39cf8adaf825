"""Disputes at Paystack: by a card or by order, answered, contested, left alone."""

from __future__ import annotations

import pytest
import requests

WON, LOST = "4084080000001004", "4084080000001005"


def disputed(integration, **wanted):
    paid = integration.paid(amount=500_000)
    sent = {"secret_key": integration.key, "reference": paid["reference"], **wanted}
    return paid, integration.sandbox.door("POST", "disputes", **sent)["id"]


def fetch(integration, id):
    return integration.call("GET", f"/dispute/{id}")[1]["data"]


def contest(integration, id):
    """As documented: evidence, a file, then the resolution."""
    who = {"customer_email": "ada@shop.example", "customer_name": "Ada", "customer_phone": "0800"}
    made = integration.call("POST", f"/dispute/{id}/evidence", service_details="Sent", **who)[1]
    assert (made["message"], made["data"]["dispute"]) == ("Evidence created", id)
    upload = integration.call("GET", f"/dispute/{id}/upload_url?upload_filename=proof.pdf")[1]["data"]
    sent = {"resolution": "declined", "message": "It was sent", "refund_amount": 0, "evidence": made["data"]["id"],
            "uploaded_filename": upload["fileName"]}  # fmt: skip
    status, body = integration.call("PUT", f"/dispute/{id}/resolve", **sent)
    assert (status, body["message"]) == (400, "Uploaded file not found")
    assert requests.put(upload["signedUrl"], data=b"%PDF", timeout=5).status_code == 200
    return integration.call("PUT", f"/dispute/{id}/resolve", **sent)


def test_accepting_gives_the_money_back(hooked_integration, receiver):
    integration = hooked_integration
    paid, id = disputed(integration, amount=200_000)
    told = receiver.take("charge.dispute.create", name="event")["charge.dispute.create"]["data"]
    assert (told["id"], told["status"], told["refund_amount"], told["transaction"]["reference"]) == (
        id, "awaiting-merchant-feedback", 200_000, paid["reference"],
    )  # fmt: skip
    sent = {
        "resolution": "merchant-accepted",
        "message": "Sorry",
        "refund_amount": 150_000,
        "uploaded_filename": "x.pdf",
    }
    status, body = integration.call("PUT", f"/dispute/{id}/resolve", **sent)
    assert (status, body["message"]) == (200, "Dispute successfully resolved")
    assert (body["data"]["status"], body["data"]["resolution"], body["data"]["transaction"]) == (
        "resolved", "merchant-accepted", paid["id"],
    )  # fmt: skip
    told = receiver.take("charge.dispute.resolve", name="event")["charge.dispute.resolve"]["data"]
    assert (told["resolution"], told["transaction"]["status"]) == ("merchant-accepted", "reversed")
    assert integration.verify(paid["reference"])["status"] == "reversed"
    assert integration.call("POST", "/refund", transaction=paid["id"], amount=1)[1]["code"] == "transaction_reversed"
    [one] = integration.ledger()["disputes"]
    assert (one["amount"], one["amount_lost"], one["payment"]) == (200_000, 150_000, paid["reference"])
    assert integration.call("PUT", f"/dispute/{id}/resolve", **sent)[0] == 400


@pytest.mark.parametrize(("winner", "resolution", "ends"), [("merchant", "declined", "success"),
                                                            ("customer", "auto-accepted", "reversed")])  # fmt: skip
def test_contesting_is_decided_by_the_bank(run_sandbox, new_integration, winner, resolution, ends):
    sandbox = run_sandbox("paystack")
    integration = new_integration(sandbox)
    paid, id = disputed(integration, winner=winner)
    status, body = contest(integration, id)
    assert (status, body["data"]["status"]) == (200, "awaiting-bank-feedback")
    sandbox.door("POST", "clock", advance_seconds=25 * 3600)
    found = fetch(integration, id)
    assert (found["status"], found["resolution"]) == ("resolved", resolution)
    assert integration.verify(paid["reference"])["status"] == ends


def test_silence_accepts_after_a_reminder(run_sandbox, new_integration, receiver):
    sandbox = run_sandbox("paystack")
    sandbox.door("POST", "settings", webhook_delay_ms=0)
    integration = new_integration(sandbox, webhook_url=receiver.url)
    _, id = disputed(integration, pending=True)
    assert fetch(integration, id)["status"] == "pending"
    sandbox.door("POST", "clock", advance_seconds=25 * 3600)
    assert fetch(integration, id)["status"] == "awaiting-merchant-feedback"
    assert receiver.take("charge.dispute.remind", name="event")["charge.dispute.remind"]["data"]["id"] == id
    sandbox.door("POST", "clock", advance_seconds=24 * 3600)
    assert fetch(integration, id)["resolution"] == "auto-accepted"
    assert [one["status"] for one in fetch(integration, id)["history"]] == [
        "pending", "awaiting-merchant-feedback", "resolved",
    ]  # fmt: skip


@pytest.mark.parametrize("card", [WON, LOST])
def test_cards_that_are_disputed(integration, eventually, card):
    paid = integration.paid(card=card)
    address = f"/dispute/transaction/{paid['id']}"
    eventually(lambda: integration.call("GET", address)[0] == 200)
    found = integration.call("GET", address)[1]["data"]
    assert (found["refund_amount"], found["last4"]) == (500_000, card[-4:])


def test_lists_and_changes(integration):
    paid, id = disputed(integration)
    assert [one["id"] for one in integration.call("GET", f"/dispute?transaction={paid['id']}")[1]["data"]] == [id]
    assert integration.call("GET", "/dispute?status=resolved")[1]["data"] == []
    assert integration.call("GET", "/dispute?from=2099-01-01")[1]["meta"]["total"] == 0
    status, body = integration.call("PUT", f"/dispute/{id}", refund_amount=1_000)
    assert (status, body["data"]["refund_amount"]) == (200, 1_000)
    assert integration.call("PUT", f"/dispute/{id}", refund_amount=500_001)[0] == 400
    assert integration.call("PUT", f"/dispute/{id}")[1]["code"] == "missing_params"
    for missing in ("/dispute/1", "/dispute/transaction/1"):
        assert integration.call("GET", missing)[0] == 404


@pytest.mark.parametrize(
    ("changes", "status"), [({"reference": "none"}, 404), ({"amount": 500_001}, 400), ({"secret_key": "x"}, 404)]
)
def test_wrong_orders(integration, changes, status):
    paid = integration.paid()
    sent = {"secret_key": integration.key, "reference": paid["reference"], **changes}
    answer = integration.session.post(integration.sandbox.url + "/_sandbox/disputes", json=sent, timeout=5)
    assert answer.status_code == status
    assert answer.json()["error"]


def test_stripe_has_no_such_door(shop):
    answer = shop.session.post(shop.sandbox.url + "/_sandbox/disputes", json={"secret_key": shop.key}, timeout=5)
    assert answer.status_code == 404


def test_a_file_for_nobody(integration):
    assert integration.session.put(integration.sandbox.url + "/uploads/x.pdf", data=b"x", timeout=5).status_code == 403
