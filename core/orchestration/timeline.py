"""What happened to a payment, in plain words and in order: each row of ours becomes one or two entries."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from core.domain.identifiers import PREFIXES, public_id
from core.domain.money import Money
from core.domain.representations import timestamp
from core.orchestration import route_words

Row = Mapping[Any, Any]
Entry = tuple[datetime, int, dict[str, Any]]

#: What stands before what when the clock gives two rows the same instant (one transaction, one time).
_ORDER = (
    "request",
    "audit",
    "route",
    "job",
    "transaction",
    "refund",
    "dispute",
    "webhook",
    "statement",
    "finding",
    "event",
    "delivery",
)

_REQUESTS = {
    "create_payment": "Asked for the payment",
    "capture_payment": "Asked to capture",
    "cancel_payment": "Asked to cancel",
    "refund_payment": "Asked for a refund",
    "sync_payment": "Set to ask the provider how it stands",
    "expire_payment": "Set to close the abandoned redirect",
    "close_payment": "Set to end what the decline left payable at the provider",
    "sync_dispute": "Set to ask the provider how the dispute stands",
    "send_evidence": "Asked to answer the dispute with evidence",
    "accept_dispute": "Asked to accept the dispute",
}
OPERATIONS = {
    "charge": "charge",
    "authorize": "authorization",
    "capture": "capture",
    "void": "void",
    "refund": "refund",
    "save": "saved method",
}
_INBOX = {
    "received": "stored, not read yet",
    "applied": "applied",
    "ignored": "ignored",
    "parked": "parked until its payment is known",
}


def money(amount: int, currency: str) -> str:
    """E.g. `50.00 USD`."""
    return f"{Money(amount, currency).major} {currency}"


def _entry(at: datetime, kind: str, summary: str, details: Mapping[str, Any]) -> Entry:
    group = _ORDER.index(kind.partition(".")[0])
    shown = {name: _public(value) for name, value in details.items() if value is not None}
    return at, group, {"at": timestamp(at), "kind": kind, "summary": summary, "details": shown}


def _public(value: Any) -> Any:
    """JSON without our inner ids: what has no public form is left out."""
    if isinstance(value, datetime):
        return timestamp(value)
    if isinstance(value, Mapping):
        return {name: _public(part) for name, part in value.items() if not _inner(part)}
    if isinstance(value, list | tuple):
        return [_public(part) for part in value if not _inner(part)]
    return value


def _inner(value: Any) -> bool:
    if isinstance(value, UUID):
        return True
    if not isinstance(value, str) or len(value) != 36:
        return False
    try:
        UUID(value)
    except ValueError:
        return False
    return True


def _id(kind: str, value: UUID | None) -> str | None:
    return None if value is None else public_id(kind, value)


def names_of(accounts: Sequence[Row]) -> dict[str, str]:
    return {public_id("provider_account", one["id"]): one["name"] for one in accounts}


def _route(payment: Row, names: route_words.Names) -> Iterator[Entry]:
    if payment["route"] is None:
        return
    kept = payment["route"]
    details = {
        "account": _id("provider_account", payment["provider_account_id"]),
        "asked_for": payment["provider_pin"],
        "in_words": route_words.lines(kept, names),
        "decision": kept,
    }
    yield _entry(payment["created_at"], "route.decided", route_words.summary(kept, payment["provider"]), details)


def _jobs(row: Row, accepted: Mapping[UUID, datetime]) -> Iterator[Entry]:
    job = {"job": public_id("job", row["id"]), "job_kind": row["kind"]}
    if row["kind"] == "deliver_event":
        job |= {"event": public_id("event", row["target_id"])}
        job |= {"webhook_endpoint": public_id("webhook_endpoint", row["endpoint_id"])}
    if row["kind"] in _REQUESTS:
        # The job is the last row of its commit; the request came before the first one.
        asked_at = accepted.get(row["target_id"] or row["id"], row["created_at"])
        yield _entry(asked_at, "request.accepted", _REQUESTS[row["kind"]], job)
    state = {**job, "status": row["status"], "attempts": row["attempts"], "error": row["error"]}
    if row["finished_at"] is not None:
        yield _entry(row["finished_at"], "job.ended", f"Job {row['kind']} {row['status']}", state)
    elif row["status"] == "queued" and row["attempts"]:
        # Told at the time of the next attempt, after all that led to it.
        yield _entry(row["run_after"], "job.waiting", f"Job {row['kind']} will be tried again", state)
    elif row["status"] == "needs_review":
        yield _entry(
            row["started_at"] or row["created_at"], "job.review", f"Job {row['kind']} waits for a person", state
        )


def _transactions(row: Row) -> Iterator[Entry]:
    what = f"{OPERATIONS[row['kind']]} of {money(row['amount'], row['currency'])}"
    base = {
        "transaction": public_id("transaction", row["id"]),
        "operation": row["kind"],
        "number": row["number"],
        "provider": row["provider"],
        "account": public_id("provider_account", row["provider_account_id"]),
        "refund": _id("refund", row["refund_id"]),
    }
    sent_at = row["first_sent_at"] or row["created_at"]
    times = "" if row["send_count"] <= 1 else f", {row['send_count']} times"
    sends = {**base, "sends": row["send_count"], "last_sent_at": row["last_sent_at"]}
    yield _entry(sent_at, "transaction.sent", f"Sent a {what} to {row['provider']}{times}", sends)
    if row["status"] == "sent":
        return
    outcome = {
        **base,
        "status": row["status"],
        "provider_id": row["provider_id"],
        "amount_confirmed": row["amount_confirmed"],
        "fee": row["fee"],
        "decline": row["decline"],
        "look_ups": row["lookup_count"] or None,
        "surplus": row["surplus"] or None,
    }
    surplus = " (surplus money)" if row["surplus"] else ""
    yield _entry(row["updated_at"], f"transaction.{row['status']}", f"The {what} is {row['status']}{surplus}", outcome)


def _refunds(row: Row) -> Iterator[Entry]:
    what = f"refund of {money(row['amount'], row['currency'])}"
    by = "by the API" if row["origin"] == "api" else "at the provider"
    details = {"refund": public_id("refund", row["id"]), "status": row["status"], "reason": row["reason"]}
    details["failure"] = row["failure"]
    yield _entry(row["created_at"], "refund.made", f"A {what} was asked for {by}; it is {row['status']}", details)


def _disputes(row: Row) -> Iterator[Entry]:
    what = f"{money(row['amount'], row['currency'])} are disputed"
    details = {
        "dispute": public_id("dispute", row["id"]),
        "status": row["status"],
        "reason": row["reason"],
        "withheld": row["withheld"],
        "refundable": row["refundable"],
        "evidence_due_by": row["evidence_due_by"],
    }
    because = f" ({row['reason'].replace('_', ' ')})" if row["reason"] else ""
    yield _entry(row["created_at"], "dispute.opened", f"{what}{because}; it is {row['status']}", details)
    if row["evidence_sent_at"] is not None:
        dispute = {"dispute": public_id("dispute", row["id"])}
        yield _entry(row["evidence_sent_at"], "dispute.answered", "Evidence against the dispute was sent", dispute)


def _statement(row: Row) -> Iterator[Entry]:
    """What the provider's statement says of it, fee and net, in the currency of its balance."""
    currency, sum_ = row["currency"], abs(row["amount"])
    words = row["kind"].replace("_", " ")
    fee = f", fee {money(row['fee'], currency)}" if row["fee"] > 0 else ""
    out = f", part of payout {row['payout']}" if row["payout"] else ""
    details = {
        "line": row["line_id"],
        "account": public_id("provider_account", row["provider_account_id"]),
        "transaction": _id("transaction", row["transaction_id"]),
        "refund": _id("refund", row["refund_id"]),
        "dispute": _id("dispute", row["dispute_id"]),
        **{name: row[name] for name in ("amount", "fee", "net", "currency", "payout", "available_at")},
        **{name: row[name] for name in ("original_amount", "original_currency", "exchange_rate")},
    }
    summary = f"The statement has a {words} of {money(sum_, currency)}{fee}, net {_signed(row['net'], currency)}{out}"
    yield _entry(row["booked_at"] or row["created_at"], f"statement.{row['kind']}", summary, details)


def _signed(amount: int, currency: str) -> str:
    return f"{'-' if amount < 0 else ''}{money(abs(amount), currency)}"


def _inbox(row: Row) -> Iterator[Entry]:
    details = {
        "inbox_event": public_id("inbox_event", row["id"]),
        "provider_event_id": row["provider_event_id"],
        "account": public_id("provider_account", row["provider_account_id"]),
        "status": row["status"],
        "reason": row["reason"],
        "processed_at": row["processed_at"],
    }
    summary = f"{row['provider']} told us {row['kind']}: {_INBOX[row['status']]}"
    yield _entry(row["received_at"], "webhook.received", summary, details)


def _audit(row: Row) -> Iterator[Entry]:
    subject = row["subject_kind"].replace("_", " ")
    if row["to_status"] is None:
        summary = f"{row['action'].replace('_', ' ').replace('.', ' ')} by {row['actor']}"
    elif row["from_status"] is None:
        summary = f"The {subject} began as {row['to_status']}"
    else:
        summary = f"The {subject} went from {row['from_status']} to {row['to_status']}"
    details = {
        "number": row["number"],
        "actor": row["actor"],
        "action": row["action"],
        "subject": public_id(row["subject_kind"], row["subject_id"]) if row["subject_kind"] in PREFIXES else None,
        "from": row["from_status"],
        "to": row["to_status"],
        "cause": row["cause"],
        "request_id": row["request_id"],
        "more": row["details"] or None,
    }
    yield _entry(row["created_at"], "audit.recorded", summary, details)


def _events(row: Row) -> Iterator[Entry]:
    details = {"event": public_id("event", row["id"]), "sequence": row["sequence"]}
    yield _entry(row["created_at"], "event.written", f"Event {row['type']} written", details)


def _deliveries(row: Row) -> Iterator[Entry]:
    details = {
        "event": public_id("event", row["event_id"]),
        "webhook_endpoint": public_id("webhook_endpoint", row["endpoint_id"]),
        "attempt": row["attempt"],
        "http_status": row["http_status"],
        "error": row["error"],
        "duration_ms": row["duration_ms"],
    }
    yield _entry(
        row["created_at"], f"delivery.{row['outcome']}", f"Delivery attempt {row['attempt']} {row['outcome']}", details
    )


def _findings(row: Row) -> Iterator[Entry]:
    details = {
        "finding": public_id("finding", row["id"]),
        "finding_kind": row["kind"],
        "transaction": _id("transaction", row["transaction_id"]),
        "more": row["details"] or None,
    }
    yield _entry(row["created_at"], "finding.opened", f"A person should look: {row['kind'].replace('_', ' ')}", details)
    if row["resolved_at"] is not None:
        solved = {**details, "resolution": row["resolution"]}
        yield _entry(row["resolved_at"], "finding.resolved", f"Settled: {row['kind'].replace('_', ' ')}", solved)


_TELLERS: Mapping[str, Callable[[Row], Iterator[Entry]]] = {
    "transactions": _transactions,
    "refunds": _refunds,
    "disputes": _disputes,
    "inbox": _inbox,
    "audit": _audit,
    "events": _events,
    "deliveries": _deliveries,
    "statement": _statement,
    "findings": _findings,
}


def tell(payment: Row, found: Mapping[str, Sequence[Row]]) -> list[dict[str, Any]]:
    """Entries {at, kind, summary, details} in order of time; public ids only, nothing sealed."""
    entries = list(_route(payment, names_of(found["accounts"])))
    accepted = {row["id"]: row["created_at"] for row in found["refunds"]}
    accepted |= {row["id"]: payment["created_at"] for row in found["jobs"] if row["kind"] == "create_payment"}
    for row in found["jobs"]:
        entries.extend(_jobs(row, accepted))
    for source, tell_row in _TELLERS.items():
        for row in found[source]:
            entries.extend(tell_row(row))
    # Python's sort is stable, so rows of one table keep their order within an instant.
    entries.sort(key=lambda entry: (entry[0], entry[1]))
    return [shown for _, _, shown in entries]
