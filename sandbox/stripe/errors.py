"""Refusals in Stripe's words. `saved` says whether an idempotency key keeps the refusal."""

from __future__ import annotations

from typing import Any

from ..http import Reply, json_reply
from ..ledger import Json

DOCS = "https://docs.stripe.com/error-codes/"


class StripeError(Exception):
    """An error answer. Stripe saves what an endpoint answered once it began to act (docs.stripe.com/api/
    idempotent_requests); what was refused while reading the parameters is not saved."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        type: str = "invalid_request_error",
        code: str | None = None,
        param: str | None = None,
        saved: bool = False,
        extra: Json | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.saved = saved
        body: Json = {}
        if code:
            body |= {"code": code, "doc_url": DOCS + code.replace("_", "-")}
        body["message"] = message
        if param:
            body["param"] = param
        self.error = body | {"type": type} | (extra or {})

    def reply(self, request_id: str) -> Reply:
        log_url = f"https://dashboard.stripe.com/test/logs/{request_id}"
        return json_reply(self.status, {"error": self.error | {"request_log_url": log_url}})


def missing(kind: str, id: str, param: str, status: int = 404) -> StripeError:
    """An id that is not this account's: 404 in the address of a call, and mostly 400 in a parameter."""
    return StripeError(status, f"No such {kind}: '{id}'", code="resource_missing", param=param)


def wrong_state(message: str, payment_intent: Json) -> StripeError:
    return StripeError(
        400,
        message,
        code="payment_intent_unexpected_state",
        saved=True,
        extra={"payment_intent": payment_intent},
    )


def card_error(code: str, message: str, extra: dict[str, Any]) -> StripeError:
    return StripeError(402, message, type="card_error", code=code, saved=True, extra=extra)
