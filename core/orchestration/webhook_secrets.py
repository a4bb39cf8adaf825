"""An endpoint's signing secrets: the present one and, for a day after a rotation, the one before."""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy.engine import Connection
from standardwebhooks import Webhook

from core.persistence.database import Scope, present
from core.persistence.vault import Place, Vault

#: Standard Webhooks asks for 24 to 64 random bytes.
_BYTES = 32
#: The old secret signs too for this long, so that receivers can be changed over without losing an event.
OVERLAP = timedelta(hours=24)


def new_secret() -> str:
    return "whsec_" + base64.b64encode(os.urandom(_BYTES)).decode()


def _place(endpoint_id: UUID) -> Place:
    return Place("webhook_endpoints", "secrets_sealed", endpoint_id)


def seal_first(vault: Vault, connection: Connection, scope: Scope, endpoint_id: UUID, secret: str) -> bytes:
    kept = {"secrets": [{"secret": secret, "until": None}]}
    return vault.merchant_key(connection, scope).seal_json(_place(endpoint_id), kept)


def _kept(vault: Vault, connection: Connection, scope: Scope, row: Mapping[Any, Any]) -> list[dict[str, str | None]]:
    """Those that still sign, newest first. Raises SealBroken."""
    opened = vault.merchant_key(connection, scope).open_json(_place(row["id"]), row["secrets_sealed"])
    now = present(connection)
    return [
        one
        for one in opened["secrets"]
        if one["until"] is None or datetime.fromisoformat(one["until"]).astimezone(UTC) > now
    ]


def open_secrets(vault: Vault, connection: Connection, scope: Scope, row: Mapping[Any, Any]) -> list[str]:
    """What signs now. Raises SealBroken."""
    return [str(one["secret"]) for one in _kept(vault, connection, scope, row)]


def seal_rotated(vault: Vault, connection: Connection, scope: Scope, row: Mapping[Any, Any], secret: str) -> bytes:
    """The new secret first; older ones keep the end they had, the present one gets its own."""
    ends = (present(connection) + OVERLAP).isoformat()
    older = [{"secret": one["secret"], "until": one["until"] or ends} for one in _kept(vault, connection, scope, row)]
    kept = {"secrets": [{"secret": secret, "until": None}, *older]}
    return vault.merchant_key(connection, scope).seal_json(_place(row["id"]), kept)


def signature_headers(secrets: Sequence[str], message_id: str, body: str, at: datetime) -> dict[str, str]:
    """Headers of the Standard Webhooks specification; one signature a secret, separated by spaces."""
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": " ".join(Webhook(secret).sign(message_id, at, body) for secret in secrets),
    }
