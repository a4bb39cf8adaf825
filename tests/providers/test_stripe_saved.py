"""Saved methods and customers against the sandbox's Stripe: saving, charging while nobody is there, forgetting."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

import pytest
import requests

from core.domain.outcomes import (
    CUSTOMER_GONE,
    ActionRequired,
    DeclineCategory,
    Declined,
    KeptMethod,
    NotExecuted,
    NotExecutedReason,
    Pending,
    Succeeded,
    Unknown,
)
from core.providers.base import ChargeRef, CustomerRequest, ForgetRequest, News, PaymentProvider, Person, SavedMethod
from core.providers.stripe.client import StripeCalls
from tests.providers.driver import fresh, look_up_of, start_request
from tests.providers.stripe_driver import AUTHENTICATE, BACK, DECLINED, StripeDriver
from tests.support.sandboxes import Sandbox

ADA = Person(email="ada@example.com", name="Ada", phone="+15550100")


@pytest.fixture
def driver(sandboxes: dict[str, Sandbox]) -> StripeDriver:
    return StripeDriver(sandboxes["stripe"])


@pytest.fixture
def their_time(driver: StripeDriver, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other tests move the sandbox's clock: the look for a customer goes by the same."""

    class Theirs(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Theirs:
            return cls.fromtimestamp(driver.now().timestamp(), tz)

    monkeypatch.setattr("core.providers.stripe.customers.datetime", Theirs)


def get(driver: StripeDriver, path: str) -> Any:
    return requests.get(f"{driver.sandbox.url}/v1/{path}", auth=(driver.secret_key, ""), timeout=5).json()


def customer_request(**changes: Any) -> CustomerRequest:
    customer_id = fresh("customer")
    return CustomerRequest(customer_id, f"{customer_id}:customer", **({"person": ADA} | changes))


def customer(provider: PaymentProvider) -> str:
    made = provider.upsert_customer(customer_request())
    assert isinstance(made, Succeeded), made
    assert made.facts.provider_id
    return made.facts.provider_id


def saved(driver: StripeDriver, provider: PaymentProvider, token: str = "pm_card_visa", **changes: Any) -> KeptMethod:
    """A method that a payment left behind; who has to authenticate does."""
    request = driver.request(token=token, save_method=True, provider_customer=customer(provider), **changes)
    outcome = provider.start(request)
    if isinstance(outcome, ActionRequired):
        driver.press(outcome, "pay")
        found = provider.look_up(look_up_of(request, outcome.facts))
        assert isinstance(found, Succeeded), found
        outcome = found
    assert isinstance(outcome, Succeeded), outcome
    assert outcome.facts.method is not None
    return outcome.facts.method


def again(method: KeptMethod, kind: str = "charge", **changes: Any) -> Any:
    kept = SavedMethod(method.token, method.provider_customer)
    return start_request("saved", kind, 300_00, "USD", **({"saved": kept, "off_session": True} | changes))


def test_a_payment_leaves_its_card_behind(driver: StripeDriver) -> None:
    provider = driver.provider()
    request = driver.request(save_method=True, provider_customer=customer(provider))
    outcome = provider.start(request)
    assert isinstance(outcome, Succeeded)
    method = outcome.facts.method
    assert method is not None
    assert (method.kind, method.brand, method.last4, method.country) == ("card", "visa", "4242", "US")
    assert method.token.startswith("pm_")
    assert method.token != request.token
    assert method.provider_customer == request.provider_customer
    assert method.fingerprint
    assert method.exp_year
    assert (outcome.facts.provider_charge_id or "").startswith("ch_"), "expanded, and still an id"
    found = provider.look_up(look_up_of(request))
    assert isinstance(found, Succeeded)
    assert found.facts.method == method
    repeated = provider.start(request)
    assert isinstance(repeated, Succeeded)
    assert repeated.facts.method == method


def test_a_plain_payment_leaves_nothing_behind(driver: StripeDriver) -> None:
    provider = driver.provider()
    request = driver.request(provider_customer=customer(provider))
    outcome, found = provider.start(request), provider.look_up(look_up_of(request))
    for one in (outcome, found):
        assert isinstance(one, Succeeded)
        assert one.facts.method is None


def test_saving_without_a_customer_is_not_sent(driver: StripeDriver) -> None:
    outcome = driver.provider().start(driver.request(save_method=True))
    assert isinstance(outcome, NotExecuted)
    assert outcome.param == "customer"
    assert driver.ledger()["charges"] == []


def test_a_customer_stripe_does_not_know_is_named(driver: StripeDriver) -> None:
    outcome = driver.provider().start(driver.request(save_method=True, provider_customer="cus_nobody"))
    assert isinstance(outcome, NotExecuted)
    assert (outcome.reason, outcome.param) == (NotExecutedReason.INVALID_REQUEST, "customer")
    assert outcome.detail == CUSTOMER_GONE
    page = driver.provider().start(driver.page_request("charge", save_method=True, provider_customer="cus_nobody"))
    assert isinstance(page, NotExecuted)
    assert page.detail == CUSTOMER_GONE


@pytest.mark.parametrize("kind", ["charge", "authorize"])
def test_a_page_leaves_its_card_behind(driver: StripeDriver, kind: str) -> None:
    provider = driver.provider()
    request = driver.page_request(kind, save_method=True, provider_customer=customer(provider))
    page = provider.start(request)
    assert isinstance(page, ActionRequired)
    assert page.facts.method is None
    driver.press(page, "pay")
    found = provider.look_up(look_up_of(request, page.facts))
    assert isinstance(found, Succeeded)
    assert found.facts.method is not None
    charged = provider.start(again(found.facts.method))
    assert isinstance(charged, Succeeded)


def test_a_saved_card_is_charged_while_the_customer_is_away(driver: StripeDriver) -> None:
    provider = driver.provider()
    request = again(saved(driver, provider))
    outcome = provider.start(request)
    assert isinstance(outcome, Succeeded)
    assert (outcome.facts.amount, outcome.facts.amount_received) == (300_00, 300_00)
    assert outcome.facts.method is None
    assert isinstance(provider.look_up(look_up_of(request)), Succeeded)
    refund = provider.refund(driver.refund_request(request, outcome.facts, 100))
    assert isinstance(refund, Succeeded)


def test_a_saved_card_can_be_held_and_captured(driver: StripeDriver) -> None:
    provider = driver.provider()
    request = again(saved(driver, provider), "authorize")
    start = provider.start(request)
    assert isinstance(start, Succeeded)
    assert (start.facts.amount_authorized, start.facts.amount_received) == (300_00, None)
    captured = provider.capture(driver.capture_request(request, start, 200_00))
    assert isinstance(captured, Succeeded)
    assert captured.facts.amount_captured == 200_00


def test_authentication_that_is_asked_for_with_nobody_there_is_a_decline(driver: StripeDriver) -> None:
    provider = driver.provider()
    request = again(saved(driver, provider, AUTHENTICATE, return_url=BACK))
    outcome = provider.start(request)
    assert isinstance(outcome, Declined)
    assert (outcome.decline.code, outcome.decline.category) == (
        "authentication_required",
        DeclineCategory.CUSTOMER_ACTION,
    )
    assert "cancel_after_decline" not in outcome.facts.extra
    assert get(driver, f"payment_intents/{outcome.facts.provider_id}")["status"] == "canceled"
    found = provider.look_up(look_up_of(request))
    assert isinstance(found, Declined)
    assert found.decline == outcome.decline


def test_the_same_card_with_the_customer_there_goes_to_the_bank_s_page(driver: StripeDriver) -> None:
    provider = driver.provider()
    method = saved(driver, provider, AUTHENTICATE, return_url=BACK)
    request = again(method, off_session=False, return_url=BACK)
    outcome = provider.start(request)
    assert isinstance(outcome, ActionRequired)
    assert outcome.next_action is not None
    assert outcome.next_action.url
    driver.press(outcome, "pay")
    assert isinstance(provider.look_up(look_up_of(request, outcome.facts)), Succeeded)


def test_a_card_that_is_declined_leaves_nothing_behind(driver: StripeDriver) -> None:
    provider = driver.provider()
    outcome = provider.start(driver.request(token=DECLINED, save_method=True, provider_customer=customer(provider)))
    assert isinstance(outcome, Declined)
    assert outcome.facts.method is None


def test_a_token_is_used_up_by_its_payment_unless_it_is_saved(driver: StripeDriver) -> None:
    provider = driver.provider()
    facts = driver.paid(provider, driver.request())
    used = get(driver, f"payment_intents/{facts.provider_id}")["payment_method"]
    outcome = provider.start(driver.request(token=used))
    assert isinstance(outcome, NotExecuted)
    assert (outcome.reason, outcome.param) == (NotExecutedReason.INVALID_REQUEST, "payment_method.token")


def test_a_forgotten_card_is_never_charged_again(driver: StripeDriver) -> None:
    provider = driver.provider()
    method = saved(driver, provider)
    kept = SavedMethod(method.token, method.provider_customer)
    for number in (1, 1, 2):
        forgotten = provider.forget_method(ForgetRequest(f"{method.token}:forget:{number}", kept))
        assert isinstance(forgotten, Succeeded), forgotten
        assert method.token not in repr(forgotten)
    outcome = provider.start(again(method))
    assert isinstance(outcome, NotExecuted)
    assert (outcome.reason, outcome.param) == (NotExecutedReason.INVALID_REQUEST, "payment_method.id")
    assert isinstance(provider.forget_method(ForgetRequest("key", SavedMethod("pm_nobody"))), Succeeded)


def test_a_forgetting_whose_answer_is_lost_is_unknown_and_may_be_sent_again(driver: StripeDriver) -> None:
    provider = driver.provider()
    method = saved(driver, provider)
    request = ForgetRequest("forget:1", SavedMethod(method.token, method.provider_customer))
    driver.fault("reset_after", "payment_methods.detach")
    assert isinstance(provider.forget_method(request), Unknown)
    assert isinstance(provider.forget_method(request), Succeeded)
    refused = driver.provider(api_base="http://127.0.0.1:9").forget_method(request)
    assert isinstance(refused, NotExecuted)


def test_a_customer_is_made_once_and_then_changed(driver: StripeDriver) -> None:
    provider, request = driver.provider(), customer_request()
    first, second = (
        provider.upsert_customer(request),
        provider.upsert_customer(replace(request, person=Person("b@b.eu"))),
    )
    assert isinstance(first, Succeeded)
    assert isinstance(second, Succeeded)
    provider_id = first.facts.provider_id
    assert provider_id == second.facts.provider_id
    made = get(driver, f"customers/{provider_id}")
    assert (made["email"], made["name"] or None, made["phone"] or None) == ("b@b.eu", None, None), "taken away"
    assert made["metadata"] == {"tollgate_customer": request.customer_id}
    changed = provider.upsert_customer(replace(request, provider_id=provider_id, person=Person(name="Grace")))
    assert isinstance(changed, Succeeded)
    assert get(driver, f"customers/{provider_id}")["name"] == "Grace"
    assert len(get(driver, "customers")["data"]) == 1


def test_details_that_stripe_refuses_do_not_lose_the_customer(driver: StripeDriver) -> None:
    provider, request = driver.provider(), customer_request(person=Person(email="no address", name="Ada"))
    made = provider.upsert_customer(request)
    assert isinstance(made, Succeeded)
    assert made.facts.provider_id
    known = provider.upsert_customer(replace(request, provider_id=made.facts.provider_id))
    assert isinstance(known, NotExecuted)
    assert (known.reason, known.param) == (NotExecutedReason.INVALID_REQUEST, "customer.email")
    gone = provider.upsert_customer(replace(customer_request(), provider_id="cus_nobody"))
    assert isinstance(gone, NotExecuted)
    assert (gone.provider_code, gone.detail) == ("resource_missing", CUSTOMER_GONE)


@pytest.mark.parametrize("effect", ["reset_after", "status_after"])
@pytest.mark.usefixtures("their_time")
def test_a_lost_customer_is_not_made_twice(driver: StripeDriver, effect: str) -> None:
    """Stripe keeps a 500 and replays it under the key; then the mark finds what was made."""
    provider, request, now = driver.provider(), customer_request(), driver.now()
    driver.fault(effect, "customers.create", **({"status": 500} if effect == "status_after" else {}))
    assert isinstance(provider.upsert_customer(request), Unknown)
    made = provider.upsert_customer(replace(request, first_sent_at=now))
    assert isinstance(made, Succeeded)
    late = replace(request, provider_key="forgotten by now", first_sent_at=now - timedelta(hours=24))
    found = provider.upsert_customer(late)
    assert isinstance(found, Succeeded)
    assert found.facts.provider_id == made.facts.provider_id
    assert len(get(driver, "customers")["data"]) == 1


@pytest.mark.usefixtures("their_time")
def test_the_look_for_a_lost_customer_has_an_end(driver: StripeDriver) -> None:
    """Years after the first try not everybody who was made since is walked through."""
    provider, asked = driver.provider(), []
    real = StripeCalls.list_customers
    sent = driver.now() - timedelta(days=700)

    def listing(self: Any, params: Any) -> Any:
        asked.append(params["created"])
        return real(self, params)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(StripeCalls, "list_customers", listing)
        assert isinstance(provider.upsert_customer(customer_request(first_sent_at=sent)), Succeeded)
        driver.fault("status_before", "customers.create", status=500)
        assert isinstance(provider.upsert_customer(customer_request(first_sent_at=sent)), Unknown)
    assert len(asked) == 3
    for window in asked:
        assert window["lte"] - window["gte"] < timedelta(days=3).total_seconds()
    assert asked[-1]["lte"] > driver.now().timestamp(), "what was made just now is found"


def test_a_customer_that_never_arrived_is_made_after_the_look(driver: StripeDriver) -> None:
    late = customer_request(first_sent_at=datetime.now(UTC) - timedelta(hours=24))
    assert isinstance(driver.provider().upsert_customer(late), Succeeded)
    refused = driver.provider(api_base="http://127.0.0.1:9").upsert_customer(late)
    assert isinstance(refused, NotExecuted)


def test_all_refunds_of_a_charge_are_listed(driver: StripeDriver) -> None:
    provider, request = driver.provider(), driver.request()
    facts = driver.paid(provider, request)
    ours = driver.refund_request(request, facts, 100)
    provider.refund(ours)
    theirs = {"payment_intent": facts.provider_id, "amount": "250"}
    requests.post(f"{driver.sandbox.url}/v1/refunds", data=theirs, auth=(driver.secret_key, ""), timeout=5)
    charge = ChargeRef(facts.provider_id or "", facts.provider_charge_id, facts.extra)
    listed = provider.list_refunds(charge)
    assert isinstance(listed, list)
    told = {(one.transaction_id, one.outcome.facts.amount) for one in listed if isinstance(one.outcome, Succeeded)}
    assert told == {(ours.transaction_id, 100), (None, 250)}
    assert all(isinstance(one, News) and one.operation == "refund" and one.provider_id for one in listed)
    assert {one.start_provider_id for one in listed} == {facts.provider_id}
    assert isinstance(driver.provider(api_base="http://127.0.0.1:9").list_refunds(charge), NotExecuted)


def test_what_a_capture_let_go_is_no_refund(driver: StripeDriver) -> None:
    provider, request = driver.provider(), driver.request("authorize")
    start = provider.start(request)
    assert isinstance(start, Succeeded)
    provider.capture(driver.capture_request(request, start, 100))
    assert provider.list_refunds(ChargeRef(start.facts.provider_id or "", None)) == []


@pytest.mark.parametrize(("number", "end"), [("000123456789", Succeeded), ("000222222227", Declined)])
def test_a_debit_comes_or_fails_later(driver: StripeDriver, number: str, end: type) -> None:
    """From the page, where the customer gives the mandate."""
    provider, request = driver.provider(), driver.page_request()
    page = provider.start(request)
    assert isinstance(page, ActionRequired)
    assert page.next_action is not None
    requests.post(page.next_action.url or "", data={"action": "pay", "card": number}, allow_redirects=False, timeout=5)
    assert isinstance(provider.look_up(look_up_of(request, page.facts)), Pending)
    driver.sandbox.post("clock", advance_seconds=5)
    found = provider.look_up(look_up_of(request, page.facts))
    assert isinstance(found, end)
    if isinstance(found, Declined):
        assert found.decline.code == "insufficient_funds"


def test_a_debit_by_token_has_no_mandate(driver: StripeDriver) -> None:
    outcome = driver.provider().start(driver.request(token="pm_usBankAccount_success"))
    assert isinstance(outcome, NotExecuted)
    assert outcome.param == "payment_method.token"
