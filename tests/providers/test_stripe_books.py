"""Disputes, the list of changes and the statement against the sandbox's Stripe, and lists that break off."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest
import requests

from core.domain.outcomes import (
    Declined,
    DisputeFacts,
    NotExecuted,
    NotExecutedReason,
    NotFound,
    Succeeded,
    Unknown,
)
from core.providers.base import (
    AcceptRequest,
    AnyNews,
    DisputeNews,
    EvidenceRequest,
    ForgetRequest,
    ListingBroken,
    MethodNews,
    News,
    PaymentProvider,
    SavedMethod,
)
from tests.providers.driver import fresh
from tests.providers.stripe_driver import DECLINED, StripeDriver
from tests.providers.test_stripe_failures import provider as provider_at
from tests.providers.test_stripe_saved import saved
from tests.providers.wire import answer, peer, read_request
from tests.support.sandboxes import Sandbox

DAY = 86400


@pytest.fixture
def driver(sandboxes: dict[str, Sandbox]) -> StripeDriver:
    return StripeDriver(sandboxes["stripe"])


@pytest.fixture
def late_driver(tmp_path: Path) -> Iterator[StripeDriver]:
    """At a sandbox of its own, since days pass there."""
    sandbox = Sandbox("stripe", tmp_path / "stripe")
    try:
        yield StripeDriver(sandbox)
    finally:
        sandbox.stop()


def opened(driver: StripeDriver, token: str = "pm_card_createDispute") -> str:
    """A dispute about a new payment of ours: its id."""
    driver.paid(driver.provider(), driver.request(token=token))
    driver.sandbox.post("clock", advance_seconds=5)
    url = f"{driver.sandbox.url}/v1/disputes"
    [dispute] = requests.get(url, auth=(driver.secret_key, ""), timeout=5).json()["data"]
    return str(dispute["id"])


def evidence(dispute_id: str, message: str = "winning_evidence", **more: str) -> EvidenceRequest:
    ours = fresh("dispute")
    return EvidenceRequest(ours, dispute_id, f"{ours}:evidence", 500_00, "USD", {"message": message, **more})


def acceptance(dispute_id: str) -> AcceptRequest:
    ours = fresh("dispute")
    return AcceptRequest(ours, dispute_id, f"{ours}:accept", 500_00, "USD")


def read(provider: PaymentProvider, dispute_id: str) -> DisputeFacts:
    facts = provider.read_dispute(dispute_id)
    assert isinstance(facts, DisputeFacts), facts
    return facts


def test_a_dispute_is_answered_and_won(driver: StripeDriver) -> None:
    provider, dispute_id = driver.provider(), opened(driver)
    facts = read(provider, dispute_id)
    assert (facts.status, facts.withheld, facts.refundable, facts.evidence_sent) == (
        "needs_response",
        True,
        False,
        False,
    )
    assert (facts.amount, facts.currency, facts.reason) == (500_00, "USD", "fraudulent")
    assert {one[:3] for one in facts.charge_ids} == {"ch_", "pi_"}
    assert facts.evidence_due_by is not None
    request = evidence(dispute_id, customer_name="Ada", tracking_number="RR123")
    sent, again = provider.send_evidence(request), provider.send_evidence(request)
    for one in (sent, again):
        assert isinstance(one, DisputeFacts)
        assert (one.status, one.evidence_sent) == ("under_review", True)
        assert "Ada" not in repr(one)
    driver.sandbox.post("clock", advance_seconds=5)
    won = read(provider, dispute_id)
    assert (won.status, won.withheld) == ("won", False)
    assert isinstance(provider.accept_dispute(acceptance(dispute_id)), NotExecuted)


def test_what_was_said_before_is_done_and_something_else_is_refused(driver: StripeDriver) -> None:
    provider, dispute_id = driver.provider(), opened(driver)
    assert isinstance(provider.send_evidence(evidence(dispute_id, "It was delivered.")), DisputeFacts)
    same = provider.send_evidence(evidence(dispute_id, "It was delivered."))
    assert isinstance(same, DisputeFacts)
    assert same.evidence_sent
    other = provider.send_evidence(evidence(dispute_id, "It was something else."))
    assert isinstance(other, NotExecuted)
    assert other.reason is NotExecutedReason.INVALID_REQUEST
    nothing = provider.send_evidence(evidence(dispute_id, ""))
    assert isinstance(nothing, NotExecuted)
    assert nothing.param == "evidence"


def test_a_dispute_is_given_in_to(driver: StripeDriver) -> None:
    provider, dispute_id = driver.provider(), opened(driver)
    for _ in range(2):
        facts = provider.accept_dispute(acceptance(dispute_id))
        assert isinstance(facts, DisputeFacts)
        assert (facts.status, facts.withheld) == ("lost", True)
    assert isinstance(provider.send_evidence(evidence(dispute_id)), NotExecuted)


def test_an_inquiry_holds_nothing_back(driver: StripeDriver) -> None:
    provider = driver.provider()
    dispute_id = opened(driver, "pm_card_createDisputeInquiry")
    facts = read(provider, dispute_id)
    assert (facts.status, facts.withheld, facts.refundable) == ("needs_response", False, True)
    closed = provider.accept_dispute(acceptance(dispute_id))
    assert isinstance(closed, DisputeFacts)
    assert (closed.status, closed.withheld) == ("closed", False)


def test_a_refund_of_a_disputed_payment_is_refused_by_a_code(driver: StripeDriver) -> None:
    provider, request = driver.provider(), driver.request(token="pm_card_createDispute")
    facts = driver.paid(provider, request)
    driver.sandbox.post("clock", advance_seconds=5)
    outcome = provider.refund(driver.refund_request(request, facts, 100))
    assert isinstance(outcome, NotExecuted)
    assert outcome.provider_code in ("charge_disputed", "refund_disputed_payment")


def test_a_dispute_nobody_knows_and_one_nobody_can_ask_about(driver: StripeDriver) -> None:
    provider, away = driver.provider(), driver.provider(api_base="http://127.0.0.1:9")
    assert isinstance(provider.read_dispute("dp_nobody"), NotFound)
    assert isinstance(provider.accept_dispute(acceptance("dp_nobody")), NotExecuted)
    for answered in (away.read_dispute("dp_1"), away.send_evidence(evidence("dp_1"))):
        assert isinstance(answered, NotExecuted)
        assert answered.reason is NotExecutedReason.CONNECTION


def test_a_lost_answer_to_evidence_is_unknown(driver: StripeDriver) -> None:
    provider, dispute_id = driver.provider(), opened(driver)
    driver.fault("reset_after", "disputes.update")
    request = evidence(dispute_id)
    assert isinstance(provider.send_evidence(request), Unknown)
    assert isinstance(provider.send_evidence(request), DisputeFacts)


def heard(provider: PaymentProvider, since: datetime) -> list[AnyNews]:
    return list(provider.list_changes(since, since + timedelta(minutes=20)))


def test_what_webhooks_missed_is_listed(driver: StripeDriver) -> None:
    """More events than a page of Stripe's holds, told as webhooks would tell them."""
    provider, since = driver.provider(), driver.now() - timedelta(seconds=5)
    request = driver.request()
    facts = driver.paid(provider, request)
    refund = driver.refund_request(request, facts, 100)
    provider.refund(refund)
    declined = driver.request(token=DECLINED)
    provider.start(declined)
    method = saved(driver, provider)
    provider.forget_method(ForgetRequest("key", SavedMethod(method.token, method.provider_customer)))
    dispute_id = opened(driver)
    for _ in range(100):
        provider.start(driver.request())
    told = heard(provider, since)
    outcomes = {(one.operation, one.transaction_id): one.outcome for one in told if isinstance(one, News)}
    assert isinstance(outcomes["start", request.transaction_id], Succeeded)
    assert isinstance(outcomes["refund", refund.transaction_id], Succeeded)
    assert isinstance(outcomes["start", declined.transaction_id], Declined)
    assert [one.token for one in told if isinstance(one, MethodNews)] == [method.token]
    assert {one.provider_id for one in told if isinstance(one, DisputeNews)} == {dispute_id}
    assert len(outcomes) > 100
    assert heard(provider, driver.now() + timedelta(minutes=5)) == []


def test_a_statement_tells_fees_and_what_a_payout_holds(late_driver: StripeDriver) -> None:
    driver = late_driver
    provider, request = driver.provider(), driver.request()
    before = datetime.now(UTC) - timedelta(minutes=1)
    facts = driver.paid(provider, request)
    refund = driver.refund_request(request, facts, 100_00)
    provider.refund(refund)
    early = {line.kind: line for line in provider.list_statement(before, datetime.now(UTC) + timedelta(minutes=1))}
    assert {kind: line.transaction_id for kind, line in early.items()} == {
        "charge": request.transaction_id,
        "refund": refund.transaction_id,
    }
    assert early["charge"].fee > 0
    assert early["charge"].source == facts.provider_charge_id
    assert (early["refund"].amount, early["charge"].payout) == (-100_00, None)
    for days in (3.1, 1.1):
        driver.sandbox.post("clock", advance_seconds=int(days * DAY))
    lines = list(provider.list_statement(before, datetime.now(UTC) + timedelta(days=6)))
    assert len({line.line_id for line in lines}) == len(lines)
    assert sorted(line.kind for line in lines) == ["charge", "payout", "refund"]
    [payout_id] = {line.payout for line in lines}
    assert (payout_id or "").startswith("po_")
    assert sum(line.net for line in lines) == 0
    assert all(line.net == line.amount - line.fee for line in lines)


def test_a_disputed_charge_moves_the_balance_there_and_back(driver: StripeDriver) -> None:
    provider, since = driver.provider(), driver.now() - timedelta(minutes=10)
    dispute_id = opened(driver)
    provider.send_evidence(evidence(dispute_id))
    driver.sandbox.post("clock", advance_seconds=5)
    lines = {line.kind: line for line in provider.list_statement(since, driver.now() + timedelta(minutes=10))}
    assert (lines["dispute"].amount, lines["dispute_reversal"].amount) == (-500_00, 500_00)
    assert lines["dispute"].source == dispute_id


def page(*data: Any, more: bool = False) -> bytes:
    return json.dumps({"object": "list", "data": list(data), "has_more": more, "url": "/v1/x"}).encode()


EVENT = {
    "id": "evt_1",
    "object": "event",
    "created": 1_772_445_600,
    "type": "payment_method.detached",
    "data": {"object": {"id": "pm_1", "object": "payment_method"}},
}


@pytest.mark.parametrize(
    ("second", "status", "told", "outcome"),
    [
        (b"", "500 Internal Server Error", 1, Unknown),
        (b'{"error": {"type": "invalid_request_error"}}', "429 Too Many Requests", 1, NotExecuted),
        (b'{"error": {"type": "invalid_request_error"}}', "401 Unauthorized", 1, NotExecuted),
        (b'{"object": "list", "has_more": false}', "200 OK", 1, Unknown),
        (b'{"object": "list", "data": "x"}', "200 OK", 1, Unknown),
        (page(more=True), "200 OK", 1, Unknown),
        (page({"object": "event"}, more=True), "200 OK", 1, Unknown),
        (page(EVENT), "200 OK", 2, None),
    ],
)
def test_a_list_that_breaks_off_says_so(second: bytes, status: str, told: int, outcome: type | None) -> None:
    """It must never look like one that was read to its end."""

    def script(connection: socket.socket, over: threading.Event) -> None:
        while request := read_request(connection):
            if b"starting_after=evt_1" in request:
                answer(connection, second, status)
            else:
                answer(connection, page(EVENT, more=True))

    seen: list[AnyNews] = []
    now = datetime.now(UTC)
    with peer(script) as server:
        listed = provider_at(server.url).list_changes(now - timedelta(hours=1), now)
        if outcome is None:
            seen.extend(listed)
        else:
            with pytest.raises(ListingBroken) as broken:
                seen.extend(listed)
            assert isinstance(broken.value.outcome, outcome)
    assert len(seen) == told


def test_a_list_is_asked_for_as_stripe_wants_it() -> None:
    asked: list[tuple[str, dict[str, str]]] = []

    def script(connection: socket.socket, over: threading.Event) -> None:
        while request := read_request(connection):
            path, _, query = request.split(b" ")[1].decode().partition("?")
            asked.append((path, dict(parse_qsl(query))))
            answer(connection, page())

    since = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)
    with peer(script) as server:
        provider = provider_at(server.url)
        assert list(provider.list_changes(since, since + timedelta(hours=1, milliseconds=1))) == []
        assert list(provider.list_statement(since, since + timedelta(hours=1))) == []
    window = {"created[gte]": "1772445600", "created[lt]": "1772449200", "limit": "100"}
    (path, events), *rest = asked
    types = {name: value for name, value in events.items() if name.startswith("types")}
    assert path == "/v1/events"
    assert events == window | {"created[lt]": "1772449201"} | types
    assert len(types) == 20
    assert rest == [
        ("/v1/payouts", window),
        ("/v1/balance_transactions", {**window, "expand[0]": "data.source"}),
    ]
