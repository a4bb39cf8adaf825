"""The tables of failover, row by row."""

from __future__ import annotations

from datetime import timedelta

import pytest

from core.domain import statuses
from core.domain.outcomes import CANCEL_AFTER_DECLINE, NotExecutedReason
from core.orchestration import failover
from core.orchestration.backoff import SPREAD
from core.orchestration.failover import CROSSES, FATES, KEPT_BACK, SPACING, Fate, Spacing, fate_of

HOUR = 3600.0


def row(status: str, **values: object) -> dict[str, object]:
    return {"id": 1, "kind": "charge", "status": status, "extra": {}, "decline": None, "evidence": None, **values}


@pytest.mark.parametrize(
    ("status", "fate"),
    [
        ("sent", "open"),
        ("unknown", "open"),
        ("pending", "open"),
        ("requires_action", "open"),
        ("succeeded", "charged"),
        ("declined", "ended"),
        ("canceled", "ended"),
        ("not_executed", "absent"),
    ],
)
def test_what_each_status_means_for_money(status: str, fate: str) -> None:
    assert FATES[status] == fate_of(row(status), []) == fate


def test_every_status_of_a_transaction_has_a_fate() -> None:
    assert set(FATES) == {status for status in statuses.TRANSACTION if status is not None}
    assert {status for status, fate in FATES.items() if fate is Fate.OPEN} == statuses.OPEN_TRANSACTION


@pytest.mark.parametrize(
    ("void", "fate"),
    [
        (None, "payable"),
        ("sent", "payable"),
        ("unknown", "payable"),
        ("declined", "payable"),
        ("not_executed", "payable"),
        ("succeeded", "ended"),
        ("canceled", "ended"),
    ],
)
def test_what_a_decline_leaves_is_payable_until_it_was_ended(void: str | None, fate: str) -> None:
    declined = row("declined", extra={CANCEL_AFTER_DECLINE: "pi_1"})
    closing = [] if void is None else [row(void, id=2, kind="void", extra={"closes": "1"})]
    assert fate_of(declined, [declined, *closing]) == fate
    another = [{**one, "extra": {"closes": "3"}} for one in closing]
    assert fate_of(declined, [declined, *another]) == "payable"


@pytest.mark.parametrize(
    ("code", "second", "third"),
    [
        ("insufficient_funds", 24, 34),
        ("card_velocity_exceeded", 24, 25),
        ("issuer_not_available", 1, 12),
        ("processing_error", 1, 12),
        ("generic_decline", 24, 34),
    ],
)
def test_when_an_off_session_payment_is_tried_again(code: str, second: int, third: int) -> None:
    assert failover.wait_of(code, 1) == second * HOUR
    assert failover.wait_of(code, 2) == third * HOUR


def test_the_table_of_spacing_has_no_other_row() -> None:
    assert set(SPACING) == {"insufficient_funds", "card_velocity_exceeded", "issuer_not_available", "processing_error"}


@pytest.mark.parametrize("spacing", [*SPACING.values(), failover.DEFAULT_SPACING])
def test_all_tries_fall_into_72_hours_however_they_are_spread(spacing: Spacing) -> None:
    longest = timedelta(seconds=(spacing.second + spacing.third) * (1 + SPREAD))
    assert longest < failover.WITHIN == timedelta(hours=72)


def test_only_a_redirect_crosses_accounts() -> None:
    assert {"redirect"} == CROSSES


def test_what_is_kept_back_says_for_whose_sake() -> None:
    assert set(KEPT_BACK) == {NotExecutedReason.BREAKER_OPEN, NotExecutedReason.RATE_LIMITED}
    assert KEPT_BACK[NotExecutedReason.BREAKER_OPEN] == "the provider fails too often; it was not called"
    assert KEPT_BACK[NotExecutedReason.RATE_LIMITED] == "the provider has asked to wait; it was not called"
