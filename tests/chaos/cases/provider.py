"""What a provider's network and its front door do wrong: time-outs, errors, broken bodies."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import requests

from tests.chaos.cases import forging
from tests.chaos.cases.case import Case, Ground, expect
from tests.support.waiting import wait_until

CREATE = "payment_intents.create"


def _one_charge(**fault: Any) -> Callable[[Ground], None]:
    """Stripe's create goes wrong in one way, and no event helps."""

    def run(ground: Ground) -> None:
        with ground.without_webhooks("stripe"):
            ground.stage.fault("stripe", operation=CREATE, **fault)
            payment = ground.stage.pay()["id"]
            ground.since()
            ground.paid_once(payment)
        (sent,) = ground.transactions(payment)
        expect(sent["status"] == "succeeded", f"the transaction is {sent['status']}")

    return run


def errors(ground: Ground) -> None:
    """500, 502 and 503, each with and without effect; Stripe replays a 500 that it has saved."""
    with ground.without_webhooks("stripe"):
        payments = []
        for effect in ("status_before", "status_after"):
            for status in (500, 502, 503):
                ground.stage.fault("stripe", operation=CREATE, effect=effect, status=status)
                payments.append(ground.stage.pay()["id"])
                wait_until(functools.partial(_was_sent, ground, payments[-1]), "the send")
        ground.since()
        for payment in payments:
            ground.paid_once(payment)


def _was_sent(ground: Ground, payment: str) -> bool:
    return any(row["status"] != "sent" for row in ground.transactions(payment))


def bodies(ground: Ground) -> None:
    """The charge is made, and its answer comes broken, or a byte at a time."""
    with ground.without_webhooks("stripe"):
        payments = []
        for effect in ("reset_after", "cut_body", "nonsense", "html", "slow_body"):
            more = {"ms": 60_000} if effect == "slow_body" else {}
            ground.stage.fault("stripe", operation=CREATE, effect=effect, **more)
            payments.append(ground.stage.pay()["id"])
            # Four bad answers in a row may open the circuit, which lets the next through after some five seconds.
            wait_until(functools.partial(_was_sent, ground, payments[-1]), f"the send met by {effect}", 15)
        ground.since()
        for payment in payments:
            ground.paid_once(payment)


def cut_wires(ground: Ground) -> None:
    """The way to Stripe: cut before it acts, cut after, silent after."""
    proxy = ground.proxy("stripe")
    with ground.without_webhooks("stripe"):
        for order in (proxy.drop_request, proxy.drop_reply, proxy.blackhole):
            order(b"POST /v1/payment_intents")
            payment = ground.stage.pay()["id"]
            ground.since()
            ground.paid_once(payment)


def limited(ground: Ground) -> None:
    ground.stage.fault("stripe", operation=CREATE, effect="status_before", status=429, times=3)
    payments = ground.pay_many(3, 3)
    ground.since()
    for payment in payments:
        ground.paid_once(payment)
        (sent,) = ground.transactions(payment)
        expect(sent["lookup_count"] == 0, "a 429 was taken for an unknown outcome")


def revoked(ground: Ground) -> None:
    """A key that is refused stops the account; no attempt is burned on it, and its payments say why."""
    fault = ground.stage.fault("stripe", effect="status_before", status=401, times=1000)
    first = ground.stage.pay()["id"]
    failed = ground.ended(first, "failed")
    expect((failed["decline"] or {}).get("code") == "provider_misconfigured", f"it says {failed['decline']}")
    (account,) = ground.stage.query("SELECT status FROM provider_accounts WHERE provider = 'stripe'")
    expect(account["status"] == "suspended", f"the account is {account['status']}")
    sends = [row["send_count"] for row in ground.transactions(first)]
    expect(sends == [1], f"it was sent {sends} times")
    refused = ground.stage.request("POST", "/v1/payments", {**_token(), "provider": "stripe"})
    expect(refused.status_code in (202, 409, 422, 503), f"{refused.status_code} {refused.text[:200]}")
    if refused.status_code == 202:
        ended = ground.ended(refused.json()["payment"]["id"], "failed")
        expect(ended["decline"], "a payment nobody could carry out says nothing")
    kinds = {row["kind"] for row in ground.stage.query("SELECT kind FROM findings")}
    expect(any("suspend" in kind or "credential" in kind or "misconf" in kind for kind in kinds), f"findings: {kinds}")
    expect(fault, "no fault was made")


def _token() -> dict[str, Any]:
    return {"amount": 1000, "currency": "USD", "payment_method": {"type": "token", "token": "pm_card_visa"}}


def mismatched(ground: Ground) -> None:
    """An answer that names another sum, or another currency, is no success."""
    for effect in ("wrong_amount", "wrong_currency"):
        with ground.without_webhooks("stripe"):
            ground.stage.fault("stripe", operation=CREATE, effect=effect)
            payment = ground.stage.pay()["id"]
            wait_until(functools.partial(_in_review, ground, payment), "a person to be asked")
            expect(ground.stage.payment(payment)["status"] == "processing", "it counts as more than under way")
            kinds = [row["kind"] for row in _findings(ground, payment)]
            expect("amount_mismatch" in kinds, f"findings: {kinds}")
        ground.charged(payment, 1)


def _in_review(ground: Ground, payment: str) -> bool:
    return any(job["status"] == "needs_review" for job in ground.jobs(payment))


def _findings(ground: Ground, payment: str) -> list[dict[str, Any]]:
    from tests.chaos.cases.case import uuid_of

    return ground.stage.query("SELECT kind FROM findings WHERE payment_id = %s", uuid_of(payment))


def _fired(ground: Ground, fault: str) -> bool:
    return any(one["id"] == fault and one["fired"] for one in ground.stage.sandbox("stripe", "faults")["faults"])


def key_used_otherwise(ground: Ground) -> None:
    """Stripe already knows our key, with another body: it was sent, so it is looked up and gets no new key."""
    with ground.without_webhooks("stripe"):
        fault = ground.stage.fault("stripe", operation=CREATE, effect="timeout_before")
        payment = ground.stage.pay()["id"]
        # Else ours would be the call that it meets.
        wait_until(lambda: _fired(ground, fault), "the call that is not answered")
        key = ground.transactions(payment)[0]["provider_key"]
        # Whatever had that key: a request that was never confirmed, so that no charge of it exists.
        url = f"{ground.stage.service.sandbox_urls['stripe']}/v1/payment_intents"
        auth = (forging.secret_key(ground.stage, "stripe"), "")
        body = {"amount": 77, "currency": "usd"}
        requests.post(url, data=body, auth=auth, headers={"Idempotency-Key": key}, timeout=10).raise_for_status()
        ground.since()

        def asked() -> bool:
            (sent,) = ground.transactions(payment)
            return int(sent["send_count"]) >= 2 and sent["status"] == "unknown" and int(sent["lookup_count"]) >= 2

        wait_until(asked, "the refused repetition to be looked up", 30)
        (sent,) = ground.transactions(payment)
        expect(sent["provider_key"] == key, "another key was made")
        expect(ground.stage.payment(payment)["status"] == "processing", "the outcome was guessed")
        ground.charged(payment, 0)
    # Events that are kept back would never let it come to rest.
    ground.stage.advance(25 * 3600)
    ground.stage.quiet(30, advance=True)
    ended = ground.stage.payment(payment)["status"]
    expect(_in_review(ground, payment) or ended == "failed", f"after a day it is {ended}, and nobody is asked")
    ground.charged(payment, 0)
    expect([row["provider_key"] for row in ground.transactions(payment)] == [key], "another key was made")


def circuit(ground: Ground) -> None:
    """Stripe is down: its circuit opens, pages are Paystack's without a try at Stripe, and it closes by itself."""
    stage, page = ground.stage, {"amount": 1000, "currency": "USD"}
    begun = stage.query("SELECT app_now() AS now")[0]["now"]

    def states() -> list[str]:
        query = "SELECT to_state FROM health_changes WHERE operation = 'start' AND created_at >= %s ORDER BY id"
        return [row["to_state"] for row in stage.query(query, begun)]

    def paged() -> str:
        payment = str(stage.pay_by_page(**page)["id"])
        stage.open_page(payment)
        ground.hurt("provider.refused")
        return payment

    stage.proxies["stripe"].refuse()
    try:
        made = [paged()]
        while "open" not in states() and len(made) < 40:
            made.append(paged())
        expect("open" in states(), f"the circuit is not open after {len(made)} refused connections")
        wait_until(lambda: not _tried_at_stripe(ground, paged()), "a page without a try at Stripe", 20)
    finally:
        stage.proxies["stripe"].heal()
    ground.since()

    def closed() -> bool:
        ground.paid_once(stage.pay()["id"], seconds=90)
        return states()[-1:] == ["closed"]

    wait_until(closed, "the circuit to close", 90)


def _tried_at_stripe(ground: Ground, payment: str) -> bool:
    """Did a call leave for it? One that the circuit kept back says so."""
    rows = ground.transactions(payment)
    return any(row["provider"] == "stripe" and "breaker_open" not in str(row["evidence"]) for row in rows)


CASES = (
    Case("21", "provider", "time-out before it acted", "same key; 1 charge", 1, _one_charge(effect="timeout_before")),
    Case("22", "provider", "time-out after it acted", "found; 1 charge", 1, _one_charge(effect="timeout_after")),
    Case("23", "provider", "500, 502, 503 with and without effect", "not failed; look-up decides", 6, errors),
    Case("24a", "provider", "429 with Retry-After", "backs off; not ambiguous", 3, limited),
    Case("24b", "provider", "401, a revoked key", "account stopped, told, no try burned", 1, revoked, "apart"),
    Case("24c", "provider", "circuit open", "nothing is sent; others carry it; closes", 12, circuit, "apart"),
    Case("25a", "provider", "cut, malformed, HTML, slow bodies", "deadline held; unknown", 5, bodies),
    Case("25b", "provider", "wire cut before and after, silent", "1 charge", 3, cut_wires),
    Case("26", "provider", "Stripe knows the key with another body", "looked up", 1, key_used_otherwise, "apart"),
    Case("28", "provider", "answer for another sum or currency", "no success; a person asked", 2, mismatched),
)  # fmt: skip
