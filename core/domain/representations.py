"""Rows as the public API shows them; events carry the same bodies, payments without their `next_action`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from core.domain.identifiers import public_id


def timestamp(value: datetime | None) -> str | None:
    """RFC 3339 in UTC with milliseconds."""
    if value is None:
        return None
    return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _id(kind: str, value: Any) -> str | None:
    return None if value is None else public_id(kind, value)


def payment(row: Mapping[Any, Any], next_action: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """`next_action` is handed in opened."""
    return {
        "id": public_id("payment", row["id"]),
        "mode": row["mode"],
        "status": row["status"],
        "amount": row["amount"],
        "currency": row["currency"],
        "capture": row["capture"],
        "payment_method": {"type": row["method"], "id": _id("payment_method", row["payment_method_id"])},
        "customer": _id("customer", row["customer_id"]),
        "provider": row["provider"],
        "provider_account": _id("provider_account", row["provider_account_id"]),
        "amount_authorized": row["amount_authorized"],
        "amount_captured": row["amount_captured"],
        "amount_received": row["amount_received"],
        "amount_refunded": row["amount_refunded"],
        "amount_disputed": row["amount_disputed"],
        "next_action": dict(next_action) if next_action is not None else None,
        "decline": row["decline"],
        "return_url": row["return_url"],
        "reference": row["reference"],
        "description": row["description"],
        "metadata": row["metadata"],
        "country": row["country"],
        "expires_at": timestamp(row["expires_at"]),
        "created_at": timestamp(row["created_at"]),
        "updated_at": timestamp(row["updated_at"]),
    }


def event_payment(row: Mapping[Any, Any]) -> dict[str, Any]:
    """Without the key `next_action`: it may hold a client secret, and null would say that there is nothing to do."""
    return {name: value for name, value in payment(row).items() if name != "next_action"}


def refund(row: Mapping[Any, Any]) -> dict[str, Any]:
    return {
        "id": public_id("refund", row["id"]),
        "mode": row["mode"],
        "payment": public_id("payment", row["payment_id"]),
        "status": row["status"],
        "amount": row["amount"],
        "currency": row["currency"],
        "reason": row["reason"],
        "origin": row["origin"],
        "failure": row["failure"],
        "created_at": timestamp(row["created_at"]),
        "updated_at": timestamp(row["updated_at"]),
    }


def dispute(row: Mapping[Any, Any]) -> dict[str, Any]:
    """Without the evidence, which is people's data."""
    return {
        "id": public_id("dispute", row["id"]),
        "mode": row["mode"],
        "payment": public_id("payment", row["payment_id"]),
        "provider": row["provider"],
        "status": row["status"],
        "amount": row["amount"],
        "currency": row["currency"],
        "reason": row["reason"],
        "refundable": row["refundable"],
        "withheld": row["withheld"],
        "evidence_due_by": timestamp(row["evidence_due_by"]),
        "evidence_sent_at": timestamp(row["evidence_sent_at"]),
        "created_at": timestamp(row["created_at"]),
        "updated_at": timestamp(row["updated_at"]),
    }


def job(row: Mapping[Any, Any]) -> dict[str, Any]:
    """Without its result, which is the payment or refund as it is now."""
    name = public_id("job", row["id"])
    waiting = row["status"] == "queued"
    return {
        "id": name,
        "kind": row["kind"],
        "status": row["status"],
        "url": f"/v1/jobs/{name}",
        "payment": _id("payment", row["payment_id"]),
        "attempts": row["attempts"],
        "next_attempt_at": timestamp(row["run_after"]) if waiting else None,
        "error": row["error"],
        "created_at": timestamp(row["created_at"]),
        "finished_at": timestamp(row["finished_at"]),
    }
