"""Paystack's time stamps."""

from __future__ import annotations

from datetime import UTC, datetime


def iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def seconds(text: str) -> float:
    """Raises ValueError when it is no date."""
    moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
