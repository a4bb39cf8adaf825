"""The providers' own ledgers beside ours, payment by payment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import requests


@dataclass(frozen=True, slots=True)
class Line:
    """Sums in minor units, ours and the provider's."""

    payment: str
    provider: str
    ours: tuple[int, int]  # captured, refunded
    theirs: tuple[int, int]
    charges: int

    @property
    def agrees(self) -> bool:
        return self.ours == self.theirs and self.charges <= 1


class Ledgers:
    """Read anew at every question: they are the oracle."""

    def __init__(self, sandbox_urls: dict[str, str]) -> None:
        self._urls = sandbox_urls
        self._http = requests.Session()
        self._http.trust_env = False

    def charges(self, provider: str, payment_id: str) -> list[dict[str, Any]]:
        """Charges that took money and carry the payment's mark."""
        answer = self._http.get(f"{self._urls[provider]}/_sandbox/ledger", timeout=10)
        answer.raise_for_status()
        found = [one for one in answer.json()["charges"] if one["status"] == "succeeded"]
        return [one for one in found if (one["metadata"] or {}).get("tollgate_payment") == payment_id]

    def line(self, payment: dict[str, Any]) -> Line:
        charges = [one for name in self._urls for one in self.charges(name, payment["id"])]
        theirs = (sum(one["amount_captured"] for one in charges), sum(one["amount_refunded"] for one in charges))
        ours = (payment["amount_captured"], payment["amount_refunded"])
        return Line(payment["id"], payment["provider"] or "-", ours, theirs, len(charges))

    def fault(self, provider: str, **fault: Any) -> None:
        answer = self._http.post(f"{self._urls[provider]}/_sandbox/faults", json=fault, timeout=10)
        answer.raise_for_status()
