"""Idempotency keys (docs.stripe.com/api/idempotent_requests): replay, mismatch, in use, pruned after a day."""

from __future__ import annotations

import hashlib

from ..http import Call, Reply
from ..ledger import dumps
from .errors import StripeError

KEPT_FOR = 24 * 3600
LONGEST_KEY = 255


class Idempotency:
    def __init__(self) -> None:
        self._running: set[tuple[str, str]] = set()

    def begin(self, call: Call) -> Reply | None:
        """The saved answer of this key, or None after marking the key as in use.

        Raises StripeError for another request under the key, or one that still runs.
        """
        key = call.desk.idempotency_key
        if key is None:
            return None
        if not 0 < len(key) <= LONGEST_KEY:
            raise StripeError(
                400,
                f"Invalid Idempotency-Key: keys must be from 1 to {LONGEST_KEY} characters long.",
                type="idempotency_error",
            )
        slot = (call.desk.account.id, key)
        if slot in self._running:
            raise StripeError(
                409,
                "There is currently another in-progress request using this Idempotent Key (that probably means you"
                f" submitted twice, and the other request is still going through): {key}. Please try again later.",
                type="idempotency_error",
                code="idempotency_key_in_use",
            )
        replay = self._saved(call, slot)
        if replay is None:
            self._running.add(slot)
        return replay

    def _saved(self, call: Call, slot: tuple[str, str]) -> Reply | None:
        found = call.desk.world.ledger.run(
            "SELECT fingerprint, created, status, request_id, body FROM idempotency WHERE account = ? AND key = ?", slot
        ).fetchone()
        if found is None or found[1] <= call.desk.now - KEPT_FOR:
            return None
        if found[0] != fingerprint(call):
            raise StripeError(
                400,
                "Keys for idempotent requests can only be used with the same parameters they were first used with."
                f" Try using a key other than '{slot[1]}' if you meant to execute a different request.",
                type="idempotency_error",
            )
        headers = {"Idempotent-Replayed": "true", "Original-Request": found[3]}
        return Reply(found[2], found[4].encode(), headers)

    def save(self, call: Call, reply: Reply) -> None:
        """Keeps the answer; called in the transaction that did the work."""
        key = call.desk.idempotency_key
        if key is None:
            return
        call.desk.world.ledger.run(
            "INSERT INTO idempotency VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (account, key) DO UPDATE SET"
            " fingerprint = excluded.fingerprint, created = excluded.created, status = excluded.status,"
            " request_id = excluded.request_id, body = excluded.body",
            (call.desk.account.id, key, fingerprint(call), call.desk.now, reply.status, call.desk.request_id,
             reply.body.decode()),
        )  # fmt: skip

    def finish(self, call: Call) -> None:
        if call.desk.idempotency_key is not None:
            self._running.discard((call.desk.account.id, call.desk.idempotency_key))


def fingerprint(call: Call) -> str:
    """Method, path and parameters, however they were ordered on the wire."""
    said = f"{call.raw.method} {call.raw.path} {dumps(_sorted(call.params))}"
    return hashlib.sha256(said.encode()).hexdigest()


def _sorted(value: object) -> object:
    if isinstance(value, dict):
        return {name: _sorted(value[name]) for name in sorted(value)}
    return [_sorted(item) for item in value] if isinstance(value, list) else value
