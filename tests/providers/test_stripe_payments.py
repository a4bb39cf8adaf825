"""Charges, holds, pages, authentication, captures and voids against the sandbox's Stripe."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any

import pytest
import requests

from core.domain.outcomes import (
    ActionRequired,
    Canceled,
    Declined,
    NotExecuted,
    NotExecutedReason,
    NotFound,
    Outcome,
    Pending,
    Succeeded,
    Unknown,
)
from core.providers.base import Person, StartRequest
from tests.providers.driver import look_up_of
from tests.providers.stripe_driver import AUTHENTICATE, BACK, DECLINED, StripeDriver
from tests.support.sandboxes import Sandbox
from tests.support.waiting import wait_until


@pytest.fixture
def driver(sandboxes: dict[str, Sandbox]) -> StripeDriver:
    return StripeDriver(sandboxes["stripe"])


def intent(driver: StripeDriver, intent_id: str) -> Any:
    url = f"{driver.sandbox.url}/v1/payment_intents/{intent_id}"
    return requests.get(url, auth=(driver.secret_key, ""), timeout=5).json()


def held(driver: StripeDriver, request: StartRequest) -> Succeeded:
    outcome = driver.provider().start(request)
    assert isinstance(outcome, Succeeded), outcome
    return outcome


def test_a_charge_carries_our_marks(driver: StripeDriver) -> None:
    request = driver.request(metadata={"order": "42"}, description="Two tickets")
    facts = driver.paid(driver.provider(), request)
    made = intent(driver, facts.provider_id or "")
    assert made["metadata"]["tollgate_transaction"] == request.transaction_id
    assert made["metadata"]["tollgate_payment"] == request.payment_id
    assert made["metadata"]["order"] == "42"
    assert made["description"] == "Two tickets"
    assert facts.provider_charge_id == made["latest_charge"]
    assert facts.raw is not None
    assert "client_secret" not in facts.raw


@pytest.mark.parametrize(
    ("currency", "amount", "units"), [("JPY", 500, 500), ("KWD", 5120, 5120), ("ISK", 500, 50_000)]
)
def test_the_amount_is_the_same_money_at_stripe(driver: StripeDriver, currency: str, amount: int, units: int) -> None:
    facts = driver.paid(driver.provider(), driver.request(currency=currency, amount=amount))
    assert (facts.amount, facts.currency) == (amount, currency)
    assert driver.charged()[0]["amount"] == units


def test_an_amount_stripe_cannot_say_is_not_sent(driver: StripeDriver) -> None:
    outcome = driver.provider().start(driver.request(currency="KWD", amount=5124))
    assert isinstance(outcome, NotExecuted)
    assert (outcome.reason, outcome.param) == (NotExecutedReason.INVALID_REQUEST, "amount")


def test_a_currency_stripe_does_not_take_is_not_sent(driver: StripeDriver) -> None:
    outcome = driver.provider(api_base="http://127.0.0.1:9").start(driver.request(currency="XTS"))
    assert isinstance(outcome, NotExecuted)
    assert (outcome.reason, outcome.param) == (NotExecutedReason.INVALID_REQUEST, "currency")


def test_a_saved_method_has_to_be_named(driver: StripeDriver) -> None:
    outcome = driver.provider().start(replace(driver.request(), method="saved"))
    assert isinstance(outcome, NotExecuted)
    assert outcome.param == "payment_method"
    assert driver.ledger()["charges"] == []


def test_the_same_request_answers_the_same_charge(driver: StripeDriver) -> None:
    provider, request = driver.provider(), driver.request()
    first, second = provider.start(request), provider.start(request)
    assert isinstance(first, Succeeded)
    assert isinstance(second, Succeeded)
    assert first.facts.provider_id == second.facts.provider_id


def test_a_declined_intent_is_canceled_at_once(driver: StripeDriver) -> None:
    provider, request = driver.provider(), driver.request(token=DECLINED)
    outcome = provider.start(request)
    assert isinstance(outcome, Declined)
    assert outcome.facts.provider_id
    assert "cancel_after_decline" not in outcome.facts.extra
    assert intent(driver, outcome.facts.provider_id)["status"] == "canceled"
    again = provider.start(request)
    assert isinstance(again, Declined)
    assert again.decline == outcome.decline
    found = provider.look_up(look_up_of(request))
    assert isinstance(found, Declined), "the cancel must not hide the decline"


def test_a_decline_is_found_when_its_answer_was_lost(driver: StripeDriver) -> None:
    request = driver.request(token=DECLINED)
    driver.fault("reset_after", "start")
    provider = driver.provider()
    assert isinstance(provider.start(request), Unknown)
    found = provider.look_up(look_up_of(request))
    assert isinstance(found, Declined)
    assert found.facts.extra["cancel_after_decline"] == found.facts.provider_id
    assert intent(driver, found.facts.provider_id or "")["status"] == "requires_payment_method", "a look-up reads only"


def test_an_invalid_token_is_an_invalid_request(driver: StripeDriver) -> None:
    outcome = driver.provider().start(driver.request(token="pm_nobody"))
    assert isinstance(outcome, NotExecuted)
    assert (outcome.reason, outcome.provider_code) == (NotExecutedReason.INVALID_REQUEST, "resource_missing")
    assert outcome.param == "payment_method.token"
    assert "pm_nobody" not in outcome.detail


@pytest.mark.parametrize("kind", ["charge", "authorize"])
def test_authentication_goes_through_the_bank_s_page(driver: StripeDriver, kind: str) -> None:
    provider, request = driver.provider(), driver.request(kind, token=AUTHENTICATE, return_url=BACK)
    outcome = provider.start(request)
    assert isinstance(outcome, ActionRequired)
    assert outcome.next_action is not None
    assert outcome.next_action.client_secret
    assert outcome.next_action.publishable_key == driver.made["publishable_key"]
    driver.press(outcome, "pay")
    found = provider.look_up(look_up_of(request, outcome.facts))
    assert isinstance(found, Succeeded)
    assert found.facts.amount_received == (request.amount if kind == "charge" else None)
    assert found.facts.amount_authorized == (None if kind == "charge" else request.amount)


def test_failed_authentication_is_a_decline_for_the_customer(driver: StripeDriver) -> None:
    provider, request = driver.provider(), driver.request(token=AUTHENTICATE, return_url=BACK)
    outcome = provider.start(request)
    assert isinstance(outcome, ActionRequired)
    driver.press(outcome, "fail")
    found = provider.look_up(look_up_of(request, outcome.facts))
    assert isinstance(found, Declined)
    assert found.decline.code == "authentication_failed"
    assert found.facts.extra["cancel_after_decline"] == outcome.facts.provider_id


def test_without_a_return_url_authentication_is_left_to_stripe_s_script(driver: StripeDriver) -> None:
    outcome = driver.provider().start(driver.request(token=AUTHENTICATE))
    assert isinstance(outcome, ActionRequired)
    assert outcome.next_action is not None
    assert outcome.next_action.url is None
    assert outcome.next_action.client_secret


def test_the_customer_comes_back_with_the_payment_s_id(driver: StripeDriver) -> None:
    request = driver.page_request()
    outcome = driver.provider().start(request)
    assert isinstance(outcome, ActionRequired)
    assert outcome.next_action is not None
    assert outcome.next_action.expires_at is not None
    form = {"action": "pay", "card": "4242424242424242"}
    left = requests.post(outcome.next_action.url or "", data=form, allow_redirects=False, timeout=5)
    back = f"https://shop.example/thanks?order=42&tollgate_payment={request.payment_id}#top"
    assert left.headers["Location"] == back


def test_a_page_without_a_way_back_is_not_sent(driver: StripeDriver) -> None:
    outcome = driver.provider().start(driver.page_request(return_url=None))
    assert isinstance(outcome, NotExecuted)
    assert outcome.param == "return_url"


def test_a_page_names_the_intent_once_it_is_paid(driver: StripeDriver) -> None:
    provider, request = driver.provider(), driver.page_request(person=Person())
    outcome = provider.start(request)
    assert isinstance(outcome, ActionRequired)
    assert (outcome.facts.provider_id or "").startswith("cs_")
    assert outcome.facts.provider_charge_id is None
    driver.press(outcome, "pay")
    found = provider.look_up(look_up_of(request, outcome.facts))
    assert isinstance(found, Succeeded)
    assert found.facts.extra["payment_intent"] == found.facts.provider_charge_id
    assert (found.facts.provider_charge_id or "").startswith("pi_")
    refund = provider.refund(driver.refund_request(request, found.facts, 100))
    assert isinstance(refund, Succeeded)


def test_a_lost_page_is_found_by_its_marks(driver: StripeDriver) -> None:
    provider, request = driver.provider(), driver.page_request()
    driver.fault("reset_after", "checkout_sessions.create")
    assert isinstance(provider.start(request), Unknown)
    found = provider.look_up(look_up_of(request))
    assert isinstance(found, ActionRequired)
    assert found.next_action is not None
    assert found.next_action.url
    assert isinstance(provider.look_up(look_up_of(driver.page_request())), NotFound)


def test_a_hold_is_captured_in_part_and_the_rest_released(driver: StripeDriver) -> None:
    provider, request = driver.provider(), driver.request("authorize")
    start = held(driver, request)
    assert (start.facts.amount_authorized, start.facts.amount_received) == (500_00, None)
    capture = driver.capture_request(request, start, 300_00)
    assert isinstance(provider.look_up(look_up_of(capture)), NotFound)
    outcome = provider.capture(capture)
    assert isinstance(outcome, Succeeded)
    assert (outcome.facts.amount, outcome.facts.amount_captured) == (300_00, 300_00)
    again = provider.look_up(look_up_of(capture, outcome.facts))
    assert isinstance(again, Succeeded)
    assert again.facts.amount == 300_00
    started = provider.look_up(look_up_of(request, start.facts))
    assert isinstance(started, Succeeded)
    assert (started.facts.amount, started.facts.amount_authorized) == (500_00, 500_00)
    assert driver.charged()[0]["amount_captured"] == 300_00


def test_more_than_is_held_is_refused(driver: StripeDriver) -> None:
    request = driver.request("authorize")
    outcome = driver.provider().capture(driver.capture_request(request, held(driver, request), 500_01))
    assert isinstance(outcome, NotExecuted)
    assert outcome.reason is NotExecutedReason.INVALID_REQUEST


def test_a_second_capture_finds_the_first(driver: StripeDriver) -> None:
    """Another key, so Stripe refuses by state; what is true is that it was captured."""
    provider, request = driver.provider(), driver.request("authorize")
    start = held(driver, request)
    first = driver.capture_request(request, start, 200_00)
    provider.capture(first)
    second = provider.capture(replace(driver.capture_request(request, start, 200_00), provider_key="another-key"))
    assert isinstance(second, Succeeded)
    assert second.facts.amount == 200_00
    [charge] = driver.charged()
    assert charge["amount_captured"] == 200_00


@pytest.mark.parametrize("effect", ["reset_after", "status_after", "nonsense"])
def test_a_lost_capture_is_settled_by_asking(driver: StripeDriver, effect: str) -> None:
    provider, request = driver.provider(), driver.request("authorize")
    capture = driver.capture_request(request, held(driver, request), 500_00)
    driver.fault(effect, "capture", **({"status": 500} if effect == "status_after" else {}))
    assert isinstance(provider.capture(capture), Unknown)
    assert isinstance(provider.look_up(look_up_of(capture)), Succeeded)


def test_a_hold_is_released(driver: StripeDriver) -> None:
    provider, request = driver.provider(), driver.request("authorize")
    start = held(driver, request)
    void = driver.void_request(request, start)
    assert isinstance(provider.look_up(look_up_of(void)), NotFound)
    assert isinstance(provider.void(void), Succeeded)
    assert isinstance(provider.void(void), Succeeded)
    assert isinstance(provider.look_up(look_up_of(void)), Succeeded)
    assert driver.charged() == []
    late = provider.capture(driver.capture_request(request, start, 100))
    assert isinstance(late, Canceled)
    assert isinstance(provider.look_up(look_up_of(request, start.facts)), Canceled)


def test_taken_money_cannot_be_voided(driver: StripeDriver) -> None:
    provider, request = driver.provider(), driver.request()
    start = held(driver, request)
    outcome = provider.void(driver.void_request(request, start))
    assert isinstance(outcome, Declined)
    assert outcome.decline.code == "already_captured"


def test_a_void_of_a_lost_answer_is_settled_by_asking(driver: StripeDriver) -> None:
    provider, request = driver.provider(), driver.request("authorize")
    void = driver.void_request(request, held(driver, request))
    driver.fault("reset_after", "void")
    assert isinstance(provider.void(void), Unknown)
    assert isinstance(provider.look_up(look_up_of(void)), Succeeded)


def test_an_open_page_is_closed(driver: StripeDriver) -> None:
    provider, request = driver.provider(), driver.page_request()
    outcome = provider.start(request)
    assert isinstance(outcome, ActionRequired)
    driver.press(outcome, "decline")
    void = driver.void_request(request, outcome)
    assert isinstance(provider.look_up(look_up_of(void)), NotFound)
    assert isinstance(provider.void(void), Succeeded)
    assert isinstance(provider.look_up(look_up_of(void)), Succeeded)
    ended = provider.look_up(look_up_of(request, outcome.facts))
    assert isinstance(ended, Canceled)
    assert ended.reason == "expired"
    again = provider.void(void)
    assert isinstance(again, Succeeded)


def test_a_page_that_was_paid_in_between_is_not_closed(driver: StripeDriver) -> None:
    provider, request = driver.provider(), driver.page_request()
    outcome = provider.start(request)
    assert isinstance(outcome, ActionRequired)
    driver.press(outcome, "pay")
    refused = provider.void(driver.void_request(request, outcome))
    assert isinstance(refused, Declined)
    assert refused.decline.code == "already_captured"
    assert len(driver.charged()) == 1


def test_a_hold_made_on_a_page_is_captured_or_released(driver: StripeDriver) -> None:
    provider = driver.provider()
    for end in ("capture", "void"):
        request = driver.page_request("authorize")
        page = provider.start(request)
        assert isinstance(page, ActionRequired)
        driver.press(page, "pay")
        start = provider.look_up(look_up_of(request, page.facts))
        assert isinstance(start, Succeeded)
        assert start.facts.amount_authorized == request.amount
        if end == "capture":
            # The intent is not named here: it is found through the session.
            capture = driver.capture_request(request, Succeeded(page.facts), 100_00)
            assert isinstance(provider.capture(capture), Succeeded)
        else:
            assert isinstance(provider.void(driver.void_request(request, start)), Succeeded)
    assert [charge["amount_captured"] for charge in driver.charged()] == [100_00]


def test_a_page_that_is_paid_while_it_is_being_closed_keeps_its_hold_until_the_next_void(driver: StripeDriver) -> None:
    provider, request = driver.provider(), driver.page_request("authorize")
    page = provider.start(request)
    assert isinstance(page, ActionRequired)
    void, outcomes = driver.void_request(request, page), list[Outcome]()
    slow = driver.fault("delay", "checkout_sessions.expire", ms=500)
    closing = threading.Thread(target=lambda: outcomes.append(provider.void(void)))
    closing.start()
    wait_until(lambda: driver.fired(slow), "the slow request")
    driver.press(page, "pay")
    closing.join()
    assert isinstance(outcomes[0], NotExecuted)
    assert isinstance(provider.void(void), Succeeded), "the same key, now on the intent"
    assert driver.charged() == []


def test_a_capture_of_an_unpaid_page_is_refused(driver: StripeDriver) -> None:
    provider, request = driver.provider(), driver.page_request("authorize")
    page = provider.start(request)
    assert isinstance(page, ActionRequired)
    outcome = provider.capture(driver.capture_request(request, Succeeded(page.facts), 100))
    assert isinstance(outcome, NotExecuted)


def test_an_object_that_was_named_and_is_gone_is_not_simply_absent(driver: StripeDriver) -> None:
    """Other credentials, or another mode: "not found" would allow a second charge."""
    request = driver.request()
    facts = driver.paid(driver.provider(), request)
    other = StripeDriver(driver.sandbox).provider()
    assert isinstance(other.look_up(look_up_of(request, facts)), Unknown)


def test_a_charge_is_found_behind_many_others(driver: StripeDriver) -> None:
    """The list has pages of 100, newest first."""
    provider, first = driver.provider(), driver.request()
    provider.start(first)
    for _ in range(120):
        provider.start(driver.request())
    found = provider.look_up(look_up_of(first))
    assert isinstance(found, Succeeded)
    assert found.facts.raw is not None
    assert found.facts.raw["metadata"]["tollgate_transaction"] == first.transaction_id


def test_a_refund_may_be_pending_or_fail_later(driver: StripeDriver) -> None:
    provider = driver.provider()
    for token, first, later in (
        ("pm_card_pendingRefund", Pending, Succeeded),
        ("pm_card_refundFail", Succeeded, Declined),
    ):
        request = driver.request(token=token)
        refund = driver.refund_request(request, driver.paid(provider, request), 100)
        outcome = provider.refund(refund)
        assert isinstance(outcome, first)
        driver.sandbox.post("clock", advance_seconds=5)
        assert isinstance(provider.look_up(look_up_of(refund, outcome.facts)), later)


def test_a_refund_of_what_is_already_back_is_refused_unless_it_is_among_it(driver: StripeDriver) -> None:
    provider, request = driver.provider(), driver.request()
    facts = driver.paid(provider, request)
    whole = driver.refund_request(request, facts, request.amount)
    assert isinstance(provider.refund(whole), Succeeded)
    other = provider.refund(driver.refund_request(request, facts, 100))
    assert isinstance(other, NotExecuted)
    assert other.provider_code == "charge_already_refunded"
    again = provider.refund(replace(whole, provider_key="another-key"))
    assert isinstance(again, Succeeded)
    assert len(driver.ledger()["refunds"]) == 1


def test_a_list_that_takes_longer_than_a_call_may_is_read_to_its_end(driver: StripeDriver) -> None:
    """What was made first is on the last of its pages; each page has its own time."""
    request = driver.request()
    made = driver.paid(driver.provider(), request)
    for _ in range(205):
        driver.provider().start(driver.request())
    pages = [driver.fault("delay", "payment_intents.list", ms=600) for _ in range(3)]
    found = driver.provider(deadline=1.0).look_up(look_up_of(request))
    assert isinstance(found, Succeeded), found
    assert found.facts.provider_id == made.provider_id
    assert all(driver.fired(page) for page in pages)
