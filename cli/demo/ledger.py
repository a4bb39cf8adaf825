"""The providers' own ledgers beside ours, payment by payment."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import requests

Row = Mapping[str, Any]

#: Seconds that a provider may refuse us.
_PATIENCE = 5


@dataclass(frozen=True, slots=True)
class Sums:
    """Minor units: all that came in, all that went back, what disputes keep back, and what is only held."""

    received: int
    refunded: int
    withheld: int
    held: int


@dataclass(frozen=True, slots=True)
class Line:
    """One payment, as we know it and as the providers do; `charges` are those that took money."""

    payment: str
    provider: str
    ours: Sums
    theirs: Sums
    charges: int

    @property
    def agrees(self) -> bool:
        return self.ours == self.theirs and self.charges <= 1


def _stripe_withholds(dispute: Row) -> int:
    """An inquiry (`warning_…`) takes nothing, and what is won comes back."""
    return int(dispute["amount"]) if dispute["status"] in ("needs_response", "under_review", "lost") else 0


def _paystack_withholds(dispute: Row) -> int:
    return int(dispute["amount_lost"] if dispute["status"] == "resolved" else dispute["amount"])


_WITHHOLDS: Mapping[str, Callable[[Row], int]] = {"stripe": _stripe_withholds, "paystack": _paystack_withholds}


def marked(rows: Iterable[Row], payment_id: str) -> list[Row]:
    """Those that carry the payment's mark."""
    return [one for one in rows if (one["metadata"] or {}).get("tollgate_payment") == payment_id]


class Ledgers:
    """Read anew at every question: they are the oracle."""

    def __init__(self, sandbox_urls: Mapping[str, str]) -> None:
        self._urls = sandbox_urls
        self._http = requests.Session()
        self._http.trust_env = False

    def read(self, provider: str) -> dict[str, list[Row]]:
        answer = self._answer(f"{self._urls[provider]}/_sandbox/ledger")
        answer.raise_for_status()
        found: dict[str, list[Row]] = answer.json()
        return found

    def _answer(self, url: str) -> requests.Response:
        """A provider that refuses connections for a while refuses the oracle, too."""
        waited = threading.Event()
        for _ in range(_PATIENCE * 10):
            try:
                return self._http.get(url, timeout=10)
            except requests.ConnectionError:
                waited.wait(0.1)
        return self._http.get(url, timeout=10)

    def charges(self, provider: str, payment_id: str) -> list[Row]:
        """The payment's charges that took money."""
        return taken(self.read(provider), payment_id)

    def lines(self, payments: Iterable[Mapping[str, Any]]) -> list[Line]:
        books = {provider: self.read(provider) for provider in self._urls}
        return [compare(payment, books) for payment in payments]

    def clear(self, provider: str) -> None:
        self._http.delete(f"{self._urls[provider]}/_sandbox/faults", timeout=10).raise_for_status()

    def fault(self, provider: str, **fault: Any) -> None:
        answer = self._http.post(f"{self._urls[provider]}/_sandbox/faults", json=fault, timeout=10)
        answer.raise_for_status()


def taken(book: Mapping[str, list[Row]], payment_id: str) -> list[Row]:
    return [one for one in marked(book["charges"], payment_id) if one["status"] == "succeeded"]


def compare(payment: Mapping[str, Any], books: Mapping[str, Mapping[str, list[Row]]]) -> Line:
    """`payment` is the API's body; `books` are all providers' ledgers, so that a charge at the wrong one is seen."""
    theirs, charges = [0, 0, 0, 0], 0
    for provider, book in books.items():
        own = taken(book, payment["id"])
        ids = {one["id"] for one in own}
        # A hold is a charge of its own status at Stripe, and an object beside the charges at Paystack.
        waiting = [one for one in book["charges"] if one["status"] == "authorized"]
        waiting += [one for one in book.get("holds", ()) if one["held"]]
        found = (
            (one["amount_captured"] for one in own),
            (one["amount_refunded"] for one in own),
            (_WITHHOLDS[provider](one) for one in book["disputes"] if one["charge"] in ids),
            (one["amount"] for one in marked(waiting, payment["id"])),
        )
        theirs = [before + sum(more) for before, more in zip(theirs, found, strict=True)]
        charges += len(own)
    ours = Sums(
        received=payment["amount_received"],
        refunded=payment["amount_refunded"],
        withheld=payment["amount_disputed"],
        held=payment["amount_authorized"] if payment["status"] == "authorized" else 0,
    )
    return Line(payment["id"], payment["provider"] or "-", ours, Sums(*theirs), charges)
