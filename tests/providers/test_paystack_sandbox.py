"""The roads only Paystack has, against its sandbox: a process of its own with a durable ledger."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from core.domain.outcomes import ActionRequired, Declined, NotFound, Pending, Succeeded, Unknown
from core.providers.base import News, PaymentProvider, RefundRequest
from tests.providers.driver import inbox, look_up_of, submit
from tests.providers.paystack_contract import PaystackDriver
from tests.support.sandboxes import Sandbox
from tests.support.waiting import wait_until


@pytest.fixture
def driver(sandboxes: dict[str, Sandbox]) -> PaystackDriver:
    return PaystackDriver(sandboxes["paystack"])


def refunded(driver: PaystackDriver, card: str) -> tuple[PaymentProvider, RefundRequest, Pending]:
    """A payment by `card` whose refund is queued."""
    provider, request = driver.provider(), driver.request()
    page = provider.start(request)
    assert isinstance(page, ActionRequired)
    assert page.next_action
    submit(str(page.next_action.url), action="pay", card=card)
    paid = provider.look_up(look_up_of(request))
    assert isinstance(paid, Succeeded)
    refund = driver.refund_request(request, paid.facts, 100_00)
    queued = provider.refund(refund)
    assert isinstance(queued, Pending)
    return provider, refund, queued


def test_the_identity_outlives_the_first_payment(driver: PaystackDriver) -> None:
    provider = driver.provider()
    before = provider.identify()
    driver.paid(provider, driver.request())
    assert provider.identify() == before
    assert before.provider_account == f"integration:{driver.made['account']}"


def test_a_page_that_was_never_opened_waits_for_its_customer(driver: PaystackDriver) -> None:
    provider, request = driver.provider(), driver.request()
    provider.start(request)
    found = provider.look_up(look_up_of(request))
    assert isinstance(found, ActionRequired)
    assert found.next_action is None
    assert found.facts.extra["status"] == "abandoned"


def test_a_failed_try_may_be_followed_by_a_good_one(driver: PaystackDriver) -> None:
    provider, request = driver.provider(), driver.request()
    page = provider.start(request)
    assert isinstance(page, ActionRequired)
    assert page.next_action
    submit(str(page.next_action.url), action="pay", card="4084080000670037")
    found = provider.look_up(look_up_of(request))
    assert isinstance(found, ActionRequired)
    assert found.facts.extra["status"] == "failed"
    assert found.facts.extra["decline_code"] == "insufficient_funds"
    driver.press(page, "pay")
    assert isinstance(provider.look_up(look_up_of(request)), Succeeded)
    assert len(driver.charged()) == 1


def test_the_customer_at_the_bank_has_still_to_act(driver: PaystackDriver) -> None:
    provider, request = driver.provider(), driver.request()
    page = provider.start(request)
    assert isinstance(page, ActionRequired)
    assert page.next_action
    submit(str(page.next_action.url), action="pay", card="5192602720584796")
    found = provider.look_up(look_up_of(request))
    assert isinstance(found, ActionRequired)
    assert (found.facts.extra["status"], found.next_action) == ("ongoing", None)


def test_a_reference_is_never_used_twice(driver: PaystackDriver) -> None:
    provider, request = driver.provider(), driver.request()
    provider.start(request)
    again = provider.start(request)
    assert isinstance(again, Unknown)
    assert again.evidence["seen"] == "reference exists"
    assert len(driver.ledger()["charges"]) == 1


def test_francs_cross_the_road_unchanged(driver: PaystackDriver) -> None:
    provider, request = driver.provider(), replace(driver.request(), amount=1500, currency="XOF")
    facts = driver.paid(provider, request)
    assert (facts.amount, facts.amount_received, facts.currency) == (1500, 1500, "XOF")
    assert facts.fee == 48  # 3.2 %
    [charge] = driver.charged()
    assert charge["amount"] == 150_000
    refund = provider.refund(driver.refund_request(request, facts, 500))
    assert isinstance(refund, Pending)
    assert refund.facts.amount == 500


def test_a_fee_on_the_customer_is_received_and_not_asked(driver: PaystackDriver) -> None:
    driver.sandbox.post("accounts", secret_key=driver.secret_key, fees_on_customer=True)
    provider, request = driver.provider(), driver.request(amount=3000_00)
    facts = driver.paid(provider, request)
    assert facts.amount == facts.amount_captured == 3000_00
    assert facts.fee is not None
    assert facts.amount_received == 3000_00 + facts.fee


@pytest.mark.parametrize(
    ("card", "expected"),
    [
        ("4084084084084081", Succeeded),
        ("4084080000671803", Declined),
        ("4084080000671902", ActionRequired),
    ],
)
def test_a_refund_ends_as_paystack_says(driver: PaystackDriver, card: str, expected: type) -> None:
    provider, refund, queued = refunded(driver, card)
    for _ in range(2):  # queued, then processing
        driver.sandbox.post("clock", advance_seconds=2)
    for known in (queued.facts, None):  # by id, and by our mark in the list
        found: Any = provider.look_up(look_up_of(refund, known))
        assert type(found) is expected
        assert found.facts.provider_id == queued.facts.provider_id
        assert found.facts.amount == 100_00


def test_a_refund_that_never_arrived_is_not_found_with_the_lists_length(driver: PaystackDriver) -> None:
    provider, refund, _ = refunded(driver, "4084084084084081")
    lost = replace(refund, transaction_id="txn_0000000000000000000000000z", provider_charge_id=None)
    driver.fault("timeout_before", "refund")
    assert isinstance(driver.provider(deadline=0.6).refund(lost), Unknown)
    found = provider.look_up(look_up_of(lost))
    assert isinstance(found, NotFound)
    assert found.evidence["listed"] == 1


def test_a_fully_refunded_payment_stays_paid(driver: PaystackDriver) -> None:
    provider, request = driver.provider(), driver.request()
    facts = driver.paid(provider, request)
    provider.refund(driver.refund_request(request, facts, request.amount))
    for _ in range(2):
        driver.sandbox.post("clock", advance_seconds=2)
    found = provider.look_up(look_up_of(request))
    assert isinstance(found, Succeeded)
    assert found.facts.extra["reversed"] == "true"
    assert found.facts.amount_received == request.amount


def test_refund_webhooks_are_theirs_and_make_us_ask(sandboxes: dict[str, Sandbox]) -> None:
    with inbox() as box:
        driver = PaystackDriver(sandboxes["paystack"], webhook_url=box.url)
        provider, refund, _ = refunded(driver, "4084084084084081")
        for _ in range(2):
            driver.sandbox.post("clock", advance_seconds=2)

        def refund_news() -> list[tuple[str, News]] | None:
            events = [provider.verify_webhook(*one, datetime.now(UTC)) for one in list(box.received)]
            found = [(event.kind, provider.read_webhook(event)) for event in events]
            told = [(kind, news[0]) for kind, news in found if kind.startswith("refund.") and isinstance(news, list)]
            return told if len(told) >= 3 else None

        told = wait_until(refund_news, "three webhooks about the refund") or []
    assert {kind for kind, _ in told} == {"refund.pending", "refund.processing", "refund.processed"}
    assert all(news.outcome is None for _, news in told)
    assert {news.start_provider_id for _, news in told} == {refund.provider_id}
