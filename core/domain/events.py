"""The kinds of event a merchant can be told of."""

from __future__ import annotations

from collections.abc import Sequence

from core.domain.errors import FieldError, RequestRefused

#: Kind and what it says. One for each status a merchant can see, and late money beside them.
EVENT_TYPES: dict[str, str] = {
    "payment.processing": "a payment was accepted and is on its way",
    "payment.requires_action": "the customer has to do something; next_action says what",
    "payment.authorized": "the amount is held and can be captured",
    "payment.succeeded": "the money was taken",
    "payment.failed": "the payment ended without money; decline says why",
    "payment.canceled": "the payment was ended before money was taken",
    "payment.surplus_received": "money came for a payment that had already ended",
    "refund.processing": "a refund was accepted and is on its way",
    "refund.requires_action": "the provider needs something before it gives the money back",
    "refund.succeeded": "the money was given back",
    "refund.failed": "the money was not given back, or came back to us",
    "refund.canceled": "a refund was ended before it was carried out",
    "dispute.needs_response": "a customer disputes a charge and the bank waits for evidence",
    "dispute.under_review": "the bank looks at the evidence",
    "dispute.won": "the money stays",
    "dispute.lost": "the money is gone",
    "dispute.closed": "the dispute ended without a verdict",
}
#: Subscribes to every kind, those of later versions included.
ALL = "*"


def check_event_types(asked: Sequence[str]) -> list[str]:
    """The kinds, without doubles, in the order asked. Raises RequestRefused."""
    chosen = list(dict.fromkeys(asked))
    if chosen == [ALL]:
        return chosen
    if not chosen or any(kind not in EVENT_TYPES for kind in chosen):
        message = 'must be ["*"] or a list of kinds: ' + ", ".join(EVENT_TYPES)
        raise RequestRefused("unknown kind of event", errors=[FieldError("event_types", message)])
    return chosen
