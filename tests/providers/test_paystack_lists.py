"""Paystack's lists: refunds of a charge, what changed in a window, and what moved on the balance."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from core.domain.outcomes import ActionRequired, NotExecuted, Pending, Succeeded, Unknown
from core.providers.base import AnyNews, ChargeRef, DisputeNews, ListingBroken, News, StatementLine
from tests.providers.paystack_contract import PaystackDriver
from tests.providers.paystack_driver import (
    CHARGE,
    NUMBER,
    REFERENCE,
    REFUND,
    ScriptedPaystack,
    dispute_object,
    refund_list,
    refund_object,
    refused,
    scripted,
    verified,
)
from tests.support.sandboxes import Sandbox

DAY = timedelta(days=1)
SINCE, UNTIL = datetime(2026, 3, 2, 10, tzinfo=UTC), datetime(2026, 3, 5, 10, tzinfo=UTC)
TRANSACTIONS, REFUNDS, DISPUTES = ("GET", "/transaction"), ("GET", "/refund"), ("GET", "/dispute")
HOLDS, SETTLEMENTS = ("GET", "/preauthorization"), ("GET", "/settlement")
KNOWN = ChargeRef(REFERENCE, str(NUMBER))


@pytest.fixture
def driver(sandboxes: dict[str, Sandbox]) -> PaystackDriver:
    return PaystackDriver(sandboxes["paystack"])


@pytest.fixture
def paystack() -> Iterator[ScriptedPaystack]:
    with scripted() as running:
        yield running


def listed(paystack: ScriptedPaystack, **lists: list[Any]) -> ScriptedPaystack:
    """Each list with these rows; the ones that are not named are empty."""
    doors = {"transactions": TRANSACTIONS, "refunds": REFUNDS, "disputes": DISPUTES, "holds": HOLDS}
    for name, door in (doors | {"settlements": SETTLEMENTS}).items():
        paystack.on(*door, 200, refund_list(*lists.get(name, [])))
    return paystack


def row(status: str = "success", **changes: Any) -> Any:
    return verified(status, **changes)["data"]


def changes(paystack: ScriptedPaystack) -> list[AnyNews]:
    return list(paystack.provider().list_changes(SINCE, UNTIL))


def statement(paystack: ScriptedPaystack) -> list[StatementLine]:
    return list(paystack.provider().list_statement(SINCE, UNTIL))


def test_two_equal_refunds_are_two(driver: PaystackDriver) -> None:
    provider, request = driver.provider(), driver.request()
    facts = driver.paid(provider, request)
    ours = [driver.refund_request(request, facts, 100_00) for _ in range(2)]
    for one in ours:
        assert isinstance(provider.refund(one), Pending)
    for charge in (
        ChargeRef(str(facts.provider_id), facts.provider_charge_id),
        ChargeRef(str(facts.provider_id), None),
    ):
        news = provider.list_refunds(charge)
        assert isinstance(news, list)
        assert {one.transaction_id for one in news} == {one.transaction_id for one in ours}
        assert len({one.provider_id for one in news}) == 2
        assert {one.start_provider_id for one in news} == {facts.provider_id}
        assert all(isinstance(one.outcome, Pending) for one in news)


def test_a_refund_of_the_dashboard_is_listed_without_a_mark(paystack: ScriptedPaystack) -> None:
    by_hand = refund_object("processed", id=2, merchant_note="Refund by hand", refunded_at="2026-03-04T08:00:00.000Z")
    paystack.on(*REFUNDS, 200, refund_list(by_hand, pages=2))
    paystack.on(*REFUNDS, 200, refund_list(by_hand, refund_object("failed"), pages=2))
    news = paystack.provider().list_refunds(KNOWN)
    assert isinstance(news, list)
    assert [(one.provider_id, one.transaction_id) for one in news] == [("2", None), ("15581137", REFUND)]
    assert [type(one.outcome).__name__ for one in news] == ["Succeeded", "Declined"]
    assert news[0].occurred_at == datetime(2026, 3, 4, 8, tzinfo=UTC)
    assert paystack.received[0].query["transaction"] == [str(NUMBER)]


def test_a_refund_of_a_captured_hold_is_listed_by_the_captures_number(paystack: ScriptedPaystack) -> None:
    paystack.on(*REFUNDS, 200, refund_list())
    assert paystack.provider().list_refunds(ChargeRef(REFERENCE, None, {"capture": "77"})) == []
    assert paystack.received[0].query["transaction"] == ["77"]


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (500, b"x", Unknown),
        (200, {"status": True, "data": {}}, Unknown),
        (200, {"status": True, "data": ["x"]}, Unknown),
        (401, refused("Invalid key"), NotExecuted),
        (429, b"x", NotExecuted),
    ],
)
def test_a_list_of_refunds_that_breaks_says_so(
    paystack: ScriptedPaystack, status: int, body: Any, expected: type
) -> None:
    paystack.on(*REFUNDS, status, body)
    assert type(paystack.provider().list_refunds(KNOWN)) is expected


def test_changes_are_found_that_no_webhook_told(driver: PaystackDriver) -> None:
    provider = driver.provider()
    since = datetime.now(UTC) - DAY
    paid, failed = driver.request(), driver.request()
    facts = driver.paid(provider, paid)
    page = provider.start(failed)
    assert isinstance(page, ActionRequired)
    driver.press(page, "decline")
    hold = replace(driver.request("authorize", 500_00), currency="ZAR")
    assert isinstance(provider.start(hold), ActionRequired)
    refund = driver.refund_request(paid, facts, 100_00)
    provider.refund(refund)
    body = {"secret_key": driver.secret_key, "reference": facts.provider_id, "amount": 100_00}
    dispute = driver.sandbox.post("disputes", **body)
    found = list(provider.list_changes(since, _late()))
    news = {one.transaction_id: one for one in found if isinstance(one, News) and one.transaction_id}
    good = news[paid.transaction_id].outcome
    assert isinstance(good, Succeeded)
    assert (good.facts.amount, good.facts.provider_charge_id) == (500_00, facts.provider_charge_id)
    assert news[failed.transaction_id].outcome is None  # page or saved card: that is ours to know
    assert isinstance(news[refund.transaction_id].outcome, Pending)
    assert news[refund.transaction_id].start_provider_id == facts.provider_id
    assert [one.provider_id for one in found if isinstance(one, DisputeNews)] == [str(dispute["id"])]
    assert any(isinstance(one, News) and one.outcome is None and one.transaction_id is None for one in found)
    assert list(provider.list_changes(since - 300 * DAY, since - 299 * DAY)) == []


def _late() -> datetime:
    """After anything a test's sandbox calls now: other tests move its clock."""
    return datetime.now(UTC) + 400 * DAY


@pytest.mark.parametrize(
    ("status", "channel", "expected"),
    [
        ("success", "card", ("start", "Succeeded")),
        ("reversed", "card", ("start", "Succeeded")),
        ("abandoned", None, ("start", "ActionRequired")),
        ("ongoing", "card", ("start", "NoneType")),
        ("pending", "card", ("start", "Pending")),
        ("failed", "card", ("start", "NoneType")),
        ("surprising", "card", ("start", "NoneType")),
        (None, "card", ("start", "NoneType")),
        ("success", "preauth", ("capture", "NoneType")),
    ],
)
def test_a_row_is_told_as_verify_would(
    paystack: ScriptedPaystack, status: str, channel: str | None, expected: tuple[str, str]
) -> None:
    listed(paystack, transactions=[row(status, channel=channel)])
    [news] = changes(paystack)
    assert isinstance(news, News)
    assert (news.operation, type(news.outcome).__name__) == expected
    assert news.provider_id == REFERENCE
    assert news.transaction_id == (CHARGE if news.operation == "start" else None)


def test_the_windows_are_wider_where_things_change_late(paystack: ScriptedPaystack) -> None:
    listed(paystack)
    assert changes(paystack) == []
    asked = {one.path: (one.query["from"], one.query["to"]) for one in paystack.received}
    to = ["2026-03-05T10:00:00.000Z"]
    assert asked == {
        "/transaction": (["2026-03-02T10:00:00.000Z"], to),
        "/refund": (["2026-01-31T10:00:00.000Z"], to),
        "/dispute": (["2025-12-02T10:00:00.000Z"], to),
        "/preauthorization": (["2026-03-02T10:00:00.000Z"], to),
    }


def test_what_did_not_change_in_the_window_is_not_told(paystack: ScriptedPaystack) -> None:
    old = "2026-02-10T08:00:00.000Z"
    refunds = [
        refund_object("processed", id=1, createdAt=old, refunded_at=old),
        refund_object("processed", id=2, createdAt=old, refunded_at="2026-03-04T08:00:00.000Z"),
        refund_object("failed", id=3, createdAt=old),  # nothing says when
        refund_object("pending", id=4),
    ]
    disputes = [
        dispute_object(id=5, createdAt=old, updatedAt=old),
        dispute_object("resolved", "declined", id=6, createdAt=old, updatedAt="2026-03-04T08:00:00.000Z"),
        dispute_object(id=None),
    ]
    listed(paystack, refunds=refunds, disputes=disputes)
    found = changes(paystack)
    assert [getattr(one, "provider_id", None) for one in found] == ["2", "3", "4", "6"]
    assert {one.start_provider_id for one in found if isinstance(one, News)} == {str(NUMBER)}


def test_an_integration_without_holds_has_none(paystack: ScriptedPaystack) -> None:
    for status, message in ((400, "Not available for your country"), (403, "Access denied"), (404, "Nothing here")):
        listed(paystack, transactions=[row()])
        paystack.answers[HOLDS] = [(status, refused(message), {})]
        assert len(changes(paystack)) == 1


@pytest.mark.parametrize("door", [TRANSACTIONS, REFUNDS, DISPUTES, HOLDS])
def test_a_list_that_breaks_off_raises_after_what_it_gave(paystack: ScriptedPaystack, door: tuple[str, str]) -> None:
    listed(paystack, transactions=[row()])
    first = refund_list(row(), pages=2) if door == TRANSACTIONS else refund_list(pages=2)
    paystack.answers[door] = [(200, first, {}), (500, b"x", {})]
    given: list[AnyNews] = []
    with pytest.raises(ListingBroken) as caught:
        given.extend(_collecting(paystack, given))
    assert isinstance(caught.value.outcome, Unknown)
    assert len(given) == 1


def _collecting(paystack: ScriptedPaystack, given: list[AnyNews]) -> list[AnyNews]:
    for one in paystack.provider().list_changes(SINCE, UNTIL):
        given.append(one)
    return []


def test_the_statement_adds_up_to_what_was_paid_out(driver: PaystackDriver) -> None:
    provider = driver.provider()
    since = datetime.now(UTC) - DAY
    paid = [driver.request(amount=3000_00) for _ in range(2)]
    facts = [driver.paid(provider, one) for one in paid]
    refund = driver.refund_request(paid[0], facts[0], 100_00)
    provider.refund(refund)
    for _ in range(2):
        driver.sandbox.post("clock", advance_seconds=2)
    driver.sandbox.post("clock", advance_seconds=86_400)
    driver.sandbox.post("clock", advance_seconds=3_700)
    later = driver.request(amount=500_00)
    driver.paid(provider, later)
    lines = list(provider.list_statement(since, _late()))
    assert all(line.net == line.amount - line.fee for line in lines)
    assert len({line.line_id for line in lines}) == len(lines)
    kinds = {kind: [line for line in lines if line.kind == kind] for kind in {line.kind for line in lines}}
    assert {kind: len(found) for kind, found in kinds.items()} == {"charge": 3, "refund": 1, "payout": 1}
    [payout] = kinds["payout"]
    settled = [line for line in kinds["charge"] if line.payout is not None]
    assert {line.transaction_id for line in settled} == {one.transaction_id for one in paid}
    assert {line.payout for line in settled} == {payout.line_id.removeprefix("settlement:")}
    assert {line.fee for line in settled} == {45_00 + 100_00}
    assert {line.source for line in settled} == {one.provider_id for one in facts}
    [back] = kinds["refund"]
    assert (back.amount, back.transaction_id) == (-100_00, refund.transaction_id)
    assert -payout.net == sum(line.net for line in settled) + back.net
    [waiting] = [line for line in kinds["charge"] if line.payout is None]
    assert waiting.transaction_id == later.transaction_id


def settlement(status: str, **changes: Any) -> dict[str, Any]:
    body: dict[str, Any] = {
        "id": 3090024,
        "status": status,
        "currency": "NGN",
        "total_amount": 482500,
        "effective_amount": 482500,
        "total_fees": 17500,
        "settlement_date": "2026-03-03T23:00:00.000Z",
        "createdAt": "2026-03-03T00:00:00.000Z",
        "updatedAt": "2026-03-04T00:00:00.000Z",
    }
    return body | changes


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("success", [("payout", -482500)]),
        ("processing", [("payout", -482500)]),
        ("pending", []),
        ("failed", [("payout", -482500), ("payout_failure", 482500)]),
    ],
)
def test_a_settlement_is_a_payout_once_it_left(
    paystack: ScriptedPaystack, status: str, expected: list[tuple[str, int]]
) -> None:
    listed(paystack, settlements=[settlement(status)])
    paystack.on("GET", "/settlement/3090024/transactions", 200, refund_list(row()))
    lines = statement(paystack)
    assert [(line.kind, line.net) for line in lines if line.kind != "charge"] == expected
    [charge] = [line for line in lines if line.kind == "charge"]
    assert (charge.amount, charge.fee, charge.net, charge.currency) == (500000, 17500, 482500, "NGN")
    assert (charge.line_id, charge.payout, charge.source) == (f"transaction:{NUMBER}", "3090024", REFERENCE)
    assert charge.transaction_id == CHARGE


def test_a_charge_is_told_once_and_only_if_it_took_money(paystack: ScriptedPaystack) -> None:
    rows = [row(id=8, reference="other", metadata=""), row("failed", id=9), row("abandoned", id=10), row("reversed")]
    listed(paystack, settlements=[settlement("success")], transactions=rows)
    paystack.on("GET", "/settlement/3090024/transactions", 200, refund_list(row()))
    charges = [line for line in statement(paystack) if line.kind == "charge"]
    assert [(line.line_id, line.payout) for line in charges] == [
        (f"transaction:{NUMBER}", "3090024"),
        ("transaction:8", None),
    ]


def test_refunds_and_lost_disputes_leave_the_balance(paystack: ScriptedPaystack) -> None:
    refunds = [
        refund_object("processed", settlement=3090024, amount="5000"),
        refund_object("failed", id=2, amount=700),
        refund_object("processed", id=3, dispute=358950),  # told with its dispute
        refund_object("processed", id=4, createdAt="2026-02-10T08:00:00.000Z"),  # before the window
    ]
    lost = {"resolvedAt": "2026-03-04T11:00:00.000Z"}
    disputes = [
        dispute_object("resolved", "auto-accepted", **lost),
        dispute_object("resolved", "declined", id=1, **lost),
        dispute_object(id=2),
        dispute_object("resolved", "merchant-accepted", id=3, resolvedAt="2026-02-04T11:00:00.000Z"),
    ]
    lines = statement(listed(paystack, refunds=refunds, disputes=disputes))
    assert [(line.line_id, line.kind, line.net, line.payout) for line in lines] == [
        ("refund:15581137", "refund", -5000, None),  # 3090024 took the last part of it, perhaps not all
        ("refund:2", "refund", -700, None),
        ("refund:2:failed", "refund_failure", 700, None),
        ("dispute:358950", "dispute", -500000, None),
    ]
    assert lines[0].transaction_id == REFUND


def test_francs_are_whole_and_never_told_too_high(paystack: ScriptedPaystack) -> None:
    one = settlement("success", currency="XOF", effective_amount=145199)
    listed(paystack, settlements=[one])
    francs = row(amount=150000, requested_amount=150000, currency="XOF", fees=4801)
    paystack.on("GET", "/settlement/3090024/transactions", 200, refund_list(francs))
    charge, payout = statement(paystack)
    assert (payout.net, payout.settled, payout.deducted) == (-1451, True, 0)
    assert (charge.amount, charge.fee, charge.net) == (1500, 49, 1451)


@pytest.mark.parametrize(
    "broken",
    [
        {"settlements": [settlement("success", effective_amount=None)]},
        {"transactions": [row(amount="x")]},
        {"refunds": [refund_object(amount=None)]},
        {"disputes": [dispute_object("resolved", "auto-accepted", refund_amount=None)]},
    ],
)
def test_a_movement_without_a_sum_breaks_the_statement(paystack: ScriptedPaystack, broken: Any) -> None:
    listed(paystack, **broken)
    with pytest.raises(ListingBroken):
        statement(paystack)
