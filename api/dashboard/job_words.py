"""Jobs as people speak of them: what each kind does, why it waits, and what each decision does to the money."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from core.domain.findings import KINDS

#: Job kind -> what it does. Whole: a test compares it with the lanes.
DOES: Mapping[str, str] = {
    "create_payment": "Charge a payment",
    "capture_payment": "Capture what is held",
    "cancel_payment": "Cancel a payment",
    "refund_payment": "Give money back",
    "close_payment": "End what a decline left payable",
    "sync_payment": "Ask the provider how a payment stands",
    "expire_payment": "Close an abandoned redirect",
    "sync_dispute": "Ask the provider how a dispute stands",
    "send_evidence": "Answer a dispute with evidence",
    "accept_dispute": "Accept a dispute",
    "forget_method": "Have a payment method dropped by the provider",
    "push_customer": "Tell the provider of a changed customer",
    "process_webhook": "Read what a provider told us",
    "deliver_event": "Tell the merchant of an event",
    "reconcile": "Compare our books with the provider's",
}

#: Reasons of a job's error that are no kind of finding.
_REASONS: Mapping[str, str] = {
    "contradiction": "The provider answered with something else than was asked for",
    "list_broken": "The provider's list broke off in the middle",
    "job_ended": "The job that carried it has ended or waits for a person",
}


def reason(code: str | None) -> str | None:
    """Why a job waits or failed, in words."""
    if code is None:
        return None
    if code in KINDS:
        return KINDS[code].means
    return _REASONS.get(code, code.replace("_", " "))


#: Verdict -> (button, what it does to the money, what has to be confirmed first).
VERDICTS: Mapping[str, tuple[str, str, str]] = {
    "executed": (
        "The provider shows it done",
        "Our books take it over: the operation counts as succeeded with the sum you give, payment and refund follow, "
        "and the merchant is told. The provider is asked once more afterwards.",
        "I looked at the provider, and it is there with this id and this sum",
    ),
    "not_executed": (
        "The provider shows nothing of it",
        "No money moved: the operation counts as not executed, its payment or refund fails, and the merchant is told "
        "so and may charge anew. If it is there in spite of it, the customer pays twice.",
        "I looked at the provider, and nothing of this is there",
    ),
    "succeeded": (
        "It is settled and did its work",
        "No money moves. The job ends as succeeded, and its finding with it.",
        "Nothing is left to be done for this job",
    ),
    "failed": (
        "It is settled and did not do its work",
        "No money moves. The job ends as failed, and its finding with it.",
        "Nothing is left to be done for this job",
    ),
}
REQUEUE = (
    "The job is tried again, with all its tries. What may have been sent is looked up first and is never sent under "
    "another key, so nobody is charged twice."
)
#: Job kind -> what canceling it does, for those that can be while they wait.
CANCEL: Mapping[str, str] = {
    "create_payment": "Nothing was sent yet: the payment is canceled and the merchant is told. No money moves.",
    "deliver_event": "This endpoint is not told of the event any more. It can be sent again from the event's page.",
}


def evidence(transaction: Mapping[str, Any]) -> list[str]:
    """What we know of an operation, in sentences, from its row as `review_reading` shows it."""
    name, provider = transaction["operation"], transaction["provider"]
    sends = transaction["sends"]
    times = "once" if sends == 1 else f"{sends} times"
    told = [f"A {name} of {transaction['amount']} was sent to {provider} {times}, always under one key."]
    if not sends:
        told = [f"A {name} of {transaction['amount']} was written down, and nothing shows that it ever left."]
    asked = transaction["look_ups"]
    if asked:
        told.append(f"{provider} was asked about it {'once' if asked == 1 else f'{asked} times'}.")
    if transaction["provider_id"]:
        told.append(f"{provider} has named it {transaction['provider_id']}.")
    else:
        told.append(f"{provider} has never named an id: look for our own mark, {transaction['provider_key']}.")
    said = transaction["evidence"] or {}
    if said:
        told.append(f"What was heard last: {said_in_words(said)}.")
    return told


def said_in_words(said: Mapping[str, Any]) -> str:
    flat = [f"{name.replace('_', ' ')} {value}" for name, value in said.items() if isinstance(value, str | int | float)]
    return ", ".join(flat) or "see below"
