"""Disputes and statement lines, row by row: what stands here is written down apart from the tables."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from core.domain.outcomes import DisputeFacts, Unknown
from core.providers.base import EVIDENCE_FIELDS, ListingBroken
from core.providers.stripe import disputes, statement

DISPUTE: dict[str, Any] = {
    "id": "dp_1",
    "object": "dispute",
    "amount": 1000,
    "charge": "ch_1",
    "created": 1_772_445_600,
    "currency": "usd",
    "evidence": {"uncategorized_text": None},
    "evidence_details": {"due_by": 1_773_050_400, "has_evidence": False, "submission_count": 0},
    "is_charge_refundable": False,
    "payment_intent": "pi_1",
    "reason": "fraudulent",
    "status": "needs_response",
}
#: Stripe's status, ours, is the amount withheld?
STATUSES = [
    ("warning_needs_response", "needs_response", False),
    ("warning_under_review", "under_review", False),
    ("warning_closed", "closed", False),
    ("needs_response", "needs_response", True),
    ("under_review", "under_review", True),
    ("appeal_needs_response", "needs_response", True),
    ("appeal_under_review", "under_review", True),
    ("won", "won", False),
    ("lost", "lost", True),
    ("prevented", "closed", False),
]


@pytest.mark.parametrize(("theirs", "ours", "withheld"), STATUSES)
def test_a_dispute_in_our_words(theirs: str, ours: str, withheld: bool) -> None:
    facts = disputes.dispute_facts({**DISPUTE, "status": theirs})
    assert isinstance(facts, DisputeFacts)
    assert (facts.status, facts.withheld) == (ours, withheld)


def test_no_status_is_without_a_test() -> None:
    assert {row[0] for row in STATUSES} == set(disputes.STATUSES)


def test_a_dispute_tells_all_it_knows() -> None:
    facts = disputes.dispute_facts({**DISPUTE, "client_secret": "hush"})
    assert isinstance(facts, DisputeFacts)
    assert (facts.provider_id, facts.amount, facts.currency) == ("dp_1", 1000, "USD")
    assert facts.charge_ids == ("ch_1", "pi_1")
    assert facts.reason == "fraudulent"
    assert facts.evidence_due_by == datetime(2026, 3, 9, 10, 0, tzinfo=UTC)
    assert facts.created_at == datetime(2026, 3, 2, 10, 0, tzinfo=UTC)
    assert (facts.refundable, facts.evidence_sent) == (False, False)
    assert "client_secret" not in (facts.raw or {})


@pytest.mark.parametrize(
    ("changes", "name", "value"),
    [
        ({"is_charge_refundable": True}, "refundable", True),
        ({"is_charge_refundable": "yes"}, "refundable", False),
        ({"evidence_details": {"submission_count": 1}}, "evidence_sent", True),
        ({"evidence_details": {"has_evidence": True, "submission_count": 0}}, "evidence_sent", False),
        ({"evidence_details": None}, "evidence_due_by", None),
        ({"payment_intent": None}, "charge_ids", ("ch_1",)),
        ({"charge": {"id": "ch_9", "object": "charge"}}, "charge_ids", ("ch_9", "pi_1")),
        ({"currency": "isk", "amount": 500}, "amount", 5),
    ],
)
def test_a_dispute_reads(changes: dict[str, Any], name: str, value: Any) -> None:
    facts = disputes.dispute_facts({**DISPUTE, **changes})
    assert isinstance(facts, DisputeFacts)
    assert getattr(facts, name) == value


@pytest.mark.parametrize(
    "changes",
    [
        {"status": "new_word"},
        {"status": None},
        {"amount": None},
        {"amount": "1000"},
        {"currency": None},
        {"currency": "isk", "amount": 550},
        {"id": None},
        {"charge": None, "payment_intent": None},
    ],
)
def test_a_dispute_that_cannot_be_read_is_unknown_with_evidence(changes: dict[str, Any]) -> None:
    read = disputes.dispute_facts({**DISPUTE, **changes})
    assert isinstance(read, Unknown)
    assert read.evidence["cause"] == "unreadable_dispute"


SAID = {
    "message": ("uncategorized_text", "It was delivered."),
    "customer_name": ("customer_name", "Ada"),
    "customer_email": ("customer_email_address", "ada@example.com"),
    "service_details": ("product_description", "Two tickets"),
    "delivery_address": ("shipping_address", "1 Main Road"),
    "delivery_date": ("shipping_date", "2026-03-01"),
    "carrier": ("shipping_carrier", "Post"),
    "tracking_number": ("shipping_tracking_number", "RR123"),
}


@pytest.mark.parametrize("ours", SAID)
def test_evidence_goes_into_the_field_that_stripe_has_for_it(ours: str) -> None:
    theirs, value = SAID[ours]
    assert disputes.evidence_of({ours: value, "unheard_of": "x"}) == {theirs: value}


def test_nothing_a_merchant_may_say_is_lost() -> None:
    assert {*SAID, "customer_phone"} == set(EVIDENCE_FIELDS) == {*disputes.EVIDENCE, "customer_phone"}
    both = disputes.evidence_of({"message": "It was delivered.", "customer_phone": "+15550100"})
    assert both == {"uncategorized_text": "It was delivered.\nTelephone number of the customer: +15550100"}
    assert disputes.evidence_of({"customer_phone": "+1"})["uncategorized_text"].endswith("+1")
    assert disputes.evidence_of({"message": "", "carrier": ""}) == {}


LINE: dict[str, Any] = {
    "id": "txn_1",
    "object": "balance_transaction",
    "amount": 1000,
    "available_on": 1_772_618_400,
    "created": 1_772_445_600,
    "currency": "usd",
    "exchange_rate": None,
    "fee": 59,
    "net": 941,
    "reporting_category": "charge",
    "source": "ch_1",
    "type": "charge",
}
#: `type`, `reporting_category`, the kind of our line.
KINDS = [
    ("charge", "charge", "charge"),
    ("payment", "charge", "charge"),
    ("refund", "refund", "refund"),
    ("payment_refund", "refund", "refund"),
    ("payment_failure_refund", "charge_failure", "refund"),
    ("payment_reversal", "charge_failure", "refund"),
    ("refund_failure", "refund_failure", "refund_failure"),
    ("stripe_fee", "fee", "fee"),
    ("stripe_fx_fee", "fee", "fee"),
    ("tax_fee", "tax", "fee"),
    ("payout", "payout", "payout"),
    ("payout_cancel", "payout_reversal", "payout_failure"),
    ("payout_failure", "payout_reversal", "payout_failure"),
    ("adjustment", "dispute", "dispute"),
    ("adjustment", "dispute_reversal", "dispute_reversal"),
    ("adjustment", "other_adjustment", "adjustment"),
    ("transfer", "transfer", "adjustment"),
    ("topup", "topup", "adjustment"),
    ("reserve_hold", "risk_reserved_funds", "adjustment"),
    ("never_seen_before", "never_seen_before", "adjustment"),
]


@pytest.mark.parametrize(("kind", "category", "ours"), KINDS)
def test_a_line_in_our_words(kind: str, category: str, ours: str) -> None:
    line = statement.line_of({**LINE, "type": kind, "reporting_category": category}, None)
    assert (line.kind, line.provider_kind) == (ours, kind)


def test_no_kind_is_without_a_test() -> None:
    assert set(statement.KINDS) <= {row[0] for row in KINDS}
    assert set(statement.CATEGORIES) <= {row[1] for row in KINDS}


def test_a_line_tells_all_it_knows() -> None:
    metadata = {"tollgate_transaction": "txn_ours"}
    charge = {"id": "ch_1", "object": "charge", "amount": 5000, "amount_captured": 1000, "currency": "usd"}
    line = statement.line_of({**LINE, "source": {**charge, "metadata": metadata}}, "po_1")
    assert (line.line_id, line.amount, line.fee, line.net, line.currency) == ("txn_1", 1000, 59, 941, "USD")
    assert (line.source, line.transaction_id, line.payout) == ("ch_1", "txn_ours", "po_1")
    assert line.created_at == datetime(2026, 3, 2, 10, 0, tzinfo=UTC)
    assert line.available_at == datetime(2026, 3, 4, 10, 0, tzinfo=UTC)
    assert (line.original_amount, line.original_currency, line.exchange_rate) == (None, None, None)


@pytest.mark.parametrize(
    ("source", "amount", "original"),
    [
        ({"object": "charge", "amount": 5000, "amount_captured": 1000, "currency": "eur"}, 1080, (1000, "EUR")),
        ({"object": "refund", "amount": 400, "currency": "jpy"}, -300, (-400, "JPY")),
        ({"object": "charge", "amount": 5000, "currency": "eur"}, 1080, (5000, "EUR")),
    ],
)
def test_a_converted_line_keeps_what_was_charged(
    source: dict[str, Any], amount: int, original: tuple[int, str]
) -> None:
    body = {**LINE, "source": {"id": "x_1", **source}, "amount": amount, "fee": 0, "net": amount, "exchange_rate": 1.08}
    line = statement.line_of(body, None)
    assert (line.original_amount, line.original_currency) == original
    assert line.exchange_rate == "1.08"


def test_a_small_rate_is_no_power_of_ten() -> None:
    assert statement.line_of({**LINE, "exchange_rate": 0.00001}, None).exchange_rate == "0.00001"


def test_a_payout_is_its_own_payout_and_a_failed_one_is_none() -> None:
    out = {**LINE, "amount": -941, "fee": 0, "net": -941, "source": "po_1"}
    assert statement.line_of({**out, "type": "payout"}, None).payout == "po_1"
    back = statement.line_of({**out, "type": "payout_failure"}, None)
    assert (back.payout, back.source) == (None, "po_1")


@pytest.mark.parametrize(
    "changes", [{"net": 940}, {"fee": None}, {"id": None}, {"currency": None}, {"amount": "1000"}, {"currency": "isk"}]
)
def test_sums_that_do_not_add_up_break_the_list(changes: dict[str, Any]) -> None:
    with pytest.raises(ListingBroken) as raised:
        statement.line_of({**LINE, **changes}, None)
    assert isinstance(raised.value.outcome, Unknown)
