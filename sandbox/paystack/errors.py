"""Refusals in Paystack's words and shape."""

from __future__ import annotations

from ..http import Reply, json_reply


class PaystackError(Exception):
    """`status`, `message`, `meta.nextStep`, `type`, `code`, as in Paystack's API description."""

    def __init__(self, status: int, message: str, code: str, next_step: str, type: str = "validation_error") -> None:
        super().__init__(message)
        self.status = status
        self.body = {
            "status": False,
            "message": message,
            "meta": {"nextStep": next_step},
            "type": type,
            "code": code,
        }

    def reply(self) -> Reply:
        return json_reply(self.status, self.body)


def invalid(
    message: str, next_step: str = "Check the parameters that were sent", code: str = "invalid_params"
) -> PaystackError:
    return PaystackError(400, message, code, next_step)


def not_found(message: str, code: str = "not_found") -> PaystackError:
    return PaystackError(404, message, code, "Ensure that the value passed is one that exists on your integration")
