"""Idempotency keys: replay, mismatch, in use, what is saved and what is not."""

from __future__ import annotations

import threading

import pytest
import stripe

SENT = {
    "amount": "1000",
    "currency": "usd",
    "payment_method": "pm_card_visa",
    "confirm": "true",
    "return_url": "https://shop.example",
}


def post(shop, key, path="/v1/payment_intents", **changes):
    sent = {name: value for name, value in {**SENT, **changes}.items() if value is not None}
    return shop.raw("POST", path, sent, Idempotency_Key=key)


def test_the_same_request_is_replayed(shop):
    first, second = post(shop, "k1"), post(shop, "k1")
    assert first.json() == second.json()
    assert "Idempotent-Replayed" not in first.headers
    assert second.headers["Idempotent-Replayed"] == "true"
    assert second.headers["Original-Request"] == first.headers["Request-Id"]
    [charge] = shop.ledger()["charges"]
    assert charge["idempotency_key"] == "k1"


def test_the_order_on_the_wire_does_not_matter(shop):
    first = shop.raw("POST", "/v1/payment_intents", "amount=500&currency=usd", Idempotency_Key="k",
                     Content_Type="application/x-www-form-urlencoded")  # fmt: skip
    second = shop.raw("POST", "/v1/payment_intents", "currency=usd&amount=500", Idempotency_Key="k",
                      Content_Type="application/x-www-form-urlencoded")  # fmt: skip
    assert first.json()["id"] == second.json()["id"]


def test_another_request_under_the_key_is_refused(shop):
    post(shop, "k1")
    for answer in (post(shop, "k1", amount="2000"), post(shop, "k1", path="/v1/refunds")):
        assert (answer.status_code, answer.json()["error"]["type"]) == (400, "idempotency_error")
    with pytest.raises(stripe.IdempotencyError):
        shop.client.v1.payment_intents.create({"amount": 500, "currency": "usd"}, {"idempotency_key": "k1"})
    assert len(shop.ledger()["charges"]) == 1


def test_a_decline_is_saved(shop):
    first = post(shop, "k1", payment_method="pm_card_chargeDeclined")
    second = post(shop, "k1", payment_method="pm_card_chargeDeclined")
    assert (second.status_code, second.headers["Idempotent-Replayed"]) == (402, "true")
    assert first.json() == second.json()
    assert len(shop.ledger()["charges"]) == 1


def test_a_refused_parameter_is_not_saved(shop):
    assert post(shop, "k1", amount=None).status_code == 400
    assert post(shop, "k1").status_code == 200


def test_an_unauthorized_request_is_not_saved(shop):
    headers = {"Authorization": "Bearer sk_test_wrong", "Idempotency-Key": "k1"}
    assert shop.session.post(shop.sandbox.url + "/v1/payment_intents", data=SENT, headers=headers).status_code == 401
    assert "Idempotent-Replayed" not in post(shop, "k1").headers


def test_keys_belong_to_an_account(shop, new_shop):
    other = new_shop(shop.sandbox)
    assert post(shop, "k1").json()["id"] != post(other, "k1").json()["id"]


def test_a_key_is_in_use_while_its_request_runs(shop, eventually):
    shop.fault("delay", ms=1500, operation="payment_intents.create")
    answers = []
    slow = threading.Thread(target=lambda: answers.append(post(shop, "k1")))
    slow.start()
    eventually(lambda: shop.sandbox.door("GET", "faults")["faults"][-1]["fired"])
    busy = shop.session.post(
        shop.sandbox.url + "/v1/payment_intents",
        data=SENT,
        headers={"Authorization": f"Bearer {shop.key}", "Idempotency-Key": "k1"},
        timeout=10,
    )
    slow.join()
    assert (busy.status_code, busy.json()["error"]["code"]) == (409, "idempotency_key_in_use")
    assert answers[0].status_code == 200
    assert post(shop, "k1").headers["Idempotent-Replayed"] == "true"
    assert len(shop.ledger()["charges"]) == 1


def test_a_key_that_is_too_long(shop):
    answer = post(shop, "k" * 256)
    assert (answer.status_code, answer.json()["error"]["type"]) == (400, "idempotency_error")


def test_keys_are_forgotten_after_a_day(run_sandbox, new_shop):
    shop = new_shop(run_sandbox("stripe"))
    first = post(shop, "k1").json()["id"]
    shop.sandbox.door("POST", "clock", advance_seconds=23 * 3600)
    assert post(shop, "k1").json()["id"] == first
    shop.sandbox.door("POST", "clock", advance_seconds=2 * 3600)
    assert post(shop, "k1", amount="2000").json()["id"] != first
