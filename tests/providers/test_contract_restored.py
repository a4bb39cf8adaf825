"""What every provider owes a restored database, which has lost the ids of its transactions: found by the payment."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from core.domain.outcomes import ActionRequired, Canceled, LookUp, NotFound, Pending, Succeeded, Unknown
from core.providers.base import LookUpRequest, Request
from tests.providers.driver import Driver, capture_of, fresh, look_up_of, void_of
from tests.providers.test_contract_holds import held

pytestmark = pytest.mark.usefixtures("with_bank")


def forgotten(request: Request) -> LookUpRequest:
    """As after a restore: under a transaction id the provider never saw, sent at any moment of the last hour."""
    asked = look_up_of(replace(request, transaction_id=fresh("transaction")))
    return replace(asked, by_payment=True, first_sent_at=asked.first_sent_at - timedelta(hours=1))


def provider_id(found: LookUp) -> str | None:
    return found.facts.provider_id if isinstance(found, Succeeded | Pending | ActionRequired) else None


@pytest.mark.parametrize("kind", ["request", "page_request"])
def test_a_payment_is_found_by_its_own_mark(driver: Driver, kind: str) -> None:
    provider = driver.provider()
    earlier, request, later = (getattr(driver, kind)() for _ in range(3))
    provider.start(earlier)
    facts = driver.paid(provider, request)
    provider.start(later)
    found = provider.look_up(forgotten(request))
    assert isinstance(found, Succeeded)
    assert found.facts.provider_id == facts.provider_id
    assert (found.facts.amount, found.facts.currency) == (request.amount, request.currency)


def test_a_page_nobody_has_paid_is_found_by_the_payments_mark(driver: Driver) -> None:
    provider, request = driver.provider(), driver.page_request()
    provider.start(request)
    found = provider.look_up(forgotten(request))
    assert not isinstance(found, Succeeded | NotFound | Unknown)


def test_a_hold_is_found_by_the_payments_mark(driver: Driver) -> None:
    provider = driver.provider()
    if (mine := held(driver, provider)) is None:
        return
    assert held(driver, provider)
    request, facts = mine
    found = provider.look_up(forgotten(request))
    assert isinstance(found, Succeeded)
    assert (found.facts.provider_id, found.facts.amount_authorized) == (facts.provider_id, request.amount)
    assert not found.facts.amount_received


def test_another_payments_object_is_never_taken(driver: Driver) -> None:
    provider, request = driver.provider(), driver.request()
    driver.paid(provider, request)
    never = driver.request()
    assert isinstance(provider.look_up(forgotten(never)), NotFound)
    # Under the very key of the other one: what is there belongs to somebody else.
    found = provider.look_up(forgotten(replace(never, provider_key=request.provider_key)))
    assert isinstance(found, NotFound | Unknown)
    assert len(driver.charged()) == 1


def test_another_payments_hold_is_never_taken(driver: Driver) -> None:
    provider = driver.provider()
    if (other := held(driver, provider)) is None:
        return
    request, never = other[0], driver.hold_request()
    assert isinstance(provider.look_up(forgotten(never)), NotFound)
    found = provider.look_up(forgotten(replace(never, provider_key=request.provider_key)))
    assert isinstance(found, NotFound | Unknown)


@pytest.mark.parametrize("paid_first", [True, False])
def test_of_two_attempts_the_one_that_took_money_is_found(driver: Driver, paid_first: bool) -> None:
    provider, first = driver.provider(), driver.page_request()
    second = replace(first, transaction_id=fresh("transaction"), provider_key=f"{first.payment_id}:start:2")
    started = [(one, provider.start(one)) for one in (first, second)]
    (request, paid), (ended, left) = started if paid_first else reversed(started)
    assert isinstance(paid, ActionRequired)
    assert isinstance(left, ActionRequired)
    driver.press(paid, "pay")
    if provider.capabilities.close_unfinished:
        assert isinstance(provider.void(void_of(ended, left.facts)), Succeeded | Canceled)
    else:
        driver.let_pages_end()
    found = provider.look_up(forgotten(request))
    assert isinstance(found, Succeeded)
    assert found.facts.provider_id == paid.facts.provider_id


def test_a_capture_and_a_void_are_found_on_the_hold_itself(driver: Driver) -> None:
    provider = driver.provider()
    if (mine := held(driver, provider)) is None:
        return
    other = held(driver, provider)
    assert other
    capture, void = capture_of(*mine, 120_00), void_of(*other)
    for untouched in (capture, void):
        assert isinstance(provider.look_up(forgotten(untouched)), NotFound)
    provider.capture(capture)
    assert isinstance(provider.look_up(forgotten(void)), NotFound)
    provider.void(void)
    captured = provider.look_up(forgotten(capture))
    assert isinstance(captured, Succeeded)
    assert captured.facts.amount_captured == 120_00
    assert isinstance(provider.look_up(forgotten(void)), Succeeded)


def test_a_refund_is_found_by_the_refunds_mark(driver: Driver) -> None:
    provider, request = driver.provider(), driver.request()
    facts = driver.paid(provider, request)
    other, mine = (driver.refund_request(request, facts, 100_00) for _ in range(2))
    provider.refund(other)
    assert isinstance(provider.look_up(forgotten(mine)), NotFound)
    given_back = provider.refund(mine)
    found = provider.look_up(forgotten(mine))
    assert isinstance(found, Succeeded | Pending)
    assert provider_id(found) == provider_id(given_back) is not None
    # Its transaction is known, and was another refund's.
    never = replace(look_up_of(replace(mine, refund_id=fresh("refund"))), by_payment=True)
    assert isinstance(provider.look_up(never), NotFound)


def test_asking_by_the_payment_moves_nothing(driver: Driver) -> None:
    provider, request = driver.provider(), driver.request()
    facts = driver.paid(provider, request)
    before = driver.ledger()
    for one in (request, driver.request(), driver.refund_request(request, facts, 100_00)):
        assert not isinstance(provider.look_up(forgotten(one)), Unknown)
    assert driver.ledger() == before


def test_a_question_that_fails_is_unknown_here_too(driver: Driver) -> None:
    provider, request = driver.provider(), driver.request()
    refund = driver.refund_request(request, driver.paid(provider, request), 100_00)
    nobody = driver.provider(api_base="http://127.0.0.1:9")
    wrong = driver.provider(credentials={"secret_key": "sk_test_nobody_knows_this_one"})
    for one in (request, refund):
        assert isinstance(nobody.look_up(forgotten(one)), Unknown)
        refused = wrong.look_up(forgotten(one))
        assert isinstance(refused, Unknown)
        assert refused.refused_key
