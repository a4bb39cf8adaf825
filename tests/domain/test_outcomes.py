"""What each outcome permits next: the failover table, whole."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from core.domain import outcomes
from core.domain.outcomes import (
    FAILOVER,
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
    failover_key,
)


def declined(category: DeclineCategory) -> Declined:
    return Declined(Facts(), Decline("code", category, "message"))


def refused(reason: NotExecutedReason) -> NotExecuted:
    return NotExecuted(reason, "detail")


#: Outcome, may the same provider be tried again, may another account be tried.
TABLE: list[tuple[Outcome, str, str]] = [
    (Succeeded(Facts()), "no", "no"),
    (Pending(Facts()), "no", "no"),
    (ActionRequired(Facts(), None), "no", "no"),
    (Canceled(Facts()), "no", "no"),
    (declined(DeclineCategory.HARD), "no", "no"),
    (declined(DeclineCategory.SOFT), "no", "if_route_says"),
    (declined(DeclineCategory.CUSTOMER_ACTION), "no", "no"),
    (declined(DeclineCategory.UNKNOWN), "no", "no"),
    (refused(NotExecutedReason.CONNECTION), "same_key", "yes"),
    (refused(NotExecutedReason.BREAKER_OPEN), "same_key", "yes"),
    (refused(NotExecutedReason.RATE_LIMITED), "same_key", "yes"),
    (refused(NotExecutedReason.NOT_FOUND), "same_key", "yes"),
    (refused(NotExecutedReason.LOCK_TIMEOUT), "same_key", "no"),
    (refused(NotExecutedReason.MISCONFIGURED), "no", "once"),
    (refused(NotExecutedReason.INVALID_REQUEST), "no", "no"),
    (Unknown({}), "look_up", "after_proof"),
]


def test_failover_table() -> None:
    found = [(outcome, FAILOVER[failover_key(outcome)]) for outcome, _, _ in TABLE]
    assert [(outcome, row.retry.value, row.elsewhere.value) for outcome, row in found] == TABLE


def test_the_table_has_these_rows_and_no_other() -> None:
    assert sorted(FAILOVER) == sorted({failover_key(outcome) for outcome, _, _ in TABLE})
    assert len(TABLE) == len(FAILOVER)


def test_every_category_and_reason_has_a_row() -> None:
    assert all(failover_key(declined(category)) in FAILOVER for category in DeclineCategory)
    assert all(failover_key(refused(reason)) in FAILOVER for reason in NotExecutedReason)


def test_nothing_goes_elsewhere_while_it_may_have_been_executed() -> None:
    for key, row in FAILOVER.items():
        if row.elsewhere in (outcomes.Elsewhere.YES, outcomes.Elsewhere.ONCE):
            assert key.startswith("not_executed:"), key


def test_a_decline_as_merchants_are_told_it() -> None:
    decline = Decline("insufficient_funds", DeclineCategory.SOFT, "Not enough money.", "51")
    assert decline.as_dict() == {
        "code": "insufficient_funds",
        "category": "soft",
        "message": "Not enough money.",
        "provider_code": "51",
    }


class TestNextAction:
    MOMENT = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)

    def test_redirect(self) -> None:
        action = NextAction("https://pay.example/x", self.MOMENT)
        assert action.as_dict() == {
            "type": "redirect",
            "url": "https://pay.example/x",
            "expires_at": "2026-11-23T12:00:00.000Z",
        }

    def test_redirect_that_a_providers_script_can_do_too(self) -> None:
        action = NextAction("https://pay.example/x", None, "pi_1_secret_2", "pk_test_3")
        assert action.as_dict() == {
            "type": "redirect",
            "url": "https://pay.example/x",
            "expires_at": None,
            "client_secret": "pi_1_secret_2",
            "publishable_key": "pk_test_3",
        }

    def test_script_alone(self) -> None:
        shown = NextAction(None, None, "pi_1_secret_2").as_dict()
        assert (shown["type"], shown["url"], shown["client_secret"]) == ("provider_script", None, "pi_1_secret_2")

    def test_a_publishable_key_alone_says_nothing(self) -> None:
        assert "publishable_key" not in NextAction("https://pay.example/x", None, None, "pk_test_3").as_dict()


def test_outcomes_are_values() -> None:
    assert Succeeded(Facts(amount=1)) == Succeeded(Facts(amount=1)) != Pending(Facts(amount=1))
    with pytest.raises(AttributeError):
        Succeeded(Facts()).facts = Facts(amount=2)  # type: ignore[misc]
