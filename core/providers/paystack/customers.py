"""A customer of ours as Paystack's: one for each e-mail address, which never changes there."""

from __future__ import annotations

from typing import Any

from core.domain.outcomes import Facts, NotExecuted, Succeeded, Unknown
from core.providers.base import CustomerRequest
from core.providers.paystack.client import PaystackClient
from core.providers.paystack.outcomes import Answer, refusal, refuse_unsent, unknown
from core.providers.paystack.reading import CUSTOMER_MARK, read_id, word


def upsert_customer(client: PaystackClient, request: CustomerRequest) -> Succeeded | NotExecuted | Unknown:
    """POST /customer, which finds the customer with this address or makes one; PUT for one that is known.

    Two customers of ours with one address are one customer there: Paystack knows people by their address alone. That
    makes the request repeatable too, so an earlier send needs no search.
    """
    body = _body(request)
    if request.provider_id is not None:
        return _read(client.put("/customer", body, request.provider_id))
    if not request.person.email:
        return refuse_unsent("Paystack knows a customer by the e-mail address", "customer.email")
    return _read(client.post("/customer", {"email": request.person.email, **body}))


def _body(request: CustomerRequest) -> dict[str, Any]:
    person = request.person
    body: dict[str, Any] = {"metadata": {CUSTOMER_MARK: request.customer_id}}
    if person.name:
        # Everything after the first word is the family's name; a name of one word has none.
        first, _, last = person.name.strip().partition(" ")
        body |= {"first_name": first, "last_name": last.strip()}
    if person.phone:
        body["phone"] = person.phone
    return body


def _read(answer: Answer | NotExecuted | Unknown) -> Succeeded | NotExecuted | Unknown:
    if not isinstance(answer, Answer):
        return answer
    refused = refusal(answer)
    if refused is not None:
        return refused
    code = word(answer.data.get("customer_code"))
    if code is None:
        return unknown("a customer without a code", answer)
    number = read_id(answer.data.get("id"))
    extra = {} if number is None else {"customer": number}
    return Succeeded(Facts(provider_id=code, extra=extra, raw=answer.kept))
