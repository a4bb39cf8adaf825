"""A customer of ours as Stripe's object: made once, then kept up to date."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from core.domain.outcomes import Facts, NotExecuted, Succeeded, Unknown
from core.providers.base import CustomerRequest
from core.providers.stripe.capabilities import CAPABILITIES
from core.providers.stripe.client import StripeCalls
from core.providers.stripe.facts import id_of, time_of
from core.providers.stripe.failures import Failed, customer_gone, unreadable
from core.providers.stripe.lists import CLOCKS_APART, pages
from core.providers.stripe.marks import CUSTOMER, customer_marks, mark_of

#: As long as a key is known to replay, the same create is safe; a customer may be sent for as long as that.
_KEYS_LAST = timedelta(seconds=CAPABILITIES.resend_window_seconds or 0)
#: A lost customer was made by the first sends or never: a payment that needs it gives up within minutes, and under
#: its key it is replayed for a day after. Without an end the look would walk through everybody made since, for years.
#: What is missed costs a second object that nothing hangs on.
_FOUND_WITHIN = timedelta(days=2)


def upsert(calls: StripeCalls, request: CustomerRequest) -> Succeeded | NotExecuted | Unknown:
    """Made with our mark alone, so that the same key always sends the same; the details follow by update."""
    if request.provider_id is not None:
        try:
            return _done(calls.update_customer(request.provider_id, _details(request)))
        except Failed as failed:
            failure = failed.failure
            return customer_gone(failure) if failure.missing else failure.outcome()
    try:
        made = _made(calls, request)
    except Failed as failed:
        return failed.failure.outcome()
    try:
        return _done(calls.update_customer(str(made["id"]), _details(request)))
    except Failed:
        # The customer stands, and that is what was asked for; the details come with the next update.
        return _done(made)


def _made(calls: StripeCalls, request: CustomerRequest) -> dict[str, Any]:
    """Raises Failed."""
    sent, now = request.first_sent_at, datetime.now(UTC)
    if sent is not None and now - sent > _KEYS_LAST:
        found = _find(calls, request, sent)
        if found is not None:
            return found
    try:
        made = calls.create_customer({"metadata": customer_marks(request)}, request.provider_key)
    except Failed as failed:
        # A saved 500 is replayed for as long as the key lasts; the customer may stand all the same.
        if sent is None or failed.failure.verdict != "unknown":
            raise
        found = _find(calls, request, max(sent, now - _FOUND_WITHIN))
        if found is None:
            raise
        return found
    if id_of(made) is None:
        raise Failed(unreadable())
    return made


def _find(calls: StripeCalls, request: CustomerRequest, since: datetime) -> dict[str, Any] | None:
    """By our mark among those made soon after. Raises Failed."""
    until = since + _FOUND_WITHIN + CLOCKS_APART
    window = {"gte": int((since - CLOCKS_APART).timestamp()), "lte": int(until.timestamp())}
    listed = pages(calls.list_customers, {"created": window})
    return next((one for one in listed if mark_of(one, CUSTOMER) == request.customer_id), None)


def _details(request: CustomerRequest) -> dict[str, str]:
    """An empty text takes a detail away that was taken away here (docs.stripe.com/api/customers/update)."""
    person = request.person
    return {"email": person.email or "", "name": person.name or "", "phone": person.phone or ""}


def _done(customer: dict[str, Any]) -> Succeeded:
    """Without the body: it is about a person, and nothing in it is needed."""
    created = time_of(customer.get("created"))
    return Succeeded(Facts(provider_id=id_of(customer), created_at=created, extra={"object": "customer"}))
