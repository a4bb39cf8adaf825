"""Rows as merchants see them: prefixed ids, RFC 3339 in UTC, and no next action unless it is handed in."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.domain import representations
from core.domain.identifiers import public_id
from core.persistence.tables import jobs, payments, refunds

ID = UUID("019aafc0-0000-7000-8000-000000000001")
OTHER = UUID("019aafc0-0000-7000-8000-000000000002")
MOMENT = datetime(2026, 11, 23, 12, 34, 56, 789_999, UTC)
SHOWN = "2026-11-23T12:34:56.789Z"


def row(table: Any, **values: Any) -> dict[str, Any]:
    """Every column of a table, filled with what is given."""
    times = {column.name: MOMENT for column in table.columns if column.name in ("created_at", "updated_at")}
    return {**dict.fromkeys(column.name for column in table.columns), "mode": "test", **times, "id": ID, **values}


def payment_row(**values: Any) -> dict[str, Any]:
    sums = dict.fromkeys(("amount_authorized", "amount_received", "amount_refunded", "amount_disputed"), 0)
    basics = {"status": "succeeded", "amount": 5000, "currency": "USD", "capture": "automatic", "method": "token"}
    return row(payments, **{**sums, **basics, "amount_captured": 5000, "metadata": {"order": "42"}, **values})


class TestTimestamp:
    def test_cut_to_milliseconds_in_utc(self) -> None:
        assert representations.timestamp(MOMENT) == SHOWN
        assert representations.timestamp(datetime(2026, 1, 1, tzinfo=UTC)) == "2026-01-01T00:00:00.000Z"

    def test_another_zone_is_the_same_moment(self) -> None:
        lagos = MOMENT.astimezone(timezone(timedelta(hours=1)))
        assert representations.timestamp(lagos) == SHOWN

    def test_nothing_stays_nothing(self) -> None:
        assert representations.timestamp(None) is None

    @given(st.integers(0, 2**53), st.integers(-14 * 60, 14 * 60))
    def test_form_and_moment(self, microseconds: int, offset: int) -> None:
        zone = timezone(timedelta(minutes=offset))
        moment = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds)).astimezone(zone)
        shown = representations.timestamp(moment)
        assert shown is not None
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", shown)
        assert timedelta(0) <= moment - datetime.fromisoformat(shown) < timedelta(milliseconds=1)


class TestPayment:
    def test_whole(self) -> None:
        stored = payment_row(
            customer_id=OTHER, provider="stripe", provider_account_id=OTHER, reference="order-42", expires_at=MOMENT
        )
        assert representations.payment(stored) == {
            "id": public_id("payment", ID),
            "mode": "test",
            "status": "succeeded",
            "amount": 5000,
            "currency": "USD",
            "capture": "automatic",
            "payment_method": {"type": "token", "id": None},
            "customer": public_id("customer", OTHER),
            "provider": "stripe",
            "provider_account": public_id("provider_account", OTHER),
            "amount_authorized": 0,
            "amount_captured": 5000,
            "amount_received": 0,
            "amount_refunded": 0,
            "amount_disputed": 0,
            "next_action": None,
            "decline": None,
            "return_url": None,
            "reference": "order-42",
            "description": None,
            "metadata": {"order": "42"},
            "country": None,
            "expires_at": SHOWN,
            "created_at": SHOWN,
            "updated_at": SHOWN,
        }

    def test_nothing_sealed_or_internal_is_shown(self) -> None:
        shown = representations.payment(
            payment_row(method_sealed=b"x", next_action_sealed=b"y", route={"chosen": "acc"})
        )
        internal = {"merchant_id", "method_sealed", "next_action_sealed", "route", "refund_reserved", "event_sequence"}
        assert not internal & set(shown)
        assert not any(isinstance(value, (bytes, UUID, datetime)) for value in shown.values())

    def test_an_event_holds_no_next_action_and_an_answer_does(self) -> None:
        stored = payment_row(status="requires_action", next_action_sealed=b"sealed")
        assert representations.payment(stored)["next_action"] is None
        action = {"type": "redirect", "url": "https://pay.example/x", "client_secret": "pi_secret"}
        assert representations.payment(stored, action)["next_action"] == action


def test_refund() -> None:
    stored = row(
        refunds,
        payment_id=OTHER,
        status="failed",
        amount=700,
        currency="USD",
        reason="duplicate",
        origin="api",
        failure={"code": "lost_or_stolen_card"},
        provider_id="re_1",
    )
    assert representations.refund(stored) == {
        "id": public_id("refund", ID),
        "mode": "test",
        "payment": public_id("payment", OTHER),
        "status": "failed",
        "amount": 700,
        "currency": "USD",
        "reason": "duplicate",
        "origin": "api",
        "failure": {"code": "lost_or_stolen_card"},
        "created_at": SHOWN,
        "updated_at": SHOWN,
    }


class TestJob:
    @pytest.mark.parametrize("status", ["queued", "running", "succeeded", "failed", "needs_review", "canceled"])
    def test_only_a_waiting_one_says_when_it_is_tried_next(self, status: str) -> None:
        shown = representations.job(row(jobs, kind="create_payment", status=status, attempts=2, run_after=MOMENT))
        assert shown["next_attempt_at"] == (SHOWN if status == "queued" else None)
        assert (shown["status"], shown["attempts"]) == (status, 2)

    def test_whole(self) -> None:
        stored = row(jobs, kind="refund_payment", status="succeeded", attempts=1, payment_id=OTHER, finished_at=MOMENT)
        name = public_id("job", ID)
        assert representations.job(stored) == {
            "id": name,
            "kind": "refund_payment",
            "status": "succeeded",
            "url": f"/v1/jobs/{name}",
            "payment": public_id("payment", OTHER),
            "attempts": 1,
            "next_attempt_at": None,
            "error": None,
            "created_at": SHOWN,
            "finished_at": SHOWN,
        }
