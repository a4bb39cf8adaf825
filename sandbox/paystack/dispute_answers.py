"""What a merchant can do about a dispute over the API: read it, give evidence and files, resolve it."""

from __future__ import annotations

import hashlib
from typing import Any

from .. import ids
from ..http import Call, Raw, Reply
from ..ledger import Json
from ..world import Desk, World
from . import disputes, lists, params, times, transactions
from .dispute_object import resolved, shown
from .errors import invalid, not_found

_EVIDENCE = ("customer_email", "customer_name", "customer_phone", "service_details")
_OPTIONAL = ("delivery_address", "delivery_date")


def _named(desk: Desk, id: str) -> Json:
    dispute = desk.get("dispute", id)
    if dispute is None:
        raise not_found("Dispute not found")
    return dispute


def list_disputes(call: Call) -> Json:
    where, values = lists.narrowed(call, {"status": "status", "transaction": "transaction"})
    bodies, meta = lists.rows(call, "dispute", where, values)
    data = [shown(call.desk, body) for body in bodies]
    return {"status": True, "message": "Disputes retrieved", "data": data, "meta": meta}


def fetch(call: Call) -> Json:
    return {"status": True, "message": "Dispute retrieved", "data": shown(call.desk, _named(call.desk, call.args[0]))}


def of_transaction(call: Call) -> Json:
    transaction = transactions.by_id_or_reference(call.desk, call.args[0])
    found = call.desk.children("dispute", str(transaction["id"]))
    if not found:
        raise not_found("Dispute not found")
    return {"status": True, "message": "Dispute retrieved successfully", "data": shown(call.desk, found[-1])}


def update(call: Call) -> Json:
    desk, dispute = call.desk, _open(call.desk, call.args[0])
    dispute["refund_amount"] = _refund_amount(dispute, call.params)
    if call.params.get("uploaded_filename"):
        dispute["attachments"] = str(call.params["uploaded_filename"])
    dispute["updated"] = desk.now
    desk.save("dispute", dispute)
    return {"status": True, "message": "Dispute updated successfully", "data": shown(desk, dispute)}


def _open(desk: Desk, id: str) -> Json:
    dispute = _named(desk, id)
    if dispute["status"] == "resolved":
        raise invalid("Dispute has already been resolved", "Check the status of the dispute")
    return dispute


def _refund_amount(dispute: Json, given: Json) -> int:
    if given.get("refund_amount") in (None, ""):
        raise params.missing("refund_amount")
    value: Any = given["refund_amount"]
    amount = 0 if value in (0, "0") else params.amount(value)
    if amount > dispute["disputed"]:
        raise invalid("Refund amount cannot be more than the disputed amount", params.AMOUNT_HELP)
    return amount


def add_evidence(call: Call) -> Json:
    desk, dispute, given = call.desk, _open(call.desk, call.args[0]), call.params
    for name in _EVIDENCE:
        if given.get(name) in (None, ""):
            raise params.missing(name)
    stamp = times.iso(desk.now)
    evidence: Json = {name: given[name] for name in (*_EVIDENCE, *_OPTIONAL) if given.get(name)}
    evidence |= {
        "dispute": dispute["id"],
        "id": desk.world.ledger.next_number(),
        "createdAt": stamp,
        "updatedAt": stamp,
    }
    desk.add("evidence", evidence, parent=str(dispute["id"]))
    dispute |= {"evidence": evidence["id"], "updated": desk.now}
    desk.save("dispute", dispute)
    return {"status": True, "message": "Evidence created", "data": evidence}


def upload_url(call: Call) -> Json:
    """An address at this sandbox that takes the file by PUT, without a key, as a signed one does."""
    desk, dispute = call.desk, _open(call.desk, call.args[0])
    asked = call.params.get("upload_filename")
    if not asked:
        raise params.missing("upload_filename")
    name = ids.fresh_lower(20) + "." + str(asked).rpartition(".")[2]
    upload = {"id": name, "dispute": dispute["id"], "bytes": None, "sha256": None, "content_type": None}
    desk.add("upload", upload, parent=str(dispute["id"]))
    data = {"signedUrl": desk.url(f"/uploads/{name}"), "fileName": name}
    return {"status": True, "message": "Upload url generated", "data": data}


def receive_upload(world: World, raw: Raw, args: tuple[str, ...]) -> Reply:
    """Keeps what the file was, not the file."""
    owner = world.ledger.owner("upload", args[0])
    account = world.accounts.by_id(owner) if owner else None
    if account is None:
        return Reply(403, b"<Error><Code>AccessDenied</Code></Error>", {}, "application/xml")
    desk = Desk(world, account)
    kept = desk.held("upload", args[0])
    kept |= {"bytes": len(raw.body), "sha256": hashlib.sha256(raw.body).hexdigest()}
    kept["content_type"] = raw.headers.get("content-type")
    desk.save("upload", kept)
    return Reply(200, b"", {}, "text/plain")


def resolve(call: Call) -> Json:
    """Accepting ends it at once; declining hands it to the customer's bank."""
    desk, given = call.desk, call.params
    dispute = _open(desk, call.args[0])
    for name in ("resolution", "message", "refund_amount", "uploaded_filename"):
        if given.get(name) in (None, ""):
            raise params.missing(name)
    resolution = given["resolution"]
    if resolution not in ("merchant-accepted", "declined"):
        raise invalid("resolution must be one of [merchant-accepted, declined]")
    amount = _refund_amount(dispute, given)
    if dispute["status"] == "awaiting-bank-feedback":
        raise invalid("Dispute is awaiting feedback from the bank", "Wait for the decision of the bank")
    if resolution == "declined":
        _check_file(desk, dispute, str(given["uploaded_filename"]))
    dispute["attachments"] = str(given["uploaded_filename"])
    dispute["messages"].append({"sender": "merchant", "body": str(given["message"]), "createdAt": desk.now})
    if given.get("evidence"):
        dispute["evidence"] = given["evidence"]
    if resolution == "merchant-accepted":
        dispute["refund_amount"] = amount or dispute["refund_amount"]
        disputes.lose(desk, dispute, resolution)
    else:
        disputes.move(desk, dispute, "awaiting-bank-feedback", "merchant")
        desk.later("decide_dispute", str(dispute["id"]), disputes.BANK_AFTER)
    return {"status": True, "message": "Dispute successfully resolved", "data": resolved(desk, dispute)}


def _check_file(desk: Desk, dispute: Json, name: str) -> None:
    """A dispute is contested with a file that has really arrived."""
    upload = desk.get("upload", name)
    if upload is None or upload["dispute"] != dispute["id"] or upload["bytes"] is None:
        raise invalid(
            "Uploaded file not found",
            "Get an upload URL for this dispute, PUT the file there, and pass the fileName",
        )
