"""Request limits: the real 429, decided before idempotency."""

from __future__ import annotations

import pytest
import stripe


def test_the_default_limits_are_stripes(run_sandbox):
    shown = run_sandbox("stripe").door("GET", "settings")
    assert (shown["rate_limit"], shown["rate_limit_total"]) == (25, 25)
    assert run_sandbox("paystack", directory="other").door("GET", "settings")["rate_limit"] == 0


def test_too_many_at_one_endpoint(run_sandbox, new_shop):
    shop = new_shop(run_sandbox("stripe", "--rate-limit", "3", "--rate-limit-total", "0"))
    for _ in range(3):
        shop.client.v1.payment_intents.list()
    with pytest.raises(stripe.RateLimitError) as refused:
        shop.client.v1.payment_intents.list()
    assert (refused.value.http_status, refused.value.error.code) == (429, "rate_limit")
    assert refused.value.headers["Stripe-Rate-Limited-Reason"] == "endpoint-rate"
    assert shop.client.v1.charges.list().data == []


def test_a_limited_request_uses_no_key(run_sandbox, new_shop, eventually):
    shop = new_shop(run_sandbox("stripe", "--rate-limit", "0", "--rate-limit-total", "2"))
    sent = {"amount": 500, "currency": "usd"}
    shop.client.v1.charges.list()
    shop.client.v1.refunds.list()
    with pytest.raises(stripe.RateLimitError) as refused:
        shop.client.v1.payment_intents.create(sent, {"idempotency_key": "k1"})
    assert refused.value.headers["Stripe-Rate-Limited-Reason"] == "global-rate"
    shop.sandbox.door("POST", "settings", rate_limit_total=0)
    answer = shop.raw("POST", "/v1/payment_intents", {"amount": "700", "currency": "usd"}, Idempotency_Key="k1")
    assert answer.status_code == 200
    assert "Idempotent-Replayed" not in answer.headers


def test_the_limit_opens_again_after_a_second(run_sandbox, new_shop, eventually):
    shop = new_shop(run_sandbox("stripe", "--rate-limit", "1"))
    shop.client.v1.payment_intents.list()
    assert shop.raw("GET", "/v1/payment_intents").status_code == 429
    eventually(lambda: shop.raw("GET", "/v1/payment_intents").status_code == 200, 3)
