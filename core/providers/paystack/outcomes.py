"""An answer of Paystack's as a value, and the literal tables that say what a refusal in it proves."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from core.domain.outcomes import NotExecuted, NotExecutedReason, NotFound, Unknown
from core.providers.paystack.fields import field_of
from core.providers.paystack.redaction import redacted

#: What a refusal proves. `duplicate_reference` proves nothing about this send: an earlier one may have arrived.
REFERENCE_EXISTS = "reference exists"
Verdict = NotExecutedReason | str

#: `code` in an error body, the most exact word Paystack has.
ERROR_CODES: Mapping[str, Verdict] = {
    "duplicate_reference": REFERENCE_EXISTS,
    "missing_params": NotExecutedReason.INVALID_REQUEST,
    "invalid_params": NotExecutedReason.INVALID_REQUEST,
    "transaction_not_found": NotExecutedReason.INVALID_REQUEST,
    "invalid_key": NotExecutedReason.MISCONFIGURED,
    "invalid_Key": NotExecutedReason.MISCONFIGURED,
    "missing_authorization": NotExecutedReason.MISCONFIGURED,
}

#: `message`, lower case and without a final full stop, for the endpoints that send no code.
ERROR_MESSAGES: Mapping[str, Verdict] = {
    "duplicate transaction reference": REFERENCE_EXISTS,
    "invalid key": NotExecutedReason.MISCONFIGURED,
}

#: `type` of an error body, where neither code nor message decides. The bank's side was asked and said no or nothing,
#: under whatever HTTP code: the object may be there, and has to be read.
ERROR_TYPES: Mapping[str, Verdict] = {
    "processor_error": "the processor refused",
}

#: HTTP codes that decide where the body does not; every code that is not here is an unknown outcome.
HTTP_CODES: Mapping[int, NotExecutedReason] = {
    400: NotExecutedReason.INVALID_REQUEST,
    401: NotExecutedReason.MISCONFIGURED,
    403: NotExecutedReason.MISCONFIGURED,
    404: NotExecutedReason.INVALID_REQUEST,
    422: NotExecutedReason.INVALID_REQUEST,
}

#: HTTP codes that decide before any body does, which need not even be readable.
HTTP_CODES_FIRST: Mapping[int, NotExecutedReason] = {
    429: NotExecutedReason.RATE_LIMITED,
}

#: How a look-up says that there is no such transaction or refund; 400 and 404 are used alike. The bare code
#: "not_found" is not among them: a wrong address has it too, and proves nothing about the transaction.
NOT_FOUND_CODES = frozenset({"transaction_not_found", "refund_not_found"})
NOT_FOUND_MESSAGES = frozenset(
    {
        "transaction reference not found",
        "transaction not found",
        "transaction not found for this integration",
        "refund not found",
        "refund not found for this integration",
        "dispute not found",
        "dispute not found for this integration",
        "preauthorization not found",
        "preauthorization not found for this integration",
    }
)

_PRIVATE = re.compile(r"\S+@\S+|[sp]k_(?:test|live)_\w*|\d{10,}")


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer. `body` is None unless it was a JSON object; `retry_after` in seconds."""

    http_status: int
    body: Mapping[str, Any] | None
    retry_after: float | None = None

    @property
    def accepted(self) -> bool:
        """Neither the HTTP code nor `status` is to be trusted alone: they have to agree."""
        return 200 <= self.http_status < 300 and self.body is not None and self.body.get("status") is True

    @property
    def data(self) -> Mapping[str, Any]:
        """`data` of the answer, empty when it is not an object."""
        data = (self.body or {}).get("data")
        return data if isinstance(data, Mapping) else {}

    @property
    def kept(self) -> Mapping[str, Any] | None:
        """The body as it may be stored, sealed."""
        return None if self.body is None else redacted(self.body)

    def word(self, name: str) -> str:
        value = (self.body or {}).get(name)
        return value if isinstance(value, str) else ""

    @property
    def message(self) -> str:
        return self.word("message").strip().lower().rstrip(".")


class Unreadable(Exception):
    """The answer was accepted, but does not say what it must; the message says what is missing."""


def clean(text: str) -> str:
    """Words of the provider for operators: no address, key or long number gets through."""
    return _PRIVATE.sub("…", text)[:200]


def unknown(seen: str, answer: Answer | None = None, **details: str | int) -> Unknown:
    """An outcome nobody can tell, with what was seen."""
    evidence: dict[str, Any] = {"seen": seen, **details}
    if answer is None:
        return Unknown(evidence)
    evidence["http_status"] = answer.http_status
    for name in ("code", "type", "message"):
        if answer.word(name):
            evidence[name] = clean(answer.word(name))
    return Unknown(evidence, raw=answer.kept)


def refusal(answer: Answer) -> NotExecuted | Unknown | None:
    """None for an accepted call; otherwise what its refusal proves."""
    if answer.accepted:
        return None
    if answer.http_status in HTTP_CODES_FIRST:
        return _not_executed(HTTP_CODES_FIRST[answer.http_status], answer)
    if answer.http_status >= 500:
        return unknown("an error of the provider", answer)
    if answer.body is None:
        return unknown("an answer that is not JSON", answer)
    # "false" as text is seen in Paystack's own samples; a refusal without the word is none we know.
    if answer.body.get("status") not in (False, "false"):
        return unknown("an answer that contradicts its HTTP code", answer)
    verdict = ERROR_CODES.get(answer.word("code")) or ERROR_MESSAGES.get(answer.message)
    verdict = verdict or ERROR_TYPES.get(answer.word("type")) or HTTP_CODES.get(answer.http_status)
    if isinstance(verdict, NotExecutedReason):
        return _not_executed(verdict, answer)
    return unknown(verdict or "a refusal nobody described", answer)


def says_not_found(answer: Answer) -> bool:
    """Paystack's way to tell a look-up that there is no such object."""
    if answer.http_status not in (200, 400, 404) or answer.body is None or answer.body.get("status") is True:
        return False
    return answer.word("code") in NOT_FOUND_CODES or answer.message in NOT_FOUND_MESSAGES


def _not_executed(reason: NotExecutedReason, answer: Answer) -> NotExecuted:
    return NotExecuted(
        reason,
        clean(answer.word("message")) or f"Paystack answered {answer.http_status}",
        retry_after=answer.retry_after if reason is NotExecutedReason.RATE_LIMITED else None,
        provider_code=clean(answer.word("code")) or None,
        param=field_of(answer.word("code"), answer.message) if reason is NotExecutedReason.INVALID_REQUEST else None,
        raw=answer.kept,
    )


def refuse_unsent(detail: str, field: str | None = None) -> NotExecuted:
    """Refused by ourselves before anything was sent; `field` of our request is to blame."""
    return NotExecuted(NotExecutedReason.INVALID_REQUEST, detail, param=field)


def asked(answer: Answer | NotExecuted | Unknown) -> Answer | NotFound | Unknown:
    """A question that was not answered tells nothing: least of all that the transaction did not happen."""
    if isinstance(answer, Answer):
        if says_not_found(answer):
            return NotFound({"seen": "no such object", "http_status": answer.http_status})
        refused = refusal(answer)
        if refused is None:
            return answer
        answer = refused
    if isinstance(answer, NotExecuted):
        seen = unknown("the look-up itself failed", reason=answer.reason.value, detail=answer.detail)
        return replace(seen, refused_key=answer.reason is NotExecutedReason.MISCONFIGURED)
    return answer


def row_answer(row: Mapping[str, Any]) -> Answer:
    """One row of a list, as if it had been asked for alone."""
    return Answer(200, {"status": True, "data": row})
