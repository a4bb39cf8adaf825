"""What each word of a provider on a dispute changes: its row, the payment's sums, what is told, what a person sees."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from core.domain.outcomes import DisputeFacts, Unknown
from core.orchestration.dispute_plan import TOLD_AGAIN, DisputePlan, plan
from core.orchestration.disputes import believable

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
DUE = NOW + timedelta(days=7)


def payment(**changes: Any) -> dict[str, Any]:
    sums = {"amount_captured": 5000, "amount_received": 5000, "amount_refunded": 0, "amount_disputed": 0}
    return {"currency": "USD", **sums, **changes}


def facts(status: Any = "needs_response", **changes: Any) -> DisputeFacts:
    values: dict[str, Any] = {"amount": 5000, "currency": "USD", "evidence_due_by": DUE, "reason": "fraudulent"}
    return DisputeFacts(provider_id="du_1", status=status, charge_ids=("ch_1",), **{**values, **changes})


def row(status: str = "needs_response", **changes: Any) -> dict[str, Any]:
    values = {"amount": 5000, "currency": "USD", "reason": "fraudulent", "refundable": False, "withheld": True}
    return {"status": status, **values, "evidence_due_by": DUE, "evidence_sent_at": None, **changes}


def disputed(made: DisputePlan) -> int:
    return int(made.payment["amount_disputed"])


@pytest.mark.parametrize("status", ["needs_response", "under_review", "won", "lost", "closed"])
def test_the_first_status_may_be_any_and_is_told(status: str) -> None:
    made = plan(payment(), None, facts(status), NOW)
    assert (made.status, made.told, made.stale, made.finding) == (status, True, False, None)


@pytest.mark.parametrize(
    ("withheld", "before", "known", "after"),
    [
        (True, 0, None, 5000),
        (False, 0, None, 0),
        (False, 5000, row(), 0),
        (True, 5000, row(), 5000),
        (True, 0, row(withheld=False, refundable=True), 5000),
        (False, 700, row(amount=5000), 0),
    ],
    ids=["opened", "inquiry", "given back", "as it was", "an inquiry escalates", "never below nothing"],
)
def test_what_is_withheld_counts_once(withheld: bool, before: int, known: Any, after: int) -> None:
    assert disputed(plan(payment(amount_disputed=before), known, facts(withheld=withheld), NOW)) == after


def test_another_amount_counts_by_the_difference() -> None:
    beside_another = payment(amount_disputed=1500)
    assert disputed(plan(beside_another, row(amount=1000), facts(amount=800), NOW)) == 1300


def test_the_same_again_changes_and_tells_nothing() -> None:
    made = plan(payment(amount_disputed=5000), row(), facts(), NOW)
    assert (made.status, made.told, disputed(made)) == (None, False, 5000)
    assert all(row()[name] == value for name, value in made.values.items())


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"amount": 4000}, "amount"),
        ({"currency": "EUR"}, "currency"),
        ({"refundable": True}, "refundable"),
        ({"withheld": False}, "withheld"),
        ({"evidence_due_by": DUE + timedelta(days=1)}, "evidence_due_by"),
    ],
)
def test_what_merchants_act_on_is_told_again_under_the_same_status(change: dict[str, Any], name: str) -> None:
    made = plan(payment(amount_disputed=5000), row(), facts(**change), NOW)
    assert (made.status, made.told, made.changed) == (None, True, (name,))
    assert name in TOLD_AGAIN


def test_a_reason_alone_is_kept_and_not_told() -> None:
    made = plan(payment(amount_disputed=5000), row(), facts(reason="duplicate"), NOW)
    assert (made.values["reason"], made.told) == ("duplicate", False)
    assert plan(payment(), row(), facts(reason=None), NOW).values["reason"] == "fraudulent"


@pytest.mark.parametrize(
    ("source", "target"),
    [("won", "lost"), ("lost", "won"), ("under_review", "needs_response"), ("needs_response", "closed")],
)
def test_steps_of_the_table_are_taken(source: str, target: str) -> None:
    made = plan(payment(), row(source), facts(target), NOW)
    assert (made.status, made.stale) == (target, False)


@pytest.mark.parametrize(
    ("source", "target"),
    [("won", "needs_response"), ("lost", "under_review"), ("closed", "lost"), ("closed", "won"), ("won", "closed")],
)
def test_other_steps_are_stale_and_change_nothing(source: str, target: str) -> None:
    made = plan(payment(), row(source, withheld=True), facts(target, withheld=True), NOW)
    assert (made.stale, made.status, made.told, made.values, made.payment) == (True, None, False, {}, {})
    assert made.finding is None


def test_money_that_moves_where_no_step_is_allowed_is_a_finding() -> None:
    made = plan(payment(), row("closed", withheld=False), facts("lost"), NOW)
    assert made.stale
    assert made.finding is not None
    assert made.finding[0] == "dispute_contradiction"


def test_more_than_was_taken_is_a_finding_and_recorded() -> None:
    made = plan(payment(amount_refunded=1000), None, facts(), NOW)
    assert disputed(made) == 5000
    assert made.finding == ("dispute_exceeds_payment", {"taken": 5000, "refunded": 1000, "disputed": 5000})
    assert plan(payment(amount_refunded=1000), None, facts(amount=4000), NOW).finding is None
    assert plan(payment(amount_refunded=1000, amount_disputed=5000), row(), facts(), NOW).finding is None


def test_another_currency_is_not_taken_off_and_a_finding() -> None:
    made = plan(payment(), None, facts(currency="EUR"), NOW)
    assert disputed(made) == 0
    assert made.finding == ("dispute_other_currency", {"amount": 5000, "currency": "EUR"})


def test_evidence_is_dated_once_and_forgotten_when_the_bank_asks_anew() -> None:
    sent = facts("under_review", evidence_sent=True)
    assert plan(payment(), row(), sent, NOW).values["evidence_sent_at"] == NOW
    earlier = NOW - timedelta(days=1)
    assert "evidence_sent_at" not in plan(payment(), row("under_review", evidence_sent_at=earlier), sent, NOW).values
    again = plan(payment(), row("under_review", evidence_sent_at=earlier), facts(evidence_sent=True), NOW)
    assert again.values["evidence_sent_at"] is None


@pytest.mark.parametrize("change", [{"amount": 0}, {"amount": -1}, {"currency": ""}], ids=repr)
def test_an_answer_without_money_is_none(change: dict[str, Any]) -> None:
    assert isinstance(believable(facts(**change), "du_1", None), Unknown)


def test_an_answer_about_another_dispute_is_none() -> None:
    assert isinstance(believable(facts(), "du_2", row()), Unknown)
    assert believable(facts(), "du_1", None) == facts()


def test_a_known_dispute_keeps_its_amount_where_none_is_told() -> None:
    assert believable(facts("won", amount=0), "du_1", row(amount=1200)) == facts("won", amount=1200)
