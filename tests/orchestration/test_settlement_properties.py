"""What holds whatever providers say, in whatever order: sums stay sane, ends stay ends, doubt goes to a person."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.domain.outcomes import (
    ActionRequired,
    Canceled,
    Decline,
    DeclineCategory,
    Declined,
    Facts,
    NotExecuted,
    NotExecutedReason,
    Outcome,
    Pending,
    Succeeded,
    Unknown,
)
from core.domain.statuses import FINAL_PAYMENT, SURPLUS_ONLY, may_step
from core.orchestration import settlement

AMOUNT = 5000
SUMS = ("amount_authorized", "amount_captured", "amount_received", "amount_refunded", "amount_disputed")

amounts = st.one_of(st.none(), st.just(AMOUNT), st.integers(0, 2 * AMOUNT))
facts = st.builds(
    Facts,
    provider_id=st.sampled_from([None, "pi_1"]),
    amount=amounts,
    amount_authorized=amounts,
    amount_captured=amounts,
    amount_received=amounts,
    currency=st.sampled_from([None, "USD", "EUR"]),
    fee=amounts,
    extra=st.sampled_from([{}, {"object": "payment_intent"}]),
)
declines = st.builds(Decline, st.just("code"), st.sampled_from(DeclineCategory), st.just("message"))
outcomes: st.SearchStrategy[Outcome] = st.one_of(
    st.builds(Succeeded, facts),
    st.builds(Pending, facts),
    st.builds(ActionRequired, facts, st.none()),
    st.builds(Declined, facts, declines),
    st.builds(Canceled, facts),
    st.builds(NotExecuted, st.sampled_from(NotExecutedReason), st.just("detail")),
    st.just(Unknown({})),
)


class Books:
    """A payment with one transaction of each kind and two refunds, changed as the status manager changes rows."""

    def __init__(self, start: str) -> None:
        self.payment: dict[str, Any] = {
            **dict.fromkeys(SUMS, 0),
            "status": "processing",
            "amount": AMOUNT,
            "currency": "USD",
            "refund_reserved": 0,
        }
        self.transactions = {kind: self._transaction(kind, AMOUNT) for kind in (start, "capture", "void")}
        self.refunds: dict[str, dict[str, Any]] = {}
        for name, amount in (("refund 1", 700), ("refund 2", 4300)):
            self.transactions[name] = self._transaction("refund", amount)
            self.refunds[name] = {"status": "processing", "amount": amount, "origin": "api"}
            self.payment["refund_reserved"] += amount

    def _transaction(self, kind: str, amount: int) -> dict[str, Any]:
        return {"kind": kind, "status": "sent", "amount": amount, "currency": "USD", "surplus": False, "extra": {}}

    def tell(self, name: str, outcome: Outcome) -> settlement.Plan:
        transaction, refund = self.transactions[name], self.refunds.get(name)
        plan = settlement.plan(self.payment, transaction, refund, outcome)
        for subject, row, status, values in (
            ("transaction", transaction, plan.transaction_status, plan.transaction),
            ("payment", self.payment, plan.payment_status, plan.payment),
            ("refund", refund, plan.refund_status, plan.refund),
        ):
            if status is not None and row is not None:
                assert may_step(subject, row["status"], status), (subject, row["status"], status)
                late = subject == "transaction" and (row["status"], status) in SURPLUS_ONLY
                assert not late or values["surplus"], "late money that is not marked"
            if row is not None:
                row.update(values)
                row.update({"status": status} if status else {})
        return plan


messages = st.lists(st.tuples(st.integers(0, 4), outcomes), max_size=12)
starts = st.sampled_from(["charge", "authorize"])


def told(start: str, said: list[tuple[int, Outcome]]) -> tuple[Books, list[tuple[dict[str, Any], settlement.Plan]]]:
    """The books at the end, and before each message the payment as it was with the plan that followed."""
    books = Books(start)
    names = list(books.transactions)
    steps = []
    for number, outcome in said:
        before = dict(books.payment)
        steps.append((before, books.tell(names[number], outcome)))
    return books, steps


@settings(max_examples=300)
@given(starts, messages)
def test_sums_are_never_negative(start: str, said: list[tuple[int, Outcome]]) -> None:
    books, _ = told(start, said)
    assert all(books.payment[name] >= 0 for name in (*SUMS, "refund_reserved")), books.payment
    given_back = sum(row["amount"] for row in books.refunds.values() if row["status"] == "succeeded")
    assert books.payment["amount_refunded"] >= given_back
    alive = [row["amount"] for row in books.refunds.values() if row["status"] not in ("failed", "canceled")]
    assert books.payment["refund_reserved"] == sum(alive)


@settings(max_examples=300)
@given(starts, messages)
def test_a_payment_never_leaves_its_end(start: str, said: list[tuple[int, Outcome]]) -> None:
    books, steps = told(start, said)
    states = [before["status"] for before, _ in steps] + [books.payment["status"]]
    ended = [status for status in states if status in FINAL_PAYMENT]
    assert len(set(ended)) <= 1
    assert all(status in FINAL_PAYMENT for status in states[len(states) - len(ended) :])


@settings(max_examples=300)
@given(starts, messages)
def test_money_for_a_payment_that_ended_is_surplus_and_never_silent(
    start: str, said: list[tuple[int, Outcome]]
) -> None:
    _, steps = told(start, said)
    for before, plan in steps:
        risen = plan.payment.get("amount_received", 0) > before["amount_received"]
        if before["status"] in ("failed", "canceled"):
            assert plan.payment.get("amount_captured", before["amount_captured"]) == before["amount_captured"]
            if risen:
                assert plan.surplus_received or plan.review
        if plan.surplus_received:
            assert risen or plan.payment["amount_received"] == before["amount_received"]
            assert plan.finding is not None
            assert plan.transaction["surplus"]


@settings(max_examples=300)
@given(starts, messages, st.integers(0, 4), outcomes)
def test_the_same_message_twice_is_the_same_as_once(
    start: str, said: list[tuple[int, Outcome]], number: int, last: Outcome
) -> None:
    books, _ = told(start, said)
    name = list(books.transactions)[number]
    books.tell(name, last)
    once = (dict(books.payment), dict(books.transactions[name]), dict(books.refunds.get(name, {})))
    again = books.tell(name, last)
    assert (books.payment, books.transactions[name], books.refunds.get(name, {})) == once
    assert not again.surplus_received


@given(starts, st.sampled_from(["sent", "unknown", "pending", "requires_action"]), facts)
def test_another_amount_or_currency_is_never_success(start: str, current: str, said: Facts) -> None:
    transaction = {"kind": start, "status": current, "amount": AMOUNT, "currency": "USD", "surplus": False, "extra": {}}
    payment = Books(start).payment
    plan = settlement.plan(payment, transaction, None, Succeeded(said))
    contradicts = said.currency not in (None, "USD") or said.amount not in (None, AMOUNT)
    assert (plan.review is not None) == contradicts
    if contradicts:
        assert (plan.payment_status, plan.transaction_status) == (None, None if current == "pending" else "pending")
        assert plan.finding is not None
        assert plan.finding[0] == "amount_mismatch"
        received = said.amount_received if said.amount_received is not None else said.amount or 0
        assert plan.payment == {"amount_received": received}, "the money is recorded all the same"


@pytest.mark.parametrize(("amount", "mismatch"), [(700, False), (None, False), (7000, True), (0, True)])
def test_a_refund_of_another_amount_is_never_success(amount: int | None, mismatch: bool) -> None:
    books = Books("charge")
    plan = books.tell("refund 1", Succeeded(Facts(amount=amount)))
    assert (plan.review is not None) == mismatch
    assert books.refunds["refund 1"]["status"] == ("processing" if mismatch else "succeeded")
    assert books.payment["amount_refunded"] == (0 if mismatch else 700)


@pytest.mark.parametrize(("taken", "mismatch"), [(5000, False), (None, False), (3000, True)])
def test_a_capture_of_another_amount_is_never_success(taken: int | None, mismatch: bool) -> None:
    books = Books("authorize")
    books.tell("authorize", Succeeded(Facts()))
    plan = books.tell("capture", Succeeded(Facts(amount=taken, amount_captured=taken)))
    assert (plan.review is not None) == mismatch
    assert books.payment["status"] == ("authorized" if mismatch else "succeeded")
    assert books.payment["amount_received"] == (taken or 5000), "the money is recorded all the same"
