"""What a provider's driver has to know, so that one contract can be held against every provider."""

from __future__ import annotations

import http.server
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar
from uuid import uuid4

import requests

from core.domain.identifiers import new_id, public_id
from core.domain.outcomes import ActionRequired, Facts, LookUp, Succeeded
from core.providers import registry
from core.providers.base import (
    Account,
    CallLimits,
    CaptureRequest,
    LookUpRequest,
    PaymentProvider,
    RefundRequest,
    Request,
    StartRequest,
    VoidRequest,
    operation_of,
)
from tests.support.sandboxes import Sandbox
from tests.support.waiting import wait_until


@dataclass
class Inbox:
    """Where a sandbox sends its webhooks; keeps headers and raw bodies."""

    url: str = ""
    received: list[tuple[dict[str, str], bytes]] = field(default_factory=list)


@contextmanager
def inbox() -> Iterator[Inbox]:
    found = Inbox()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            found.received.append(({name.lower(): value for name, value in self.headers.items()}, body))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            """Silent: the tests read `received`."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        found.url = f"http://127.0.0.1:{server.server_port}/"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield found
        finally:
            server.shutdown()
            thread.join()


#: Seconds by which the sandbox of the driver made last is ahead of us: tests move its clock, and it never goes back.
_ahead = [0.0]


class Driver(ABC):
    """One fresh account at one provider's sandbox."""

    name: ClassVar[str]
    #: `python -m` this, with the provider's name, runs its local double.
    sandbox_module: ClassVar[str] = "sandbox"
    #: The sandbox's operation behind each of ours: "start", "refund", "capture", "void"; "look_up" of a known payment.
    operations: ClassVar[Mapping[str, str]]
    currency: ClassVar[str]
    #: What `look_up` finds after the provider acted and its answer to `start` was lost.
    lost_start_is: ClassVar[type[LookUp]]

    def __init__(self, sandbox: Sandbox, webhook_url: str | None = None) -> None:
        self.sandbox = sandbox
        self.secret_key = f"sk_test_{uuid4().hex}"
        self.made = sandbox.post("accounts", secret_key=self.secret_key, webhook_url=webhook_url)
        _ahead[0] = sandbox.get("clock")["offset_seconds"]

    @abstractmethod
    def account(self) -> Account: ...

    @abstractmethod
    def request(self, kind: str = "charge", amount: int = 500_00) -> StartRequest:
        """A payment that goes through, with ids of its own, in the plainest way the provider has."""

    @abstractmethod
    def declined_request(self) -> StartRequest | None:
        """A payment that is refused within `start` itself; None where only the customer's page refuses."""

    @abstractmethod
    def page_request(self) -> StartRequest:
        """A payment on the provider's page."""

    @abstractmethod
    def press(self, action: ActionRequired, button: str) -> None:
        """What the customer does on the page: "pay" or "decline"."""

    @abstractmethod
    def sign(self, body: bytes, now: datetime, secret: str | None = None) -> dict[str, str]:
        """The headers of a webhook as the provider would sign it."""

    # Only for what the provider declares; a driver that cannot show it fails the contract.

    def hold_request(self, amount: int = 500_00) -> StartRequest:
        """An authorization that goes through; `paid` carries it to its hold."""
        raise NotImplementedError(f"{self.name} declares manual capture")

    def disputed(self, provider: PaymentProvider) -> tuple[StartRequest, Facts, str]:
        """A payment whose customer went to the bank, and the provider's id of that dispute."""
        raise NotImplementedError(f"{self.name} declares disputes")

    #: Written as the provider's dispute ids are, and nobody's.
    no_dispute: ClassVar[str] = ""

    def failing_refund(self, provider: PaymentProvider) -> RefundRequest | None:
        """A refund that is taken, and fails later; None where no double can be made to."""
        return None

    @abstractmethod
    def slow_refund(self, provider: PaymentProvider) -> RefundRequest:
        """A refund that is only taken at first, and goes through later."""

    def let_refunds_end(self) -> None:  # noqa: B027  (most need no help)
        """Let the time pass after which a refund goes through or fails."""

    def on_its_way(self, provider: PaymentProvider) -> tuple[StartRequest, Facts] | None:
        """A payment the customer has made, and whose money comes later; None where no double can show it."""
        return None

    def let_pages_end(self) -> bool:
        """Let the time pass after which a page takes no money any more; False where pages never end."""
        return False

    def advance(self, seconds: float) -> None:
        """Move the double's clock, and with it the time at which we ask."""
        _ahead[0] = self.sandbox.post("clock", advance_seconds=seconds)["offset_seconds"]

    def now(self) -> datetime:
        """The provider's time; other tests may have moved it."""
        return datetime.fromtimestamp(self.sandbox.get("clock")["now"], UTC)

    def heard_at(self) -> datetime:
        """The time by which webhooks are signed and read: nobody moves it, whatever `now` has been moved to."""
        return datetime.now(UTC)

    def provider(self, deadline: float = 10.0, **changes: Any) -> PaymentProvider:
        account = self.account()
        if changes:
            account = Account(**({name: getattr(account, name) for name in account.__slots__} | changes))
        return registry.build(self.name, account, CallLimits(connect=2.0, deadline=deadline))

    def paid(self, provider: PaymentProvider, request: StartRequest) -> Facts:
        """Carry a payment through to its money, whatever that takes."""
        outcome: LookUp = provider.start(request)
        if isinstance(outcome, ActionRequired):
            self.press(outcome, "pay")
            outcome = provider.look_up(look_up_of(request, outcome.facts))
        assert isinstance(outcome, Succeeded), outcome
        return outcome.facts

    def refund_request(self, start: StartRequest, facts: Facts, amount: int) -> RefundRequest:
        transaction_id = fresh("transaction")
        return RefundRequest(
            payment_id=start.payment_id,
            refund_id=fresh("refund"),
            transaction_id=transaction_id,
            provider_key=f"{start.payment_id}:refund:{transaction_id}",
            provider_id=facts.provider_id or "",
            provider_charge_id=facts.provider_charge_id,
            amount=amount,
            currency=start.currency,
            start_extra=facts.extra,
        )

    def fault(self, effect: str, operation: str, **more: Any) -> str:
        """The next request of this account for `operation` goes wrong."""
        named = self.operations.get(operation, operation)
        made = self.sandbox.post("faults", effect=effect, operation=named, secret_key=self.secret_key, **more)
        return str(made["id"])

    def fired(self, fault: str) -> bool:
        return any(one["id"] == fault and one["fired"] for one in self.sandbox.get("faults")["faults"])

    def ledger(self) -> Any:
        return self.sandbox.get("ledger", secret_key=self.secret_key)

    def charged(self) -> list[dict[str, Any]]:
        """The charges that took money, as the sandbox knows them."""
        return [charge for charge in self.ledger()["charges"] if charge["status"] in ("succeeded", "authorized")]

    def delivered(self, box: Inbox, count: int = 1) -> list[tuple[dict[str, str], bytes]]:
        return wait_until(lambda: box.received if len(box.received) >= count else None, "webhooks") or []


def fresh(kind: str) -> str:
    return public_id(kind, new_id())


def start_request(method: str, kind: str, amount: int, currency: str, **changes: Any) -> StartRequest:
    payment_id = fresh("payment")
    values: dict[str, Any] = {
        "payment_id": payment_id,
        "transaction_id": fresh("transaction"),
        "provider_key": f"{payment_id}:start:1",
        "kind": kind,
        "amount": amount,
        "currency": currency,
        "method": method,
    }
    return StartRequest(**(values | changes))


def look_up_of(request: Request, facts: Facts | None = None) -> LookUpRequest:
    """Just sent, with what an answer told (nothing, if it was lost)."""
    known = facts or Facts()
    now = datetime.now(UTC) + timedelta(seconds=_ahead[0])
    return LookUpRequest(
        operation=operation_of(request),
        request=request,
        provider_id=known.provider_id,
        provider_charge_id=known.provider_charge_id,
        extra=known.extra,
        first_sent_at=now,
        last_sent_at=now,
    )


def capture_of(start: StartRequest, facts: Facts, amount: int) -> CaptureRequest:
    return CaptureRequest(**_about(start, facts, "capture"), amount=amount)


def void_of(start: StartRequest, facts: Facts) -> VoidRequest:
    return VoidRequest(**_about(start, facts, "void"), amount=start.amount)


def _about(start: StartRequest, facts: Facts, operation: str) -> dict[str, Any]:
    return {
        "payment_id": start.payment_id,
        "transaction_id": fresh("transaction"),
        "provider_key": f"{start.payment_id}:{operation}:1",
        "provider_id": facts.provider_id or "",
        "currency": start.currency,
        "start_extra": facts.extra,
    }


def submit(url: str, **fields: str) -> requests.Response:
    """Post a page's form as a browser would, without following where it leads."""
    return requests.post(url, data=fields, allow_redirects=False, timeout=10)
