"""A scripted Paystack on loopback: real HTTP, every answer chosen by the test that asks for it."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from core.providers.base import (
    Account,
    CallLimits,
    LookUpRequest,
    Person,
    RefundRequest,
    StartRequest,
)
from core.providers.paystack import PaystackProvider

SECRET_KEY = "sk_test_0123456789abcdef0123456789abcdef01234567"
PAYMENT = "pay_00000000000000000000000001"
CHARGE = "txn_00000000000000000000000001"
REFUND = "txn_00000000000000000000000002"
PROVIDER_KEY = f"{PAYMENT}:start:1"
#: What PROVIDER_KEY becomes in Paystack's alphabet; written out, since merchants' books will hold it.
REFERENCE = "pay.00000000000000000000000001-start-1"
NUMBER = 4099260516
SENT_AT = datetime(2026, 3, 2, 10, 14, tzinfo=UTC)


@dataclass(frozen=True)
class Received:
    method: str
    path: str
    query: Mapping[str, list[str]]
    headers: Mapping[str, str]
    body: Any


@dataclass
class ScriptedPaystack:
    """`answers[(method, path)]` is a list that is used up from the front; its last entry stays."""

    url: str = ""
    answers: dict[tuple[str, str], list[tuple[int, Any, Mapping[str, str]]]] = field(default_factory=dict)
    received: list[Received] = field(default_factory=list)

    def on(self, method: str, path: str, status: int, body: Any, **headers: str) -> None:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.answers.setdefault((method, path), []).append((status, body, named))

    def answer_to(self, request: Received) -> tuple[int, Any, Mapping[str, str]]:
        self.received.append(request)
        waiting = self.answers.get((request.method, request.path))
        if not waiting:
            return 404, {"status": False, "message": f"no answer for {request.path}"}, {}
        return waiting.pop(0) if len(waiting) > 1 else waiting[0]

    def provider(self, deadline: float = 5.0, **changes: Any) -> PaystackProvider:
        return PaystackProvider(account(self.url, **changes), CallLimits(connect=1.0, deadline=deadline))


def account(url: str | None, **changes: Any) -> Account:
    values: dict[str, Any] = {
        "account_id": "acc_00000000000000000000000001",
        "mode": "test",
        "credentials": {"secret_key": SECRET_KEY},
        "webhook_secrets": (SECRET_KEY,),
        "api_base": url,
    }
    return Account(**(values | changes))


def _parsed(text: bytes) -> Any:
    """A file that is uploaded is no JSON."""
    try:
        return json.loads(text) if text else None
    except ValueError:
        return text


@contextlib.contextmanager
def scripted() -> Iterator[ScriptedPaystack]:
    paystack = ScriptedPaystack()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _serve(self) -> None:
            address = urlsplit(self.path)
            text = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            request = Received(
                self.command,
                unquote(address.path),
                parse_qs(address.query),
                {name.lower(): value for name, value in self.headers.items()},
                _parsed(text),
            )
            status, body, headers = paystack.answer_to(request)
            content = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PUT = _serve  # noqa: N815

        def log_message(self, format: str, *args: Any) -> None:
            """Silent: the tests read `received`."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        paystack.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield paystack
        finally:
            server.shutdown()
            thread.join()


def start_request(**changes: Any) -> StartRequest:
    values: dict[str, Any] = {
        "payment_id": PAYMENT,
        "transaction_id": CHARGE,
        "provider_key": PROVIDER_KEY,
        "kind": "charge",
        "amount": 500000,
        "currency": "NGN",
        "method": "redirect",
        "person": Person(email="ada@example.com"),
        "return_url": "https://shop.example/thanks?order=42",
    }
    return StartRequest(**(values | changes))


def refund_request(**changes: Any) -> RefundRequest:
    values: dict[str, Any] = {
        "payment_id": PAYMENT,
        "refund_id": "ref_00000000000000000000000001",
        "transaction_id": REFUND,
        "provider_key": f"{PAYMENT}:refund:1",
        "provider_id": REFERENCE,
        "provider_charge_id": str(NUMBER),
        "amount": 100000,
        "currency": "NGN",
    }
    return RefundRequest(**(values | changes))


def look_up_request(request: StartRequest | RefundRequest, provider_id: str | None = None) -> LookUpRequest:
    operation = "start" if isinstance(request, StartRequest) else "refund"
    return LookUpRequest(operation, request, provider_id, None, {}, SENT_AT, SENT_AT)


def initialized(reference: str = REFERENCE) -> dict[str, Any]:
    return {
        "status": True,
        "message": "Authorization URL created",
        "data": {
            "authorization_url": "https://checkout.paystack.com/0peioxfhpn",
            "access_code": "0peioxfhpn",
            "reference": reference,
        },
    }


def verified(status: str = "success", **changes: Any) -> dict[str, Any]:
    data: dict[str, Any] = {
        "id": NUMBER,
        "domain": "test",
        "status": status,
        "reference": REFERENCE,
        "amount": 500000,
        "requested_amount": 500000,
        "currency": "NGN",
        "fees": 17500,
        "gateway_response": "Successful",
        "created_at": "2026-03-02T10:14:02.000Z",
        "metadata": {"tollgate_transaction": CHARGE, "tollgate_payment": PAYMENT},
    }
    return {"status": True, "message": "Verification successful", "data": data | changes}


def refund_object(status: str = "pending", **changes: Any) -> dict[str, Any]:
    data: dict[str, Any] = {
        "id": 15581137,
        "integration": 100043,
        "domain": "test",
        "transaction": NUMBER,
        "status": status,
        "amount": 100000,
        "currency": "NGN",
        "merchant_note": f"Tollgate {REFUND}",
        "createdAt": "2026-03-03T08:00:00.000Z",
    }
    return data | changes


def refund_answer(status: str = "pending", **changes: Any) -> dict[str, Any]:
    return {"status": True, "message": "Refund", "data": refund_object(status, **changes)}


def hold_answer(status: str = "authorized", **changes: Any) -> dict[str, Any]:
    """A preauthorization of rand, as reserve and verify answer it."""
    data: dict[str, Any] = {
        "id": 523,
        "domain": "test",
        "status": status,
        "reference": REFERENCE,
        "amount": 100000,
        "currency": "ZAR",
        "created_at": "2026-03-02T10:14:02.000Z",
        "expiry_date": "2026-03-07T10:14:02.000Z",
        "metadata": {"tollgate_transaction": CHARGE, "tollgate_payment": PAYMENT},
        "authorization": authorization(),
        "customer": CUSTOMER,
    }
    return {"status": True, "message": "Preauthorization retrieved", "data": data | changes}


CUSTOMER = {"id": 1, "customer_code": "CUS_a1b2c3", "email": "ada@example.com"}


def authorization(**changes: Any) -> dict[str, Any]:
    card: dict[str, Any] = {
        "authorization_code": "AUTH_k7m2n9",
        "bin": "408408",
        "last4": "4081",
        "exp_month": "03",
        "exp_year": "2034",
        "channel": "card",
        "card_type": "visa ",
        "bank": "TEST BANK ",
        "country_code": "ZA",
        "brand": "Visa",
        "reusable": True,
        "signature": "SIG_q1w2e3",
        "account_name": None,
    }
    return card | changes


def dispute_object(
    status: Any = "awaiting-merchant-feedback", resolution: Any = None, **changes: Any
) -> dict[str, Any]:
    data: dict[str, Any] = {
        "id": 358950,
        "refund_amount": 500000,
        "currency": "NGN",
        "status": status,
        "resolution": resolution,
        "transaction": {"id": NUMBER, "reference": "pay.01k0-start-1", "amount": 500000, "currency": "NGN"},
        "transaction_reference": None,
        "category": "chargeback",
        "dueAt": "2026-03-06T09:00:00.000Z",
        "resolvedAt": None,
        "evidence": None,
        "attachments": None,
        "createdAt": "2026-03-04T09:00:00.000Z",
        "updatedAt": "2026-03-04T09:00:02.000Z",
    }
    return data | changes


def dispute_answer(
    status: Any = "awaiting-merchant-feedback", resolution: Any = None, **changes: Any
) -> dict[str, Any]:
    return {"status": True, "message": "Dispute retrieved", "data": dispute_object(status, resolution, **changes)}


def refund_list(*rows: Mapping[str, Any], pages: int | None = 1) -> dict[str, Any]:
    meta = {} if pages is None else {"pageCount": pages, "total": len(rows)}
    return {"status": True, "message": "Refunds retrieved", "data": list(rows), "meta": meta}


def refused(message: str, code: str | None = None) -> dict[str, Any]:
    body: dict[str, Any] = {"status": False, "message": message}
    return body if code is None else body | {"code": code, "type": "validation_error", "meta": {}}
