"""One key, one effect: the key's row is the lock, and its stored answer is what a repeat gets.

Keys belong to a merchant and mode and are kept for ever, since they point to a payment: a key can never make a
second one. After draft-ietf-httpapi-idempotency-key-header-06; where it leaves a choice, a parallel request waits
for the first one's commit and replays it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from psycopg2 import errorcodes
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.engine import Connection

from core.domain.errors import IdempotencyInUse, IdempotencyMismatch
from core.persistence import pipeline
from core.persistence.database import Scope
from core.persistence.queries import active_route, opening
from core.persistence.tables import idempotency_keys as keys


@dataclass(frozen=True, slots=True)
class IdempotencyKey:
    """`fingerprint` is SHA-256 over method, path and parsed JSON: another body under the key is an error."""

    key: str
    fingerprint: bytes = field(repr=False)
    #: What the same request was written down as by earlier versions.
    earlier: tuple[bytes, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class Accepted:
    """What the gate answers. `job_id` and `payment_id` let it wait for the end."""

    status_code: int
    body: Mapping[str, Any]
    location: str | None
    replayed: bool
    job_id: UUID | None = None
    payment_id: UUID | None = None


_FIND = (
    f"SELECT {opening.COLUMNS}, {active_route.COLUMNS}, "
    "k.fingerprint, k.status_code, k.response, k.location, k.job_id, k.payment_id "
    "FROM (SELECT 1) AS one LEFT JOIN idempotency_keys k "
    "ON k.merchant_id = %(merchant)s AND k.mode = %(mode)s AND k.key = %(key)s "
    f"{active_route.JOIN}"
)


def find(connection: Connection, scope: Scope, key: IdempotencyKey, route_known: UUID) -> Accepted | None:
    """What the key has answered already; reads what accepting a payment needs on the same trip.

    `route_known`: the route whose definition need not be sent. Raises IdempotencyMismatch for another body.
    """
    row = pipeline.fetch(connection, _FIND, {**opening.values(scope), "key": key.key, "route": route_known})[0]
    opening.keep(connection, row)
    active_route.keep(connection, row)
    return None if row["status_code"] is None else _replayed(row, key)


def keep(connection: Connection, scope: Scope, key: IdempotencyKey, answer: Accepted) -> None:
    """Take the key and store its answer at once, in the commit of the effect.

    Where a parallel request has the key first, that commit fails with what `taken` recognises.
    """
    values = {
        "merchant_id": scope.merchant_id,
        "mode": scope.mode,
        "key": key.key,
        "fingerprint": key.fingerprint,
        **_answer_values(answer),
    }
    pipeline.insert(connection, keys, values)


def taken(error: sa.exc.IntegrityError) -> bool:
    """Did another request with the same key commit first?"""
    diagnosis = getattr(error.orig, "diag", None)
    return getattr(diagnosis, "constraint_name", None) == "idempotency_keys_pkey"


def reserve(connection: Connection, scope: Scope, key: IdempotencyKey) -> Accepted | None:
    """Take the key, or return what it already answered.

    Raises IdempotencyMismatch for another body, IdempotencyInUse when the first request is not done in time.
    """
    statement = insert(keys).values(
        merchant_id=scope.merchant_id,
        mode=scope.mode,
        key=key.key,
        fingerprint=key.fingerprint,
        status_code=0,
        response={},
    )
    try:
        made = connection.execute(statement.on_conflict_do_nothing())
    except sa.exc.OperationalError as error:
        if getattr(error.orig, "pgcode", None) == errorcodes.LOCK_NOT_AVAILABLE:
            raise IdempotencyInUse("a request with this Idempotency-Key is still being stored; try again") from None
        raise
    return None if made.rowcount == 1 else _replay(connection, scope, key)


def _replay(connection: Connection, scope: Scope, key: IdempotencyKey) -> Accepted:
    query = sa.select(keys).where(
        keys.c.merchant_id == scope.merchant_id, keys.c.mode == scope.mode, keys.c.key == key.key
    )
    return _replayed(connection.execute(query).mappings().one(), key)


def _replayed(stored: Mapping[Any, Any], key: IdempotencyKey) -> Accepted:
    if bytes(stored["fingerprint"]) not in (key.fingerprint, *key.earlier):
        raise IdempotencyMismatch("this Idempotency-Key was used with another request; use a new key for a new request")
    return Accepted(
        stored["status_code"], stored["response"], stored["location"], True, stored["job_id"], stored["payment_id"]
    )


def fill(connection: Connection, scope: Scope, key: IdempotencyKey, answer: Accepted) -> None:
    """Store the answer that every repeat will get, in the commit of the effect."""
    connection.execute(
        keys.update()
        .where(keys.c.merchant_id == scope.merchant_id, keys.c.mode == scope.mode, keys.c.key == key.key)
        .values(**_answer_values(answer))
    )


def _answer_values(answer: Accepted) -> dict[str, Any]:
    return {
        "status_code": answer.status_code,
        "response": dict(answer.body),
        "location": answer.location,
        "job_id": answer.job_id,
        "payment_id": answer.payment_id,
    }


@contextmanager
def short_waits() -> Iterator[None]:
    """Turn a lock time-out inside the block into a conflict the caller understands."""
    try:
        yield
    except sa.exc.OperationalError as error:
        if getattr(error.orig, "pgcode", None) == errorcodes.LOCK_NOT_AVAILABLE:
            raise IdempotencyInUse("another request about the same thing is still being stored; try again") from None
        raise
