"""Ids on the request's log line: whoever searches the log for a payment finds its requests."""

from __future__ import annotations

from collections.abc import Mapping

import structlog

#: Kind of row -> the log's name for its id; the log drops names it does not know.
_NAMES: Mapping[str, str] = {
    "payment": "payment_id",
    "refund": "refund_id",
    "customer": "customer_id",
    "payment_method": "payment_method_id",
    "dispute": "dispute_id",
    "job": "job_id",
    "event": "event_id",
    "webhook_endpoint": "endpoint_id",
    "provider_account": "account_id",
    "merchant": "merchant_id",
}


def note(kind: str, public: str | None) -> None:
    """Of ids that were read or made by us only: a caller's own text never reaches the log."""
    if public is not None and kind in _NAMES:
        structlog.contextvars.bind_contextvars(**{_NAMES[kind]: public})
