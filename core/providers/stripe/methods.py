"""Saved methods: what a payment left behind, and how it is dropped."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from core.domain.outcomes import Facts, KeptMethod, LookUp, NotExecuted, Succeeded, Unknown
from core.providers.base import ForgetRequest, StartRequest
from core.providers.stripe.client import StripeCalls
from core.providers.stripe.facts import Body, id_of
from core.providers.stripe.failures import Failed
from core.providers.stripe.fields import OF_SAVED

#: Methods that are paid with once, and leave another behind that can be charged again
#: (docs.stripe.com/payments/ideal/save-during-payment and its neighbours): the field -> the kind of the other.
GENERATED: Mapping[str, str] = {"generated_sepa_debit": "sepa_debit", "generated_card": "card"}


def with_method(request: StartRequest, answer: LookUp, intent: Any) -> LookUp:
    """The answer with the method that the payment kept. `intent` has to hold what KEPT names, expanded."""
    if not request.save_method or not isinstance(answer, Succeeded) or not isinstance(intent, dict):
        return answer
    return Succeeded(replace(answer.facts, method=kept_method(intent)))


def kept_method(intent: Body) -> KeptMethod | None:
    """None unless it hangs on a customer: without one Stripe lets a method be used only once."""
    generated = _generated(intent)
    if generated is not None:
        return generated
    method = intent.get("payment_method")
    if not isinstance(method, dict):
        return None
    token, customer, kind = id_of(method), id_of(method.get("customer")), _word(method.get("type"))
    if token is None or customer is None or kind is None:
        return None
    details = _part(method, kind)
    return KeptMethod(
        token=token,
        kind=kind,
        provider_customer=customer,
        fingerprint=_word(details.get("fingerprint")),
        brand=_word(details.get("brand")),
        last4=_word(details.get("last4")),
        exp_month=_number(details.get("exp_month")),
        exp_year=_number(details.get("exp_year")),
        bank=_word(details.get("bank_name")) or _word(details.get("bank_code")),
        country=_word(details.get("country")),
    )


def _generated(intent: Body) -> KeptMethod | None:
    charge = intent.get("latest_charge")
    paid = _part(charge, "payment_method_details") if isinstance(charge, dict) else {}
    details = _part(paid, _word(paid.get("type")) or "")
    for name, kind in GENERATED.items():
        token, customer = id_of(details.get(name)), id_of(intent.get("customer"))
        if token and customer:
            return KeptMethod(
                token=token,
                kind=kind,
                provider_customer=customer,
                last4=_word(details.get("iban_last4")) or _word(details.get("last4")),
                bank=_word(details.get("bank_name")),
            )
    return None


def forget(calls: StripeCalls, request: ForgetRequest) -> Succeeded | NotExecuted | Unknown:
    """Detached for good: Stripe never lets a detached method be charged or attached again."""
    done = Succeeded(Facts(extra={"object": "payment_method"}))
    try:
        calls.detach_method(request.saved.token, request.provider_key)
    except Failed as failed:
        failure = failed.failure
    else:
        return done
    if failure.verdict in ("invalid_request", "already") and _is_gone(calls, request.saved.token):
        return done
    return failure.outcome(OF_SAVED)


def _is_gone(calls: StripeCalls, token: str) -> bool:
    """Detached already (which has no code of its own), or not to be found in this account."""
    try:
        return id_of(calls.get_method(token).get("customer")) is None
    except Failed as failed:
        return failed.failure.missing


def _part(body: Body, name: str) -> Body:
    found = body.get(name)
    return found if isinstance(found, dict) else {}


def _word(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _number(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
