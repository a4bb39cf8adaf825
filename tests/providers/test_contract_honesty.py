"""A provider does what it declares and nothing else, and sends each thing once, in one way."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest

from core.domain.outcomes import (
    Facts,
    NotExecuted,
    NotExecutedReason,
)
from core.providers.base import (
    AcceptRequest,
    Capabilities,
    EvidenceRequest,
    ForgetRequest,
    ListingBroken,
    PaymentProvider,
    SavedMethod,
    StartRequest,
)
from tests.providers import test_contract_saved
from tests.providers.driver import Driver, capture_of, look_up_of, start_request, void_of

pytestmark = pytest.mark.usefixtures("with_bank")


@dataclass
class Desk:
    """Counts every request that arrives, and answers each with the same status."""

    url: str = ""
    status: int = 500
    requests: list[tuple[str, str, str | None, bytes]] = field(default_factory=list)


@contextmanager
def desk() -> Iterator[Desk]:
    found = Desk()

    class Handler(http.server.BaseHTTPRequestHandler):
        def _serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            found.requests.append((self.command, self.path, self.headers.get("Idempotency-Key"), body))
            content = json.dumps({"error": {"message": "broken"}}).encode()
            self.send_response(found.status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PUT = do_DELETE = _serve  # noqa: N815

        def log_message(self, format: str, *args: Any) -> None:
            """Silent: the tests read `requests`."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        found.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield found
        finally:
            server.shutdown()
            thread.join()


Calls = Iterator[tuple[str, Callable[[], Any]]]
SAVED = SavedMethod("tok_1", "cus_1", "ada@example.com")


def _starts(driver: Driver) -> dict[str, StartRequest]:
    more: dict[str, Any] = {"return_url": "https://shop.example/back", "person": driver.request().person}
    own = {"token": {"token": "tok_1"}, "redirect": {}, "saved": {"saved": SAVED}}
    return {
        name: start_request(name, "charge", 500_00, driver.currency, **values, **more) for name, values in own.items()
    }


def undeclared(driver: Driver, provider: PaymentProvider) -> Calls:
    """Everything the provider does not declare, each as a call."""
    for what, request in _undeclared_starts(driver, provider.capabilities):
        yield what, partial(provider.start, request)
    yield from _undeclared_holds(driver, provider)
    yield from _undeclared_rest(provider)


def _undeclared_starts(driver: Driver, able: Capabilities) -> Iterator[tuple[str, StartRequest]]:
    starts = _starts(driver)
    for name, request in starts.items():
        if name not in able.methods:
            yield f"start by {name}", request
        elif name not in able.manual_capture_methods:
            yield f"authorize by {name}", replace(request, kind="authorize")
        if name in able.methods - able.save_methods - {"saved"}:
            yield f"save by {name}", replace(request, save_method=True, customer_id="cus_1")
    holdable = able.currencies if able.manual_capture_currencies is None else able.manual_capture_currencies
    for currency in sorted(set(able.currencies) - set(holdable)):
        yield f"authorize in {currency}", replace(starts["redirect"], kind="authorize", currency=currency)
    if "saved" in able.methods and not able.off_session:
        yield "charge off-session", replace(starts["saved"], off_session=True)
    yield "an unknown currency", replace(starts["redirect"], currency="XTS")


def _undeclared_holds(driver: Driver, provider: PaymentProvider) -> Calls:
    able, plain, held = provider.capabilities, driver.request(), Facts(provider_id="obj_1")
    if not able.manual_capture_methods:
        yield "capture", partial(provider.capture, capture_of(plain, held, 100))
    if not able.void:
        yield "void", partial(provider.void, void_of(plain, held))


def _undeclared_rest(provider: PaymentProvider) -> Calls:
    able, said, now = provider.capabilities, {"message": "As agreed."}, datetime.now(UTC)
    if "saved" not in able.methods:
        yield "forget", partial(provider.forget_method, ForgetRequest("key", SAVED))
        yield "customers", partial(provider.upsert_customer, test_contract_saved.customer_request())
    if "read" not in able.disputes:
        yield "read a dispute", partial(provider.read_dispute, "dp_1")
    if "evidence" not in able.disputes:
        yield "evidence", partial(provider.send_evidence, EvidenceRequest("dsp_1", "dp_1", "key", 1, "USD", said))
    if "accept" not in able.disputes:
        yield "accept", partial(provider.accept_dispute, AcceptRequest("dsp_1", "dp_1", "key", 1, "USD"))
    if not able.changes:
        yield "changes", lambda: list(provider.list_changes(now - timedelta(hours=1), now))
    if not able.statement:
        yield "statement", lambda: list(provider.list_statement(now - timedelta(hours=1), now))


def test_what_is_not_declared_is_refused_and_never_sent(driver: Driver) -> None:
    with desk() as counted:
        provider = driver.provider(api_base=counted.url)
        for what, call in undeclared(driver, provider):
            try:
                outcome = call()
            except ListingBroken as broken:
                outcome = broken.outcome
            assert isinstance(outcome, NotExecuted), what
            assert outcome.reason is NotExecutedReason.INVALID_REQUEST, what
            assert counted.requests == [], what


def test_one_call_sends_what_moves_money_once(driver: Driver) -> None:
    """A broken answer is the caller's to judge: nothing here sends again by itself."""
    for status in (500, 503, 429, 409):
        with desk() as counted:
            counted.status = status
            driver.provider(api_base=counted.url).start(driver.request())
            assert [method for method, *_ in counted.requests] == ["POST"], status


def test_the_same_request_is_sent_the_same_way(driver: Driver) -> None:
    request = driver.request()
    with desk() as counted:
        for _ in range(2):
            driver.provider(api_base=counted.url).start(request)
        first, second = counted.requests
        assert first == second


def test_looking_up_moves_nothing(driver: Driver) -> None:
    provider, request = driver.provider(), driver.request()
    facts = driver.paid(provider, request)
    refund = driver.refund_request(request, facts, 100_00)
    before = driver.ledger()
    for asked in (look_up_of(request, facts), look_up_of(request), look_up_of(refund), look_up_of(driver.request())):
        provider.look_up(asked)
    assert driver.ledger() == before
    with desk() as counted:
        driver.provider(api_base=counted.url).look_up(look_up_of(request, facts))
        assert {method for method, *_ in counted.requests} == {"GET"}
