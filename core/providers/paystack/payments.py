"""Paying: on Paystack's page or with a saved card, under a reference of our own that is chosen before the call."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode, urlsplit, urlunsplit

from core.domain.outcomes import ActionRequired, Facts, LookUp, NextAction, NotExecuted, Outcome, Pending, Unknown
from core.providers.base import LookUpRequest, StartRequest
from core.providers.paystack import holds
from core.providers.paystack.client import PaystackClient
from core.providers.paystack.currencies import CURRENCIES, to_hundredths
from core.providers.paystack.methods import with_method
from core.providers.paystack.outcomes import Answer, asked, refusal, refuse_unsent, unknown
from core.providers.paystack.reading import PAYMENT_MARK, TRANSACTION_MARK, mark_of
from core.providers.paystack.statuses import (
    CARD_HOLD_STATUSES,
    CHARGE_STATUSES,
    HOLD_STATUSES,
    TRANSACTION_STATUSES,
    UNANSWERED_CARD_HOLD_STATUSES,
    UNANSWERED_CHARGE_STATUSES,
    Made,
)
from core.providers.paystack.transactions import read_transaction

#: In `Facts.extra`: "true" where the bank wanted the customer, who was sent to a page, and "false" where Paystack
#: answered that the bank is still at it. Without it no such answer to the charge of a saved card was read.
PAUSED = "paused"
#: Added to the merchant's return_url beside Paystack's own `trxref` and `reference`.
RETURN_PARAMETER = "tollgate_payment"
#: Names by which metadata changes what Paystack's page does; a merchant's own label must not.
_MEANINGFUL = frozenset({"cancel_action", "custom_fields", "custom_filters", "referrer"})

#: Paystack allows letters, digits and "-", ".", "=". The usual separators get a readable stand-in, the stand-ins
#: themselves and everything else are written as "=" and two hex digits, so that two keys never share a reference.
_STAND_INS = {"_": ".", ":": "-"}
_LONGEST_REFERENCE = 100  # no limit is published; this is what their other text fields take


def reference_for(provider_key: str) -> str:
    """Paystack's `reference` of the transaction with this key: always the same, and no other key's."""
    letters = []
    for letter in provider_key:
        if letter.isascii() and letter.isalnum():
            letters.append(letter)
        else:
            coded = "".join(f"={byte:02X}" for byte in letter.encode())
            letters.append(_STAND_INS.get(letter, coded))
    reference = "".join(letters)
    if len(reference) <= _LONGEST_REFERENCE:
        return reference
    return "sha256=" + hashlib.sha256(provider_key.encode()).hexdigest()


def start(client: PaystackClient, request: StartRequest) -> Outcome:
    """Charge or hold, on Paystack's page or with a saved card. Sends once; a reference that exists is unknown."""
    refused = _refused_unsent(request)
    if refused is not None:
        return refused
    saved = request.method == "saved"
    reference = reference_for(request.provider_key)
    answer = client.post(_path(request), _body(request, reference))
    if not isinstance(answer, Answer):
        return answer
    refused_by_them = refusal(answer)
    if refused_by_them is not None:
        return refused_by_them
    if not saved or answer.data.get("paused") is True:
        return _page(answer, reference, paused=saved)
    if request.kind == "authorize":
        return _without_page(holds.reserve(answer, request, reference))
    return _without_page(read_transaction(answer, reference, request.transaction_id, CHARGE_STATUSES))


def look_up_start(client: PaystackClient, request: LookUpRequest, sent: StartRequest) -> LookUp:
    """Verify by reference, and read the answer as one about a page, a saved card, or a hold."""
    reference, statuses = reference_for(sent.provider_key), _statuses(request, sent)
    mark = None if request.by_payment else sent.transaction_id
    if sent.kind == "authorize":
        return holds.look_up_hold(client, sent, reference, statuses, mark)
    answer = asked(client.get("/transaction/verify", reference))
    if not isinstance(answer, Answer):
        return answer
    if request.by_payment and mark_of(answer.data, PAYMENT_MARK) not in (None, sent.payment_id):
        return unknown("the reference carries another payment's mark", answer, reference=reference)
    return with_method(read_transaction(answer, reference, mark, statuses), answer.data, sent)


def _statuses(request: LookUpRequest, sent: StartRequest) -> Mapping[str, Made]:
    """The table for what is known of it: on a page, without one, or with an answer nobody read."""
    hold, paused = sent.kind == "authorize", request.extra.get(PAUSED)
    # A saved card whose bank asked for the customer is on a page by now, where a failed try is not the last.
    if sent.method != "saved" or paused == "true":
        return HOLD_STATUSES if hold else TRANSACTION_STATUSES
    if paused == "false":
        return CARD_HOLD_STATUSES if hold else CHARGE_STATUSES
    return UNANSWERED_CARD_HOLD_STATUSES if hold else UNANSWERED_CHARGE_STATUSES


def _without_page(outcome: Outcome) -> Outcome:
    """Keeps that Paystack waits for a bank: then `ongoing` is no customer who has gone."""
    if not isinstance(outcome, Pending):
        return outcome
    facts = outcome.facts
    return replace(outcome, facts=replace(facts, extra={**facts.extra, PAUSED: "false"}))


def _refused_unsent(request: StartRequest) -> NotExecuted | None:
    if request.method not in ("redirect", "saved"):
        return refuse_unsent("Paystack is paid on its own page, or with a card saved there", "payment_method")
    if request.method == "saved" and request.saved is None:
        return refuse_unsent("there is no saved card to charge", "payment_method.id")
    if request.kind == "authorize" and request.currency != holds.HOLD_CURRENCY:
        return refuse_unsent(f"Paystack takes money at once, except {holds.HOLD_CURRENCY}", "capture")
    if not _email(request):
        return refuse_unsent("Paystack needs the customer's e-mail address", "customer.email")
    limit = CURRENCIES.get(request.currency)
    if limit is None:
        return refuse_unsent(f"Paystack does not take {request.currency}", "currency")
    if not limit.minimum <= request.amount <= limit.maximum:
        return refuse_unsent(f"Paystack does not take this amount of {request.currency}", "amount")
    return None


def _email(request: StartRequest) -> str | None:
    """A saved card is charged under the address it was saved with, whatever the customer uses today."""
    saved = request.saved.email if request.saved is not None else None
    return saved or request.person.email


def _path(request: StartRequest) -> str:
    if request.kind == "authorize":
        return "/preauthorization/" + ("reserve_authorization" if request.method == "saved" else "initialize")
    return "/transaction/" + ("charge_authorization" if request.method == "saved" else "initialize")


def _body(request: StartRequest, reference: str) -> dict[str, Any]:
    """Channels are left to the merchant's dashboard: whatever it offers comes back as one and the same transaction."""
    body: dict[str, Any] = {
        "reference": reference,
        "amount": to_hundredths(request.amount, request.currency),
        "currency": request.currency,
        "email": _email(request),
        "metadata": metadata_of(request),
    }
    if request.saved is not None:
        return body | {"authorization_code": request.saved.token}
    if request.return_url:
        body["callback_url"] = callback_url(request.return_url, request.payment_id)
    return body


def metadata_of(request: StartRequest) -> dict[str, str]:
    """Our marks, and the merchant's own metadata as a copy for reading in Paystack's dashboard."""
    copied = {"reference": request.reference} if request.reference else {}
    copied |= {name: value for name, value in request.metadata.items() if name not in _MEANINGFUL}
    return {**copied, TRANSACTION_MARK: request.transaction_id, PAYMENT_MARK: request.payment_id}


def callback_url(return_url: str, payment_id: str) -> str:
    """The merchant's address with our payment id in the query, so that the page knows whom it welcomes."""
    parts = urlsplit(return_url)
    ours = urlencode({RETURN_PARAMETER: payment_id})
    return urlunsplit(parts._replace(query=f"{parts.query}&{ours}" if parts.query else ours))


def _page(answer: Answer, reference: str, paused: bool) -> ActionRequired | Unknown:
    url = answer.data.get("authorization_url")
    if answer.data.get("reference") != reference:
        return unknown("another reference than the one we sent", answer, reference=reference)
    if not isinstance(url, str) or urlsplit(url).scheme not in ("http", "https"):
        return unknown("no address of a payment page", answer, reference=reference)
    extra = {"status": "paused", PAUSED: "true"} if paused else {"status": "initialized"}
    return ActionRequired(Facts(provider_id=reference, extra=extra, raw=answer.kept), NextAction(url))
