"""What every provider owes, held against its sandbox over real HTTP: one suite, one driver a provider."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from core.domain.errors import Forged
from core.domain.outcomes import (
    ActionRequired,
    Canceled,
    Declined,
    LookUp,
    NotExecuted,
    NotExecutedReason,
    NotFound,
    Pending,
    Succeeded,
    Unknown,
)
from core.providers.base import AccountIdentity, CaptureRequest, IdentityUnknown, VoidRequest
from core.providers.registry import PROVIDERS
from tests.providers.driver import Driver, Inbox, capture_of, look_up_of, void_of
from tests.providers.drivers import DRIVERS
from tests.providers.wire import peer
from tests.support.waiting import wait_until

pytestmark = pytest.mark.usefixtures("with_bank")
#: Long enough for a loopback answer, short enough to wait for.
SHORT = 0.6
EVENT = b'{"id":"evt_1","event":"other","type":"other","data":{}}'
#: The answer goes wrong after the provider acted.
LOST = ["timeout_after", "reset_after", "html", "nonsense", "cut_body"]


def test_every_registered_provider_is_held_to_it() -> None:
    assert sorted(DRIVERS) == sorted(PROVIDERS)


def test_identify_names_the_account_and_the_mode(driver: Driver) -> None:
    identity = driver.provider().identify()
    assert isinstance(identity, AccountIdentity)
    assert identity.mode == "test"
    assert identity.provider_account
    assert driver.provider().identify() == identity


def test_identify_says_what_to_do_about_a_wrong_key(driver: Driver) -> None:
    wrong = driver.provider(credentials={"secret_key": "sk_test_nobody_knows_this_one"})
    with pytest.raises(IdentityUnknown) as raised:
        wrong.identify()
    assert "nobody_knows" not in str(raised.value)
    assert len(str(raised.value)) > 20


@pytest.mark.parametrize(
    ("mode", "key", "told"),
    [
        ("test", "sk_live_entered_by_mistake", "live key"),
        ("live", "sk_test_entered_by_mistake", "test key"),
        ("test", "pk_test_entered_by_mistake", "begins with"),
        ("test", "whsec_entered_by_mistake", "begins with"),
        ("test", "sk_test_", "begins with"),
        ("test", "", "begins with"),
    ],
)
def test_a_key_of_another_mode_or_kind_is_refused_without_a_connection(
    driver: Driver, mode: str, key: str, told: str
) -> None:
    with peer(lambda connection, over: None) as somebody:
        provider = driver.provider(mode=mode, credentials={"secret_key": key}, api_base=somebody.url)
        with pytest.raises(IdentityUnknown, match=told) as raised:
            provider.identify()
        assert somebody.accepted == 0
    assert "mistake" not in str(raised.value)


def test_a_payment_brings_its_money_and_says_so_in_our_units(driver: Driver) -> None:
    request = driver.request()
    facts = driver.paid(driver.provider(), request)
    assert (facts.amount, facts.currency) == (request.amount, driver.currency)
    assert facts.amount_received == request.amount
    assert facts.provider_id
    [charge] = driver.charged()
    assert charge["amount"] == request.amount


def test_the_same_request_sent_twice_charges_once(driver: Driver) -> None:
    provider, request = driver.provider(), driver.request()
    provider.start(request)
    second = provider.start(request)
    if isinstance(second, ActionRequired):
        driver.press(second, "pay")
    assert len(driver.ledger()["charges"]) == 1


def test_a_decline_is_final_and_in_our_words(driver: Driver) -> None:
    request = driver.declined_request()
    if request is None:
        # Refused on the page only, where the customer may try again: the page's own test below.
        assert "token" not in driver.provider().capabilities.methods
        return
    outcome = driver.provider().start(request)
    assert isinstance(outcome, Declined)
    assert outcome.decline.code == "insufficient_funds"
    assert driver.charged() == []


def test_a_page_is_paid_by_the_customer(driver: Driver) -> None:
    provider, request = driver.provider(), driver.page_request()
    outcome = provider.start(request)
    assert isinstance(outcome, ActionRequired)
    assert outcome.next_action is not None
    assert outcome.next_action.url
    unpaid = provider.look_up(look_up_of(request, outcome.facts))
    assert not isinstance(unpaid, Succeeded)
    assert_nothing_received(outcome, unpaid)
    driver.press(outcome, "pay")
    found = provider.look_up(look_up_of(request, outcome.facts))
    assert isinstance(found, Succeeded)
    assert found.facts.amount == request.amount
    assert found.facts.provider_id == outcome.facts.provider_id


def test_a_failed_try_on_a_page_brings_no_money(driver: Driver) -> None:
    provider, request = driver.provider(), driver.page_request()
    outcome = provider.start(request)
    assert isinstance(outcome, ActionRequired)
    driver.press(outcome, "decline")
    found = provider.look_up(look_up_of(request, outcome.facts))
    assert not isinstance(found, Succeeded)
    assert_nothing_received(found)
    assert driver.charged() == []


def test_a_page_that_has_ended_is_open_no_more(driver: Driver) -> None:
    provider, request = driver.provider(), driver.page_request()
    outcome = provider.start(request)
    assert isinstance(outcome, ActionRequired)
    if provider.capabilities.close_unfinished:
        assert isinstance(provider.void(void_of(request, outcome.facts)), Succeeded | Canceled)
    elif not driver.let_pages_end():
        return
    found = provider.look_up(look_up_of(request, outcome.facts))
    assert isinstance(found, Canceled)
    assert_nothing_received(found)
    driver.press(outcome, "pay")
    assert isinstance(provider.look_up(look_up_of(request, outcome.facts)), Canceled)
    assert driver.charged() == []


def test_money_on_its_way_is_not_received_yet(driver: Driver) -> None:
    provider = driver.provider()
    if (found := driver.on_its_way(provider)) is None:
        return
    request, facts = found
    outcome = provider.look_up(look_up_of(request, facts))
    assert isinstance(outcome, Pending)
    assert outcome.facts.provider_id == facts.provider_id
    assert_nothing_received(outcome)
    assert driver.charged() == []


def assert_nothing_received(*found: LookUp) -> None:
    """No sum is claimed by an outcome that says the money has not come."""
    for outcome in found:
        if isinstance(outcome, Pending | ActionRequired | Canceled):
            assert not outcome.facts.amount_received, outcome
            assert not outcome.facts.amount_captured, outcome


@pytest.mark.parametrize("effect", LOST)
def test_a_lost_answer_is_unknown_and_settled_by_asking(driver: Driver, effect: str) -> None:
    request = driver.request()
    driver.fault(effect, "start")
    outcome = driver.provider(deadline=SHORT).start(request)
    assert isinstance(outcome, Unknown)
    assert outcome.evidence
    provider = driver.provider()
    found = provider.look_up(look_up_of(request))
    assert isinstance(found, driver.lost_start_is)
    if provider.capabilities.resend_window_seconds is not None:
        assert not isinstance(provider.start(request), Unknown)
    assert len(driver.ledger()["charges"]) <= 1


@pytest.mark.parametrize("effect", ["timeout_before", "reset_before"])
def test_a_request_that_was_lost_is_unknown_and_then_not_found(driver: Driver, effect: str) -> None:
    request = driver.request()
    driver.fault(effect, "start")
    assert isinstance(driver.provider(deadline=SHORT).start(request), Unknown)
    assert isinstance(driver.provider().look_up(look_up_of(request)), NotFound)


@pytest.mark.parametrize("status", [500, 502, 503])
def test_a_server_error_is_unknown(driver: Driver, status: int) -> None:
    driver.fault("status_after", "start", status=status)
    outcome = driver.provider().start(driver.request())
    assert isinstance(outcome, Unknown)
    assert outcome.evidence["http_status"] == status


def test_too_many_requests_is_proof_that_nothing_happened(driver: Driver) -> None:
    driver.fault("status_before", "start", status=429)
    outcome = driver.provider().start(driver.request())
    assert isinstance(outcome, NotExecuted)
    assert outcome.reason is NotExecutedReason.RATE_LIMITED
    assert driver.ledger()["charges"] == []


def test_a_refused_connection_is_proof_that_nothing_happened(driver: Driver) -> None:
    outcome = driver.provider(api_base="http://127.0.0.1:9").start(driver.request())
    assert isinstance(outcome, NotExecuted)
    assert outcome.reason is NotExecutedReason.CONNECTION


def test_a_wrong_key_is_a_misconfiguration(driver: Driver) -> None:
    wrong = driver.provider(credentials={"secret_key": "sk_test_nobody_knows_this_one"})
    outcome = wrong.start(driver.request())
    assert isinstance(outcome, NotExecuted)
    assert outcome.reason is NotExecutedReason.MISCONFIGURED
    assert "nobody_knows" not in outcome.detail


def test_an_amount_the_provider_refuses_is_an_invalid_request(driver: Driver) -> None:
    outcome = driver.provider().start(driver.request(amount=1))
    assert isinstance(outcome, NotExecuted)
    assert outcome.reason is NotExecutedReason.INVALID_REQUEST


def test_the_deadline_holds_against_a_dripping_body(driver: Driver) -> None:
    driver.fault("slow_body", "start", ms=20_000)
    before = time.monotonic()
    outcome = driver.provider(deadline=SHORT).start(driver.request())
    assert time.monotonic() - before < SHORT + 1
    assert isinstance(outcome, Unknown)


def test_an_answer_with_another_amount_shows_that_amount(driver: Driver) -> None:
    """The caller compares; the provider must not repeat what was asked."""
    provider, request = driver.provider(), driver.request()
    facts = driver.paid(provider, request)
    driver.fault("wrong_amount", "look_up")
    found = provider.look_up(look_up_of(request, facts))
    assert isinstance(found, Succeeded)
    assert found.facts.amount == request.amount * 10


def test_parts_are_given_back_until_nothing_is_left(driver: Driver) -> None:
    provider, request = driver.provider(), driver.request()
    facts = driver.paid(provider, request)
    first = driver.refund_request(request, facts, 200_00)
    outcome = provider.refund(first)
    assert isinstance(outcome, Succeeded | Pending)
    assert_nothing_received(outcome)
    assert (outcome.facts.amount, outcome.facts.currency) == (200_00, driver.currency)
    found = provider.look_up(look_up_of(first, outcome.facts))
    assert isinstance(found, Succeeded | Pending)
    assert found.facts.provider_id == outcome.facts.provider_id
    rest = provider.refund(driver.refund_request(request, facts, 300_00))
    assert isinstance(rest, Succeeded | Pending)
    over = provider.refund(driver.refund_request(request, facts, 1_00))
    assert isinstance(over, NotExecuted)
    assert over.reason is NotExecutedReason.INVALID_REQUEST
    assert sum(refund["amount"] for refund in driver.ledger()["refunds"]) == request.amount


def test_a_lost_refund_is_found_by_our_mark(driver: Driver) -> None:
    provider, request = driver.provider(), driver.request()
    facts = driver.paid(provider, request)
    other = provider.refund(driver.refund_request(request, facts, 100_00))
    lost = driver.refund_request(request, facts, 100_00)
    driver.fault("reset_after", "refund")
    assert isinstance(provider.refund(lost), Unknown)
    found = provider.look_up(look_up_of(lost))
    assert isinstance(found, Succeeded | Pending)
    assert isinstance(other, Succeeded | Pending)
    assert found.facts.provider_id != other.facts.provider_id
    never = driver.refund_request(request, facts, 100_00)
    assert isinstance(provider.look_up(look_up_of(never)), NotFound)


def test_a_look_up_that_fails_is_unknown(driver: Driver) -> None:
    request = driver.request()
    outcome = driver.provider(api_base="http://127.0.0.1:9").look_up(look_up_of(request))
    assert isinstance(outcome, Unknown)


def test_a_question_with_a_refused_key_says_so(driver: Driver) -> None:
    """Else an account whose key was revoked is only noticed by the next payment, which it fails."""
    provider, request = driver.provider(), driver.request()
    facts = driver.paid(provider, request)
    refund = driver.refund_request(request, facts, 100_00)
    given_back = provider.refund(refund)
    assert isinstance(given_back, Succeeded | Pending)
    asked = [look_up_of(request, facts), look_up_of(request), look_up_of(refund, given_back.facts), look_up_of(refund)]
    if provider.capabilities.manual_capture_methods:
        hold = driver.hold_request()
        held = driver.paid(provider, hold)
        asked += [look_up_of(capture_of(hold, held, 100_00)), look_up_of(void_of(hold, held))]
    wrong = driver.provider(credentials={"secret_key": "sk_test_nobody_knows_this_one"})
    nobody = driver.provider(api_base="http://127.0.0.1:9")
    for one in asked:
        outcome = wrong.look_up(one)
        assert isinstance(outcome, Unknown), one
        assert outcome.refused_key, one
        unreachable = nobody.look_up(one)
        assert isinstance(unreachable, Unknown)
        assert not unreachable.refused_key


def test_what_is_not_declared_is_not_done(driver: Driver) -> None:
    provider = driver.provider()
    common = ("pay_x", "txn_x", "key", "object", 100, driver.currency)
    if not provider.capabilities.manual_capture_methods:
        assert isinstance(provider.capture(CaptureRequest(*common)), NotExecuted)
    if not provider.capabilities.void:
        assert isinstance(provider.void(VoidRequest(*common)), NotExecuted)
    assert driver.currency in provider.capabilities.currencies


def test_a_delivered_webhook_is_verified_and_told_in_our_words(heard: Driver, box: Inbox) -> None:
    provider, request = heard.provider(), heard.request()
    began = heard.now() - timedelta(minutes=1)
    heard.paid(provider, request)
    told: list[Any] = []

    def read() -> bool:
        told.clear()
        for headers, body in list(box.received):
            event = provider.verify_webhook(headers, body, heard.heard_at())
            news = provider.read_webhook(event)
            told.extend(news if isinstance(news, list) else [])
        mine = [one for one in told if one.operation == "start" and one.transaction_id == request.transaction_id]
        return any(one.outcome is None or isinstance(one.outcome, Succeeded) for one in mine)

    wait_until(read, "the webhook about the payment")
    outcomes = [one.outcome for one in told if one.operation == "start"]
    assert all(outcome is None or isinstance(outcome, Succeeded | Pending | ActionRequired) for outcome in outcomes)
    assert_nothing_received(*(outcome for outcome in outcomes if outcome is not None))
    for one in told:
        assert one.occurred_at is not None, one
        assert began <= one.occurred_at <= heard.now() + timedelta(minutes=1)


def test_a_signature_by_somebody_else_is_forged(driver: Driver) -> None:
    provider, body, now = driver.provider(), EVENT, datetime.now(UTC)
    good = driver.sign(body, now)
    assert provider.verify_webhook(good, body, now).body is not None
    for headers, content in (
        (driver.sign(body, now, secret="not_the_secret"), body),
        (driver.sign(body, now, secret=""), body),
        ({}, body),
        (dict.fromkeys(good, ""), body),
        (dict.fromkeys(good, "t=1,v1=é"), body),
        (good, body + b" "),
    ):
        with pytest.raises(Forged):
            provider.verify_webhook(headers, content, now)


def test_without_a_secret_everything_is_forged(driver: Driver) -> None:
    body, now = EVENT, datetime.now(UTC)
    for secrets in ((), ("",)):
        with pytest.raises(Forged):
            driver.provider(webhook_secrets=secrets).verify_webhook(driver.sign(body, now, secret=""), body, now)


def test_either_secret_counts_during_a_rotation(driver: Driver) -> None:
    body, now = EVENT, datetime.now(UTC)
    both = driver.provider(webhook_secrets=("sk_new_secret", *driver.account().webhook_secrets))
    assert both.verify_webhook(driver.sign(body, now), body, now)
    assert both.verify_webhook(driver.sign(body, now, secret="sk_new_secret"), body, now)


def test_a_second_delivery_has_the_same_dedupe_key(driver: Driver) -> None:
    provider, now = driver.provider(), datetime.now(UTC)
    body, other = EVENT, b'{"id":"evt_2","event":"else","data":{}}'
    later = now + timedelta(seconds=10)
    first = provider.verify_webhook(driver.sign(body, now), body, now)
    assert first.dedupe_key == provider.verify_webhook(driver.sign(body, later), body, later).dedupe_key
    assert first.dedupe_key != provider.verify_webhook(driver.sign(other, now), other, now).dedupe_key


@pytest.mark.parametrize("body", [b"", b"not json", b"[1]", b'"text"', b"\xff\xfe", b"[" * 200_000, b'{"a":NaN'])
def test_a_body_that_is_no_json_object_is_kept_and_ignored(driver: Driver, body: bytes) -> None:
    provider, now = driver.provider(), datetime.now(UTC)
    event = provider.verify_webhook(driver.sign(body, now), body, now)
    assert event.body is None
    assert event.dedupe_key
    assert not isinstance(provider.read_webhook(event), list)


@pytest.mark.parametrize("value", [None, 1, "x", [], {}, {"object": 1}, {"object": {"id": 5}}, {"status": []}])
def test_a_strange_event_is_ignored_not_fatal(driver: Driver, value: Any) -> None:
    provider, now = driver.provider(), datetime.now(UTC)
    for kind in ("payment_intent.succeeded", "charge.success", "refund.updated", "refund.processed", "nobody.knows"):
        body = json.dumps({"id": "evt_9", "type": kind, "event": kind, "created": "soon", "data": value}).encode()
        event = provider.verify_webhook(driver.sign(body, now), body, now)
        assert not isinstance(provider.read_webhook(event), list)


def test_secrets_are_in_no_text(driver: Driver) -> None:
    """Neither in what is printed of our values, nor in what is kept as evidence."""
    provider, account = driver.provider(), driver.account()
    secrets = {driver.secret_key, *account.webhook_secrets}
    driver.fault("nonsense", "start")
    request = driver.request()
    seen = [account, provider, provider.start(request), provider.start(driver.request())]
    failing = driver.provider(api_base="http://127.0.0.1:9")
    seen += [failing.start(request), failing.look_up(look_up_of(request))]
    text = "\n".join(repr(one) for one in seen)
    assert not [secret for secret in secrets if secret in text]
