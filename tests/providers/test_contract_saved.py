"""What every provider owes that saves methods: keep one, charge it, forget it; and customers that are made once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from core.domain.outcomes import Declined, KeptMethod, NotExecuted, NotExecutedReason, Succeeded
from core.providers.base import CustomerRequest, ForgetRequest, PaymentProvider, Person, SavedMethod, StartRequest
from tests.providers.driver import Driver, fresh, look_up_of, start_request

pytestmark = pytest.mark.usefixtures("with_bank")
ADA = Person(email="ada@example.com", name="Ada")


def customer_request(**changes: object) -> CustomerRequest:
    customer = fresh("customer")
    return replace(CustomerRequest(customer, f"{customer}:customer:1", ADA), **changes)  # type: ignore[arg-type]


def saving(driver: Driver, provider: PaymentProvider) -> StartRequest:
    request = replace(driver.request(), save_method=True, person=ADA, customer_id=fresh("customer"))
    if not provider.capabilities.customer_objects:
        return request
    made = provider.upsert_customer(customer_request(customer_id=request.customer_id))
    assert isinstance(made, Succeeded)
    return replace(request, provider_customer=made.facts.provider_id)


def kept(driver: Driver, provider: PaymentProvider) -> SavedMethod | None:
    """None where saving is not declared: test_contract_honesty.py has it refused unsent."""
    if not provider.capabilities.save_methods:
        return None
    method = driver.paid(provider, saving(driver, provider)).method
    assert isinstance(method, KeptMethod)
    return SavedMethod(method.token, method.provider_customer, method.email)


def charge(driver: Driver, saved: SavedMethod, off_session: bool = True) -> StartRequest:
    more = {"saved": saved, "off_session": off_session, "person": ADA, "return_url": "https://shop.example/back"}
    return start_request("saved", "charge", 300_00, driver.currency, **more)


def test_a_payment_leaves_a_method_behind_only_when_asked(driver: Driver) -> None:
    provider = driver.provider()
    if not provider.capabilities.save_methods:
        return
    request = saving(driver, provider)
    facts = driver.paid(provider, request)
    asked = provider.look_up(look_up_of(request, facts))
    assert isinstance(asked, Succeeded)
    for method in (facts.method, asked.facts.method):
        assert isinstance(method, KeptMethod)
        assert method.token
        assert method.kind == "card"
        assert len(str(method.last4)) == 4
        assert method.token not in repr(facts)
        assert method.token not in repr(method)
    assert facts.method.fingerprint == asked.facts.method.fingerprint  # type: ignore[union-attr]
    unasked = replace(driver.request(), person=ADA)
    plain = driver.paid(provider, unasked)
    assert plain.method is None
    looked_up = provider.look_up(look_up_of(unasked, plain))
    assert isinstance(looked_up, Succeeded)
    assert looked_up.facts.method is None


def test_a_saved_method_is_charged_again_and_again_once_each(driver: Driver) -> None:
    provider = driver.provider()
    if (saved := kept(driver, provider)) is None:
        return
    for off_session in (True, False):
        if off_session and not provider.capabilities.off_session:
            continue
        request = charge(driver, saved, off_session)
        outcome = provider.start(request)
        assert isinstance(outcome, Succeeded)
        assert (outcome.facts.amount_received, outcome.facts.currency) == (300_00, driver.currency)
        provider.start(request)
        found = provider.look_up(look_up_of(request, outcome.facts))
        assert isinstance(found, Succeeded)
        assert found.facts.provider_id == outcome.facts.provider_id
    assert [one["amount"] for one in driver.charged()].count(300_00) == 2


def test_a_forgotten_method_charges_nothing_any_more(driver: Driver) -> None:
    provider = driver.provider()
    if (saved := kept(driver, provider)) is None:
        return
    for number in (1, 2):
        assert isinstance(provider.forget_method(ForgetRequest(f"key:{number}", saved)), Succeeded)
    assert isinstance(provider.start(charge(driver, saved)), NotExecuted | Declined)
    assert 300_00 not in [one["amount"] for one in driver.charged()]


def test_one_customer_is_made_however_many_ask(driver: Driver) -> None:
    provider = driver.provider()
    if not provider.capabilities.save_methods:
        return
    request = customer_request()
    with ThreadPoolExecutor(6) as pool:
        outcomes = list(pool.map(lambda _: driver.provider().upsert_customer(request), range(6)))
    made = {one.facts.provider_id for one in outcomes if isinstance(one, Succeeded)}
    waiting = {one.reason for one in outcomes if isinstance(one, NotExecuted)}
    assert waiting <= {NotExecutedReason.LOCK_TIMEOUT}
    again = provider.upsert_customer(replace(request, first_sent_at=driver.now()))
    assert isinstance(again, Succeeded)
    assert made | {again.facts.provider_id} == {again.facts.provider_id}
    changed = replace(request, provider_id=again.facts.provider_id, person=replace(ADA, name="Ada L."))
    renamed = provider.upsert_customer(changed)
    assert isinstance(renamed, Succeeded)
    assert renamed.facts.provider_id == again.facts.provider_id
