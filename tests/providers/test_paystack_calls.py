"""What Paystack's answers, and the wire's faults, come to: through the provider's own doors, over HTTP."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Iterator
from typing import Any

import pytest

from core.domain.outcomes import (
    ActionRequired,
    NotExecuted,
    NotExecutedReason,
    NotFound,
    Pending,
    Succeeded,
    Unknown,
)
from core.providers.base import CallLimits, CaptureRequest, IdentityUnknown, Person, VoidRequest
from core.providers.paystack import PaystackProvider
from tests.providers.paystack_driver import (
    CHARGE,
    NUMBER,
    PAYMENT,
    REFERENCE,
    REFUND,
    SECRET_KEY,
    ScriptedPaystack,
    account,
    initialized,
    look_up_request,
    refund_answer,
    refund_list,
    refund_object,
    refund_request,
    refused,
    scripted,
    start_request,
    verified,
)
from tests.providers.wire import Script, answer, dripping, peer, read_request

INITIALIZE = ("POST", "/transaction/initialize")
VERIFY = ("GET", f"/transaction/verify/{REFERENCE}")
REFUNDS = ("GET", "/refund")


@pytest.fixture
def paystack() -> Iterator[ScriptedPaystack]:
    with scripted() as running:
        yield running


def test_start_opens_a_page_under_our_own_reference(paystack: ScriptedPaystack) -> None:
    paystack.on(*INITIALIZE, 200, initialized())
    outcome = paystack.provider().start(start_request())
    assert isinstance(outcome, ActionRequired)
    assert outcome.facts.provider_id == REFERENCE
    assert outcome.next_action is not None
    assert outcome.next_action.url == "https://checkout.paystack.com/0peioxfhpn"
    sent = paystack.received[0]
    assert sent.headers["authorization"] == f"Bearer {SECRET_KEY}"
    assert sent.body == {
        "reference": REFERENCE,
        "amount": 500000,
        "currency": "NGN",
        "email": "ada@example.com",
        "metadata": {"tollgate_transaction": CHARGE, "tollgate_payment": PAYMENT},
        "callback_url": f"https://shop.example/thanks?order=42&tollgate_payment={PAYMENT}",
    }


def test_the_merchants_own_words_go_along_but_never_steer_the_page(paystack: ScriptedPaystack) -> None:
    paystack.on(*INITIALIZE, 200, initialized())
    words = {"shelf": "4", "tollgate_payment": "pay_forged", "cancel_action": "https://elsewhere.example"}
    paystack.provider().start(start_request(metadata=words, reference="order-42"))
    assert paystack.received[0].body["metadata"] == {
        "shelf": "4",
        "reference": "order-42",
        "tollgate_transaction": CHARGE,
        "tollgate_payment": PAYMENT,
    }


def test_francs_are_sent_in_hundredths(paystack: ScriptedPaystack) -> None:
    paystack.on(*INITIALIZE, 200, initialized())
    paystack.provider().start(start_request(amount=500, currency="XOF", return_url=None))
    assert paystack.received[0].body["amount"] == 50000
    assert "callback_url" not in paystack.received[0].body


@pytest.mark.parametrize(
    "changes",
    [
        {"method": "token", "token": "tok"},
        {"kind": "authorize"},
        {"person": Person()},
        {"currency": "KWD"},
        {"currency": "EUR"},
        {"amount": 49_99},
        {"amount": 10_000_000_01},
        {"amount": 10_000_001, "currency": "XOF"},
    ],
)
def test_what_paystack_cannot_do_is_not_sent(paystack: ScriptedPaystack, changes: dict[str, Any]) -> None:
    outcome = paystack.provider().start(start_request(**changes))
    assert isinstance(outcome, NotExecuted)
    assert outcome.reason is NotExecutedReason.INVALID_REQUEST
    assert not paystack.received


def test_there_is_nothing_to_capture_or_to_void(paystack: ScriptedPaystack) -> None:
    words: dict[str, Any] = {
        "payment_id": PAYMENT,
        "transaction_id": REFUND,
        "provider_key": "k",
        "provider_id": REFERENCE,
        "amount": 1,
        "currency": "NGN",
    }
    provider = paystack.provider()
    for outcome in (provider.capture(CaptureRequest(**words)), provider.void(VoidRequest(**words))):
        assert isinstance(outcome, NotExecuted)
        assert outcome.reason is NotExecutedReason.INVALID_REQUEST
    assert not paystack.received


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"reference": REFERENCE},
        {"reference": REFERENCE, "authorization_url": None},
        {"reference": REFERENCE, "authorization_url": "javascript:alert(1)"},
        {"reference": "another", "authorization_url": "https://checkout.paystack.com/x"},
        None,
        [],
    ],
)
def test_a_page_without_an_address_is_unknown(paystack: ScriptedPaystack, data: Any) -> None:
    paystack.on(*INITIALIZE, 200, {"status": True, "message": "ok", "data": data})
    assert isinstance(paystack.provider().start(start_request()), Unknown)


def test_a_reference_that_exists_is_unknown_and_no_other_is_tried(paystack: ScriptedPaystack) -> None:
    paystack.on(*INITIALIZE, 400, refused("Duplicate Transaction Reference", "duplicate_reference"))
    outcome = paystack.provider().start(start_request())
    assert isinstance(outcome, Unknown)
    assert outcome.evidence["seen"] == "reference exists"
    assert len(paystack.received) == 1


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (401, refused("Invalid key", "invalid_Key"), "misconfigured"),
        (400, refused("Invalid key"), "misconfigured"),
        (403, refused("Access denied"), "misconfigured"),
        (400, refused("Invalid Amount Sent", "invalid_params"), "invalid_request"),
        (404, refused("Not here"), "invalid_request"),
        (422, refused("Unprocessable"), "invalid_request"),
        (429, refused("Slow down"), "rate_limited"),
        (429, b"<html>", "rate_limited"),
        (409, refused("Conflict"), None),
        (500, refused("Oops", "invalid_params"), None),
        (502, b"<html>Bad gateway</html>", None),
        (200, b"<html>Welcome</html>", None),
        (200, b"", None),
        (200, refused("Charge attempted"), None),
        (302, b"", None),
    ],
)
@pytest.mark.parametrize("operation", ["start", "refund"])
def test_a_refusal_proves_what_it_proves(
    paystack: ScriptedPaystack, operation: str, status: int, body: Any, reason: str | None
) -> None:
    paystack.on(*INITIALIZE, status, body, Location="/elsewhere")
    paystack.on("POST", "/refund", status, body, Location="/elsewhere")
    provider = paystack.provider()
    outcome = provider.start(start_request()) if operation == "start" else provider.refund(refund_request())
    if reason is None:
        assert isinstance(outcome, Unknown)
        assert outcome.evidence["http_status"] == status
    else:
        assert isinstance(outcome, NotExecuted)
        assert outcome.reason.value == reason
    assert len(paystack.received) == 1


@pytest.mark.parametrize(
    ("named", "seconds"),
    [("7", 7.0), ("0", 0.0), ("999999", 3600.0), ("soon", None), ("", None), ("Mon, 02 Mar 2020 10:00:00 GMT", 0.0)],
)
def test_a_named_wait_is_kept(paystack: ScriptedPaystack, named: str, seconds: float | None) -> None:
    paystack.on(*INITIALIZE, 429, refused("Slow down"), Retry_After=named)
    outcome = paystack.provider().start(start_request())
    assert isinstance(outcome, NotExecuted)
    assert outcome.retry_after == seconds


def test_nothing_private_shows_in_what_is_kept_openly(paystack: ScriptedPaystack) -> None:
    private = f"{SECRET_KEY} of ada@example.com with 4084084084084081"
    paystack.on(*INITIALIZE, 400, refused(private, private))
    paystack.on("POST", "/refund", 500, refused(private, private))
    provider = paystack.provider()
    refusal, doubt = provider.start(start_request()), provider.refund(refund_request())
    assert isinstance(refusal, NotExecuted)
    assert isinstance(doubt, Unknown)
    shown = repr([refusal.detail, refusal.provider_code, doubt.evidence, provider, vars(provider)["_account"]])
    for word in (SECRET_KEY, SECRET_KEY[8:], "ada@example.com", "4084084084084081"):
        assert word not in shown


def test_verify_settles_a_start(paystack: ScriptedPaystack) -> None:
    paystack.on(*VERIFY, 200, verified())
    outcome = paystack.provider().look_up(look_up_request(start_request()))
    assert isinstance(outcome, Succeeded)
    assert outcome.facts.amount == 500000
    assert outcome.facts.provider_charge_id == str(NUMBER)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, refused("Transaction reference not found")),
        (404, refused("Transaction reference not found.", "transaction_not_found")),
        (404, refused("Nothing", "refund_not_found")),
        (200, refused("Transaction reference not found")),
    ],
)
def test_an_unknown_reference_is_not_found(paystack: ScriptedPaystack, status: int, body: Any) -> None:
    paystack.on(*VERIFY, status, body)
    assert isinstance(paystack.provider().look_up(look_up_request(start_request())), NotFound)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (401, refused("Invalid key")),
        (429, refused("Slow down")),
        (400, refused("Bad request", "invalid_params")),
        (404, b"<html>no such host</html>"),
        (404, refused("Route not found", "not_found")),
        (500, refused("Transaction reference not found")),
        (200, b"{"),
        (200, {"status": True, "data": None}),
    ],
)
def test_a_look_up_that_failed_tells_nothing(paystack: ScriptedPaystack, status: int, body: Any) -> None:
    paystack.on(*VERIFY, status, body)
    paystack.on(*REFUNDS, status, body)
    paystack.on("GET", "/refund/15581137", status, body)
    provider = paystack.provider()
    assert isinstance(provider.look_up(look_up_request(start_request())), Unknown)
    assert isinstance(provider.look_up(look_up_request(refund_request())), Unknown)
    assert isinstance(provider.look_up(look_up_request(refund_request(), "15581137")), Unknown)


def test_a_look_up_of_a_silent_house_tells_nothing() -> None:
    provider = PaystackProvider(account(closed_address()), CallLimits(connect=1.0, deadline=2.0))
    outcome = provider.look_up(look_up_request(start_request()))
    assert isinstance(outcome, Unknown)
    assert outcome.evidence["reason"] == "connection"


def test_a_refund_carries_our_mark_and_nobodys_name(paystack: ScriptedPaystack) -> None:
    paystack.on("POST", "/refund", 200, refund_answer("pending", transaction={"id": NUMBER}))
    outcome = paystack.provider().refund(refund_request(reason="Ada asked for it"))
    assert isinstance(outcome, Pending)
    assert outcome.facts.provider_id == "15581137"
    assert paystack.received[0].body == {
        "transaction": REFERENCE,
        "amount": 100000,
        "currency": "NGN",
        "merchant_note": f"Tollgate {REFUND}",
    }


def test_a_refund_is_looked_up_by_id_once_it_is_known(paystack: ScriptedPaystack) -> None:
    paystack.on("GET", "/refund/15581137", 200, refund_answer("processed"))
    outcome = paystack.provider().look_up(look_up_request(refund_request(), "15581137"))
    assert isinstance(outcome, Succeeded)


@pytest.mark.parametrize(
    "changes", [{"id": 1}, {"merchant_note": "Tollgate txn_00000000000000000000000009"}, {"amount": None}]
)
def test_another_refund_than_ours_is_unknown(paystack: ScriptedPaystack, changes: dict[str, Any]) -> None:
    paystack.on("GET", "/refund/15581137", 200, refund_answer("processed", **changes))
    assert isinstance(paystack.provider().look_up(look_up_request(refund_request(), "15581137")), Unknown)


def test_a_lost_refund_is_found_by_its_note_on_any_page(paystack: ScriptedPaystack) -> None:
    twin = refund_object("processed", id=1, merchant_note="Tollgate txn_00000000000000000000000009")
    by_hand = refund_object("processed", id=2, merchant_note="Refund by owner@shop.example")
    paystack.on(*REFUNDS, 200, refund_list(twin, by_hand, pages=2))
    paystack.on(*REFUNDS, 200, refund_list(refund_object("processing"), pages=2))
    outcome = paystack.provider().look_up(look_up_request(refund_request()))
    assert isinstance(outcome, Pending)
    assert outcome.facts.provider_id == "15581137"
    # The whole list may name other people's refunds: only our row is kept.
    assert "owner@shop.example" not in repr(outcome.facts.raw)
    assert [sent.query["page"] for sent in paystack.received] == [["1"], ["2"]]
    assert all(sent.query["transaction"] == [str(NUMBER)] for sent in paystack.received)


def test_equal_amounts_prove_nothing(paystack: ScriptedPaystack) -> None:
    equal = refund_object("processed", merchant_note="Refund by hand")
    paystack.on(*REFUNDS, 200, refund_list(equal))
    outcome = paystack.provider().look_up(look_up_request(refund_request()))
    assert isinstance(outcome, NotFound)
    assert outcome.evidence["listed"] == 1


def test_two_refunds_with_one_mark_need_a_person(paystack: ScriptedPaystack) -> None:
    paystack.on(*REFUNDS, 200, refund_list(refund_object(id=1), refund_object(id=2), refund_object(id=2)))
    outcome = paystack.provider().look_up(look_up_request(refund_request()))
    assert isinstance(outcome, Unknown)
    assert outcome.evidence["refunds"] == "1 2"


def test_without_a_page_count_an_empty_page_ends_the_list(paystack: ScriptedPaystack) -> None:
    paystack.on(*REFUNDS, 200, refund_list(refund_object(merchant_note=None), pages=None))
    paystack.on(*REFUNDS, 200, refund_list(pages=None))
    assert isinstance(paystack.provider().look_up(look_up_request(refund_request())), NotFound)


def test_a_list_without_an_end_is_unknown(paystack: ScriptedPaystack) -> None:
    paystack.on(*REFUNDS, 200, refund_list(refund_object(merchant_note=None), pages=None))
    assert isinstance(paystack.provider().look_up(look_up_request(refund_request())), Unknown)


def test_the_transactions_number_is_asked_for_when_it_is_unknown(paystack: ScriptedPaystack) -> None:
    paystack.on(*VERIFY, 200, verified())
    paystack.on(*REFUNDS, 200, refund_list(refund_object()))
    outcome = paystack.provider().look_up(look_up_request(refund_request(provider_charge_id=None)))
    assert isinstance(outcome, Pending)
    assert paystack.received[1].query["transaction"] == [str(NUMBER)]


def test_a_charge_that_is_gone_says_nothing_about_its_refund(paystack: ScriptedPaystack) -> None:
    paystack.on(*VERIFY, 404, refused("Transaction reference not found"))
    outcome = paystack.provider().look_up(look_up_request(refund_request(provider_charge_id=None)))
    assert isinstance(outcome, Unknown)


def test_an_id_never_reaches_another_address(paystack: ScriptedPaystack) -> None:
    paystack.provider().look_up(look_up_request(refund_request(), "../transaction/1?x=1"))
    assert paystack.received[0].path == "/refund/../transaction/1?x=1"
    assert not paystack.received[0].query


def test_an_account_with_customers_is_known_by_its_number(paystack: ScriptedPaystack) -> None:
    paystack.on("GET", "/customer", 200, {"status": True, "data": [{"id": 1, "integration": 100043}]})
    identity = paystack.provider().identify()
    assert (identity.provider_account, identity.mode) == ("integration:100043", "test")


def test_an_account_without_customers_gets_one_that_names_it(paystack: ScriptedPaystack) -> None:
    paystack.on("GET", "/customer", 200, {"status": True, "data": []})
    paystack.on("POST", "/customer", 200, {"status": True, "data": {"id": 1, "integration": 100043}})
    live = paystack.provider(credentials={"secret_key": "sk_live_another"}).identify()
    assert (live.provider_account, live.mode) == ("integration:100043", "live")
    assert paystack.received[1].body["email"] == "tollgate@example.com"


@pytest.mark.parametrize("key", ["", "sk_test_", "pk_test_abc", "sk_prod_abc", "sk_testabc"])
def test_a_key_of_another_kind_is_refused_unsent(paystack: ScriptedPaystack, key: str) -> None:
    with pytest.raises(IdentityUnknown):
        paystack.provider(credentials={"secret_key": key}).identify()
    assert not paystack.received


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (401, refused("Invalid key")),
        (404, b"x"),
        (500, b"x"),
        (200, b"x"),
        (429, b"x"),
        (200, {"status": True, "data": []}),
        (200, {"status": True, "data": {}}),
        (200, {"status": True, "data": [{"id": 1}]}),
    ],
)
def test_an_identity_is_never_guessed(paystack: ScriptedPaystack, status: int, body: Any) -> None:
    paystack.on("GET", "/customer", status, body)
    with pytest.raises(IdentityUnknown) as caught:
        paystack.provider().identify()
    assert SECRET_KEY not in str(caught.value)


def closed_address() -> str:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"http://127.0.0.1:{listener.getsockname()[1]}"


def test_a_house_nobody_opens_was_never_reached() -> None:
    provider = PaystackProvider(account(closed_address()), CallLimits(connect=1.0, deadline=2.0))
    for outcome in (provider.start(start_request()), provider.refund(refund_request())):
        assert isinstance(outcome, NotExecuted)
        assert outcome.reason is NotExecutedReason.CONNECTION


def _reset(connection: socket.socket, over: Any) -> None:
    read_request(connection)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def _silence(connection: socket.socket, over: Any) -> None:
    read_request(connection)
    over.wait(10)


def _cut(connection: socket.socket, over: Any) -> None:
    read_request(connection)
    connection.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{"status": true, "data": {')


def _hang_up(connection: socket.socket, over: Any) -> None:
    read_request(connection)


def _garbage(connection: socket.socket, over: Any) -> None:
    read_request(connection)
    connection.sendall(b"220 mail.example ESMTP\r\n\r\n")


def _huge(connection: socket.socket, over: Any) -> None:
    read_request(connection)
    answer(connection, b" " * 6_000_000)


HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"


@pytest.mark.parametrize(
    "script",
    [_reset, _silence, _cut, _hang_up, _garbage, _huge, dripping(b""), dripping(HEAD)],
    ids=["reset", "silence", "cut", "hang up", "no HTTP", "too large", "dripped head", "dripped body"],
)
def test_a_lost_answer_is_unknown_within_the_deadline(script: Script) -> None:
    with peer(script) as running:
        provider = PaystackProvider(account(running.url), CallLimits(connect=1.0, deadline=0.6))
        began = time.monotonic()
        outcome = provider.start(start_request())
        assert time.monotonic() - began < 2.0
    assert isinstance(outcome, Unknown)
    assert outcome.evidence["seen"] == "no whole answer"
    assert running.accepted == 1


def test_all_questions_of_a_look_up_share_one_deadline() -> None:
    page = b'{"status": true, "data": [{"merchant_note": null}], "meta": {}}'

    def slow(connection: socket.socket, over: Any) -> None:
        while read_request(connection):
            over.wait(0.15)
            answer(connection, page)

    with peer(slow) as running:
        provider = PaystackProvider(account(running.url), CallLimits(connect=1.0, deadline=0.6))
        began = time.monotonic()
        outcome = provider.look_up(look_up_request(refund_request()))
        assert time.monotonic() - began < 2.0
    assert isinstance(outcome, Unknown)
