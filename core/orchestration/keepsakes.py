"""What an outcome leaves behind beside statuses: a payment method that can be used again, a word nobody knew."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from sqlalchemy.engine import Connection

from core.domain.outcomes import Declined, Outcome, Succeeded
from core.domain.statuses import CHARGE_KINDS
from core.orchestration import jobs, payment_methods
from core.orchestration.context import Cause, Core
from core.persistence import pipeline
from core.persistence.database import Scope
from core.persistence.queries import payments as rows

Row = Mapping[Any, Any]

_COUNT_WORD = (
    "INSERT INTO unknown_words (provider, kind, word) VALUES (%(provider)s, %(kind)s, %(word)s) "
    "ON CONFLICT (provider, kind, word) DO UPDATE SET count = unknown_words.count + 1, last_seen_at = app_now()"
)


def method_values(
    core: Core, connection: Connection, payment: Row, transaction: Row, outcome: Outcome, cause: Cause
) -> dict[str, Any]:
    """What changes on a payment that was to save what it is paid with, once it is paid or held."""
    wanted = payment["save_method"] and payment["payment_method_id"] is None and transaction["kind"] in CHARGE_KINDS
    if not wanted or not isinstance(outcome, Succeeded):
        return {}
    if outcome.facts.method is not None:
        kept = payment_methods.keep(core, connection, payment, transaction, outcome.facts.method, cause)
        return {} if kept is None else {"payment_method_id": kept}
    if cause.kind == "webhook":
        # An event does not show the card; the object itself does.
        rows.doubt(connection, [transaction["id"]])
        jobs.enqueue_sync(connection, Scope(payment["merchant_id"], payment["mode"]), payment["id"])
    return {}


def _impersonal(word: str) -> str:
    """What a table without walls may hold: plain letters, nothing that could be an address, a number or a name tag."""
    plain = "".join(letter for letter in word if " " <= letter <= "~")
    return re.sub(r"\S+@\S+|\d{3,}", "#", plain)[:100].strip()


def count_unknown_word(connection: Connection, transaction: Row, outcome: Outcome) -> None:
    """A decline in words that stand in no table of ours is kept, and counted for whoever tends the tables."""
    if isinstance(outcome, Declined) and not outcome.decline.known:
        word = _impersonal(outcome.decline.provider_code or "") or "(unreadable)"
        kind = "refund_failure" if transaction["kind"] == "refund" else "decline"
        pipeline.later(connection, _COUNT_WORD, {"provider": transaction["provider"], "kind": kind, "word": word})
