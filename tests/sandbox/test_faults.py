"""Misbehaviour on purpose: did it act, and what did the client see?"""

from __future__ import annotations

import json
import threading
import time

import pytest
import requests
import stripe

SENT = {
    "amount": "1000",
    "currency": "usd",
    "payment_method": "pm_card_visa",
    "confirm": "true",
    "return_url": "https://shop.example",
}


def post(shop, key="k1", timeout=5.0, **changes):
    return requests.post(
        shop.sandbox.url + "/v1/payment_intents",
        data={**SENT, **changes},
        headers={"Authorization": f"Bearer {shop.key}", "Idempotency-Key": key, "Connection": "close"},
        timeout=timeout,
    )


def charges(shop):
    return len(shop.ledger()["charges"])


@pytest.mark.parametrize(("effect", "happened"), [("timeout_before", 0), ("timeout_after", 1)])
def test_a_timeout(shop, effect, happened):
    shop.fault(effect, operation="payment_intents.create")
    with pytest.raises(requests.ReadTimeout):
        post(shop, timeout=0.3)
    assert charges(shop) == happened
    again = post(shop)
    assert again.json()["status"] == "succeeded"
    assert again.headers.get("Idempotent-Replayed") == ("true" if happened else None)
    assert charges(shop) == 1


@pytest.mark.parametrize(("effect", "happened"), [("reset_before", 0), ("reset_after", 1)])
def test_a_reset(shop, effect, happened):
    shop.fault(effect, operation="payment_intents.*")
    with pytest.raises(requests.ConnectionError) as seen:
        post(shop)
    # Not its subclass RemoteDisconnected, which a polite end would give.
    assert type(seen.value.args[0].args[1]) is ConnectionResetError
    assert charges(shop) == happened
    assert post(shop).status_code == 200
    assert charges(shop) == 1


def test_a_500_before_acting_is_not_saved(shop):
    shop.fault("status_before", status=500)
    assert post(shop).status_code == 500
    assert charges(shop) == 0
    assert post(shop).status_code == 200


def test_a_500_after_acting_is_saved_and_replayed(shop):
    shop.fault("status_after", status=500, operation="payment_intents.create")
    first = post(shop)
    assert (first.status_code, first.json()["error"]["type"]) == (500, "api_error")
    assert charges(shop) == 1
    second = post(shop)
    assert (second.status_code, second.headers["Idempotent-Replayed"]) == (500, "true")
    assert charges(shop) == 1
    assert shop.client.v1.payment_intents.list().data[0].status == "succeeded"


def test_429_by_order(shop):
    shop.fault("status_before", status=429)
    with pytest.raises(stripe.RateLimitError) as refused:
        shop.pay()
    assert refused.value.error.code == "rate_limit"
    assert charges(shop) == 0


def test_answers_that_cannot_be_read(shop):
    for key, effect in enumerate(("html", "nonsense")):
        shop.fault(effect)
        with pytest.raises(stripe.APIError) as seen:
            shop.client.v1.payment_intents.create({"amount": 500, "currency": "usd"}, {"idempotency_key": f"h{key}"})
        assert seen.value.http_status == 200
    shop.fault("cut_body")
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        post(shop)
    assert charges(shop) == 1
    assert post(shop).headers["Idempotent-Replayed"] == "true"


def test_a_slow_body_arrives_whole(shop):
    shop.fault("slow_body", ms=400)
    start = time.monotonic()
    assert post(shop).json()["status"] == "succeeded"
    assert time.monotonic() - start > 0.3


def test_answers_that_lie(shop):
    shop.fault("wrong_amount")
    assert shop.pay().amount == 10_000
    shop.fault("wrong_currency")
    assert shop.pay().currency == "eur"
    assert {(charge["amount"], charge["currency"]) for charge in shop.ledger()["charges"]} == {(1000, "usd")}


def test_what_a_fault_meets(shop):
    fault = shop.fault("status_before", status=503, metadata={"order": "7"}, times=2)
    assert post(shop, "a").status_code == 200
    assert post(shop, "b", **{"metadata[order]": "7"}).status_code == 503
    assert post(shop, "c", **{"metadata[order]": "7"}).status_code == 503
    assert post(shop, "d", **{"metadata[order]": "7"}).status_code == 200
    [seen] = [one for one in shop.sandbox.door("GET", "faults")["faults"] if one["id"] == fault["id"]]
    assert (seen["fired"], seen["times"]) == (2, 0)
    assert shop.sandbox.door("DELETE", f"faults/{fault['id']}") == {"removed": 1}
    by_path = shop.fault("status_before", status=503, method="GET", path="/v1/charges*")
    assert shop.raw("GET", "/v1/charges").status_code == 503
    assert by_path["times"] == 1


def test_a_probable_fault_repeats_itself_by_its_seed(shop):
    seen = []
    for _ in range(2):
        fault = shop.fault("status_before", status=503, probability=0.5, seed=7, times=100, operation="charges.list")
        seen.append([shop.raw("GET", "/v1/charges").status_code for _ in range(12)])
        shop.sandbox.door("DELETE", f"faults/{fault['id']}")
    assert seen[0] == seen[1]
    assert {200, 503} == set(seen[0])


def test_a_client_that_left_early_does_not_stop_the_provider(shop, eventually):
    shop.fault("delay", ms=400)
    with pytest.raises(requests.ReadTimeout):
        post(shop, timeout=0.1)
    eventually(lambda: charges(shop) == 1)


def initialize(integration, **changes):
    return requests.post(
        integration.sandbox.url + "/transaction/initialize",
        json={"email": "a@shop.example", "amount": 5000, "reference": "r1", "metadata": '{"ours": "1"}', **changes},
        headers={"Authorization": f"Bearer {integration.key}"},
        timeout=0.3,
    )


@pytest.mark.parametrize(
    ("effect", "happened"),
    [("timeout_before", 0), ("timeout_after", 1), ("reset_before", 0), ("reset_after", 1), ("cut_body", 1)],
)
def test_paystack_initialize_that_goes_wrong(integration, effect, happened):
    integration.fault(effect, operation="transaction.initialize", metadata={"ours": "1"})
    with pytest.raises((requests.ReadTimeout, requests.ConnectionError, requests.exceptions.ChunkedEncodingError)):
        initialize(integration)
    assert len(integration.ledger()["charges"]) == happened
    again = initialize(integration)
    assert again.json().get("code") == ("duplicate_reference" if happened else None)


@pytest.mark.parametrize("status", [500, 503, 429])
def test_paystack_refuses_before_acting(integration, status):
    integration.fault("status_before", status=status, params={"reference": "r1"})
    answer = initialize(integration)
    assert (answer.status_code, answer.json()["status"]) == (status, False)
    assert integration.ledger()["charges"] == []


def test_paystack_answers_that_cannot_be_read(integration):
    for number, effect in enumerate(("html", "nonsense")):
        integration.fault(effect, operation="transaction.initialize")
        answer = initialize(integration, reference=f"r{number}")
        assert answer.status_code == 200
        with pytest.raises(requests.exceptions.JSONDecodeError):
            answer.json()
    assert len(integration.ledger()["charges"]) == 2


def test_paystack_answers_that_lie(integration):
    paid = integration.paid()
    integration.fault("wrong_amount", operation="transaction.verify")
    told = integration.verify(paid["reference"])
    assert (told["amount"], told["requested_amount"]) == (5_000_000, 5_000_000)
    integration.fault("wrong_currency", operation="transaction.verify")
    assert integration.verify(paid["reference"])["currency"] == "GHS"
    assert integration.ledger()["summary"]["captured_by_currency"] == {"NGN": 500_000}


def test_a_slow_body_of_paystack(integration):
    integration.fault("slow_body", operation="transaction.initialize", ms=200)
    start = time.monotonic()
    assert initialize(integration).json()["status"] is True
    assert time.monotonic() - start > 0.15


def test_paystack_refund_500_after_acting(integration):
    transaction = integration.paid()
    integration.fault("status_after", operation="refund.create", status=500)
    status, body = integration.call("POST", "/refund", transaction=transaction["id"], merchant_note="ours")
    assert (status, body["status"], body["type"]) == (500, False, "api_error")
    assert [refund["merchant_note"] for refund in integration.ledger()["refunds"]] == ["ours"]


@pytest.mark.parametrize(
    "order",
    [{"effect": "explode"}, {"effect": "html", "colour": 1}, {"effect": "status_before"}, {}],
)
def test_a_wrong_order_is_refused(shop, order):
    answer = shop.session.post(shop.sandbox.url + "/_sandbox/faults", json=order, timeout=5)
    assert answer.status_code == 400
    assert answer.json()["error"]


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("status", 999, "from 200 to 599"),
        ("status", "500", "a whole number"),
        ("probability", 2, "from 0 to 1"),
        ("probability", float("nan"), "from 0 to 1"),
        ("times", 0, "from 1 to 1000000"),
        ("times", 1.5, "a whole number"),
        ("ms", -1, "from 0 to 86400000"),
        ("seed", "dice", "a whole number"),
        ("metadata", "order=7", "an object"),
        ("path", 7, "a text"),
        ("operation", "refund.bogus", "no operation is called refund.bogus"),
        ("operation", "refund.*", "refunds.create"),
    ],
)
def test_an_order_out_of_range_is_refused_with_what_would_do(shop, field, value, sentence):
    order = json.dumps({"effect": "status_before", "status": 500, field: value})
    answer = shop.session.post(shop.sandbox.url + "/_sandbox/faults", data=order, timeout=5)
    assert answer.status_code == 400
    assert field in answer.json()["error"]
    assert sentence in answer.json()["error"]


def test_many_calls_wait_together(run_sandbox, new_shop):
    shop = new_shop(run_sandbox("stripe", "--rate-limit", "0", "--rate-limit-total", "0", "--latency-ms", "600"))
    start = time.monotonic()
    threads = [threading.Thread(target=post, args=(shop, f"k{number}", 20.0)) for number in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 0.6 <= time.monotonic() - start < 5
    assert charges(shop) == 40
