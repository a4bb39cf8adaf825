"""What every provider owes beside payments: refund lists, refunds that fail later, changes, the statement, disputes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from typing import Any

import pytest

from core.domain.outcomes import Declined, DisputeFacts, NotExecuted, NotFound, Pending, Succeeded
from core.providers import paging
from core.providers.base import (
    EVIDENCE_FIELDS,
    AcceptRequest,
    ChargeRef,
    DisputeNews,
    EvidenceRequest,
    News,
    PaymentProvider,
)
from core.providers.paging import Page
from tests.providers.driver import Driver, look_up_of
from tests.support.waiting import wait_until

pytestmark = pytest.mark.usefixtures("with_bank")
SAID = dict.fromkeys(EVIDENCE_FIELDS, "As agreed.") | {
    "customer_email": "ada@example.com",
    "customer_phone": "+2348000000000",
    "delivery_date": "2026-01-31",
}


def refunds_of(provider: PaymentProvider, ref: ChargeRef) -> Sequence[News]:
    found = provider.list_refunds(ref)
    assert isinstance(found, Sequence)
    return found


def test_each_list_asks_for_its_pages_in_turn(driver: Driver) -> None:
    """Else nothing paces them, and no breaker knows of them."""
    provider, now, asked = driver.provider(), driver.now(), []

    def door(ask: Callable[[], Page[Any]]) -> Page[Any]:
        asked.append(1)
        return ask()

    lists: list[Callable[[], Iterator[Any]]] = [lambda: provider.list_charges(now - timedelta(hours=1), now)]
    if provider.capabilities.changes:
        lists.append(lambda: provider.list_changes(now - timedelta(hours=1), now))
    if provider.capabilities.statement:
        lists.append(lambda: provider.list_statement(now - timedelta(hours=1), now))
    for one in lists:
        before = len(asked)
        with paging.through(door):
            list(one())
        assert len(asked) > before


def test_the_refunds_of_a_charge_are_listed_with_our_marks(driver: Driver) -> None:
    provider, request = driver.provider(), driver.request()
    facts = driver.paid(provider, request)
    ref = ChargeRef(facts.provider_id or "", facts.provider_charge_id, facts.extra)
    assert refunds_of(provider, ref) == []
    sent = [driver.refund_request(request, facts, 100_00) for _ in range(2)]
    ids = []
    for one in sent:
        outcome = provider.refund(one)
        assert isinstance(outcome, Succeeded | Pending)
        ids.append(outcome.facts.provider_id)
    listed = refunds_of(provider, ref)
    assert {one.operation for one in listed} == {"refund"}
    assert {one.transaction_id for one in listed} == {one.transaction_id for one in sent}
    assert sorted(str(one.provider_id) for one in listed) == sorted(map(str, ids))
    assert {one.start_provider_id for one in listed} == {facts.provider_id}
    assert all(isinstance(one.outcome, Succeeded | Pending) for one in listed)
    assert [one.outcome.facts.amount for one in listed if isinstance(one.outcome, Succeeded | Pending)] == [100_00] * 2
    other = driver.request()
    rest = driver.paid(provider, other)
    assert refunds_of(provider, ChargeRef(rest.provider_id or "", rest.provider_charge_id, rest.extra)) == []


def test_a_refund_that_fails_later_is_told_so(driver: Driver) -> None:
    provider = driver.provider()
    refund = driver.failing_refund(provider)
    assert refund is not None
    outcome = provider.refund(refund)
    assert isinstance(outcome, Succeeded | Pending)
    driver.let_refunds_end()

    def failed() -> Declined | None:
        found = provider.look_up(look_up_of(refund, outcome.facts))
        return found if isinstance(found, Declined) else None

    decline = wait_until(failed, "the refund to fail")
    assert decline is not None
    assert decline.decline.code
    ref = ChargeRef(refund.provider_id, refund.provider_charge_id, refund.start_extra)
    assert [type(one.outcome) for one in refunds_of(provider, ref)] == [Declined]


def test_a_refund_is_told_done_only_once_it_is(driver: Driver) -> None:
    provider = driver.provider()
    refund = driver.slow_refund(provider)
    outcome = provider.refund(refund)
    assert isinstance(outcome, Succeeded | Pending)
    ref = ChargeRef(refund.provider_id, refund.provider_charge_id, refund.start_extra)

    def done() -> bool:
        found = provider.look_up(look_up_of(refund, outcome.facts))
        for told in (found, *(one.outcome for one in refunds_of(provider, ref))):
            assert isinstance(told, Succeeded | Pending)
            assert isinstance(told, Pending) or _given_back(driver) == refund.amount
        return isinstance(found, Succeeded)

    assert isinstance(outcome, Pending) or _given_back(driver) == refund.amount
    done()
    driver.let_refunds_end()
    wait_until(done, "the refund to be carried out")


def test_changes_tell_what_webhooks_missed(driver: Driver) -> None:
    """No webhook address is known here: the list is all there is."""
    provider, request = driver.provider(), driver.request()
    assert provider.capabilities.changes
    began = driver.now() - timedelta(seconds=5)
    facts = driver.paid(provider, request)
    refund = driver.refund_request(request, facts, 100_00)
    assert isinstance(provider.refund(refund), Succeeded | Pending)

    def told() -> list[News] | None:
        changes = provider.list_changes(began, driver.now() + timedelta(seconds=5))
        found = [one for one in changes if isinstance(one, News)]
        marks = {(one.operation, one.transaction_id) for one in found}
        wanted = {("start", request.transaction_id), ("refund", refund.transaction_id)}
        return found if wanted <= marks else None

    found = wait_until(told, "both in the list of changes") or []
    mine = [one for one in found if one.transaction_id == request.transaction_id]
    assert any(one.outcome is None or isinstance(one.outcome, Succeeded) for one in mine)
    assert {one.provider_id for one in mine} <= {facts.provider_id, facts.provider_charge_id}
    before = provider.list_changes(began - timedelta(hours=2), began - timedelta(hours=1))
    assert [one for one in before if isinstance(one, News) and one.transaction_id == request.transaction_id] == []


def test_the_statement_adds_up_to_what_happened(driver: Driver) -> None:
    provider = driver.provider()
    if not provider.capabilities.statement:
        return
    began = driver.now() - timedelta(seconds=5)
    requests = [driver.request(amount=amount) for amount in (500_00, 321_00)]
    paid = [driver.paid(provider, one) for one in requests]
    refund = driver.refund_request(requests[0], paid[0], 120_00)
    assert isinstance(provider.refund(refund), Succeeded | Pending)
    wait_until(lambda: _given_back(driver) == 120_00, "the refund to be carried out")
    lines = list(provider.list_statement(began, driver.now() + timedelta(seconds=5)))
    assert all(one.net == one.amount - one.fee for one in lines)
    assert {one.currency for one in lines} == {driver.currency}
    charges = [one for one in lines if one.kind == "charge"]
    taken = sum(one["amount_captured"] for one in driver.ledger()["charges"] if one["status"] == "succeeded")
    assert sum(one.amount for one in charges) == taken == 821_00
    assert {one.transaction_id for one in charges} == {one.transaction_id for one in requests}
    assert all(one.fee > 0 for one in charges)
    refunds = [one for one in lines if one.kind == "refund"]
    assert [(one.amount, one.transaction_id) for one in refunds] == [(-120_00, refund.transaction_id)]
    assert len({one.line_id for one in lines}) == len(lines)


def _given_back(driver: Driver) -> int:
    ended = [one for one in driver.ledger()["refunds"] if one["status"] in ("succeeded", "processed")]
    return sum(one["amount"] for one in ended)


def test_a_dispute_is_read(driver: Driver) -> None:
    provider = driver.provider()
    if "read" not in provider.capabilities.disputes:
        return
    request, facts, name = driver.disputed(provider)
    found = provider.read_dispute(name)
    assert isinstance(found, DisputeFacts)
    assert (found.provider_id, found.amount, found.currency) == (name, request.amount, driver.currency)
    assert (found.status, found.withheld, found.evidence_sent) == ("needs_response", True, False)
    assert found.evidence_due_by is not None
    assert found.evidence_due_by > driver.now()
    assert {facts.provider_id, facts.provider_charge_id} & set(found.charge_ids)
    news = provider.list_changes(driver.now() - timedelta(minutes=5), driver.now() + timedelta(seconds=5))
    assert name in [one.provider_id for one in news if isinstance(one, DisputeNews)]
    assert isinstance(provider.read_dispute(driver.no_dispute), NotFound)


def test_evidence_is_sent_once(driver: Driver) -> None:
    provider = driver.provider()
    if "evidence" not in provider.capabilities.disputes:
        return
    request, _, name = driver.disputed(provider)
    evidence = EvidenceRequest("dsp_1", name, "dsp_1:evidence", request.amount, request.currency, SAID)
    assert "As agreed." not in repr(evidence)
    for _ in range(2):
        outcome = provider.send_evidence(evidence)
        assert isinstance(outcome, DisputeFacts)
        assert outcome.evidence_sent
        assert outcome.status in ("under_review", "won")
    found = provider.read_dispute(name)
    assert isinstance(found, DisputeFacts)
    assert found.evidence_sent


def test_giving_in_ends_a_dispute(driver: Driver) -> None:
    provider = driver.provider()
    if "accept" not in provider.capabilities.disputes:
        return
    request, _, name = driver.disputed(provider)
    accept = AcceptRequest("dsp_1", name, "dsp_1:accept", request.amount, request.currency)
    for _ in range(2):
        outcome = provider.accept_dispute(accept)
        assert isinstance(outcome, DisputeFacts)
        assert (outcome.status, outcome.withheld, outcome.refundable) == ("lost", True, False)
    late = EvidenceRequest("dsp_1", name, "dsp_1:evidence", request.amount, request.currency, SAID)
    assert isinstance(provider.send_evidence(late), NotExecuted)
