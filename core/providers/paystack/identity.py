"""Whose key is this: Paystack has no endpoint for it, so the number of the integration is read off a customer."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Literal

from core.domain.outcomes import NotExecuted, NotExecutedReason
from core.providers.base import AccountIdentity, IdentityUnknown
from core.providers.paystack.client import PaystackClient
from core.providers.paystack.currencies import whole_number
from core.providers.paystack.outcomes import Answer, refusal

_MODES: Mapping[str, Literal["test", "live"]] = {"sk_test_": "test", "sk_live_": "live"}

#: What to do, by what a refused question proves.
_ADVICE: Mapping[NotExecutedReason, str] = {
    NotExecutedReason.MISCONFIGURED: "Paystack refuses this key; copy the secret key from its dashboard again.",
    NotExecutedReason.CONNECTION: "Paystack could not be reached; check the network and try again.",
    NotExecutedReason.RATE_LIMITED: "Paystack asks to wait; try again in a minute.",
}


def identify(client: PaystackClient, secret_key: str) -> AccountIdentity:
    """`integration:<number>` as soon as the account has had a customer, `key:<fingerprint>` before.

    The list of customers is the one endpoint that any account may read and that fills with its first payment;
    balance and settings, which always answer, name no number. An account without customers has no payments
    either, so nothing is lost when its identity changes with the key. To tell whether two keys belong together,
    ask with both at the same moment and compare these answers, not one of them with an older answer.
    Raises IdentityUnknown.
    """
    mode = _MODES.get(secret_key[:8])
    if mode is None or len(secret_key) <= 8:
        raise IdentityUnknown("A Paystack secret key begins with sk_test_ or sk_live_; this one does not.")
    answer = client.get("/customer", perPage=1, page=1)
    if isinstance(answer, Answer):
        refused = refusal(answer)
        if refused is None:
            return AccountIdentity(_number_in(answer) or _fingerprint(secret_key), mode)
        answer = refused
    if isinstance(answer, NotExecuted) and answer.reason in _ADVICE:
        raise IdentityUnknown(_ADVICE[answer.reason])
    raise IdentityUnknown("Paystack did not answer as expected when asked for its customers; try again.")


def _number_in(answer: Answer) -> str | None:
    rows = (answer.body or {}).get("data")
    first = rows[0] if isinstance(rows, list) and rows else None
    number = whole_number(first.get("integration")) if isinstance(first, Mapping) else None
    return None if number is None else f"integration:{number}"


def _fingerprint(secret_key: str) -> str:
    """Too short to help anybody guess a key, long enough that two keys differ."""
    return f"key:{hashlib.sha256(secret_key.encode()).hexdigest()[:16]}"
