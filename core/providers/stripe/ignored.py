"""Events of Stripe's that we understand and leave alone, each with its reason."""

from __future__ import annotations

from collections.abc import Mapping

_BY_INTENT = "covered by the payment_intent events"
BY_REFUND = "covered by the refund events; the sums of a charge count released holds as refunds"
TRY_ON_PAGE = "a try on the checkout page that may be followed by another"
RELEASED_HOLD = "a hold was released, no money was given back"
_BY_STATEMENT = "the statement is read from the list of balance transactions and payouts"
_NO_SETUP = "methods are saved by payments, so no setup intent is ours"
_AT_NEXT_USE = "a saved method keeps its id; what a charge comes to shows whether it still pays"
_WARNING = "a warning that moves no money; the dispute, if one follows, has its own events"
_REVIEW = "a review by people holds no money back; what it leads to is told by refund or intent"
_OUR_WORDS = "our customer is kept here; the object at Stripe only follows it"
_NO_BILLING = "subscriptions, taxes and discounts of Stripe Billing are not used"
_NO_SOURCES = "sources of the old kind are not used"

#: Their objects bear names and addresses and no payment; the kinds we read are read before this is asked.
ABOUT_PERSONS = ("customer.", "payment_method.")

IGNORED: Mapping[str, str] = {
    "payment_intent.created": "the answer to our own request says more",
    "payment_intent.partially_funded": "part of a bank transfer; the intent tells when the whole sum is there",
    "charge.succeeded": _BY_INTENT,
    "charge.captured": _BY_INTENT,
    "charge.failed": _BY_INTENT,
    "charge.pending": _BY_INTENT,
    "charge.expired": _BY_INTENT,
    "charge.updated": _BY_INTENT,
    "setup_intent.canceled": _NO_SETUP,
    "setup_intent.created": _NO_SETUP,
    "setup_intent.requires_action": _NO_SETUP,
    "setup_intent.setup_failed": _NO_SETUP,
    "setup_intent.succeeded": _NO_SETUP,
    "payment_method.attached": "the payment that saved the method tells it",
    "payment_method.automatically_updated": _AT_NEXT_USE,
    "payment_method.updated": _AT_NEXT_USE,
    "payout.canceled": _BY_STATEMENT,
    "payout.created": _BY_STATEMENT,
    "payout.failed": _BY_STATEMENT,
    "payout.paid": _BY_STATEMENT,
    "payout.reconciliation_completed": _BY_STATEMENT,
    "payout.updated": _BY_STATEMENT,
    "balance.available": _BY_STATEMENT,
    "radar.early_fraud_warning.created": _WARNING,
    "radar.early_fraud_warning.updated": _WARNING,
    "review.opened": _REVIEW,
    "review.closed": _REVIEW,
    "customer.created": _OUR_WORDS,
    "customer.updated": _OUR_WORDS,
    "customer.deleted": "a charge of a method that went with its customer is refused and says so",
    "customer.discount.created": _NO_BILLING,
    "customer.discount.deleted": _NO_BILLING,
    "customer.discount.updated": _NO_BILLING,
    "customer.source.created": _NO_SOURCES,
    "customer.source.deleted": _NO_SOURCES,
    "customer.source.expiring": _NO_SOURCES,
    "customer.source.updated": _NO_SOURCES,
    "customer.subscription.created": _NO_BILLING,
    "customer.subscription.deleted": _NO_BILLING,
    "customer.subscription.paused": _NO_BILLING,
    "customer.subscription.pending_update_applied": _NO_BILLING,
    "customer.subscription.pending_update_expired": _NO_BILLING,
    "customer.subscription.resumed": _NO_BILLING,
    "customer.subscription.trial_will_end": _NO_BILLING,
    "customer.subscription.updated": _NO_BILLING,
    "customer.tax_id.created": _NO_BILLING,
    "customer.tax_id.deleted": _NO_BILLING,
    "customer.tax_id.updated": _NO_BILLING,
}
