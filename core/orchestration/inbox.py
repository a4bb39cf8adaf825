"""The webhook road after the answer: translate what was stored, and through the same door as everything else."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core import metrics, points
from core.domain.identifiers import InvalidIdentifier, parse_id
from core.domain.outcomes import Canceled, Facts, Succeeded
from core.domain.statuses import OPEN_OR_SUCCEEDED, OPEN_TRANSACTION, SURPLUS_ONLY
from core.orchestration import (
    announce,
    disputes,
    erasure,
    jobs,
    mentions,
    payment_methods,
    provider_manager,
    status_manager,
)
from core.orchestration.context import Cause, Core
from core.orchestration.jobs import Job, LeaseLost
from core.orchestration.settlement import TRANSACTION_STATUS
from core.persistence import pipeline
from core.persistence.database import Scope, present
from core.persistence.queries import erasures
from core.persistence.queries import inbox as stored_events
from core.persistence.queries import payments as rows
from core.persistence.queries.findings import open_finding
from core.persistence.tables import inbox_events, transactions
from core.persistence.vault import Place
from core.providers.base import AnyNews, DisputeNews, Ignored, MethodNews, News, VerifiedEvent

Row = Mapping[Any, Any]
Became = Literal["applied", "ignored", "parked"]

_RECEIVED_AT = sa.text("SELECT received_at FROM inbox_events WHERE id = :id")

#: Seconds until an event about something we do not know is tried again; after the last it is foreign.
PARKED_DELAYS = (5.0, 60.0, 600.0, 3600.0)
_KIND = "process_webhook"
_REDACTED = "it is kept redacted: the person it names was erased, or it tells of nothing but a person"


@dataclass(frozen=True, slots=True)
class Matched:
    """A payment and the transaction of it that an event names, both locked."""

    payment: Row
    transaction: Row


def process(core: Core, job: Job) -> None:
    """Translate a stored event and apply its news; the job and the event end in the same commit."""
    with core.transaction(job.scope, commit=points.APPLYING) as connection:
        stored = _load(connection, job)
        became = _read(core, connection, job, stored)
    if became is not None:
        metrics.EVENTS_READ.labels(stored["provider"], became).inc()


def _read(core: Core, connection: Connection, job: Job, stored: Row) -> Became | None:
    """None for one that has been read before."""
    if stored["status"] not in ("received", "parked"):
        jobs.finish(connection, job)
        return None
    account = provider_manager.open_account(core, connection, job.scope, stored["provider_account_id"])
    event = _event(core, connection, job.scope, stored)
    if event is None:
        return _end(connection, job, stored, "ignored", _REDACTED, stored["payment_id"])
    if event.body is None:
        return _end(connection, job, stored, "ignored", "the body is not JSON")
    news = account.provider.read_webhook(event)
    if isinstance(news, Ignored) and news.about_person:
        _redact(core, connection, job.scope, stored)
        return _end(connection, job, stored, "ignored", news.reason)
    if isinstance(news, Ignored):
        return _put_aside(core, connection, job, stored, event, news.reason)
    if not all(storable(one) for one in news):
        reason = "it names an object by characters that no id has"
        return _put_aside(core, connection, job, stored, event, reason)
    return _apply_all(core, connection, job, stored, news)


def storable(news: AnyNews) -> bool:
    """Postgres keeps neither NUL nor half a surrogate pair, and no provider's id holds one."""
    named: tuple[str | None, ...]
    match news:
        case MethodNews():
            named = (news.token,)
        case DisputeNews():
            named = (news.provider_id, *news.charge_ids)
        case News():
            named = (news.transaction_id, news.provider_id, news.start_provider_id)
    return all("\x00" not in text and text.isascii() for text in named if text is not None)


def _load(connection: Connection, job: Job) -> Row:
    """The event with its body, both found by the time of the job, which was made in their commit. Raises LeaseLost."""
    found = stored_events.lock_with_body(connection, job.scope, job.target, job.created_at, job.id, job.fence)
    if found is None:  # a later job of the same event
        received_at = connection.execute(_RECEIVED_AT, {"id": job.target}).scalar_one()
        found = stored_events.lock_with_body(connection, job.scope, job.target, received_at, job.id, job.fence)
    if found is None:
        raise LookupError(f"inbox event {job.target} has no body")
    if not found["held"]:
        raise LeaseLost(str(job.id))
    jobs.locked(connection, job)
    return found


def _event(core: Core, connection: Connection, scope: Scope, stored: Row) -> VerifiedEvent | None:
    """None where what was received has been redacted since."""
    place = Place("bodies", "sealed", stored["body_id"])
    opened = core.vault.merchant_key(connection, scope).open_json(place, stored["sealed"])
    if opened.get("redacted"):
        return None
    created: datetime | None = stored["provider_created_at"]
    return VerifiedEvent(
        dedupe_key=stored["dedupe_key"],
        kind=stored["kind"],
        provider_event_id=stored["provider_event_id"],
        created_at=created,
        body=_parsed(base64.b64decode(opened["body"])),
    )


def _parsed(raw: bytes) -> Mapping[str, Any] | None:
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    return body if isinstance(body, dict) else None


def _apply_all(core: Core, connection: Connection, job: Job, stored: Row, news: Sequence[AnyNews]) -> Became:
    cause = Cause("webhook", stored["provider"], None, f"{stored['kind']} {stored['provider_event_id'] or ''}".strip())
    notes: list[str] = []
    payment_id: UUID | None = None
    erased = False
    for one in news:
        heeded = heed(core, connection, job.scope, stored["provider_account_id"], one, cause)
        if isinstance(one, MethodNews):
            _redact(core, connection, job.scope, stored)
            if heeded is None:
                return _end(connection, job, stored, "ignored", "no saved payment method of ours")
            return _end(connection, job, stored, "applied", heeded.note)
        if heeded is not None:
            payment_id = heeded.payment_id
            notes.append(heeded.note)
            erased = erased or heeded.payer_erased
    if payment_id is None:
        return _park(connection, job, stored, news)
    if erased:
        _redact(core, connection, job.scope, stored)
    return _end(connection, job, stored, "applied", "; ".join(dict.fromkeys(notes)), payment_id)


def _put_aside(core: Core, connection: Connection, job: Job, stored: Row, event: VerifiedEvent, reason: str) -> Became:
    """Its body may name whoever paid, so it is kept with the payment it speaks of."""
    account_id: UUID = stored["provider_account_id"]
    named = mentions.payment_named(connection, job.scope, account_id, event.body or {})
    if named is not None and named[1]:
        _redact(core, connection, job.scope, stored)
    return _end(connection, job, stored, "ignored", reason, None if named is None else named[0])


def _redact(core: Core, connection: Connection, scope: Scope, stored: Row) -> None:
    """It names a person, and came after they were erased or could not be found when they are."""
    body = {"id": stored["body_id"], "owner_kind": "inbox_event", "sealed": stored["sealed"]}
    sealed = erasure.redacted_body(core.vault.merchant_key(connection, scope), body)
    erasures.keep_bodies(connection, {stored["body_id"]: sealed})


@dataclass(frozen=True, slots=True)
class Heeded:
    """What came of a piece of news, in words; the payment it is about, if it is about one."""

    payment_id: UUID | None
    note: str
    payer_erased: bool = False


def heed(
    core: Core, connection: Connection, scope: Scope, account_id: UUID, one: AnyNews, cause: Cause
) -> Heeded | None:
    """The one door for what a provider tells, by webhook or in a list; None where it is about nothing of ours."""
    if isinstance(one, MethodNews):
        gone = payment_methods.gone(core, connection, account_id, one.token)
        return Heeded(None, "dropped at the provider") if gone else None
    if isinstance(one, DisputeNews):
        disputed = disputes.take_notice(connection, scope, account_id, one)
        if disputed is None:
            return None
        return Heeded(disputed, "the provider is asked", rows.find_payment(connection, disputed)["payer_erased"])
    found = _match(connection, account_id, one)
    if found is None:
        return None
    note = _apply(core, connection, scope, one, found, cause)
    return Heeded(found.payment["id"], note, found.payment["payer_erased"])


def _match(connection: Connection, account_id: UUID, news: News) -> Matched | None:
    """Our transaction behind a piece of news: by our mark, by its own object, by the charge it belongs to."""
    if news.transaction_id is not None:
        marked = _by_mark(connection, account_id, news.transaction_id)
        if marked is not None:
            return marked
    own = rows.REFUND if news.operation == "refund" else rows.NOT_REFUNDS
    for provider_id, kinds in ((news.provider_id, own), (news.start_provider_id, rows.NOT_REFUNDS)):
        if provider_id is not None:
            found = rows.find_by_provider(connection, account_id, provider_id, kinds)
            if found:
                payment = rows.lock_payment(connection, found[0]["payment_id"])
                return Matched(payment, rows.lock_transaction(connection, found[0]["id"]))
    return None


def _by_mark(connection: Connection, account_id: UUID, mark: str) -> Matched | None:
    try:
        found = rows.lock_marked(connection, parse_id("transaction", mark), account_id)
    except InvalidIdentifier:
        return None
    return None if found is None else Matched(*found)


def _apply(core: Core, connection: Connection, scope: Scope, news: News, matched: Matched, cause: Cause) -> str:
    payment, found = matched.payment, matched.transaction
    if news.outcome is None:
        ended = _ended(connection, payment, found, news)
        _have_asked(connection, scope, payment, ended, told=news.operation == "start")
        return "the provider is asked"
    target = _transaction_for(connection, payment, found, news)
    if target is None:
        return _apply_foreign(core, connection, payment, news, cause)
    locked = found if target["id"] == found["id"] else rows.lock_transaction(connection, target["id"])
    if (locked["status"], TRANSACTION_STATUS[type(news.outcome)]) in SURPLUS_ONLY:
        # An event shows its object as it was then; money after the end is believed from a look-up alone.
        if locked["provider_id"] is None and payment["method"] != "redirect":
            # Made later than a look-up that goes by the time of sending would search: it is asked about by its name.
            pipeline.update(connection, transactions, locked["id"], {"provider_id": news.provider_id})
        _have_asked(connection, scope, payment, [locked["id"]])
        return "the provider is asked whether this is still so"
    applied = status_manager.apply(core, connection, payment, locked, news.outcome, cause)
    if locked["kind"] == "void" and applied.payment["status"] == "canceled":
        announce.close_start(core, connection, applied.payment, cause)
    if applied.review is not None:
        # The object itself is read; if it says the same, its job goes to a person.
        _have_asked(connection, scope, payment, [])
        return f"contradiction: {applied.review}"
    return "older than what is known" if applied.stale else "applied"


def _ended(connection: Connection, payment: Row, found: Row, news: News) -> list[UUID]:
    """What the news may speak of though we call it ended: a refund may fail, money be taken, after all."""
    if news.operation == "start":
        starts = [found] if status_manager.is_start(found) else []
        return [row["id"] for row in starts if row["status"] in ("declined", "not_executed", "canceled")]
    if found["kind"] == "refund":
        return [found["id"]]
    sent = rows.transactions_of(connection, found["payment_id"])
    if news.operation in ("capture", "void"):
        denied = _denied(payment, [row for row in sent if row["kind"] == news.operation])
        return [] if denied is None else [denied["id"]]
    return [row["id"] for row in sent if row["kind"] == "refund" and row["status"] not in OPEN_TRANSACTION]


def _denied(payment: Row, same: Sequence[Row]) -> Row | None:
    """The capture or release that we call ended without success, and that may have been done all the same.

    None where another one of ours is open or has succeeded: then that is what was done. None unless the payment has
    ended too: an authorized one has its hold asked about, and one that succeeded knows of its money.
    """
    alive = [row for row in same if row["status"] in OPEN_OR_SUCCEEDED]
    over = payment["status"] in ("failed", "canceled")
    return same[-1] if same and over and not alive else None


def _have_asked(connection: Connection, scope: Scope, payment: Row, ended: list[UUID], *, told: bool = False) -> None:
    if ended:
        rows.doubt(connection, ended)
    jobs.enqueue_sync(connection, scope, payment["id"], told=told)


def _transaction_for(connection: Connection, payment: Row, found: Row, news: News) -> Row | None:
    """Which transaction of the payment the news speaks about."""
    if (news.operation == "start" and status_manager.is_start(found)) or news.operation == found["kind"] == "refund":
        return found
    sent = rows.transactions_of(connection, payment["id"])
    if news.operation == "start":
        return rows.latest_start(sent)
    if news.operation == "refund":
        named = [row for row in sent if row["kind"] == "refund" and row["provider_id"] == news.provider_id]
        return named[0] if named and news.provider_id is not None else None
    same = [row for row in sent if row["kind"] == news.operation]
    told = [row for row in same if row["status"] not in ("declined", "not_executed")]
    if told:
        return told[-1]
    return _denied(payment, same) if isinstance(news.outcome, Succeeded) else None


def _apply_foreign(core: Core, connection: Connection, payment: Row, news: News, cause: Cause) -> str:
    """Something done at the provider without our asking: a dashboard's refund, capture, or release."""
    facts = getattr(news.outcome, "facts", None) or Facts()
    if news.operation == "refund":
        return status_manager.adopt_refund(core, connection, payment, news, cause)
    settled = isinstance(news.outcome, Succeeded | Canceled)
    if settled and status_manager.apply_without_transaction(
        core, connection, payment, news.operation, facts.amount_captured, cause
    ):
        return "done at the provider without our asking"
    return "nothing of ours to change"


def _park(connection: Connection, job: Job, stored: Row, news: Sequence[AnyNews]) -> Became:
    """It may be about something whose row is still on its way; tried again, then called foreign."""
    if job.attempts <= len(PARKED_DELAYS):
        _mark(connection, stored, "parked", "no transaction of ours matches yet", None)
        jobs.requeue(connection, job, PARKED_DELAYS[job.attempts - 1])
        return "parked"
    marked = next((one.transaction_id for one in news if isinstance(one, News) and one.transaction_id), None)
    if marked is not None:
        details = {"kind": stored["kind"], "mark": marked}
        open_finding(connection, job.scope, "unmatched_event", str(stored["id"]), details, inbox_id=stored["id"])
    return _end(connection, job, stored, "ignored", "foreign: about an object that is not ours")


def _end(
    connection: Connection, job: Job, stored: Row, status: Became, reason: str, payment_id: UUID | None = None
) -> Became:
    _mark(connection, stored, status, reason, payment_id)
    jobs.finish(connection, job)
    return status


def _mark(connection: Connection, stored: Row, status: str, reason: str, payment_id: UUID | None) -> None:
    values: dict[str, Any] = {"status": status, "reason": reason[:500], "payment_id": payment_id}
    if status != "parked":
        values["processed_at"] = present(connection)
    pipeline.update(connection, inbox_events, stored["id"], values)
