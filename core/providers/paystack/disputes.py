"""Disputes: what a dispute object says, and the two ways to answer it, each with a file that Paystack demands."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from core.domain.money import InvalidMoney
from core.domain.outcomes import DisputeAnswer, DisputeFacts, NotExecuted, NotExecutedReason, NotFound, Unknown
from core.providers.base import EVIDENCE_FIELDS, AcceptRequest, EvidenceRequest
from core.providers.paystack.capabilities import CAPABILITIES
from core.providers.paystack.client import PaystackClient
from core.providers.paystack.currencies import from_hundredths, to_hundredths
from core.providers.paystack.outcomes import Answer, asked, clean, refusal, refuse_unsent, unknown
from core.providers.paystack.reading import inner, read_id, read_time, word
from core.providers.paystack.statuses import DISPUTE_RESOLUTIONS, DISPUTE_STATUSES, DisputeStatus

#: What the evidence object has to hold, by the names of EVIDENCE_FIELDS; and what it may hold beside.
_REQUIRED = tuple(sorted(CAPABILITIES.evidence_together))
_OPTIONAL = ("delivery_address", "delivery_date")
_FILE = "evidence.txt"


def read_dispute(client: PaystackClient, provider_id: str) -> DisputeAnswer:
    answer = asked(client.get("/dispute", provider_id))
    return read(answer) if isinstance(answer, Answer) else answer


def send_evidence(client: PaystackClient, request: EvidenceRequest) -> DisputeAnswer:
    """Evidence object (where its fields are given), file, then resolve with `declined`, which alone is the answer.

    What breaks off before the last step has told the bank nothing, and may be begun again.
    """
    refused = _incomplete(request.evidence)
    if refused is not None:
        return refused
    body = {"resolution": "declined", "message": request.evidence["message"], "refund_amount": 0}
    # Without what it has to hold there is no evidence object: the file says the rest.
    whole = all(request.evidence.get(name) for name in _REQUIRED)
    given = {name: request.evidence[name] for name in (*_REQUIRED, *_OPTIONAL) if whole and request.evidence.get(name)}
    return _resolve(client, request.provider_id, body, _text(request.evidence), given, _was_contested)


def accept_dispute(client: PaystackClient, request: AcceptRequest) -> DisputeAnswer:
    """Resolve with `merchant-accepted`: the customer gets `amount`."""
    try:
        amount = to_hundredths(request.amount, request.currency)
    except InvalidMoney as error:
        return refuse_unsent(str(error), "currency")
    message = "Accepted by the merchant"
    body = {"resolution": "merchant-accepted", "message": message, "refund_amount": amount}
    return _resolve(client, request.provider_id, body, f"{message}.\n", {}, _was_lost)


def _incomplete(evidence: Mapping[str, str]) -> NotExecuted | None:
    if not evidence.get("message"):
        return refuse_unsent("Paystack wants a message with the evidence", "evidence.message")
    missing = [name for name in _REQUIRED if not evidence.get(name)]
    if len(missing) in (0, len(_REQUIRED)):
        return None
    return refuse_unsent(f"Paystack takes {', '.join(_REQUIRED)} together or none", f"evidence.{missing[0]}")


def _text(evidence: Mapping[str, str]) -> str:
    """The file: all that was said, also what Paystack's evidence object has no place for."""
    told = [(name, evidence[name]) for name in EVIDENCE_FIELDS if evidence.get(name)]
    return "".join(f"{name.replace('_', ' ').capitalize()}: {value}\n" for name, value in told)


def _resolve(
    client: PaystackClient,
    provider_id: str,
    body: Mapping[str, Any],
    text: str,
    evidence: Mapping[str, str],
    done: Callable[[DisputeFacts], bool],
) -> DisputeAnswer:
    """PUT /dispute/:id/resolve; `done` says whether a dispute that takes no answer any more has had this one."""
    answer = _answer(client, provider_id, body, text, evidence)
    refused = refusal(answer) if isinstance(answer, Answer) else answer
    if isinstance(refused, NotExecuted) and refused.reason is NotExecutedReason.INVALID_REQUEST:
        found = read_dispute(client, provider_id)
        return found if isinstance(found, DisputeFacts) and done(found) else refused
    if not isinstance(answer, Answer):
        return answer
    return refused or read(answer)


def _answer(
    client: PaystackClient, provider_id: str, body: Mapping[str, Any], text: str, evidence: Mapping[str, str]
) -> Answer | NotExecuted | Unknown:
    more: dict[str, Any] = {}
    if evidence:
        made = _prepared(client.post("/dispute", evidence, provider_id, "evidence"))
        if isinstance(made, NotExecuted):
            return made
        more["evidence"] = made.data.get("id")
    name = _upload(client, provider_id, text)
    if isinstance(name, NotExecuted):
        return name
    return client.put("/dispute", {**body, **more, "uploaded_filename": name}, provider_id, "resolve")


def _was_lost(found: DisputeFacts) -> bool:
    return found.status == "lost"


def _was_contested(found: DisputeFacts) -> bool:
    return found.evidence_sent


def _upload(client: PaystackClient, provider_id: str, text: str) -> str | NotExecuted:
    """The name under which Paystack keeps the file."""
    where = _prepared(client.get("/dispute", provider_id, "upload_url", upload_filename=_FILE))
    if isinstance(where, NotExecuted):
        return where
    url, name = word(where.data.get("signedUrl")), word(where.data.get("fileName"))
    if url is None or name is None:
        return _unprepared("Paystack named no address for the evidence's file")
    failed = client.upload(url, text.encode())
    return name if failed is None else _unprepared("the evidence's file could not be uploaded")


def _prepared(answer: Answer | NotExecuted | Unknown) -> Answer | NotExecuted:
    """A step before the one that counts: whatever went wrong with it, the dispute is not answered yet."""
    refused = refusal(answer) if isinstance(answer, Answer) else answer
    if isinstance(answer, Answer) and refused is None:
        return answer
    return refused if isinstance(refused, NotExecuted) else _unprepared("Paystack did not take the evidence")


def _unprepared(detail: str) -> NotExecuted:
    return NotExecuted(NotExecutedReason.CONNECTION, detail)


def read(answer: Answer) -> DisputeFacts | NotFound | Unknown:
    """What a dispute object says, in an answer about it or in the one to its resolution."""
    data = answer.data
    transaction = inner(data, "transaction")
    dispute_id = read_id(data.get("id"))
    status = status_of(data)
    if dispute_id is None or status is None:
        told = {name: clean(str(data.get(name))) for name in ("status", "resolution")}
        return unknown("a dispute that cannot be read", answer, **told)
    currency = str(word(data.get("currency")) or word(transaction.get("currency"))).upper()
    amount = data.get("refund_amount")
    try:
        amount = from_hundredths(transaction.get("amount") if amount is None else amount, currency)
    except InvalidMoney as error:
        return unknown(str(error), answer, dispute_id=dispute_id)
    over = status in ("won", "closed")
    return DisputeFacts(
        provider_id=dispute_id,
        status=status,
        amount=amount,
        currency=currency,
        charge_ids=charge_ids(data),
        reason=word(data.get("category")),
        evidence_due_by=read_time(data.get("dueAt")),
        refundable=over,
        withheld=not over,
        evidence_sent=_contested(data, status),
        created_at=read_time(data.get("createdAt"), data.get("created_at")),
        raw=answer.kept,
    )


def _contested(data: Mapping[str, Any], status: DisputeStatus) -> bool:
    """An evidence object alone is not yet an answer: nobody reads it before the dispute is declined."""
    resolution = data.get("resolution")
    return (
        status == "under_review"
        or resolution == "declined"
        or (resolution == "auto-accepted" and bool(data.get("attachments")))
    )


def status_of(data: Mapping[str, Any]) -> DisputeStatus | None:
    """None for words that nobody described."""
    status, resolution = data.get("status"), data.get("resolution")
    if status == "resolved":
        return DISPUTE_RESOLUTIONS.get(resolution) if resolution is None or isinstance(resolution, str) else None
    return DISPUTE_STATUSES.get(status) if isinstance(status, str) else None


def charge_ids(data: Mapping[str, Any]) -> tuple[str, ...]:
    """The disputed transaction by reference and by number; the number may stand in the place of the object."""
    transaction = inner(data, "transaction")
    named = (
        word(transaction.get("reference")),
        word(data.get("merchant_transaction_reference")),
        word(data.get("transaction_reference")),
        read_id(transaction.get("id")),
        read_id(data.get("transaction")),
    )
    return tuple(dict.fromkeys(one for one in named if one is not None))
