"""Every kind of Stripe's events in our words, or ignored for a reason; bodies of older API versions too."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from core.domain.outcomes import ActionRequired, Canceled, Declined, Pending, Succeeded
from core.providers.base import Account, CallLimits, DisputeNews, Ignored, MethodNews, News, VerifiedEvent
from core.providers.stripe import StripeProvider, changes, ignored, outcomes, webhooks

SECRET = "whsec_one"
NOW = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)
MARK = "txn_00000000000000000000000001"


def provider() -> StripeProvider:
    return StripeProvider(Account("acc_1", "test", {"secret_key": "sk_test_1"}, (SECRET,)), CallLimits())


INTENT: dict[str, Any] = {
    "id": "pi_1",
    "object": "payment_intent",
    "amount": 1000,
    "amount_capturable": 0,
    "amount_received": 1000,
    "capture_method": "automatic",
    "currency": "usd",
    "latest_charge": "ch_1",
    "metadata": {"tollgate_transaction": MARK, "tollgate_method": "token"},
    "status": "succeeded",
}
ON_PAGE = {"metadata": {"tollgate_transaction": MARK, "tollgate_method": "redirect"}}
ERROR = {"last_payment_error": {"code": "card_declined", "decline_code": "lost_card"}}
SESSION: dict[str, Any] = {
    "id": "cs_1",
    "object": "checkout.session",
    "amount_total": 1000,
    "currency": "usd",
    "metadata": {"tollgate_transaction": MARK, "tollgate_kind": "charge"},
    "payment_intent": "pi_1",
    "payment_status": "paid",
    "status": "complete",
}
REFUND: dict[str, Any] = {
    "id": "re_1",
    "object": "refund",
    "amount": 100,
    "balance_transaction": "txn_1",
    "charge": "ch_1",
    "currency": "usd",
    "metadata": {"tollgate_transaction": MARK},
    "payment_intent": "pi_1",
    "status": "succeeded",
}
CHARGE = {"id": "ch_1", "object": "charge", "amount_refunded": 900, "amount": 1000}
START, CAPTURE, VOID, BACK = "start", "capture", "void", "refund"

NEWS = [
    ("payment_intent.succeeded", INTENT, [(START, Succeeded)]),
    ("payment_intent.succeeded", {**INTENT, **ON_PAGE}, [(START, Succeeded)]),
    ("payment_intent.succeeded", {**INTENT, "capture_method": "manual"}, [(START, Succeeded), (CAPTURE, Succeeded)]),
    (
        "payment_intent.amount_capturable_updated",
        {**INTENT, "capture_method": "manual", "status": "requires_capture", "amount_capturable": 1000},
        [(START, Succeeded)],
    ),
    ("payment_intent.processing", {**INTENT, "status": "processing"}, [(START, Pending)]),
    ("payment_intent.requires_action", {**INTENT, "status": "requires_action"}, [(START, ActionRequired)]),
    ("payment_intent.payment_failed", {**INTENT, **ERROR, "status": "requires_payment_method"}, [(START, Declined)]),
    ("payment_intent.canceled", {**INTENT, "status": "canceled"}, [(START, Canceled), (VOID, Succeeded)]),
    (
        "payment_intent.canceled",
        {**INTENT, **ERROR, "status": "canceled", "cancellation_reason": "abandoned"},
        [(START, Declined), (VOID, Succeeded)],
    ),
    ("checkout.session.completed", SESSION, [(START, Succeeded)]),
    ("checkout.session.completed", {**SESSION, "payment_status": "unpaid"}, [(START, type(None))]),
    (
        "checkout.session.completed",
        {**SESSION, "metadata": {**SESSION["metadata"], "tollgate_kind": "authorize"}},
        [(START, type(None))],
    ),
    ("checkout.session.async_payment_succeeded", SESSION, [(START, Succeeded)]),
    ("checkout.session.async_payment_failed", {**SESSION, "payment_status": "unpaid"}, [(START, type(None))]),
    ("checkout.session.async_payment_failed", SESSION, [(START, type(None))]),
    ("payment_intent.processing", {**INTENT, **ON_PAGE, "status": "processing"}, [(START, Pending)]),
    (
        "payment_intent.amount_capturable_updated",
        {**INTENT, **ON_PAGE, "capture_method": "manual", "status": "requires_capture", "amount_capturable": 1000},
        [(START, Succeeded)],
    ),
    ("checkout.session.expired", {**SESSION, "status": "expired", "payment_intent": None}, [(START, Canceled)]),
    ("refund.created", {**REFUND, "status": "pending"}, [(BACK, Pending)]),
    ("refund.updated", REFUND, [(BACK, Succeeded)]),
    ("refund.failed", {**REFUND, "status": "failed", "failure_reason": "declined"}, [(BACK, Declined)]),
    ("charge.refund.updated", {**REFUND, "status": "canceled"}, [(BACK, Canceled)]),
    ("payment_intent.succeeded", {**INTENT, "currency": "isk", "amount": 550}, [(START, type(None))]),
    ("payment_intent.succeeded", {**INTENT, "status": "new_word"}, [(START, type(None))]),
]

IGNORED = [
    ("payment_intent.created", INTENT),
    ("payment_intent.requires_action", {**INTENT, **ON_PAGE, "status": "requires_action"}),
    ("payment_intent.payment_failed", {**INTENT, **ON_PAGE, **ERROR, "status": "requires_payment_method"}),
    ("charge.succeeded", CHARGE),
    ("charge.captured", CHARGE),
    ("charge.failed", CHARGE),
    ("charge.pending", CHARGE),
    ("charge.expired", CHARGE),
    ("charge.updated", CHARGE),
    ("charge.refunded", CHARGE),
    ("refund.created", {**REFUND, "metadata": {}, "balance_transaction": None}),
]


def event(kind: str, body: Any) -> VerifiedEvent:
    return VerifiedEvent("evt_1", kind, "evt_1", NOW, {"id": "evt_1", "type": kind, "data": {"object": body}})


@pytest.mark.parametrize(("kind", "body", "told"), NEWS)
def test_an_event_is_told_in_our_words(kind: str, body: Any, told: list[tuple[str, type]]) -> None:
    read = provider().read_webhook(event(kind, body))
    assert isinstance(read, list)
    news = [one for one in read if isinstance(one, News)]
    assert [(one.operation, type(one.outcome)) for one in news] == told
    assert {one.transaction_id for one in news} == {MARK}
    assert {one.provider_id for one in news} == {body["id"]}
    assert {one.occurred_at for one in news} == {NOW}
    for one in news:
        if one.operation != START:
            assert one.start_provider_id == "pi_1"


@pytest.mark.parametrize(("kind", "body"), IGNORED)
def test_an_event_is_ignored_with_a_reason(kind: str, body: Any) -> None:
    read = provider().read_webhook(event(kind, body))
    assert isinstance(read, Ignored)
    assert read.reason


#: PROVIDERS: what is worth subscribing to, and all of its families, written out.
TOLD = """
payment_intent.amount_capturable_updated payment_intent.canceled payment_intent.payment_failed
payment_intent.processing payment_intent.requires_action payment_intent.succeeded
checkout.session.async_payment_failed checkout.session.async_payment_succeeded checkout.session.completed
checkout.session.expired
refund.created refund.failed refund.updated charge.refund.updated charge.refunded
charge.dispute.closed charge.dispute.created charge.dispute.funds_reinstated charge.dispute.funds_withdrawn
charge.dispute.updated
payment_method.detached
""".split()
STATEMENT = "the statement is read from the list of balance transactions and payouts"
SETUP = "methods are saved by payments, so no setup intent is ours"
NEXT_USE = "a saved method keeps its id; what a charge comes to shows whether it still pays"
WARNING = "a warning that moves no money; the dispute, if one follows, has its own events"
REVIEW = "a review by people holds no money back; what it leads to is told by refund or intent"
FOLLOWS = "our customer is kept here; the object at Stripe only follows it"
BILLING = "subscriptions, taxes and discounts of Stripe Billing are not used"
SOURCES = "sources of the old kind are not used"
INTENT_TELLS = "covered by the payment_intent events"
REASONS = {
    "the answer to our own request says more": "payment_intent.created",
    "part of a bank transfer; the intent tells when the whole sum is there": "payment_intent.partially_funded",
    INTENT_TELLS: "charge.captured charge.expired charge.failed charge.pending charge.succeeded charge.updated",
    SETUP: "setup_intent.canceled setup_intent.created setup_intent.requires_action setup_intent.setup_failed "
    "setup_intent.succeeded",
    "the payment that saved the method tells it": "payment_method.attached",
    NEXT_USE: "payment_method.automatically_updated payment_method.updated",
    STATEMENT: "payout.canceled payout.created payout.failed payout.paid payout.reconciliation_completed "
    "payout.updated balance.available",
    WARNING: "radar.early_fraud_warning.created radar.early_fraud_warning.updated",
    REVIEW: "review.closed review.opened",
    FOLLOWS: "customer.created customer.updated",
    "a charge of a method that went with its customer is refused and says so": "customer.deleted",
    SOURCES: "customer.source.created customer.source.deleted customer.source.expiring customer.source.updated",
    BILLING: "customer.discount.created customer.discount.deleted customer.discount.updated "
    "customer.subscription.created customer.subscription.deleted customer.subscription.paused "
    "customer.subscription.pending_update_applied customer.subscription.pending_update_expired "
    "customer.subscription.resumed customer.subscription.trial_will_end customer.subscription.updated "
    "customer.tax_id.created customer.tax_id.deleted customer.tax_id.updated",
}
LEFT_ALONE = {kind: reason for reason, kinds in REASONS.items() for kind in kinds.split()}
#: First words of the kinds whose objects name persons: their bodies are not kept readable.
PERSONS = ("customer", "payment_method")


@pytest.mark.parametrize(("kind", "reason"), LEFT_ALONE.items())
def test_a_kind_is_left_alone_for_a_reason(kind: str, reason: str) -> None:
    """Whatever it holds: `balance.available` has an object without an id."""
    for body in ({"id": "x_1"}, {"object": "balance"}):
        assert provider().read_webhook(event(kind, body)) == Ignored(reason, about_person=kind.split(".")[0] in PERSONS)


def test_every_kind_is_told_or_left_alone() -> None:
    assert set(webhooks.READERS) == set(TOLD)
    assert set(ignored.IGNORED) == set(LEFT_ALONE)
    assert set(TOLD) <= {kind for kind, _, _ in NEWS} | {kind for kind, _, _ in OTHERS} | {"charge.refunded"}


def test_the_catch_up_asks_for_all_that_is_told() -> None:
    """Twenty is what Stripe takes."""
    assert set(changes.TYPES) == set(TOLD) - {"charge.refunded"}
    assert len(changes.TYPES) <= 20


def test_a_kind_nobody_knows_is_ignored() -> None:
    assert isinstance(provider().read_webhook(event("never.seen", {"id": "x_1"})), Ignored)


DISPUTE = {"id": "dp_1", "object": "dispute", "charge": "ch_1", "payment_intent": "pi_1", "status": "new_word"}
COMPLAINT = DisputeNews("dp_1", ("ch_1", "pi_1"), NOW)
OTHERS = [
    ("charge.dispute.created", DISPUTE, COMPLAINT),
    ("charge.dispute.updated", DISPUTE, COMPLAINT),
    ("charge.dispute.closed", DISPUTE, COMPLAINT),
    ("charge.dispute.funds_withdrawn", DISPUTE, COMPLAINT),
    ("charge.dispute.funds_reinstated", DISPUTE, COMPLAINT),
    ("charge.dispute.created", {"id": "dp_1", "charge": "ch_1"}, DisputeNews("dp_1", ("ch_1",), NOW)),
    ("payment_method.detached", {"id": "pm_1", "customer": None}, MethodNews("pm_1", NOW)),
]


@pytest.mark.parametrize(("kind", "body", "told"), OTHERS)
def test_disputes_and_methods_are_told(kind: str, body: Any, told: Any) -> None:
    assert provider().read_webhook(event(kind, body)) == [told]


#: An intent as API version 2018-11-08 renders it: its method is a source, its charges are inside.
OLD_INTENT: dict[str, Any] = {
    "id": "pi_1",
    "object": "payment_intent",
    "allowed_source_types": ["card"],
    "amount": 1000,
    "amount_capturable": 0,
    "amount_received": 1000,
    "capture_method": "automatic",
    "charges": {"object": "list", "data": [{"id": "ch_2", "object": "charge"}, {"id": "ch_1", "object": "charge"}]},
    "created": 1_772_445_600,
    "currency": "usd",
    "metadata": {"tollgate_transaction": MARK, "tollgate_method": "token"},
    "next_source_action": None,
    "source": "src_1",
    "status": "succeeded",
}


def one(kind: str, body: Any) -> News:
    read = provider().read_webhook(event(kind, body))
    assert isinstance(read, list)
    [news] = read
    assert isinstance(news, News)
    return news


def test_an_old_intent_names_its_charge_in_a_list() -> None:
    outcome = one("payment_intent.succeeded", OLD_INTENT).outcome
    assert isinstance(outcome, Succeeded)
    assert (outcome.facts.provider_charge_id, outcome.facts.amount_received) == ("ch_2", 1000)
    for charges in (None, {}, {"data": []}, {"data": "x"}):
        assert isinstance(one("payment_intent.succeeded", {**OLD_INTENT, "charges": charges}).outcome, Succeeded)


def test_an_old_intent_that_waits_for_the_customer_is_read() -> None:
    action = {"type": "authorize_with_url", "authorize_with_url": {"url": "https://bank.example", "return_url": "x"}}
    body = {**OLD_INTENT, "status": "requires_source_action", "next_source_action": action}
    outcome = one("payment_intent.requires_action", body).outcome
    assert isinstance(outcome, ActionRequired)
    assert outcome.next_action is not None
    assert outcome.next_action.url == "https://bank.example"


def test_an_old_intent_that_was_declined_is_read() -> None:
    body = {**OLD_INTENT, **ERROR, "status": "requires_source"}
    outcome = one("payment_intent.payment_failed", body).outcome
    assert isinstance(outcome, Declined)
    assert outcome.decline.code == "lost_card"
    assert set(outcomes.OLD_STATUSES) == {"requires_source", "requires_source_action"}


def test_an_old_session_without_a_status_is_asked_about() -> None:
    body = {key: value for key, value in SESSION.items() if key not in ("status", "payment_status", "amount_total")}
    assert one("checkout.session.completed", body).outcome is None


def test_refunds_inside_an_old_charge_are_told() -> None:
    released = {**REFUND, "id": "re_3", "metadata": {}, "balance_transaction": None}
    older = {"id": "re_2", "object": "refund", "amount": 50, "balance_transaction": "txn_2", "charge": "ch_1"}
    listed = {
        "object": "list",
        "data": [{**REFUND, "payment_intent": None}, older, released, "x", {"object": "refund"}],
    }
    charge = {**CHARGE, "payment_intent": "pi_1", "refunds": listed}
    read = provider().read_webhook(event("charge.refunded", charge))
    assert isinstance(read, list)
    told = [(one.provider_id, type(one.outcome), one.start_provider_id) for one in read if isinstance(one, News)]
    assert told == [("re_1", Succeeded, "pi_1"), ("re_2", type(None), "pi_1")]


def test_news_for_stripe_s_script_carries_the_publishable_key() -> None:
    account = Account("acc_1", "test", {"secret_key": "sk_test_1", "publishable_key": "pk_test_1"}, (SECRET,))
    body = {**INTENT, "status": "requires_action", "client_secret": "pi_1_secret"}
    news = StripeProvider(account, CallLimits()).read_webhook(event("payment_intent.requires_action", body))
    assert isinstance(news, list)
    assert isinstance(news[0].outcome, ActionRequired)
    assert news[0].outcome.next_action is not None
    assert news[0].outcome.next_action.publishable_key == "pk_test_1"


def test_an_object_of_somebody_else_carries_no_mark() -> None:
    for kind, body in (("payment_intent.succeeded", INTENT), ("refund.updated", REFUND)):
        news = provider().read_webhook(event(kind, {**body, "metadata": {}}))
        assert isinstance(news, list)
        assert [one.transaction_id for one in news] == [None]


def test_news_of_a_paid_page_leaves_the_session_as_the_object() -> None:
    """The intent does not know its session; naming it would hide the session from later look-ups."""
    news = provider().read_webhook(event("payment_intent.succeeded", {**INTENT, **ON_PAGE}))
    assert isinstance(news, list)
    assert isinstance(news[0].outcome, Succeeded)
    assert news[0].outcome.facts.provider_id is None
    assert news[0].outcome.facts.provider_charge_id == "pi_1"


def test_a_partial_capture_is_no_refund() -> None:
    """Stripe books the released rest as `amount_refunded` of the charge."""
    captured = {**INTENT, "capture_method": "manual", "amount_received": 100}
    news = provider().read_webhook(event("payment_intent.succeeded", captured))
    assert isinstance(news, list)
    assert [one.operation for one in news] == [START, CAPTURE]
    assert isinstance(news[1].outcome, Succeeded)
    assert news[1].outcome.facts.amount == 100
    assert isinstance(provider().read_webhook(event("charge.refunded", CHARGE)), Ignored)
