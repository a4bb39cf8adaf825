"""Whose key is this: Paystack has no endpoint for it, so the number of the integration is read off a customer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from core.domain.outcomes import NotExecuted, NotExecutedReason, Unknown
from core.providers.base import Account, AccountIdentity, IdentityUnknown
from core.providers.keys import Mode, mode_of_key
from core.providers.paystack.client import PaystackClient
from core.providers.paystack.currencies import whole_number
from core.providers.paystack.outcomes import Answer, refusal

_MODES: Mapping[str, Mode] = {"sk_test_": "test", "sk_live_": "live"}

#: What to do, by what a refused question proves.
_ADVICE: Mapping[NotExecutedReason, str] = {
    NotExecutedReason.MISCONFIGURED: "Paystack refuses this key; copy the secret key from its dashboard again.",
    NotExecutedReason.CONNECTION: "Paystack could not be reached; check the network and try again.",
    NotExecutedReason.RATE_LIMITED: "Paystack asks to wait; try again in a minute.",
}


#: Made on an account that has no customer at all, so that its number can be read; example.com is nobody's.
_FIRST_CUSTOMER = {"email": "tollgate@example.com", "first_name": "Tollgate", "last_name": "connection check"}


def identify(client: PaystackClient, account: Account) -> AccountIdentity:
    """`integration:<number>`, which stays the same when the merchant rolls the key.

    Every customer names the number, so the list of customers is asked. On an account without any, one is made:
    balance and settings, which always answer, do not name it, and an identity taken from the key would turn
    into another with the first payment, or with the next key. Raises IdentityUnknown.
    """
    mode = mode_of_key("Paystack", account, _MODES)
    customers = _accepted(client.get("/customer", perPage=1, page=1)).get("data")
    if isinstance(customers, list) and not customers:
        customers = [_accepted(client.post("/customer", _FIRST_CUSTOMER)).get("data")]
    first = customers[0] if isinstance(customers, list) else None
    number = whole_number(first.get("integration")) if isinstance(first, Mapping) else None
    if number is None:
        raise IdentityUnknown("Paystack did not name the integration this key belongs to; try again.")
    return AccountIdentity(f"integration:{number}", mode)


def _accepted(answer: Answer | NotExecuted | Unknown) -> Mapping[str, Any]:
    refused = refusal(answer) if isinstance(answer, Answer) else answer
    if isinstance(answer, Answer) and refused is None:
        return answer.body or {}
    if isinstance(refused, NotExecuted) and refused.reason in _ADVICE:
        raise IdentityUnknown(_ADVICE[refused.reason])
    raise IdentityUnknown("Paystack did not answer as expected when asked for its customers; try again.")
