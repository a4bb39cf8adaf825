"""Erasing a person: their key is destroyed, what names them elsewhere is redacted; ids, sums and statuses stay.

One commit holds all of it. The anchor file outside Postgres remembers who it was by id, and an older copy of the
database has the same done to it again before it is shown.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy.engine import Connection

from core.audit import log as audit
from core.domain.errors import Unavailable
from core.domain.redaction import ERASED, Particulars, redact_body
from core.orchestration import jobs, payment_methods, people, requests
from core.orchestration.context import Cause, Core
from core.persistence.database import Scope, present
from core.persistence.queries import customers as customer_rows
from core.persistence.queries import erasures as rows
from core.persistence.vault import DataKey, Place
from core.providers.base import Person, RefundRequest, Request, StartRequest, load_request
from core.startup import erasures as remembered
from core.startup.anchor import AnchorUnusable
from core.startup.erasures import Erasure

Row = Mapping[Any, Any]
log = structlog.get_logger()

#: What an erased customer leaves behind: a row that payments can name. The merchant's own notes go as well: they
#: may say who it was.
_NOTHING: Mapping[str, Any] = {"sealed": None, "email_index": None, "reference": None, "metadata": {}}
#: What a merchant writes about a payment in words of its own.
_TEXTS = ("reference", "description", "metadata", "return_url")


def destroy(core: Core, connection: Connection, scope: Scope, customer: Row, cause: Cause) -> dict[str, int]:
    """Everything about a locked customer but the row itself; counts what was redacted."""
    methods = customer_rows.lock_methods(connection, scope, customer["id"])
    for row in methods:  # before the key is gone: the provider has to be told their tokens
        payment_methods.begin_forgetting(core, connection, scope, row, cause)
    counted = {"payment_methods": len(methods), **redact(core, connection, scope, customer)}
    customer_rows.destroy_key(connection, customer["id"])
    now = present(connection)
    customer_rows.update_customer(connection, customer["id"], {**_NOTHING, "erased_at": customer["erased_at"] or now})
    rows.note(connection, scope, customer["id"], customer["erased_at"] or now)
    push(connection, scope, customer["id"], cause.actor, cause.request_id)
    return counted


def push(connection: Connection, scope: Scope, customer_id: UUID, actor: str, request_id: str | None) -> None:
    """Have each provider that knows the customer told how they are called now, or that they are called nothing."""
    for account_id in customer_rows.known_at(connection, scope, customer_id):
        arguments = {"account": str(account_id), "request_id": request_id, "actor": actor}
        jobs.enqueue(connection, scope, "push_customer", target_id=customer_id, arguments=arguments)


def redact(core: Core, connection: Connection, scope: Scope, customer: Row) -> dict[str, int]:
    """What names the person in and around their payments, which are locked first."""
    found = rows.lock_payments(connection, scope, customer["id"])
    ids = [row["id"] for row in found]
    if not ids:
        return {"payments": 0, "bodies": 0}
    key = core.vault.merchant_key(connection, scope)
    particulars = Particulars()
    particulars.add(**asdict(people.person_of(core, connection, scope, customer)))
    sent = _redact_requests(connection, key, ids, particulars)
    owners = [*sent, *rows.inbox_of(connection, ids)]
    bodies = 0
    for some in rows.bodies_of(connection, owners):
        rows.keep_bodies(connection, {row["id"]: redacted_body(key, row) for row in some})
        bodies += len(some)
    rows.clear_payments(connection, ids)
    _redact_texts(connection, scope, found, particulars)
    return {"payments": len(ids), "bodies": bodies}


def _redact_requests(
    connection: Connection, key: DataKey, payment_ids: Sequence[UUID], particulars: Particulars
) -> list[UUID]:
    """Every transaction; from what was sent comes what the person was called at the time."""
    sent = rows.lock_requests(connection, payment_ids)
    opened: dict[UUID, Request] = {}
    for row in sent:
        request = load_request(key.open_json(_request_place(row["id"]), row["request_sealed"]))
        if isinstance(request, StartRequest):
            particulars.add(**asdict(request.person))
            particulars.add(email=request.saved.email if request.saved is not None else None)
        opened[row["id"]] = request
    for transaction_id, request in opened.items():
        rest = _without_person(request, particulars)
        if rest != request:
            rows.keep_request(connection, transaction_id, requests.seal_with(key, transaction_id, rest))
    return [row["id"] for row in sent]


def _without_person(request: Request, particulars: Particulars) -> Request:
    """Enough to ask the provider about it still; nothing to charge with, and nobody's name."""
    if isinstance(request, RefundRequest):
        return replace(request, reason=particulars.redact(request.reason))
    if not isinstance(request, StartRequest):
        return request
    saved = None if request.saved is None else replace(request.saved, token=ERASED, email=None)
    texts: dict[str, Any] = {name: particulars.redact(getattr(request, name)) for name in _TEXTS}
    return replace(request, person=Person(), token=ERASED if request.token else None, saved=saved, **texts)


def _request_place(transaction_id: UUID) -> Place:
    return Place("transactions", "request_sealed", transaction_id)


def redacted_body(key: DataKey, row: Row) -> bytes:
    """A sealed body of a provider, sealed anew without the person. Its row has `id`, `owner_kind` and `sealed`."""
    place = Place("bodies", "sealed", row["id"])
    opened = key.open_json(place, row["sealed"])
    if row["owner_kind"] == "inbox_event":
        return key.seal_json(place, {**opened, "body": _redacted_raw(opened["body"]), "redacted": True})
    return key.seal_json(place, redact_body(opened))


def _redacted_raw(body: str) -> str:
    """Of an event, kept as it came over the wire: its signature does not fit any more, and it is not read again."""
    try:
        told: Any = redact_body(json.loads(base64.b64decode(body)))
    except (ValueError, RecursionError):
        told = None
    return base64.b64encode(json.dumps(told).encode()).decode()


def _redact_texts(connection: Connection, scope: Scope, payments: Sequence[Row], particulars: Particulars) -> None:
    """The merchant's own words about payments, where they name the person, and their copies in events and answers."""
    named = []
    for row in payments:
        values = {name: particulars.redact(row[name]) for name in _TEXTS}
        changed = {name: value for name, value in values.items() if value != row[name]}
        if changed:
            # A reference and an address are looked up and called: neither is replaced by a word.
            changed.update({name: None for name in ("reference", "return_url") if name in changed})
            rows.keep_texts(connection, row["id"], changed)
            named.append(row["id"])
    for refund in rows.refunds_of(connection, [row["id"] for row in payments]):
        if particulars.named_in(refund["reason"]):
            rows.keep_reason(connection, refund["id"], ERASED)
            named.append(refund["payment_id"])
    if not named:
        return
    for event in rows.told_of(connection, named):
        rows.keep_told(connection, event["id"], particulars.redact(event["data"]))
    for answer in rows.answered_of(connection, scope, named):
        rows.keep_answered(connection, scope, answer["key"], particulars.redact(answer["response"]))


def remember(core: Core, scope: Scope, customer_id: UUID, erased_at: datetime, now: datetime) -> None:
    """Have the file outside Postgres know of it, before anybody is told that it is done.

    Raises Unavailable where there is a file and it cannot be written: the person is erased here, and a restore would
    bring them back.
    """
    path = core.settings.anchor_file
    if path is None:
        return
    made = Erasure(scope.merchant_id, scope.mode, customer_id, erased_at)
    try:
        remembered.add(path, [made], core.settings.keep_erasures, now)
    except AnchorUnusable as error:
        log.error("erasure_not_remembered", reason=str(error))
        raise Unavailable(
            "the person is erased, but a restore could bring them back: the file of erasures cannot be written at this "
            "moment. Send the request again until it answers 200",
            code="erasure_not_remembered",
        ) from None


def is_remembered(core: Core, scope: Scope, customer_id: UUID) -> bool:
    """True also where nothing is kept outside Postgres."""
    path = core.settings.anchor_file
    try:
        return path is None or customer_id in remembered.known(path).get((scope.merchant_id, scope.mode), set())
    except AnchorUnusable:
        return False


class Keeper:
    """Brings erasures that other machines made into this one's file; one a process."""

    def __init__(self) -> None:
        self._seen: dict[Path, datetime] = {}

    def keep(self, core: Core, connection: Connection, path: Path) -> int:
        """How many were new to the file. Raises AnchorUnusable."""
        if not remembered.known(path):
            self._seen.pop(path, None)  # a new file: it is told all there is to know
        newest = rows.since(connection, self._seen.get(path))
        if not newest:
            return 0
        told = [Erasure(row["merchant_id"], row["mode"], row["customer_id"], row["erased_at"]) for row in newest]
        added = remembered.add(path, told, core.settings.keep_erasures, present(connection))
        self._seen[path] = newest[-1]["erased_at"]
        return added


def apply_again(core: Core) -> int:
    """Erase whom the file remembers and this database has: it is an older copy. Returns how many.

    Raises SQLAlchemyError. A file that cannot be read is told, and stops nothing.
    """
    path = core.settings.anchor_file
    try:
        found = {} if path is None else remembered.known(path)
    except AnchorUnusable as error:
        log.error("erasures_not_read", reason=str(error))
        return 0
    done = 0
    for (merchant_id, mode), customer_ids in found.items():
        scope = Scope(merchant_id, mode)
        with core.database.scoped(scope) as connection:
            alive = rows.alive(connection, scope, sorted(customer_ids))
        for customer_id in alive:
            done += _erase_again(core, scope, customer_id, "restored")
    if done:
        log.warning("erasures_applied_again", count=done)
    return done


def finish(core: Core, limit: int = 20) -> int:
    """Redact what names persons who were erased before that was done in one commit; a worker's."""
    with core.database.unscoped() as connection:
        waiting = rows.unfinished(connection, limit)
    for row in waiting:
        _erase_again(core, Scope(row["merchant_id"], row["mode"]), row["customer_id"], "unfinished")
    return len(waiting)


def _erase_again(core: Core, scope: Scope, customer_id: UUID, why: str) -> bool:
    """Whatever is under way: they were promised that nobody can read who they were."""
    with core.transaction(scope) as connection:
        customer = customer_rows.lock_customer(connection, scope, customer_id)
        if customer is None:
            return False
        counted = destroy(core, connection, scope, customer, Cause("clock", "system"))
        audit.record(
            connection,
            scope=scope,
            actor="system",
            action="customer.erased",
            subject_kind="customer",
            subject_id=customer_id,
            cause="clock",
            details={**counted, "again": why},
        )
    return True
