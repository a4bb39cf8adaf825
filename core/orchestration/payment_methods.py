"""Saved payment methods: kept under the customer's key, charged later, and forgotten at the provider."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any
from uuid import UUID

from sqlalchemy.engine import Connection

from core.audit import log
from core.domain.errors import StateConflict
from core.domain.identifiers import new_id
from core.domain.outcomes import KeptMethod
from core.orchestration import idempotency, intake, jobs, people, reading
from core.orchestration.context import Caller, Cause, Core
from core.orchestration.idempotency import Accepted, IdempotencyKey
from core.persistence.database import Scope, present
from core.persistence.queries import customers as rows
from core.persistence.queries.reading import Page
from core.persistence.vault import Place
from core.providers.base import SavedMethod

Row = Mapping[Any, Any]

#: What a method that is not kept any more leaves behind: a row that payments can name.
_FORGOTTEN: Mapping[str, Any] = {"status": "forgotten", "sealed": None, "fingerprint_index": None}


def list_methods(
    core: Core, scope: Scope, customer_id: UUID, limit: int = 20, after: UUID | None = None
) -> dict[str, Any]:
    """{"data", "has_more", "next"} of those that can be charged, newest first. Raises NotFoundError."""
    with core.database.scoped(scope) as connection:
        customer = rows.find_customer(connection, scope, customer_id)
        if customer is None or customer["erased_at"] is not None:
            raise reading.missing("customer")
        page = Page(limit, after, {"customer_id": customer_id, "status": "active"})
        found = rows.methods_page(connection, scope, page)
        key = core.vault.customer_key(connection, scope, customer_id)

        def show(row: Row) -> dict[str, Any]:
            return people.method_body(row, None if key is None else people.open_kept(key, row))

        return reading.listing(found, limit, "payment_method", show)


def get_method(core: Core, scope: Scope, method_id: UUID) -> dict[str, Any]:
    """Also one that is forgotten: payments name it. Raises NotFoundError."""
    with core.database.scoped(scope) as connection:
        row = rows.find_method(connection, scope, method_id)
        if row is None:
            raise reading.missing("payment_method")
        return people.method_body(row, people.kept_of(core, connection, scope, row))


def forget(core: Core, caller: Caller, method_id: UUID, key: IdempotencyKey | None = None) -> Accepted:
    """202 with the job that tells the provider; asked again while that goes on, it is told again.

    Raises NotFoundError, StateConflict when nothing is left to forget.
    """

    def act(connection: Connection) -> Accepted:
        row = rows.find_method(connection, caller.scope, method_id, lock=True)
        if row is None:
            raise reading.missing("payment_method")
        if row["status"] == "forgotten":
            raise StateConflict("the payment method is forgotten already, here and at the provider")
        job_id = begin_forgetting(core, connection, caller.scope, row, intake.cause_of(caller))
        job = intake.job_body(job_id, "forget_method", None, present(connection))
        body = {"job": job, "payment_method": people.method_body({**row, "status": "forgetting"}, None)}
        return Accepted(202, body, job["url"], False, job_id)

    with idempotency.short_waits(), core.transaction(caller.scope, core.settings.idempotency_wait) as connection:
        if key is None:
            return act(connection)
        known = idempotency.reserve(connection, caller.scope, key)
        if known is not None:
            return known
        answer = act(connection)
        idempotency.fill(connection, caller.scope, key, answer)
        return answer


def keep(
    core: Core, connection: Connection, payment: Row, transaction: Row, method: KeptMethod, cause: Cause | None = None
) -> UUID | None:
    """Save what a payment was paid with; None when the customer is gone.

    A card that is saved already stays one method and is charged by its newest token from now on.
    """
    scope = Scope(payment["merchant_id"], payment["mode"])
    customer_id = payment["customer_id"]
    # The lock keeps the person from being erased, and the same card from being saved beside this.
    customer = None if customer_id is None else rows.lock_customer(connection, scope, customer_id)
    key = None if customer is None else core.vault.customer_key(connection, scope, customer_id)
    if key is None:
        return None
    account_id = transaction["provider_account_id"]
    indexes = index_columns(core, method.token, method.fingerprint)
    by_token = _indexes(core, people.TOKEN, method.token)
    by_card = _indexes(core, people.FINGERPRINT, method.fingerprint)
    known = rows.same_methods(connection, customer_id, account_id, by_token, by_card)
    method_id = known[0]["id"] if known else new_id()
    older = _merge(core, connection, scope, known, method.token)
    kept = {**asdict(method), "older": older}
    sealed = key.seal_json(Place("payment_methods", "sealed", method_id), kept)
    values: dict[str, Any] = {"kind": method.kind, "status": "active", "sealed": sealed, **indexes}
    if known:
        rows.update_method(connection, method_id, values)
    else:
        rows.insert_method(connection, scope, {**_origin(method_id, payment, transaction), **values})
    cause = cause or Cause("answer", "worker")
    audit(connection, scope, method_id, "saved", cause, payment_id=payment["id"], details={"again": bool(known)})
    return method_id


def _merge(core: Core, connection: Connection, scope: Scope, known: Sequence[Row], token: str) -> list[str]:
    """Make one of several rows of a card: all but the first are forgotten. The card's older tokens, newest first."""
    older = [one for row in known for one in tokens_of(core, connection, scope, row) if one != token]
    for row in known[1:]:
        rows.update_method(connection, row["id"], {**_FORGOTTEN, "forgotten_at": present(connection)})
    return list(dict.fromkeys(older))


def _origin(method_id: UUID, payment: Row, transaction: Row) -> dict[str, Any]:
    """Columns of a method that stay as they are."""
    return {
        "id": method_id,
        "customer_id": payment["customer_id"],
        "payment_id": payment["id"],
        "provider": transaction["provider"],
        "provider_account_id": transaction["provider_account_id"],
    }


def index_columns(core: Core, token: str, fingerprint: str | None, at_version: int | None = None) -> dict[str, Any]:
    """By which a method is found, with the version of their key: the current one unless another is named.

    Written in hex first: two tokens that differ in their case only are two tokens.
    """
    version = core.vault.keys.versions().index if at_version is None else at_version
    by_token = core.vault.index_at(version, people.TOKEN, token.encode().hex())
    by_card = None
    if fingerprint is not None:
        by_card = core.vault.index_at(version, people.FINGERPRINT, fingerprint.encode().hex())
    return {"token_index": by_token, "fingerprint_index": by_card, "index_key_version": version}


def _indexes(core: Core, purpose: str, text: str | None) -> list[bytes]:
    """Under every version of the key; none of what is not known."""
    return [] if text is None else core.vault.blind_indexes(purpose, text.encode().hex())


def load_for_payment(connection: Connection, scope: Scope, method_id: UUID) -> Row | None:
    """One that can be charged; None for any other, and for another merchant's."""
    row = rows.find_method(connection, scope, method_id)
    return row if row is not None and row["status"] == "active" else None


def open_saved(core: Core, connection: Connection, scope: Scope, row: Row) -> SavedMethod | None:
    """What the provider is told to charge; None once the method is being forgotten, or the person is erased."""
    kept = people.kept_of(core, connection, scope, row)
    if kept is None:
        return None
    return SavedMethod(kept["token"], kept["provider_customer"], kept["email"])


def gone(core: Core, connection: Connection, account_id: UUID, token: str) -> int:
    """The provider dropped a method by itself; returns how many of ours that was, which are forgotten here too.

    What it may still keep of the same card under an older token, it is told to drop.
    """
    found = rows.methods_by_token(connection, account_id, _indexes(core, people.TOKEN, token), lock=True)
    for row in found:
        scope = Scope(row["merchant_id"], row["mode"])
        older = [one for one in tokens_of(core, connection, scope, row) if one != token]
        cause = Cause("webhook", "provider")
        if older:
            begin_forgetting(core, connection, scope, row, cause, older)
        else:
            end_forgetting(connection, scope, row, cause)
    return len(found)


def begin_forgetting(
    core: Core,
    connection: Connection,
    scope: Scope,
    row: Row,
    cause: Cause,
    tokens: Sequence[str] | None = None,
) -> UUID:
    """From now on nothing can be charged with it, and a job tells the provider; returns that job.

    The tokens move under the merchant's key: the provider has to be told also when the person is erased meanwhile.
    """
    if row["status"] == "active":
        opened = tokens_of(core, connection, scope, row) if tokens is None else tokens
        sealed = core.vault.merchant_key(connection, scope).seal_json(
            Place("payment_methods", "sealed", row["id"]), {"tokens": list(opened)}
        )
        changed = {"status": "forgetting", "sealed": sealed, "fingerprint_index": None}
        rows.update_method(connection, row["id"], changed)
        audit(connection, scope, row["id"], "forgetting", cause, steps=(row["status"], "forgetting"))
    arguments = {"request_id": cause.request_id, "actor": cause.actor}
    return jobs.enqueue(connection, scope, "forget_method", target_id=row["id"], arguments=arguments)


def end_forgetting(connection: Connection, scope: Scope, row: Row, cause: Cause) -> None:
    """Nothing of the method is left but its row. The caller has locked it."""
    rows.update_method(connection, row["id"], {**_FORGOTTEN, "forgotten_at": present(connection)})
    audit(connection, scope, row["id"], "forgotten", cause, steps=(row["status"], "forgotten"))


def is_charged_by(core: Core, connection: Connection, account_id: UUID, token: str) -> bool:
    """Can anybody be charged with this token?"""
    return bool(rows.methods_by_token(connection, account_id, _indexes(core, people.TOKEN, token)))


def is_kept_under(core: Core, connection: Connection, scope: Scope, row: Row, tokens: Sequence[str]) -> bool:
    """Is the method, which the caller has locked, still charged by one of these, or about to lose it?"""
    return row["status"] != "forgotten" and tokens_of(core, connection, scope, row)[:1] == list(tokens[:1])


def tokens_of(core: Core, connection: Connection, scope: Scope, row: Row) -> list[str]:
    """Every token the provider may keep of a method, newest first; none once the person is erased."""
    if row["sealed"] is None:
        return []
    place = Place("payment_methods", "sealed", row["id"])
    if row["status"] == "forgetting":
        opened = core.vault.merchant_key(connection, scope).open_json(place, row["sealed"])
        return [str(token) for token in opened["tokens"]]
    kept = people.kept_of(core, connection, scope, row)
    return [] if kept is None else [kept["token"], *kept["older"]]


def audit(
    connection: Connection,
    scope: Scope,
    method_id: UUID,
    verb: str,
    cause: Cause,
    *,
    payment_id: UUID | None = None,
    steps: tuple[str, str] | None = None,
    details: Mapping[str, Any] | None = None,
) -> None:
    log.record(
        connection,
        scope=scope,
        actor=cause.actor,
        action=f"payment_method.{verb}",
        subject_kind="payment_method",
        subject_id=method_id,
        payment_id=payment_id,
        from_status=None if steps is None else steps[0],
        to_status=None if steps is None else steps[1],
        cause=cause.kind,
        request_id=cause.request_id,
        job_id=cause.job_id,
        from_address=cause.from_address,
        details=details,
    )
