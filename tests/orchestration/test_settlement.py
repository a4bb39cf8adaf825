"""What an outcome means for transaction, payment and refund: every row of it against a literal table."""

from __future__ import annotations

from typing import Any

import pytest

from core.domain.outcomes import (
    CANCEL_AFTER_DECLINE,
    ActionRequired,
    Canceled,
    Decline,
    DeclineCategory,
    Declined,
    Facts,
    NextAction,
    NotExecuted,
    NotExecutedReason,
    Outcome,
    Pending,
    Succeeded,
    Unknown,
)
from core.orchestration import settlement

AMOUNT, REFUND = 5000, 700
DECLINE = Decline("insufficient_funds", DeclineCategory.SOFT, "Not enough money.")
OUTCOMES: dict[str, Outcome] = {
    "succeeded": Succeeded(Facts()),
    "pending": Pending(Facts()),
    "action": ActionRequired(Facts(), NextAction("https://pay.example")),
    "declined": Declined(Facts(), DECLINE),
    "canceled": Canceled(Facts()),
    "not_executed": NotExecuted(NotExecutedReason.CONNECTION, "refused"),
    "unknown": Unknown({"seen": "a time-out"}),
}
KINDS = ("charge", "authorize", "capture", "void", "refund")

#: How to read the tables: `=` stays, `x` older than what is known (nothing changes), `+` late money.
_TRANSACTION = """
                  succeeded   pending   action            declined   canceled   not_executed   unknown
sent              succeeded   pending   requires_action   declined   canceled   not_executed   unknown
unknown           succeeded   pending   requires_action   declined   canceled   not_executed   =
pending           succeeded   =         requires_action   declined   canceled   not_executed   unknown
requires_action   succeeded   pending   =                 declined   canceled   not_executed   unknown
succeeded         =           x         x                 x          x          x              x
declined          +succeeded  x         x                 =          x          x              x
not_executed      +succeeded  x         x                 x          x          =              x
canceled          +succeeded  x         x                 x          =          x              x
"""
#: Where the payment goes, by its own status, when the transaction was open.
_PAYMENT = {
    "charge": """
                  succeeded   pending      action            declined   canceled   not_executed   unknown
processing        succeeded   =            requires_action   failed     canceled   failed         =
requires_action   succeeded   processing   =                 failed     canceled   failed         =
succeeded         =           =            =                 =          =          =              =
failed            =           =            =                 =          =          =              =
canceled          =           =            =                 =          =          =              =
""",
    "authorize": """
                  succeeded   pending      action            declined   canceled   not_executed   unknown
processing        authorized  =            requires_action   failed     canceled   failed         =
requires_action   authorized  processing   =                 failed     canceled   failed         =
authorized        =           =            =                 failed     canceled   failed         =
succeeded         =           =            =                 =          =          =              =
failed            =           =            =                 =          =          =              =
canceled          =           =            =                 =          =          =              =
""",
    "capture": """
                  succeeded   pending      action            declined   canceled   not_executed   unknown
authorized        succeeded   =            =                 failed     canceled   =              =
succeeded         =           =            =                 =          =          =              =
failed            =           =            =                 =          =          =              =
canceled          =           =            =                 =          =          =              =
""",
    "void": """
                  succeeded   pending      action            declined   canceled   not_executed   unknown
processing        canceled    =            =                 =          canceled   =              =
requires_action   canceled    =            =                 =          canceled   =              =
authorized        canceled    =            =                 =          canceled   =              =
succeeded         =           =            =                 =          =          =              =
failed            =           =            =                 =          =          =              =
canceled          =           =            =                 =          =          =              =
""",
    "refund": """
                  succeeded   pending      action            declined   canceled   not_executed   unknown
succeeded         =           =            =                 =          =          =              =
failed            =           =            =                 =          =          =              =
canceled          =           =            =                 =          =          =              =
""",
}
#: Where the refund goes, by its own status, when its transaction was open; the last row is days later.
_REFUND = """
                  succeeded   pending      action            declined   canceled   not_executed   unknown
processing        succeeded   =            requires_action   failed     failed     failed         =
requires_action   succeeded   processing   =                 failed     canceled   failed         =
succeeded         =           =            =                 failed     failed     =              =
"""


def cells(table: str) -> list[tuple[str, str, str]]:
    head, *lines = [line.split() for line in table.strip().splitlines()]
    return [(row, name, cell) for row, *found in lines for name, cell in zip(head, found, strict=True)]


def payment_row(status: str = "processing", **values: Any) -> dict[str, Any]:
    sums = dict.fromkeys("authorized captured received refunded disputed".split(), 0)
    filled = {f"amount_{name}": value for name, value in sums.items()}
    return {"status": status, "amount": AMOUNT, "currency": "USD", "refund_reserved": 0, **filled, **values}


def transaction_row(kind: str, status: str = "sent", **values: Any) -> dict[str, Any]:
    amount = REFUND if kind == "refund" else AMOUNT
    return {
        "kind": kind,
        "status": status,
        "amount": amount,
        "currency": "USD",
        "surplus": False,
        "extra": {},
        **values,
    }


def refund_row(status: str = "processing", origin: str = "api") -> dict[str, Any]:
    return {"status": status, "amount": REFUND, "origin": origin}


def planned(kind: str, current: str, payment: str, outcome: Outcome, refund: str = "processing") -> settlement.Plan:
    paid = {"amount_captured": AMOUNT, "amount_refunded": REFUND, "refund_reserved": REFUND} if kind == "refund" else {}
    row = refund_row(refund) if kind == "refund" else None
    return settlement.plan(payment_row(payment, **paid), transaction_row(kind, current), row, outcome)


def changed(cell: str) -> str | None:
    return None if cell in ("=", "x") else cell.removeprefix("+")


@pytest.mark.parametrize("kind", KINDS)
def test_where_a_transaction_goes(kind: str) -> None:
    for current, name, cell in cells(_TRANSACTION):
        made = planned(kind, current, "authorized" if kind in ("capture", "void") else "processing", OUTCOMES[name])
        assert made.transaction_status == changed(cell), (current, name)
        assert made.transaction.get("surplus", False) == cell.startswith("+"), (current, name)
        assert made.stale == (cell == "x"), (current, name)


@pytest.mark.parametrize("current", ["sent", "unknown", "pending", "requires_action"])
@pytest.mark.parametrize("kind", KINDS)
def test_where_the_payment_goes(kind: str, current: str) -> None:
    for status, name, cell in cells(_PAYMENT[kind]):
        made = planned(kind, current, status, OUTCOMES[name])
        assert made.payment_status == changed(cell), (status, name)


@pytest.mark.parametrize("current", ["succeeded", "declined", "not_executed", "canceled"])
def test_news_about_a_closed_transaction_change_nothing_but_late_money(current: str) -> None:
    for kind in ("charge", "authorize"):
        for status, name, _ in cells(_PAYMENT[kind]):
            made = planned(kind, current, status, OUTCOMES[name])
            repeated = name == current
            if not repeated:
                assert made.payment_status is None, (kind, status, name)
            if made.stale:
                assert made == settlement.Plan(stale=True), (kind, status, name)


@pytest.mark.parametrize("current", ["sent", "unknown", "pending", "requires_action"])
def test_where_the_refund_goes(current: str) -> None:
    for status, name, cell in cells(_REFUND):
        if status == "succeeded":
            continue
        made = planned("refund", current, "succeeded", OUTCOMES[name], status)
        assert made.refund_status == changed(cell), (status, name)
        wanted = {"succeeded": (2 * REFUND, None), "failed": (None, 0), "canceled": (None, 0)}
        sums = (made.payment.get("amount_refunded"), made.payment.get("refund_reserved"))
        assert sums == wanted.get(made.refund_status or "", (None, None)), (status, name)


def test_a_refund_that_succeeded_may_fail_days_later() -> None:
    for status, name, cell in cells(_REFUND):
        if status != "succeeded":
            continue
        made = planned("refund", "succeeded", "succeeded", OUTCOMES[name], status)
        assert (made.refund_status, made.transaction_status) == (changed(cell), None), name
        if made.refund_status == "failed":
            assert made.payment == {"amount_refunded": 0, "refund_reserved": 0}
            assert made.refund["failure"]["code"] in ("insufficient_funds", "refund_failed")


def test_a_refund_of_the_provider_gives_back_no_reservation() -> None:
    payment = payment_row("succeeded", amount_captured=AMOUNT, refund_reserved=300)
    made = settlement.plan_refund(payment, refund_row("processing", "provider"), OUTCOMES["declined"])
    assert (made.refund_status, made.payment) == ("failed", {"refund_reserved": 300})


class TestSums:
    def test_a_charge(self) -> None:
        made = planned("charge", "sent", "processing", Succeeded(Facts(amount=AMOUNT, currency="USD")))
        assert made.payment == {"amount_authorized": AMOUNT, "amount_captured": AMOUNT, "amount_received": AMOUNT}

    def test_with_the_fee_on_the_customer_more_comes_in_than_was_asked(self) -> None:
        made = planned("charge", "sent", "processing", Succeeded(Facts(amount=AMOUNT, amount_received=AMOUNT + 150)))
        assert (made.payment["amount_captured"], made.payment["amount_received"]) == (AMOUNT, AMOUNT + 150)
        assert (made.payment_status, made.review) == ("succeeded", None)

    def test_a_hold_takes_nothing(self) -> None:
        assert planned("authorize", "sent", "processing", OUTCOMES["succeeded"]).payment == {
            "amount_authorized": AMOUNT
        }

    def test_a_partial_capture(self) -> None:
        taken = Succeeded(Facts(amount=3000, amount_captured=3000, amount_received=3000))
        made = settlement.plan(payment_row("authorized"), transaction_row("capture", amount=3000), None, taken)
        assert made.payment == {"amount_captured": 3000, "amount_received": 3000}


class TestLateMoney:
    @pytest.mark.parametrize("status", ["failed", "canceled"])
    @pytest.mark.parametrize("current", ["sent", "unknown", "declined", "not_executed", "canceled"])
    def test_is_surplus_and_reported(self, current: str, status: str) -> None:
        made = planned("charge", current, status, OUTCOMES["succeeded"])
        assert (made.transaction_status, made.transaction["surplus"], made.payment_status) == ("succeeded", True, None)
        assert made.payment == {"amount_received": AMOUNT}
        assert made.surplus_received
        assert made.finding == ("surplus_received", {"amount": AMOUNT, "currency": "USD"})

    @pytest.mark.parametrize("status", ["failed", "canceled"])
    def test_told_twice_counts_once(self, status: str) -> None:
        payment = payment_row(status, amount_received=AMOUNT)
        taken = transaction_row("charge", "succeeded", surplus=True)
        made = settlement.plan(payment, taken, None, OUTCOMES["succeeded"])
        assert (made.payment, made.payment_status, made.surplus_received) == ({}, None, False)

    def test_a_late_hold_is_reported_and_takes_nothing(self) -> None:
        made = planned("authorize", "canceled", "canceled", OUTCOMES["succeeded"])
        assert (made.payment, made.surplus_received) == ({}, False)
        assert made.finding == ("surplus_authorization", {"amount": AMOUNT})

    @pytest.mark.parametrize("status", ["failed", "canceled"])
    def test_a_capture_of_a_payment_that_has_ended(self, status: str) -> None:
        made = planned("capture", "unknown", status, OUTCOMES["succeeded"])
        assert (made.payment_status, made.payment) == (None, {"amount_received": AMOUNT})
        assert (made.transaction["surplus"], made.surplus_received) == (True, True)
        assert made.finding == ("surplus_received", {"amount": AMOUNT, "currency": "USD"})

    @pytest.mark.parametrize("status", ["failed", "canceled"])
    def test_a_refund_given_after_all_is_counted_and_reported(self, status: str) -> None:
        for current in ("declined", "not_executed", "canceled"):
            made = planned("refund", current, "succeeded", OUTCOMES["succeeded"], status)
            assert (made.refund_status, made.payment) == (None, {"amount_refunded": 2 * REFUND})
            assert made.finding == ("surplus_refund", {"amount": REFUND})
        repeated = planned("refund", "succeeded", "succeeded", OUTCOMES["succeeded"], status)
        assert (repeated.payment, repeated.finding) == ({}, None)


#: Nothing was executed and no try is left: the reason, and what the merchant is told.
NOT_EXECUTED = [
    ("connection", "provider_unavailable", "soft", "The provider could not be reached."),
    ("breaker_open", "provider_unavailable", "soft", "The provider is failing."),
    ("rate_limited", "provider_unavailable", "soft", "The provider is over its limit."),
    ("lock_timeout", "provider_unavailable", "soft", "The provider's object is locked."),
    ("not_found", "provider_unavailable", "soft", "The provider never received it."),
    (
        "misconfigured",
        "provider_misconfigured",
        "hard",
        "The provider refuses our credentials; the account is suspended until they are replaced.",
    ),
    ("invalid_request", "provider_refused", "hard", "The provider refused the request as invalid."),
]


@pytest.mark.parametrize(("reason", "code", "category", "message"), NOT_EXECUTED)
def test_what_a_merchant_is_told_when_nothing_was_executed(reason: str, code: str, category: str, message: str) -> None:
    outcome = NotExecuted(NotExecutedReason(reason), "kept for operators", provider_code="theirs")
    made = planned("charge", "sent", "processing", outcome)
    told = {"code": code, "category": category, "message": message, "provider_code": "theirs"}
    assert (made.payment["decline"], made.payment["failure_code"]) == (told, code)


def test_every_reason_has_a_sentence_for_the_merchant() -> None:
    assert sorted(one.value for one in settlement.NOT_EXECUTED_DECLINES) == sorted(row[0] for row in NOT_EXECUTED)
    assert len(NotExecutedReason) == len(NOT_EXECUTED)


def test_a_refused_field_is_named() -> None:
    outcome = NotExecuted(NotExecutedReason.INVALID_REQUEST, "kept for operators", param="currency")
    told = settlement.decline_of(outcome)
    assert told is not None
    assert told.message == "The provider refused currency as invalid."


class TestWhatADeclineLeft:
    @pytest.mark.parametrize("name", ["succeeded", "canceled"])
    def test_ending_it_says_nothing_about_the_payment(self, name: str) -> None:
        void = transaction_row("void", "sent", extra={"closes": "another"})
        made = settlement.plan(payment_row("processing"), void, None, OUTCOMES[name])
        assert (made.transaction_status, made.payment_status, made.payment) == (name, None, {})

    def test_is_not_payable_again_because_old_news_say_so(self) -> None:
        news = Declined(Facts(extra={CANCEL_AFTER_DECLINE: "pi_1", "object": "payment_intent"}), DECLINE)
        made = settlement.plan(payment_row("failed"), transaction_row("charge", "declined"), None, news)
        assert made.transaction["extra"] == {"object": "payment_intent"}

    @pytest.mark.parametrize("before", [{}, {CANCEL_AFTER_DECLINE: "pi_1"}])
    def test_stays_payable_until_somebody_ends_it(self, before: dict[str, str]) -> None:
        news = Declined(Facts(extra={CANCEL_AFTER_DECLINE: "pi_1"}), DECLINE)
        row = transaction_row("charge", "declined" if before else "sent", extra=before)
        made = settlement.plan(payment_row("processing"), row, None, news)
        assert made.transaction["extra"] == {CANCEL_AFTER_DECLINE: "pi_1"}
