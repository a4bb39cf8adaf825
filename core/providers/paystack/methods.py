"""Saved cards: an authorization that a payment left behind, and how it is dropped again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from core.domain.outcomes import Facts, KeptMethod, LookUp, NotExecuted, Succeeded, Unknown
from core.providers.base import ForgetRequest, StartRequest
from core.providers.paystack.client import PaystackClient
from core.providers.paystack.currencies import whole_number
from core.providers.paystack.outcomes import Answer, refusal
from core.providers.paystack.reading import inner, word

#: How Paystack refuses to deactivate what cannot be charged any more, in lower case. `message` of a 400 or 404.
GONE_MESSAGES = frozenset(
    {
        "authorization code is invalid",
        "authorization not found",
        "authorization is inactive",
        "authorization has been deactivated",
        "authorization has already been deactivated",
    }
)


def with_method(outcome: LookUp, data: Mapping[str, Any], request: StartRequest) -> LookUp:
    """A payment that was to save its card, with the card, where Paystack says it can be charged again."""
    if not request.save_method or not isinstance(outcome, Succeeded):
        return outcome
    return Succeeded(replace(outcome.facts, method=kept_method(data, request.person.email)))


def kept_method(data: Mapping[str, Any], email: str | None) -> KeptMethod | None:
    """None for what cannot be charged again. `email`: the one we sent, used where Paystack names none.

    Paystack charges a card only together with the address it was saved under.
    """
    card, customer = inner(data, "authorization"), inner(data, "customer")
    token = word(card.get("authorization_code"))
    if token is None or card.get("reusable") is not True:
        return None
    return KeptMethod(
        token=token,
        kind=word(card.get("channel")) or "card",
        provider_customer=word(customer.get("customer_code")),
        fingerprint=word(card.get("signature")),
        email=word(customer.get("email")) or email,
        brand=(word(card.get("brand")) or word(card.get("card_type")) or "").lower() or None,
        last4=word(card.get("last4")),
        exp_month=_whole(card.get("exp_month"), 1, 12),
        exp_year=_whole(card.get("exp_year"), 2000, 9999),
        bank=word(card.get("bank")),
        country=word(card.get("country_code")),
    )


def _whole(value: Any, least: int, most: int) -> int | None:
    number = whole_number(value)
    return number if number is not None and least <= number <= most else None


def forget(client: PaystackClient, request: ForgetRequest) -> Succeeded | NotExecuted | Unknown:
    """POST /customer/authorization/deactivate, which may be repeated."""
    answer = client.post("/customer/authorization/deactivate", {"authorization_code": request.saved.token})
    if not isinstance(answer, Answer):
        return answer
    refused = refusal(answer)
    if refused is None or is_gone(answer):
        return Succeeded(Facts(raw=answer.kept))
    return refused


def is_gone(answer: Answer) -> bool:
    return answer.http_status in (400, 404) and answer.body is not None and answer.message in GONE_MESSAGES
