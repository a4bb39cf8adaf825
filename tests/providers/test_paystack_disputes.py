"""Disputes: read, answered with evidence or given in to, and what a refused answer comes to."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from core.domain.outcomes import DisputeFacts, Facts, NotExecuted, NotExecutedReason, NotFound, Unknown
from core.providers.base import AcceptRequest, CallLimits, DisputeNews, EvidenceRequest
from core.providers.paystack.client import PaystackClient
from tests.providers.driver import Inbox, inbox
from tests.providers.paystack_contract import PaystackDriver
from tests.providers.paystack_driver import (
    ScriptedPaystack,
    account,
    dispute_answer,
    refused,
    scripted,
)
from tests.providers.wire import peer
from tests.support.sandboxes import Sandbox
from tests.support.waiting import wait_until

DAY = 86_400
FETCH = ("GET", "/dispute/358950")
EVIDENCE = ("POST", "/dispute/358950/evidence")
UPLOAD_URL = ("GET", "/dispute/358950/upload_url")
FILE = ("PUT", "/signed/evidence.txt")
RESOLVE = ("PUT", "/dispute/358950/resolve")
WHOLE = {
    "message": "It was delivered.",
    "customer_name": "Ada Lovelace",
    "customer_email": "ada@example.com",
    "customer_phone": "+27115550100",
    "service_details": "Two books",
    "tracking_number": "TN-77",
}


@pytest.fixture
def driver(sandboxes: dict[str, Sandbox]) -> PaystackDriver:
    return PaystackDriver(sandboxes["paystack"])


@pytest.fixture
def paystack() -> Iterator[ScriptedPaystack]:
    with scripted() as running:
        running.on(*UPLOAD_URL, 200, _where(running, "evidence.txt"))
        running.on(*FILE, 200, b"")
        yield running


def _where(paystack: ScriptedPaystack, name: str | None) -> dict[str, Any]:
    return {"status": True, "message": "ok", "data": {"signedUrl": f"{paystack.url}/signed/{name}", "fileName": name}}


def disputed(driver: PaystackDriver, **changes: Any) -> tuple[Facts, str]:
    facts = driver.paid(driver.provider(), driver.request())
    body = {"secret_key": driver.secret_key, "reference": facts.provider_id, **changes}
    return facts, str(driver.sandbox.post("disputes", **body)["id"])


def evidence(provider_id: str = "358950", **changes: str) -> EvidenceRequest:
    given = {name: value for name, value in (WHOLE | changes).items() if value}
    return EvidenceRequest("dsp_1", provider_id, "dsp_1:evidence", 500_00, "NGN", given)


def accepting(provider_id: str = "358950") -> AcceptRequest:
    return AcceptRequest("dsp_1", provider_id, "dsp_1:accept", 500_00, "NGN")


def test_a_dispute_is_read_with_its_charge_and_its_time(driver: PaystackDriver) -> None:
    facts, dispute_id = disputed(driver)
    found = driver.provider().read_dispute(dispute_id)
    assert isinstance(found, DisputeFacts)
    assert (found.provider_id, found.status, found.amount, found.currency) == (
        dispute_id,
        "needs_response",
        50000,
        "NGN",
    )
    assert found.charge_ids == (facts.provider_id, facts.provider_charge_id)
    assert (found.withheld, found.refundable, found.evidence_sent) == (True, False, False)
    assert found.reason == "chargeback"
    assert found.created_at
    assert found.evidence_due_by
    assert found.evidence_due_by > found.created_at


def test_evidence_that_wins(driver: PaystackDriver) -> None:
    _, dispute_id = disputed(driver, winner="merchant")
    provider = driver.provider()
    for _ in range(2):  # what was sent already is found when it is sent again
        sent = provider.send_evidence(evidence(dispute_id))
        assert isinstance(sent, DisputeFacts)
        assert (sent.status, sent.evidence_sent) == ("under_review", True)
    driver.sandbox.post("clock", advance_seconds=DAY + 5)
    found = provider.read_dispute(dispute_id)
    assert isinstance(found, DisputeFacts)
    assert (found.status, found.withheld, found.refundable) == ("won", False, True)


def test_evidence_that_loses(driver: PaystackDriver) -> None:
    _, dispute_id = disputed(driver, winner="customer")
    provider = driver.provider()
    assert isinstance(provider.send_evidence(evidence(dispute_id)), DisputeFacts)
    driver.sandbox.post("clock", advance_seconds=DAY + 5)
    found = provider.read_dispute(dispute_id)
    assert isinstance(found, DisputeFacts)
    assert (found.status, found.withheld, found.evidence_sent) == ("lost", True, True)


def test_giving_in_loses_at_once_and_may_be_repeated(driver: PaystackDriver) -> None:
    _, dispute_id = disputed(driver)
    provider = driver.provider()
    for _ in range(2):
        found = provider.accept_dispute(accepting(dispute_id))
        assert isinstance(found, DisputeFacts)
        assert (found.status, found.evidence_sent) == ("lost", False)
    late = provider.send_evidence(evidence(dispute_id))
    assert isinstance(late, NotExecuted)
    assert late.reason is NotExecutedReason.INVALID_REQUEST


def test_a_lost_answer_is_unknown_and_settled_by_reading(driver: PaystackDriver) -> None:
    _, dispute_id = disputed(driver)
    driver.fault("reset_after", "dispute.resolve")
    assert isinstance(driver.provider().accept_dispute(accepting(dispute_id)), Unknown)
    found = driver.provider().read_dispute(dispute_id)
    assert isinstance(found, DisputeFacts)
    assert found.status == "lost"


def test_a_dispute_that_is_not_there(driver: PaystackDriver) -> None:
    assert isinstance(driver.provider().read_dispute("1"), NotFound)
    assert isinstance(driver.provider().accept_dispute(accepting("1")), NotExecuted)


def test_the_event_about_a_dispute_leads_to_it(sandboxes: dict[str, Sandbox]) -> None:
    with inbox() as box:
        driver = PaystackDriver(sandboxes["paystack"], webhook_url=box.url)
        provider = driver.provider()
        facts, dispute_id = disputed(driver)

        def told(box: Inbox = box) -> list[Any]:
            events = [provider.verify_webhook(*one, datetime.now(UTC)) for one in list(box.received)]
            news = [one for event in events for one in provider.read_webhook(event)]  # type: ignore[union-attr]
            return [one for one in news if isinstance(one, DisputeNews)]

        [news] = wait_until(told, "the webhook about the dispute") or []
    assert news.provider_id == dispute_id
    assert facts.provider_id in news.charge_ids


def test_evidence_is_an_object_a_file_and_a_resolution(paystack: ScriptedPaystack) -> None:
    paystack.on(*EVIDENCE, 200, {"status": True, "message": "ok", "data": {"id": 21}})
    paystack.on(*RESOLVE, 200, dispute_answer("awaiting-bank-feedback"))
    found = paystack.provider().send_evidence(evidence(delivery_date="2026-03-01"))
    assert isinstance(found, DisputeFacts)
    made, asked, file, resolved = paystack.received
    assert made.body == {
        "customer_name": "Ada Lovelace",
        "customer_email": "ada@example.com",
        "customer_phone": "+27115550100",
        "service_details": "Two books",
        "delivery_date": "2026-03-01",
    }
    assert asked.query == {"upload_filename": ["evidence.txt"]}
    assert file.body.decode() == (
        "Message: It was delivered.\nCustomer name: Ada Lovelace\nCustomer email: ada@example.com\n"
        "Customer phone: +27115550100\nService details: Two books\nDelivery date: 2026-03-01\nTracking number: TN-77\n"
    )
    assert "authorization" not in file.headers  # the address may be another house's
    assert resolved.body == {
        "resolution": "declined",
        "message": "It was delivered.",
        "refund_amount": 0,
        "uploaded_filename": "evidence.txt",
        "evidence": 21,
    }


def test_a_message_alone_is_enough(paystack: ScriptedPaystack) -> None:
    paystack.on(*RESOLVE, 200, dispute_answer("awaiting-bank-feedback"))
    request = EvidenceRequest("dsp_1", "358950", "k", 1, "NGN", {"message": "No.", "carrier": "Post"})
    assert isinstance(paystack.provider().send_evidence(request), DisputeFacts)
    assert [one.path for one in paystack.received] == [UPLOAD_URL[1], FILE[1], RESOLVE[1]]
    assert paystack.received[1].body == b"Message: No.\nCarrier: Post\n"
    assert "evidence" not in paystack.received[2].body


def test_a_delivery_alone_is_told_in_the_file(paystack: ScriptedPaystack) -> None:
    """Paystack's evidence object takes it only with the customer's details beside it."""
    paystack.on(*RESOLVE, 200, dispute_answer("awaiting-bank-feedback"))
    said = {"message": "No.", "delivery_date": "2026-03-01"}
    assert isinstance(
        paystack.provider().send_evidence(EvidenceRequest("dsp_1", "358950", "k", 1, "NGN", said)), DisputeFacts
    )
    assert [one.path for one in paystack.received] == [UPLOAD_URL[1], FILE[1], RESOLVE[1]]
    assert paystack.received[1].body == b"Message: No.\nDelivery date: 2026-03-01\n"


@pytest.mark.parametrize(
    ("left_out", "field"),
    [
        ("message", "evidence.message"),
        ("customer_name", "evidence.customer_name"),
        ("customer_email", "evidence.customer_email"),
        ("customer_phone", "evidence.customer_phone"),
        ("service_details", "evidence.service_details"),
    ],
)
def test_incomplete_evidence_is_not_sent_and_names_its_field(
    paystack: ScriptedPaystack, left_out: str, field: str
) -> None:
    outcome = paystack.provider().send_evidence(evidence(**{left_out: ""}))
    assert isinstance(outcome, NotExecuted)
    assert (outcome.reason, outcome.param) == (NotExecutedReason.INVALID_REQUEST, field)
    assert not paystack.received


def test_giving_in_names_the_sum_and_a_file(paystack: ScriptedPaystack) -> None:
    paystack.on(*RESOLVE, 200, dispute_answer("resolved", "merchant-accepted"))
    request = AcceptRequest("dsp_1", "358950", "k", 500, "XOF")
    assert isinstance(paystack.provider().accept_dispute(request), DisputeFacts)
    assert paystack.received[-1].body == {
        "resolution": "merchant-accepted",
        "message": "Accepted by the merchant",
        "refund_amount": 50000,
        "uploaded_filename": "evidence.txt",
    }


@pytest.mark.parametrize("broken", [EVIDENCE, UPLOAD_URL, FILE])
@pytest.mark.parametrize(("status", "body"), [(500, b"x"), (200, b"<html>"), (403, b"<Error/>")])
def test_what_breaks_before_the_resolution_has_answered_nothing(
    paystack: ScriptedPaystack, broken: tuple[str, str], status: int, body: bytes
) -> None:
    if broken == FILE and status == 200:
        status = 302
    paystack.on(*EVIDENCE, 200, {"status": True, "message": "ok", "data": {"id": 21}})
    paystack.answers[broken] = [(status, body, {})]
    outcome = paystack.provider().send_evidence(evidence())
    assert isinstance(outcome, NotExecuted)
    assert outcome.reason is NotExecutedReason.CONNECTION
    assert RESOLVE[1] not in [one.path for one in paystack.received]


def test_a_file_is_not_sent_where_it_could_be_read(paystack: ScriptedPaystack) -> None:
    for url in ("ftp://127.0.0.1/x", "file:///etc/passwd", "x"):
        data = {"signedUrl": url, "fileName": "x.txt"}
        paystack.answers[UPLOAD_URL] = [(200, {"status": True, "message": "ok", "data": data}, {})]
        assert isinstance(paystack.provider().accept_dispute(accepting()), NotExecuted)
    assert {one.path for one in paystack.received} == {UPLOAD_URL[1]}


def test_a_file_never_goes_unencrypted_where_paystack_is_spoken_to_encrypted() -> None:
    with peer(lambda connection, over: None) as somebody:
        client = PaystackClient(account("https://127.0.0.1:9"), CallLimits(connect=1.0, deadline=2.0))
        assert isinstance(client.upload(f"{somebody.url}/x", b"x"), Unknown)
        assert not somebody.accepted


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        (dispute_answer("resolved", "merchant-accepted"), DisputeFacts),
        (dispute_answer("resolved", "declined"), NotExecuted),
        (dispute_answer(), NotExecuted),
        (dispute_answer("surprising"), NotExecuted),
    ],
)
def test_a_refused_answer_is_done_only_if_the_dispute_says_so(
    paystack: ScriptedPaystack, now: Any, expected: type
) -> None:
    paystack.on(*RESOLVE, 400, refused("Dispute has already been resolved", "invalid_params"))
    paystack.on(*FETCH, 200, now)
    assert type(paystack.provider().accept_dispute(accepting())) is expected


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (404, refused("Dispute not found"), NotFound),
        (404, refused("Route not found", "not_found"), Unknown),
        (401, refused("Invalid key"), Unknown),
        (500, b"x", Unknown),
        (200, {"status": True, "message": "ok", "data": []}, Unknown),
        (200, dispute_answer("surprising"), Unknown),
    ],
)
def test_reading_says_what_is_known(paystack: ScriptedPaystack, status: int, body: Any, expected: type) -> None:
    paystack.on(*FETCH, status, body)
    assert type(paystack.provider().read_dispute("358950")) is expected


def test_nobodys_words_show(paystack: ScriptedPaystack) -> None:
    paystack.on(*EVIDENCE, 400, refused("customer_phone must be a phone number"))
    paystack.on(*FETCH, 200, dispute_answer())
    request = evidence()
    outcome = paystack.provider().send_evidence(request)
    assert isinstance(outcome, NotExecuted)
    assert outcome.param == "evidence.customer_phone"
    assert "Ada" not in repr(request)
