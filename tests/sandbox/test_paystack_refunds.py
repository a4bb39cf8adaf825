"""Paystack refunds: queued, processed later, told without an id; failing and waiting for a person."""

from __future__ import annotations

import pytest


def refund(integration, **sent):
    status, body = integration.call("POST", "/refund", **sent)
    assert status == 200, body
    return body["data"]


def status_of(integration, id):
    return integration.call("GET", f"/refund/{id}")[1]["data"]["status"]


def test_a_partial_refund_is_processed_later(hooked_integration, receiver, eventually):
    paid = hooked_integration.paid()
    receiver.take("charge.success", name="event")
    made = refund(hooked_integration, transaction=paid["reference"], amount=200_000, merchant_note="ours-1")
    assert (made["status"], made["amount"], made["transaction"]["id"]) == ("pending", 200_000, paid["id"])
    eventually(lambda: status_of(hooked_integration, made["id"]) == "processed")
    told = receiver.take("refund.pending", "refund.processing", "refund.processed", name="event")
    for event in told.values():
        assert event["data"]["amount"] == "200000"
        assert "id" not in event["data"]
        assert event["data"]["transaction_reference"] == paid["reference"]
        assert event["data"]["integration"] == hooked_integration.number
    status, listed = hooked_integration.call("GET", f"/refund?transaction={paid['id']}")
    assert status == 200
    [one] = listed["data"]
    assert (one["transaction"], one["merchant_note"], one["amount"]) == (paid["id"], "ours-1", 200_000)
    assert hooked_integration.verify(paid["reference"])["status"] == "success"
    assert hooked_integration.ledger()["summary"]["refunded_by_currency"] == {"NGN": 200_000}


def test_a_full_refund_reverses_the_transaction(integration, eventually):
    paid = integration.paid()
    made = refund(integration, transaction=paid["id"])
    assert made["amount"] == 500_000
    eventually(lambda: integration.verify(paid["reference"])["status"] == "reversed")
    status, body = integration.call("POST", "/refund", transaction=paid["id"])
    assert (status, body["message"], body["code"]) == (
        400,
        "Transaction has been fully reversed",
        "transaction_reversed",
    )
    assert integration.ledger()["charges"][0]["amount_refunded"] == 500_000


def test_more_than_is_left_is_refused(integration):
    paid = integration.paid()
    refund(integration, transaction=paid["id"], amount=300_000)
    status, body = integration.call("POST", "/refund", transaction=paid["id"], amount=200_001)
    assert (status, body["status"], body["type"]) == (400, False, "validation_error")
    assert refund(integration, transaction=paid["id"], amount=200_000)["amount"] == 200_000


def test_two_equal_refunds_are_two_refunds(integration):
    paid = integration.paid()
    first = refund(integration, transaction=paid["id"], amount=100)
    second = refund(integration, transaction=paid["id"], amount=100)
    assert first["id"] != second["id"]
    assert len(integration.ledger()["refunds"]) == 2


def test_a_refund_that_fails(hooked_integration, receiver, eventually):
    paid = hooked_integration.paid(card="4084080000671803")
    made = refund(hooked_integration, transaction=paid["id"], amount=1_000)
    eventually(lambda: status_of(hooked_integration, made["id"]) == "failed")
    event = receiver.take("refund.failed", name="event")["refund.failed"]
    assert event["data"]["amount"] == 1_000
    assert event["data"]["refund_reference"].startswith("TRF_")
    assert hooked_integration.ledger()["charges"][0]["amount_refunded"] == 0


def test_a_refund_that_needs_attention(hooked_integration, receiver):
    paid = hooked_integration.paid(card="4084080000671902")
    made = refund(hooked_integration, transaction=paid["id"], merchant_note="ours-2")
    event = receiver.take("refund.needs-attention", name="event")["refund.needs-attention"]
    assert event["data"]["id"] == str(made["id"])
    assert (event["data"]["merchant_note"], event["data"]["amount"]) == ("ours-2", 500_000)


@pytest.mark.parametrize("sent", [{}, {"transaction": "nothing"}, {"transaction": 1}])
def test_unknown_transactions(integration, sent):
    assert integration.call("POST", "/refund", **sent)[0] in (400, 404)


def test_an_unpaid_transaction_has_nothing_to_refund(integration):
    started = integration.initialize()
    status, body = integration.call("POST", "/refund", transaction=started["reference"])
    assert (status, body["code"]) == (400, "transaction_not_successful")


def test_unknown_refunds(integration):
    assert integration.call("GET", "/refund/1")[0] == 404
    assert integration.call("GET", "/refund?transaction=1")[1]["data"] == []


def test_a_refund_that_needs_attention_is_retried(integration, eventually):
    paid = integration.paid(card="4084080000671902")
    made = refund(integration, transaction=paid["id"])
    details = {"currency": "NGN", "account_number": "1234567890", "bank_id": "9"}
    address = f"/refund/retry_with_customer_details/{made['id']}"
    eventually(lambda: status_of(integration, made["id"]) == "needs-attention")
    assert integration.call("POST", address)[1]["code"] == "missing_params"
    status, body = integration.call("POST", address, refund_account_details=details)
    assert (status, body["data"]["status"], body["data"]["transaction"]) == (200, "processing", paid["id"])
    eventually(lambda: status_of(integration, made["id"]) == "processed")
    status, body = integration.call("POST", address, refund_account_details=details)
    assert (status, body["status"]) == (422, False)
    assert body["message"].startswith("Invalid Refund state")


def test_refunds_are_listed_by_what_is_asked(integration):
    first, second = integration.paid(), integration.paid(currency="GHS")
    made = [refund(integration, transaction=one["id"], amount=100)["id"] for one in (first, second)]
    find = lambda query: [one["id"] for one in integration.call("GET", f"/refund?{query}")[1]["data"]]  # noqa: E731
    assert find("currency=GHS") == made[1:]
    assert find(f"transaction={first['id']}") == made[:1]
    assert (find("perPage=1&page=2"), find("from=2099-01-01")) == (made[:1], [])
