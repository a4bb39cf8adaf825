"""One payment as people look at it: found by any id, its sums, what was sent for it, why it went there, its story."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from core.audit import log
from core.domain import representations
from core.domain.identifiers import PREFIXES, InvalidIdentifier, parse_id, public_id
from core.domain.representations import timestamp
from core.orchestration import jobs, route_words
from core.orchestration import timeline as words
from core.orchestration.context import Caller, Core
from core.orchestration.intake import locked_payment
from core.orchestration.reading import missing
from core.persistence.database import Scope
from core.persistence.queries import payment_search
from core.persistence.queries.reading import find
from core.persistence.queries.timeline import rows_about
from core.persistence.tables import payments

Row = Mapping[Any, Any]
_KINDS = {prefix: kind for kind, prefix in PREFIXES.items()}


def search(core: Core, scope: Scope, text: str) -> str | None:
    """The payment that an id leads to: its own, one of what belongs to it, or the provider's of something sent for it.

    None where the text is no such id: it may still be a reference.
    """
    kind = _KINDS.get(text.partition("_")[0])
    with core.database.scoped(scope) as connection:
        number = None if kind is None else _number(kind, text)
        if kind is not None and number is not None:
            found = payment_search.by_row(connection, scope, kind, number)
        else:
            found = payment_search.by_provider_id(connection, scope, text)
    return None if found is None else public_id("payment", found)


def _number(kind: str, text: str) -> UUID | None:
    try:
        return parse_id(kind, text.lower())
    except InvalidIdentifier:
        return None


def show(core: Core, scope: Scope, payment_id: UUID) -> dict[str, Any]:
    """{payment, sums, sent, refunds, disputes, findings, waiting, route, timeline}. Raises NotFoundError."""
    with core.database.scoped(scope) as connection:
        row = find(connection, payments, scope, payment_id)
        if row is None:
            raise missing("payment")
        found = rows_about(connection, scope, payment_id, row["created_at"])
    return {
        # Without where the customer has to go: whoever has that can pay.
        "payment": representations.event_payment(row),
        "sums": sums(row, found["transactions"]),
        "sent": [_sent(one) for one in found["transactions"]],
        "refunds": [
            representations.refund({**one, "payment_id": payment_id, "mode": scope.mode}) for one in found["refunds"]
        ],
        "disputes": [{**one, "id": public_id("dispute", one["id"])} for one in found["disputes"]],
        "findings": [
            {**one, "id": public_id("finding", one["id"])} for one in found["findings"] if not one["resolved_at"]
        ],
        "waiting": [_job(one) for one in found["jobs"] if one["status"] in ("queued", "running", "needs_review")],
        "route": None if row["route"] is None else _route(row, words.names_of(found["accounts"])),
        "timeline": words.tell(row, found),
    }


def ask(core: Core, caller: Caller, payment_id: UUID) -> None:
    """Have the provider asked now, and say who wanted it. Raises NotFoundError."""
    with core.transaction(caller.scope) as connection:
        payment = locked_payment(connection, payment_id)
        job_id = jobs.enqueue_sync(connection, caller.scope, payment["id"])
        log.record(
            connection,
            scope=caller.scope,
            actor=caller.actor,
            action="payment.asked_about",
            subject_kind="payment",
            subject_id=payment["id"],
            payment_id=payment["id"],
            cause="person",
            request_id=caller.request_id,
            job_id=job_id,
            from_address=caller.from_address,
        )


def sums(row: Row, sent: Any) -> list[dict[str, Any]]:
    """The equation of the payment's money, line by line: what it was asked for down to what is left of it."""
    fees = _fees([one for one in sent if one["status"] == "succeeded"])
    lines = [
        ("Asked for", row["amount"], "what the merchant wanted"),
        ("Authorized", row["amount_authorized"], "held at the provider"),
        ("Captured", row["amount_captured"], "taken of it"),
        ("Received", row["amount_received"], "what the provider says it took, surplus and passed-on fees included"),
        ("Refunded", -row["amount_refunded"], "given back"),
        ("Disputed", -row["amount_disputed"], "withheld for disputes"),
    ]
    left = row["amount_received"] - row["amount_refunded"] - row["amount_disputed"]
    found = [{"label": label, "amount": amount, "note": note, "total": False} for label, amount, note in lines]
    found.append({"label": "Left", "amount": left, "note": "received less refunded and disputed", "total": True})
    if fees:
        found.append({"label": "Fees told", "amount": -fees, "note": "as answers and webhooks say", "total": False})
    return found


def _fees(took: Sequence[Row]) -> int:
    """Of a hold that was captured both may tell the same fee: the statement names the hold, and its word counts."""
    held = [one["fee"] for one in took if one["kind"] == "authorize" and one["fee"] is not None]
    return sum(one["fee"] or 0 for one in took if one["kind"] != "capture" or not held)


def _named(kind: str, row: Row) -> dict[str, Any]:
    return {**row, "id": public_id(kind, row["id"])}


def _sent(row: Row) -> dict[str, Any]:
    return {
        "id": public_id("transaction", row["id"]),
        "what": words.OPERATIONS[row["kind"]],
        "status": row["status"],
        "surplus": row["surplus"],
        "provider": row["provider"],
        "account": public_id("provider_account", row["provider_account_id"]),
        "provider_id": row["provider_id"],
        "amount": row["amount"],
        "currency": row["currency"],
        "sends": row["send_count"],
        "sent_at": timestamp(row["first_sent_at"]),
        "decline": row["decline"],
    }


def _job(row: Row) -> dict[str, Any]:
    names = ("kind", "status", "attempts", "error")
    return {
        "id": public_id("job", row["id"]),
        "due": timestamp(row["run_after"]),
        **{name: row[name] for name in names},
    }


def _route(row: Row, names: route_words.Names) -> dict[str, Any]:
    kept = row["route"]
    return {"summary": route_words.summary(kept, row["provider"]), "lines": route_words.lines(kept, names)}
