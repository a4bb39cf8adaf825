"""Payment intents through the official package: paid, held, captured, canceled, authenticated, declined."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest
import stripe


def test_a_confirmed_intent_succeeds_with_one_charge(shop):
    intent = shop.pay(metadata={"order": "42"}, description="boots", expand=["latest_charge"])
    assert (intent.status, intent.amount_received, intent.livemode) == ("succeeded", 1000, False)
    charge = intent.latest_charge
    assert (charge.status, charge.captured, charge.amount_captured) == ("succeeded", True, 1000)
    assert charge.metadata.to_dict() == {"order": "42"}
    assert charge.outcome.type == "authorized"
    [booked] = shop.ledger()["charges"]
    assert (booked["payment"], booked["status"], booked["amount"]) == (intent.id, "succeeded", 1000)
    assert shop.ledger()["summary"] == {
        "charges_succeeded": 1,
        "captured_by_currency": {"usd": 1000},
        "refunded_by_currency": {},
    }


def test_the_fee_arrives_a_moment_later_under_automatic_async(shop, eventually):
    intent = shop.pay(amount=10_000)
    charge = eventually(lambda: next((c for c in shop.client.v1.charges.list().data if c.balance_transaction), None))
    moved = shop.client.v1.balance_transactions.retrieve(charge.balance_transaction)
    assert (moved.amount, moved.fee, moved.net, moved.source) == (10_000, 320, 9_680, intent.latest_charge)
    assert "charge.updated" in shop.event_types()


def test_the_fee_is_there_at_once_under_automatic(shop):
    intent = shop.pay(capture_method="automatic", expand=["latest_charge.balance_transaction"])
    assert intent.latest_charge.balance_transaction.fee == 59


def test_create_then_confirm_with_a_method(shop):
    intent = shop.client.v1.payment_intents.create(
        {"amount": 700, "currency": "eur", "automatic_payment_methods": {"enabled": True, "allow_redirects": "never"}}
    )
    assert intent.status == "requires_payment_method"
    assert intent.latest_charge is None
    intent = shop.client.v1.payment_intents.confirm(intent.id, {"payment_method": "pm_card_mastercard"})
    assert intent.status == "succeeded"
    method = shop.client.v1.payment_methods.retrieve(intent.payment_method)
    assert (method.card.brand, method.card.last4) == ("mastercard", "4444")


def test_a_used_payment_method_is_used_up(shop):
    first = shop.pay()
    with pytest.raises(stripe.InvalidRequestError, match="may not be used again"):
        shop.pay(payment_method=first.payment_method)


def test_manual_capture_of_a_part_releases_the_rest(shop):
    intent = shop.pay(capture_method="manual", expand=["latest_charge"])
    assert (intent.status, intent.amount_capturable, intent.amount_received) == ("requires_capture", 1000, 0)
    assert intent.latest_charge.payment_method_details.card.capture_before == intent.latest_charge.created + 7 * 86400
    assert shop.ledger()["charges"][0]["status"] == "authorized"
    intent = shop.client.v1.payment_intents.capture(intent.id, {"amount_to_capture": 300, "expand": ["latest_charge"]})
    assert (intent.status, intent.amount, intent.amount_received, intent.amount_capturable) == (
        "succeeded",
        1000,
        300,
        0,
    )
    charge = intent.latest_charge
    assert (charge.amount_captured, charge.amount_refunded, charge.refunded) == (300, 700, False)
    assert shop.ledger()["refunds"] == []
    assert shop.ledger()["summary"]["captured_by_currency"] == {"usd": 300}


def test_capture_more_than_held_is_refused(shop):
    intent = shop.pay(capture_method="manual")
    with pytest.raises(stripe.InvalidRequestError) as refused:
        shop.client.v1.payment_intents.capture(intent.id, {"amount_to_capture": 1001})
    assert (refused.value.code, refused.value.param) == ("amount_too_large", "amount_to_capture")


@pytest.mark.parametrize(
    ("first", "second", "text"),
    [
        ("capture", "capture", "already been captured"),
        ("cancel", "capture", "status of canceled"),
        ("capture", "cancel", "status of succeeded"),
        ("cancel", "cancel", "status of canceled"),
        ("capture", "confirm", "already succeeded"),
    ],
)
def test_a_step_that_the_state_forbids(shop, first, second, text):
    intent = shop.pay(capture_method="manual")
    intents = shop.client.v1.payment_intents
    getattr(intents, first)(intent.id)
    with pytest.raises(stripe.InvalidRequestError, match=text) as refused:
        getattr(intents, second)(intent.id)
    assert refused.value.code == "payment_intent_unexpected_state"
    assert refused.value.error.payment_intent.id == intent.id


def test_cancel_of_a_hold_voids_it(shop):
    intent = shop.pay(capture_method="manual")
    intent = shop.client.v1.payment_intents.cancel(intent.id, {"cancellation_reason": "abandoned"})
    assert (intent.status, intent.cancellation_reason) == ("canceled", "abandoned")
    charge = shop.client.v1.charges.retrieve(intent.latest_charge)
    assert (charge.captured, charge.refunded, charge.amount_refunded) == (False, True, 1000)
    assert shop.ledger()["charges"][0]["status"] == "voided"
    assert shop.event_types()[-2:] == ["charge.refunded", "payment_intent.canceled"]


@pytest.mark.parametrize(
    ("token", "code", "decline_code"),
    [
        ("pm_card_visa_chargeDeclined", "card_declined", "generic_decline"),
        ("pm_card_chargeDeclined", "card_declined", "generic_decline"),
        ("pm_card_visa_chargeDeclinedInsufficientFunds", "card_declined", "insufficient_funds"),
        ("pm_card_visa_chargeDeclinedLostCard", "card_declined", "lost_card"),
        ("pm_card_visa_chargeDeclinedStolenCard", "card_declined", "stolen_card"),
        ("pm_card_visa_chargeDeclinedVelocityLimitExceeded", "card_declined", "card_velocity_exceeded"),
        ("pm_card_chargeDeclinedExpiredCard", "expired_card", None),
        ("pm_card_chargeDeclinedIncorrectCvc", "incorrect_cvc", None),
        ("pm_card_chargeDeclinedProcessingError", "processing_error", None),
        ("pm_card_radarBlock", "card_declined", "fraudulent"),
    ],
)
def test_a_card_that_says_no(shop, token, code, decline_code):
    with pytest.raises(stripe.CardError) as declined:
        shop.pay(payment_method=token)
    error = declined.value
    assert (error.http_status, error.code, error.error.decline_code) == (402, code, decline_code)
    intent = error.error.payment_intent
    assert (intent.status, intent.payment_method, intent.last_payment_error.code) == (
        "requires_payment_method",
        None,
        code,
    )
    charge = shop.client.v1.charges.retrieve(error.error.charge)
    assert (charge.status, charge.paid, charge.failure_code) == ("failed", False, code)
    assert shop.ledger()["charges"][0]["status"] == "failed"
    assert shop.event_types() == ["payment_intent.created", "charge.failed", "payment_intent.payment_failed"]


def test_a_declined_intent_takes_another_card(shop):
    with pytest.raises(stripe.CardError) as declined:
        shop.pay(payment_method="pm_card_chargeDeclined")
    id = declined.value.error.payment_intent.id
    assert shop.client.v1.payment_intents.confirm(id, {"payment_method": "pm_card_visa"}).status == "succeeded"
    assert [charge["status"] for charge in shop.ledger()["charges"]] == ["failed", "succeeded"]


def test_authentication_by_redirect(shop):
    intent = shop.pay(
        payment_method="pm_card_authenticationRequired",
        automatic_payment_methods={"enabled": True},
        return_url="https://shop.example/back?order=42",
    )
    assert intent.status == "requires_action"
    page = intent.next_action.redirect_to_url.url
    shown = shop.session.get(page, timeout=10)
    assert 'value="authorize"' in shown.text
    assert 'name="viewport"' in shown.text
    answer = shop.submit(page, action="authorize")
    assert answer.status_code == 303
    back = urlsplit(answer.headers["Location"])
    assert parse_qs(back.query) == {
        "order": ["42"],
        "payment_intent": [intent.id],
        "payment_intent_client_secret": [intent.client_secret],
        "redirect_status": ["succeeded"],
    }
    intent = shop.client.v1.payment_intents.retrieve(intent.id, {"expand": ["latest_charge"]})
    assert intent.status == "succeeded"
    assert intent.latest_charge.payment_method_details.card.three_d_secure.result == "authenticated"
    assert "waits for you" in shop.submit(page, action="authorize").text or "does not wait" in shop.submit(page).text


def test_authentication_that_fails(shop):
    intent = shop.pay(
        payment_method="pm_card_authenticationRequired",
        automatic_payment_methods={"enabled": True},
        return_url="https://shop.example/back",
    )
    answer = shop.submit(intent.next_action.redirect_to_url.url, action="fail")
    assert parse_qs(urlsplit(answer.headers["Location"]).query)["redirect_status"] == ["failed"]
    intent = shop.client.v1.payment_intents.retrieve(intent.id)
    assert intent.status == "requires_payment_method"
    assert intent.last_payment_error.code == "payment_intent_authentication_failure"
    assert shop.ledger()["charges"] == []


def test_without_a_return_url_the_sdk_is_asked_to_authenticate(shop):
    intent = shop.pay(payment_method="pm_card_threeDSecure2Required")
    assert intent.next_action.type == "use_stripe_sdk"


def test_off_session_authentication_is_a_decline(shop):
    with pytest.raises(stripe.CardError) as declined:
        shop.pay(payment_method="pm_card_authenticationRequired", off_session=True)
    assert declined.value.code == "authentication_required"
    assert declined.value.error.payment_intent.status == "requires_payment_method"
    assert declined.value.error.payment_method.card.last4 == "3184"
    assert (
        shop.pay(payment_method="pm_card_authenticationRequiredSetupForOffSession", off_session=True).status
        == "succeeded"
    )


def test_zero_decimal_currency(shop):
    assert shop.pay(amount=500, currency="jpy").amount == 500
    with pytest.raises(stripe.InvalidRequestError, match="at least ¥50 jpy"):
        shop.pay(amount=49, currency="jpy")


def test_update_changes_what_is_still_open(shop):
    intents = shop.client.v1.payment_intents
    intent = intents.create({"amount": 700, "currency": "usd", "metadata": {"a": "1", "b": "2"}})
    intent = intents.update(intent.id, {"amount": 800, "metadata": {"a": "", "c": "3"}})
    assert (intent.amount, intent.metadata.to_dict()) == (800, {"b": "2", "c": "3"})
    paid = shop.pay()
    with pytest.raises(stripe.InvalidRequestError) as refused:
        intents.update(paid.id, {"amount": 1})
    assert refused.value.code == "payment_intent_unexpected_state"


def test_a_dispute_opens_by_itself_and_blocks_refunds(shop, eventually):
    intent = shop.pay(payment_method="pm_card_createDispute", expand=["latest_charge"])
    [dispute] = eventually(lambda: shop.client.v1.disputes.list({"payment_intent": intent.id}).data)
    assert (dispute.status, dispute.amount, dispute.charge) == ("needs_response", 1000, intent.latest_charge.id)
    with pytest.raises(stripe.InvalidRequestError) as refused:
        shop.client.v1.refunds.create({"payment_intent": intent.id})
    assert refused.value.code == "charge_disputed"
    assert {"charge.dispute.created", "charge.dispute.funds_withdrawn"} <= set(shop.event_types())


def test_a_capture_can_itself_be_declined(shop):
    intent = shop.pay(payment_method="pm_card_captureDeclined", capture_method="manual")
    assert intent.status == "requires_capture"
    with pytest.raises(stripe.CardError) as declined:
        shop.client.v1.payment_intents.capture(intent.id)
    error = declined.value.error
    assert (error.code, error.decline_code, error.charge) == (
        "card_declined",
        "insufficient_funds",
        intent.latest_charge,
    )
    assert error.payment_intent.status == "requires_payment_method"
    after = shop.client.v1.payment_intents.retrieve(intent.id, {"expand": ["latest_charge"]})
    assert (after.status, after.amount_capturable, after.latest_charge.status) == (
        "requires_payment_method",
        0,
        "failed",
    )
    assert shop.event_types()[-2:] == ["charge.failed", "payment_intent.payment_failed"]
    assert shop.ledger()["charges"][0]["status"] == "failed"
    with pytest.raises(stripe.InvalidRequestError, match="status of requires_payment_method"):
        shop.client.v1.payment_intents.capture(intent.id)


def test_a_partial_capture_that_is_not_the_last_is_refused(shop):
    intent = shop.pay(capture_method="manual")
    with pytest.raises(stripe.InvalidRequestError, match="multicapture"):
        shop.client.v1.payment_intents.capture(intent.id, {"amount_to_capture": 100, "final_capture": False})
    assert shop.ledger()["charges"][0]["status"] == "authorized"


def test_a_refused_expansion_leaves_nothing_behind(shop):
    with pytest.raises(stripe.InvalidRequestError, match="cannot be expanded"):
        shop.pay(expand=["latest_charge.colour"])
    assert shop.ledger()["charges"] == []
    assert shop.event_types() == []
    assert shop.client.v1.payment_intents.list().data == []


def test_types_that_an_old_caller_lists_are_kept_to(shop):
    sent = {
        "amount": "1000", "currency": "usd", "payment_method_types[0]": "card", "confirm": "true",
        "payment_method": "pm_usBankAccount_success", "mandate_data[customer_acceptance][type]": "offline",
    }  # fmt: skip
    answer = shop.raw("POST", "/v1/payment_intents", sent)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "payment_method")
    sent["payment_method_types[0]"] = "us_bank_account"
    assert shop.raw("POST", "/v1/payment_intents", sent).json()["status"] == "processing"
