"""Sends whose outcome is not known, up to the day on which they may not be repeated."""

from __future__ import annotations

import functools
from typing import Any

from tests.chaos.cases.case import Case, Ground, expect
from tests.support.waiting import wait_until

CREATE = "payment_intents.create"
INITIALIZE = "transaction.initialize"
HOUR = 3600.0
#: Of a send that arrives when its caller has given up (2 s) and has asked for it in vain, on a busy machine too; sooner
#: than "not there" counts (12 s).
LATE_MS = 8000
#: Settings that keep the product's own distance between two answers of "not there", so that it is seen.
SPACED = {"not_found_spacing": 60}


def _unknown(ground: Ground, payment: str) -> bool:
    sent = ground.transactions(payment)
    return bool(sent) and sent[-1]["status"] == "unknown"


def no_failover(ground: Ground) -> None:
    """A card token, and a page with two accounts: the first send arrives late, the second is refused outright."""
    with ground.without_webhooks():
        for operation, pay in ((CREATE, ground.stage.pay), ("checkout_sessions.create", ground.stage.pay_by_page)):
            ground.stage.fault("stripe", operation=operation, effect="delay", ms=LATE_MS)
            for _ in range(3):
                ground.stage.fault("stripe", operation=operation, effect="status_before", status=429)
            payment = pay()["id"]
            ground.since()
            wait_until(functools.partial(_sent_again, ground, payment), "the second send", LATE_MS / 1000)
            ground.ended(payment, "succeeded", "requires_action")
            providers = [row["provider"] for row in ground.transactions(payment)]
            expect(providers == ["stripe"], f"it was begun at {providers}")
            expect(not ground.stage.charges("paystack", payment), "a second provider was asked for the money")
            if operation == CREATE:
                ground.charged(payment, 1)
            ground.stage.clear_faults()
    ground.ended(payment, "succeeded", "requires_action")


def _sent_again(ground: Ground, payment: str) -> bool:
    return any(int(row["send_count"]) > 1 for row in ground.transactions(payment))


def refused_outright(ground: Ground) -> None:
    """Nobody listens at Stripe any more after the first send: that says nothing about the first."""
    with ground.without_webhooks("stripe"):
        ground.stage.fault("stripe", operation=CREATE, effect="timeout_after")
        payment = ground.stage.pay()["id"]
        wait_until(lambda: ground.stage.charges("stripe", payment), "the charge")
        ground.proxy("stripe").refuse()
        try:
            ground.stage.pause(4)
            expect(ground.stage.payment(payment)["status"] == "processing", "it was given up without proof")
        finally:
            ground.proxy("stripe").heal()
        ground.since()
        ground.paid_once(payment)


def saved_500(ground: Ground) -> None:
    """Stripe has charged, answers 500, and answers it again under the same key: only the list knows."""
    with ground.without_webhooks("stripe"):
        ground.stage.fault("stripe", operation=CREATE, effect="status_after", status=500)
        ground.stage.fault("stripe", operation="payment_intents.list", effect="status_before", status=503, times=2)
        payment = ground.stage.pay()["id"]
        ground.since()
        ground.paid_once(payment)
    kinds = [row["status"] for row in ground.transactions(payment)]
    expect(kinds == ["succeeded"], f"transactions: {kinds}")


def initialize_lost(ground: Ground) -> None:
    """The page was made and its address never came: a new reference, and one payment however often it is made."""
    ground.stage.fault("paystack", operation=INITIALIZE, effect="timeout_after")
    payment = ground.paystack()["id"]
    ground.since()
    page = ground.stage.open_page(payment)
    statuses = [row["status"] for row in ground.transactions(payment)]
    expect(statuses == ["not_executed", "requires_action"], f"transactions: {statuses}")
    ground.submit(page, action="pay", card="4084084084084081")
    ground.paid_once(payment, "paystack")


def refund_lost(ground: Ground) -> None:
    """Paystack has refunded and its answer is lost; it is found in the list, and never asked for again."""
    payment = ground.paid_at_paystack()
    ground.stage.fault("paystack", operation="refund.create", effect="timeout_after")
    ground.stage.insist(f"/v1/payments/{payment}/refunds", {"amount": 1000})
    ground.since()
    wait_until(lambda: ground.stage.payment(payment)["amount_refunded"] == 1000, "the refund", 30, every=0.1)
    (charge,) = ground.stage.charges("paystack", payment)
    expect(charge["amount_refunded"] == 1000, f"{charge['amount_refunded']} went back")
    sends = [row["send_count"] for row in ground.transactions(payment, "refund")]
    expect(sends == [1], f"the refund was sent {sends} times")


def refund_never_made(ground: Ground) -> None:
    """It never arrived: absent twice, it goes to a person, since a second refund would refund twice."""
    payment = ground.paid_at_paystack()
    ground.stage.fault("paystack", operation="refund.create", effect="timeout_before")
    ground.stage.insist(f"/v1/payments/{payment}/refunds", {"amount": 1000})

    def reviewed() -> bool:
        return bool(ground.jobs(payment, "refund_payment")[0]["status"] == "needs_review")

    for _ in range(6):
        ground.stage.quiet(30)
        if reviewed():
            break
        ground.stage.advance(610)
    wait_until(reviewed, "a person to be asked")
    sends = [row["send_count"] for row in ground.transactions(payment, "refund")]
    expect(sends == [1], f"the refund was sent {sends} times")


def too_old(ground: Ground, hours: float = 23.2) -> None:
    """A key older than 23 hours is only looked up, whether its first send charged or not."""
    with ground.without_webhooks("stripe"):
        asked = "payment_intents.list"
        ground.stage.fault("stripe", operation=asked, effect="status_before", status=503, times=100_000)
        ground.stage.fault("stripe", operation=CREATE, effect="timeout_before")
        lost = ground.stage.pay()["id"]
        wait_until(functools.partial(_unknown, ground, lost), "the first to time out")
        ground.stage.fault("stripe", operation=CREATE, effect="timeout_after")
        charged = ground.stage.pay()["id"]
        wait_until(functools.partial(_unknown, ground, charged), "the second to time out")
        sends = {one: _sends(ground, one) for one in (lost, charged)}
        expect(sends == {lost: [1], charged: [1]}, f"it was sent again while no look-up answered: {sends}")
        ground.stage.advance(hours * HOUR)
        ground.hurt("clock.advanced")
        # A new request under the old key would be a new charge at Stripe: an order to see one come.
        ground.stage.clear_faults()
        ground.paid_once(charged)
        gone = ground.ended(lost, "failed", seconds=40)
    expect((gone["decline"] or {}).get("code") == "provider_unavailable", f"it says {gone['decline']}")
    sends = {one: _sends(ground, one) for one in (lost, charged)}
    expect(sends == {lost: [1], charged: [1]}, f"a key of yesterday was sent again: {sends}")
    ground.charged(lost, 0)
    ground.charged(charged, 1)


def _sends(ground: Ground, payment: str) -> list[int]:
    return [int(row["send_count"]) for row in ground.transactions(payment)]


def reference_kept(ground: Ground) -> None:
    """Verify has to say "not there" twice, 60 s apart, before the reference is used again, and it is never replaced."""
    ground.stage.fault("paystack", operation=INITIALIZE, effect="timeout_before")
    payment = ground.paystack()["id"]
    wait_until(functools.partial(_unknown, ground, payment), "the send to time out")
    (sent,) = ground.transactions(payment)
    ground.stage.advance(13)

    def counted(times: int) -> bool:
        return int(ground.transactions(payment)[0]["not_found_count"]) >= times

    wait_until(functools.partial(counted, 1), "the first answer that it is not there")
    ground.stage.advance(40)
    ground.stage.pause(1.5)
    row = ground.transactions(payment)[0]
    expect((row["not_found_count"], row["send_count"]) == (1, 1), "two answers closer than 60 s counted as two")
    ground.stage.advance(25)
    ground.since()
    page = ground.stage.open_page(payment)
    (after,) = ground.transactions(payment)
    expect(after["provider_key"] == sent["provider_key"], "the reference was replaced")
    expect(after["send_count"] == 2, f"it was sent {after['send_count']} times")
    ground.submit(page, action="pay", card="4084084084084081")
    ground.paid_once(payment, "paystack")


def tokens_elsewhere(ground: Ground) -> None:
    """A capture, a cancel and a refund whose answers are lost: each found, none repeated."""
    lost: list[tuple[str, str, Any]] = []
    for path, operation, body in (
        ("capture", "payment_intents.capture", {"amount": 600}),
        ("cancel", "payment_intents.cancel", {}),
        ("refunds", "refunds.create", {"amount": 300}),
    ):
        payment = ground.stage.pay(capture="automatic" if path == "refunds" else "manual")["id"]
        ground.ended(payment, "authorized", "succeeded")
        ground.stage.fault("stripe", operation=operation, effect="timeout_after")
        ground.stage.insist(f"/v1/payments/{payment}/{path}", body)
        lost.append((payment, path, body))
    ground.since()
    ends = {
        "capture": ("succeeded", "amount_captured", 600),
        "cancel": ("canceled", "amount_captured", 0),
        "refunds": ("succeeded", "amount_refunded", 300),
    }
    for payment, path, _ in lost:
        status, field, amount = ends[path]
        ground.ended(payment, status)
        wait_until(functools.partial(_shows, ground, payment, field, amount), f"the {path}", 30, every=0.1)
        (charge,) = ground.stage.charges("stripe", payment)
        expect(charge[field] == amount, f"the provider's {field} is {charge[field]}")


def _shows(ground: Ground, payment: str, field: str, amount: int) -> bool:
    return bool(ground.stage.payment(payment)[field] == amount)


CASES = (
    Case("27", "provider", "unknown for more than 23 h at Stripe", "looked up, never sent again", 3, too_old, "apart"),
    Case("+", "provider", "charged too late for an answer, then refused", "no failover; 1 charge", 4, no_failover),
    Case("+", "provider", "first send unknown, then nobody listens", "no failure without proof", 2, refused_outright),
    Case("+", "provider", "a saved 500 at Stripe", "settled by look-up", 1, saved_500),
    Case("+", "provider", "Paystack's initialize without an answer", "a new page; 1 charge", 1, initialize_lost),
    Case("+", "provider", "Paystack's refund without an answer", "found; asked for once", 1, refund_lost),
    Case("+", "provider", "Paystack's refund that never arrived", "a person; sent once", 1, refund_never_made, "apart"),
    Case(
        "+", "provider", "Paystack's reference, not there twice 60 s apart", "kept, sent again then", 1, reference_kept,
        "apart", settings=SPACED,
    ),
    Case("+", "provider", "capture, cancel, refund without an answer", "each once", 3, tokens_elsewhere),
)  # fmt: skip
