"""Which payment an event names that changes nothing: its body is kept, and has to be found when the payer is erased."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.domain.identifiers import PREFIXES, InvalidIdentifier, parse_id
from core.persistence.database import Scope

#: Our own id, which goes out as a mark or as a part of the provider's reference.
_OURS = re.compile(rf"\b{PREFIXES['payment']}_[0-9a-z]{{26}}")
#: What could be a provider's id; a body with more of them than this is no charge's.
_THEIRS = re.compile(r"^[A-Za-z0-9_\-]{4,64}$")
_MOST = 200

_BY_MARK = sa.text(
    "SELECT id, payer_erased FROM payments WHERE merchant_id = :merchant AND mode = :mode "
    "AND id = ANY(CAST(:ids AS uuid[])) ORDER BY id LIMIT 1 FOR SHARE"
)
_BY_OBJECT = sa.text(
    "SELECT p.id, p.payer_erased FROM payments p WHERE p.id = (SELECT t.payment_id FROM transactions t "
    "WHERE t.provider_account_id = :account AND (t.provider_id = ANY(:texts) OR t.provider_charge_id = ANY(:texts)) "
    "ORDER BY t.id LIMIT 1) AND p.merchant_id = :merchant AND p.mode = :mode FOR SHARE"
)


def payment_named(
    connection: Connection, scope: Scope, account_id: UUID, body: Mapping[str, Any]
) -> tuple[UUID, bool] | None:
    """The payment and whether its payer was erased; held against an erasure until the transaction ends."""
    texts = list(dict.fromkeys(_texts(body)))
    values: dict[str, Any] = {"merchant": scope.merchant_id, "mode": scope.mode}
    ours = [number for text in texts for number in _marks(text)]
    found = connection.execute(_BY_MARK, {**values, "ids": ours[:_MOST]}).one_or_none() if ours else None
    if found is None:
        theirs = [text for text in texts if _THEIRS.match(text)][:_MOST]
        given = {**values, "account": account_id, "texts": theirs}
        found = connection.execute(_BY_OBJECT, given).one_or_none() if theirs else None
    return None if found is None else (found.id, found.payer_erased)


def _marks(text: str) -> Iterator[str]:
    for mark in _OURS.findall(text):
        try:
            yield str(parse_id("payment", mark))
        except InvalidIdentifier:
            continue


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, int) and not isinstance(value, bool):
        yield str(value)
    elif isinstance(value, Mapping):
        for one in value.values():
            yield from _texts(one)
    elif isinstance(value, list):
        for one in value:
            yield from _texts(one)
