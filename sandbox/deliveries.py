"""The table of webhook deliveries: what is lined up, tried, delivered, lost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .ledger import Json, Ledger

if TYPE_CHECKING:
    from .world import Account

# Stands before the event's id in a delivery that the provider never made: nobody counts it as the event's own.
FORGED = "forged:"


def add(ledger: Ledger, account: Account, event_id: str, type: str, due: float | None, said: str | None = None) -> int:
    """`due` None: never to be sent by itself."""
    row = ledger.run(
        "INSERT INTO deliveries (account, event, type, url, due, last_status) VALUES (?, ?, ?, ?, ?, ?)",
        (account.id, event_id, type, account.webhook_url, due, said),
    )
    return row.lastrowid or 0


def make_due(ledger: Ledger, event_id: str | None, now: float) -> list[int]:
    """Those of one event, or all that were never delivered, become due."""
    where, values = ("event = ?", (event_id,)) if event_id else ("delivered = 0 AND event NOT LIKE ?", (FORGED + "%",))
    rows = ledger.run(
        f"UPDATE deliveries SET due = ?, delivered = 0 WHERE {where} RETURNING seq",  # noqa: S608  (conditions are ours)
        (now, *values),
    )
    return [seq for (seq,) in rows.fetchall()]


def log(ledger: Ledger, account: Account | None, type: str | None, limit: int) -> Json:
    """Newest first, with counts over all deliveries of the account (or of everybody)."""
    asked = (account.id if account else "%", type or "%")
    pending, delivered, total = ledger.run(
        "SELECT coalesce(sum(due IS NOT NULL), 0), coalesce(sum(delivered), 0), count(*)"
        " FROM deliveries WHERE account LIKE ?",
        asked[:1],
    ).fetchone()
    rows = ledger.run(
        "SELECT event, type, url, account, attempts, last_status, delivered, due"
        " FROM deliveries WHERE account LIKE ? AND type LIKE ? ORDER BY seq DESC LIMIT ?",
        (*asked, limit),
    )
    return {
        "pending": pending,
        "delivered": delivered,
        "given_up": total - pending - delivered,
        "deliveries": [_shown(row) for row in rows],
    }


def _shown(row: tuple[Any, ...]) -> Json:
    names = ("id", "type", "url", "account", "attempts", "last_status", "delivered", "due")
    shown = dict(zip(names, row, strict=True))
    shown["delivered"] = bool(shown["delivered"])
    return shown
