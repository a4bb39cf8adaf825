"""Preauthorization: rand held on a card, then captured once or released; known by the reference it was begun with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from core.domain.money import InvalidMoney
from core.domain.outcomes import (
    Canceled,
    Declined,
    Facts,
    LookUp,
    NotExecuted,
    NotExecutedReason,
    NotFound,
    Outcome,
    Pending,
    Succeeded,
    Unknown,
)
from core.providers.base import CaptureRequest, StartRequest, VoidRequest
from core.providers.paystack.client import PaystackClient
from core.providers.paystack.currencies import from_hundredths, to_hundredths
from core.providers.paystack.methods import with_method
from core.providers.paystack.outcomes import Answer, Unreadable, asked, clean, refusal, refuse_unsent, unknown
from core.providers.paystack.reading import PAYMENT_MARK, mark_of, read_id, read_time
from core.providers.paystack.statuses import (
    CAPTURE_STATUSES,
    CARD_HOLD_STATUSES,
    RELEASE_STATUSES,
    Made,
    succeeded,
)
from core.providers.paystack.transactions import read_capture

#: Paystack's page "Preauthorization": South African merchants only.
HOLD_CURRENCY = "ZAR"
#: In `Facts.extra`: the provider's id names a hold, not a transaction.
OBJECT, PREAUTHORIZATION = "object", "preauthorization"


def capture(client: PaystackClient, request: CaptureRequest) -> Outcome:
    """POST /preauthorization/capture, once and for at most what is held; the rest is released."""
    if request.currency != HOLD_CURRENCY:
        return refuse_unsent(f"Paystack holds {HOLD_CURRENCY} only", "currency")
    answer = client.post(
        "/preauthorization/capture",
        {
            "reference": request.provider_id,
            "currency": request.currency,
            "amount": to_hundredths(request.amount, request.currency),
        },
    )
    if not isinstance(answer, Answer):
        return answer
    refused = refusal(answer)
    if refused is None:
        return read_capture(answer, request.provider_id, request.payment_id)
    return _settled(refused, lambda: look_up_capture(client, request))


def release(client: PaystackClient, request: VoidRequest) -> Outcome:
    """POST /preauthorization/release."""
    answer = client.post("/preauthorization/release", {"reference": request.provider_id})
    if not isinstance(answer, Answer):
        return answer
    refused = refusal(answer)
    if refused is not None:
        return _settled(refused, lambda: look_up_release(client, request))
    found = read_hold(answer, request.provider_id, None, RELEASE_STATUSES)
    if isinstance(found, NotFound):  # accepted, and not done yet
        return Pending(Facts(provider_id=request.provider_id, extra=_extra(answer), raw=answer.kept))
    return found


def reserve(answer: Answer, request: StartRequest, reference: str) -> Outcome:
    """What an answer to POST /preauthorization/reserve_authorization says of the hold."""
    found = _hold_of(answer, request, reference, CARD_HOLD_STATUSES, request.transaction_id)
    return Unknown(found.evidence) if isinstance(found, NotFound) else found


def look_up_hold(
    client: PaystackClient, request: StartRequest, reference: str, statuses: Mapping[str, Made], mark: str | None
) -> LookUp:
    """What became of the hold that `request` asked for; `mark` of a transaction, None: any of the payment's."""
    answer = asked(client.get("/preauthorization/verify", reference))
    if not isinstance(answer, Answer):
        return answer
    if mark_of(answer.data, PAYMENT_MARK) not in (None, request.payment_id):
        return unknown("the reference carries another payment's mark", answer, reference=reference)
    return _hold_of(answer, request, reference, statuses, mark)


def _hold_of(
    answer: Answer, request: StartRequest, reference: str, statuses: Mapping[str, Made], mark: str | None
) -> LookUp:
    return with_method(read_hold(answer, reference, mark, statuses), answer.data, request)


def look_up_capture(client: PaystackClient, request: CaptureRequest) -> LookUp:
    """The hold says whether, the transaction it made says how much.

    Asked also about a hold that nobody of us captured: then it tells what somebody else, or its expiry, did to it.
    """
    found = _ask(client, request.provider_id, CAPTURE_STATUSES)
    if not isinstance(found, Succeeded):
        return found
    answer = asked(client.get("/transaction/verify", request.provider_id))
    if not isinstance(answer, Answer):
        return unknown("the capture's transaction was not found") if isinstance(answer, NotFound) else answer
    return read_capture(answer, request.provider_id, request.payment_id)


def look_up_release(client: PaystackClient, request: VoidRequest) -> LookUp:
    return _ask(client, request.provider_id, RELEASE_STATUSES)


def _ask(client: PaystackClient, reference: str, statuses: Mapping[str, Made]) -> LookUp:
    answer = asked(client.get("/preauthorization/verify", reference))
    if isinstance(answer, NotFound):
        # An answer named it before: its absence speaks of other credentials, not of what was done.
        return unknown("a hold that was there is not found", reference=reference)
    return read_hold(answer, reference, None, statuses) if isinstance(answer, Answer) else answer


def _settled(refused: Outcome, look_up: Callable[[], LookUp]) -> Outcome:
    """What a refused request finds when the hold is read: done already, ended otherwise, or refused indeed."""
    if not isinstance(refused, NotExecuted) or refused.reason is not NotExecutedReason.INVALID_REQUEST:
        return refused
    found = look_up()
    # Neither "not done" nor "cannot be read" takes anything from the proof that this request did nothing.
    return found if isinstance(found, Succeeded | Pending | Declined | Canceled) else refused


def read_hold(answer: Answer, reference: str, transaction_id: str | None, statuses: Mapping[str, Made]) -> LookUp:
    """What a preauthorization object says to the question that `statuses` answers."""
    data = answer.data
    status = data.get("status")
    made = statuses.get(status) if isinstance(status, str) else None
    if data.get("reference") != reference:
        return unknown("another hold than the one asked for", answer, reference=reference)
    if transaction_id is not None and mark_of(data) not in (None, transaction_id):
        return unknown("the reference carries another transaction's mark", answer, reference=reference)
    if made is None:
        return unknown("a status nobody described", answer, reference=reference, status=clean(str(status)))
    facts = Facts(provider_id=reference, extra=_extra(answer), raw=answer.kept)
    if statuses is not RELEASE_STATUSES:
        try:
            facts = _with_sums(facts, answer, held=made is succeeded)
        except Unreadable as error:
            return unknown(str(error), answer, reference=reference, status=str(status))
    return made(data, facts)


def _with_sums(facts: Facts, answer: Answer, held: bool) -> Facts:
    """Raises Unreadable where money is held and the sum cannot be told."""
    data = answer.data
    currency = str(data.get("currency") or "").upper()
    try:
        amount = from_hundredths(data.get("amount"), currency)
    except InvalidMoney as error:
        if held:
            raise Unreadable(str(error)) from error
        return facts
    return replace(
        facts,
        amount=amount,
        amount_authorized=amount if held else None,
        currency=currency,
        created_at=read_time(data.get("created_at"), data.get("createdAt")),
    )


def _extra(answer: Answer) -> dict[str, str]:
    data = answer.data
    named = {"preauthorization": read_id(data.get("id")), "capture": read_id(data.get("transaction_id"))}
    extra = {OBJECT: PREAUTHORIZATION, "status": str(data.get("status"))}
    return extra | {name: value for name, value in named.items() if value is not None}
