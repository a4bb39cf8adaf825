"""The bank itself, on the machinery of the two local providers: a ledger, faults, a clock, signed webhooks, a page."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any
from urllib.parse import parse_qs

from sandbox import ids
from sandbox.http import Call, Raw, Reply, Route, Router, json_reply
from sandbox.ledger import Json
from sandbox.pages import layout
from sandbox.provider import Page
from sandbox.timers import Action
from sandbox.world import Account, Desk, World

DAY = 24 * 3600
LEAST = 100
#: A refund of this many cents meets a closed account and comes back.
CLOSED_ACCOUNT = 13_13


class Refused(Exception):
    def __init__(self, status: int, code: str, field: str | None = None) -> None:
        super().__init__(code)
        self.status, self.error = status, {"code": code, "field": field}


def _changed(desk: Desk, kind: str, body: Json, state: str) -> Json:
    body = {**body, "state": state, "changed": desk.now}
    desk.save(kind, body)
    return _told(desk, kind, body)


def _told(desk: Desk, kind: str, body: Json) -> Json:
    name = f"{kind}.{body['state']}"
    desk.publish({"id": ids.fresh("ev_"), "kind": name, "created": desk.now, kind: body}, name)
    return body


def _amount(call: Call, least: int = 1) -> int:
    amount = call.params.get("amount")
    if not isinstance(amount, int) or isinstance(amount, bool) or amount < least:
        raise Refused(400, "amount_invalid", "amount")
    return amount


def _kept(call: Call, kind: str) -> Json | None:
    """The same key is the same order, for ever."""
    key = call.raw.headers.get("idempotency-key", "")
    return next(iter(call.desk.children(kind, f"key:{key}")), None)


def _add(call: Call, kind: str, body: Json) -> Json:
    body = {**body, "created": call.desk.now, "changed": call.desk.now}
    call.desk.add(kind, body, parent=f"key:{call.raw.headers.get('idempotency-key', '')}")
    return body


def create_transfer(call: Call) -> Json:
    if kept := _kept(call, "transfer"):
        return kept
    if call.params.get("currency") != "EUR":
        raise Refused(400, "currency_invalid", "currency")
    name = ids.fresh("tr_")
    given = {part: call.params.get(part) for part in ("currency", "mark", "payment", "back")}
    page = call.desk.url(f"/instructions/{name}")
    body = {"id": name, "state": "awaited", "amount": _amount(call, LEAST), "instructions": page, **given}
    call.desk.later("expire", name, 7 * DAY)
    return _add(call, "transfer", {**body, "expires": call.desk.now + 7 * DAY})


def create_refund(call: Call) -> Json:
    if kept := _kept(call, "refund"):
        return kept
    transfer = call.desk.get("transfer", str(call.params.get("transfer")))
    if transfer is None or transfer["state"] != "arrived":
        raise Refused(404, "transfer_unknown", "transfer")
    amount = _amount(call)
    before = [one for one in _all(call.desk, "refund") if one["transfer"] == transfer["id"]]
    if amount + sum(one["amount"] for one in before if one["state"] != "returned") > transfer["amount"]:
        raise Refused(409, "amount_too_large", "amount")
    body = {"id": ids.fresh("rf_"), "state": "booked", "amount": amount, "currency": transfer["currency"]}
    marks = {"mark": call.params.get("mark"), "refund": call.params.get("refund")}
    body = _add(call, "refund", {**body, "transfer": transfer["id"], **marks})
    call.desk.later("pay_back", body["id"], DAY)
    return _told(call.desk, "refund", body)


def _all(desk: Desk, kind: str) -> list[Json]:
    return [row.body for row in desk.world.ledger.select(kind, "AND account = ?", (desk.account.id,))]


def _retrieve(kind: str) -> Any:
    def retrieve(call: Call) -> Json:
        found = call.desk.get(kind, call.args[0])
        if found is None:
            raise Refused(404, f"{kind}_unknown")
        return found

    return retrieve


def _list(kind: str) -> Any:
    def rows(call: Call) -> Json:
        asked = call.params
        since, until = int(asked.get("since", 0)), int(asked.get("until", 2**40))
        found = [one for one in _all(call.desk, kind) if since <= one["changed"] <= until]
        for name in ("mark", "payment", "refund", "transfer"):
            found = [one for one in found if name not in asked or one.get(name) == asked[name]]
        return {"rows": found}

    return rows


def account_of(call: Call) -> Json:
    return {"id": call.desk.account.id}


ROUTES = (
    Route("GET", "/account", "account.retrieve", account_of),
    Route("POST", "/transfers", "transfers.create", create_transfer),
    Route("GET", "/transfers", "transfers.list", _list("transfer")),
    Route("GET", "/transfers/{}", "transfers.retrieve", _retrieve("transfer")),
    Route("POST", "/refunds", "refunds.create", create_refund),
    Route("GET", "/refunds", "refunds.list", _list("refund")),
    Route("GET", "/refunds/{}", "refunds.retrieve", _retrieve("refund")),
)


def arrive(desk: Desk, name: str) -> None:
    transfer = desk.held("transfer", name)
    if transfer["state"] == "ordered":
        _changed(desk, "transfer", transfer, "arrived")


def expire(desk: Desk, name: str) -> None:
    transfer = desk.held("transfer", name)
    if transfer["state"] == "awaited":
        _changed(desk, "transfer", transfer, "expired")


def pay_back(desk: Desk, name: str) -> None:
    refund = desk.held("refund", name)
    _changed(desk, "refund", refund, "returned" if refund["amount"] == CLOSED_ACCOUNT else "paid")


def _page(world: World, raw: Raw, args: tuple[str, ...]) -> Reply:
    """The instructions; posted: the customer orders the transfer, at once ("pay") or to arrive in a day."""
    owner = world.accounts.by_id(world.ledger.owner("transfer", args[0]) or "")
    if owner is None:
        return layout.message("Page not found", "There is no such transfer.", 404)
    desk = Desk(world, owner)
    transfer = desk.held("transfer", args[0])
    action = layout.posted(raw).get("action") if raw.method == "POST" else None
    if action in ("pay", "order") and transfer["state"] == "awaited":
        transfer = _changed(desk, "transfer", transfer, "ordered")
        if action == "pay":
            arrive(desk, transfer["id"])
        else:
            desk.later("arrive", transfer["id"], DAY)
    return layout.message("Bank transfer", f"{transfer['amount'] / 100:.2f} EUR is {transfer['state']}.")


class Bank:
    name = "bank_transfer"
    pages: Router[Page] = Router(
        [Route(method, "/instructions/{}", "page", _page) for method in ("GET", "POST")],
    )
    operations: Collection[str] = frozenset(route.operation for route in ROUTES)
    actions: Mapping[str, Action] = {"arrive": arrive, "expire": expire, "pay_back": pay_back}
    webhook_timeout = 5.0
    later_fields: Mapping[str, Json] = {}

    def __init__(self) -> None:
        self._router = Router(ROUTES)

    def account(self, wanted: Json) -> Account:
        key = str(wanted["secret_key"])
        return Account(f"bank_{ids.derived(key, 12)}", key, wanted.get("webhook_url"))

    def admit(self, world: World, raw: Raw) -> Call | Reply:
        owner = world.accounts.by_key(raw.headers.get("authorization", "").removeprefix("Bearer "))
        found = self._router.find(raw.method, raw.path)
        if owner is None:
            return _refusal(Refused(401, "key_unknown"))
        if found is None:
            return _refusal(Refused(404, "address_unknown"))
        asked = {name: values[-1] for name, values in parse_qs(raw.query).items()}
        return Call(raw, Desk(world, owner), *found, json.loads(raw.body) if raw.body else asked)

    def begin(self, call: Call) -> Reply | None:
        return None

    def perform(self, call: Call, instead: Reply | None) -> Reply:
        try:
            reply = json_reply(200, call.route.handler(call))
        except Refused as error:
            reply = _refusal(error)
        return instead or reply

    def finish(self, call: Call) -> None:
        """Nothing is held while a call runs."""

    def failure(self, status: int) -> Reply:
        return json_reply(status, {"error": {"code": "try_later"}})

    def retry_after(self, account: Account) -> Sequence[float]:
        return (60.0, 600.0)

    def sign(self, account: Account, body: bytes, timestamp: int) -> dict[str, str]:
        return {"X-Bank-Signature": hmac.new(account.secret_key.encode(), body, hashlib.sha256).hexdigest()}

    def webhook_body(self, event: Json) -> Json:
        return event

    def oracle(self, world: World, account: Account | None) -> Json:
        where, values = ("AND account = ?", (account.id,)) if account else ("", ())
        refunds = [_refund(row.body) for row in world.ledger.select("refund", where, values)]
        charges = [_charge(row.body) for row in world.ledger.select("transfer", where, values)]
        return {"charges": charges, "refunds": refunds}


def _charge(transfer: Json) -> Json:
    status = {"arrived": "succeeded", "expired": "expired"}.get(transfer["state"], "pending")
    marks = {"tollgate_payment": transfer["payment"], "tollgate_transaction": transfer["mark"]}
    return {**transfer, "status": status, "metadata": marks}


def _refund(refund: Json) -> Json:
    status = {"booked": "pending", "paid": "succeeded", "returned": "failed"}[refund["state"]]
    return {**refund, "status": status}


def _refusal(error: Refused) -> Reply:
    return json_reply(error.status, {"error": error.error})
