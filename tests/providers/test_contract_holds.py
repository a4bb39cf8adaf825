"""What every provider owes that declares manual capture: hold, take a part or all, let go."""

from __future__ import annotations

from dataclasses import replace

import pytest

from core.domain.outcomes import Canceled, Declined, Facts, NotExecuted, NotFound, Pending, Succeeded
from core.providers.base import PaymentProvider, StartRequest
from tests.providers.driver import Driver, capture_of, look_up_of, void_of

pytestmark = pytest.mark.usefixtures("with_bank")


def held(driver: Driver, provider: PaymentProvider) -> tuple[StartRequest, Facts] | None:
    """None where holds are not declared: test_contract_honesty.py has those refused unsent."""
    if not provider.capabilities.manual_capture_methods:
        return None
    request = driver.hold_request()
    return request, driver.paid(provider, request)


def taken(driver: Driver) -> int:
    return sum(one["amount_captured"] for one in driver.ledger()["charges"] if one["status"] == "succeeded")


def test_a_hold_takes_nothing_yet(driver: Driver) -> None:
    provider = driver.provider()
    if (found := held(driver, provider)) is None:
        return
    request, facts = found
    assert (facts.amount_authorized, facts.currency) == (request.amount, request.currency)
    assert not facts.amount_received
    assert taken(driver) == 0


@pytest.mark.parametrize("amount", [500_00, 120_00])
def test_a_capture_takes_what_it_says_and_that_once(driver: Driver, amount: int) -> None:
    provider = driver.provider()
    if (found := held(driver, provider)) is None:
        return
    request, facts = found
    capture = capture_of(request, facts, amount)
    outcome = provider.capture(capture)
    assert isinstance(outcome, Succeeded)
    assert (outcome.facts.amount_captured, outcome.facts.amount_received) == (amount, amount)
    seen = provider.look_up(look_up_of(capture, outcome.facts))
    assert isinstance(seen, Succeeded)
    assert seen.facts.amount_captured == amount
    again = provider.capture(capture)
    assert not isinstance(again, Succeeded) or again.facts.amount_captured == amount
    assert taken(driver) == amount


def test_more_than_the_hold_is_never_taken(driver: Driver) -> None:
    provider = driver.provider()
    if (found := held(driver, provider)) is None:
        return
    request, facts = found
    assert isinstance(provider.capture(capture_of(request, facts, request.amount + 1)), NotExecuted)
    assert taken(driver) == 0


def test_a_hold_is_let_go_and_cannot_be_taken_then(driver: Driver) -> None:
    provider = driver.provider()
    if (found := held(driver, provider)) is None:
        return
    request, facts = found
    void = void_of(request, facts)
    outcome = provider.void(void)
    assert isinstance(outcome, Succeeded | Pending)
    assert isinstance(provider.look_up(look_up_of(void, outcome.facts)), Succeeded)
    assert isinstance(provider.void(void), Succeeded | NotExecuted)
    late = provider.capture(capture_of(request, facts, 100_00))
    assert isinstance(late, NotExecuted | Canceled | Declined)
    assert taken(driver) == 0


def test_a_capture_that_was_never_sent_is_not_found_while_the_hold_stands(driver: Driver) -> None:
    provider = driver.provider()
    if (found := held(driver, provider)) is None:
        return
    request, facts = found
    assert isinstance(provider.look_up(look_up_of(capture_of(request, facts, 100_00))), NotFound)
    assert isinstance(provider.void(void_of(request, facts)), Succeeded)
    assert isinstance(provider.look_up(look_up_of(capture_of(request, facts, 100_00))), Canceled)


def test_what_was_captured_is_given_back(driver: Driver) -> None:
    provider = driver.provider()
    if (found := held(driver, provider)) is None:
        return
    request, facts = found
    captured = provider.capture(capture_of(request, facts, 300_00))
    assert isinstance(captured, Succeeded)
    charge = provider.look_up(look_up_of(request, facts))
    assert isinstance(charge, Succeeded)
    refund = driver.refund_request(request, _with_charge(charge.facts, captured.facts), 100_00)
    assert isinstance(provider.refund(refund), Succeeded | Pending)
    assert sum(one["amount"] for one in driver.ledger()["refunds"]) == 100_00


def _with_charge(start: Facts, capture: Facts) -> Facts:
    """As orchestration keeps it: the charge's own id may be known by the capture alone."""
    return replace(
        start,
        provider_charge_id=capture.provider_charge_id or start.provider_charge_id,
        extra={**start.extra, **capture.extra},
    )
