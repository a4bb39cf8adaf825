"""Every route with the ids of another merchant and of one's own other mode: 404, and nothing changed.

The walk is made from the OpenAPI document. A route that takes an id the tables below do not know fails.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
import sqlalchemy as sa
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from api.app import build_app
from core.domain.identifiers import public_id
from core.orchestration import accounts, api_keys
from core.orchestration.context import Core
from core.persistence.database import Scope
from tests.api.methods import make, save_method
from tests.api.support import Merchant, add_account, settings_for
from tests.persistence import rows
from tests.persistence.test_walls import WALLED

HOME = "/admin/v1/merchants/{id}"
WHY = {"reason": "isolation walk"}

#: What `{id}` is in /v1, by the word before it.
NOUNS: Mapping[str, str] = {
    "payments": "payment",
    "refunds": "refund",
    "disputes": "dispute",
    "customers": "customer",
    "payment_methods": "payment_method",
    "jobs": "job",
    "events": "event",
    "webhook_endpoints": "webhook_endpoint",
}
#: And the names of what stands below a merchant in /admin/v1. A payout has its provider's name for it.
NAMES: Mapping[str, str] = {
    "payment": "payment",
    "job": "job",
    "event": "inbox_event",
    "account": "provider_account",
    "payout": "payout",
    "customer": "customer",
    "finding": "finding",
    "run": "reconciliation_run",
    "key": "api_key",
    "version": "route",
}
TABLES: Mapping[str, str] = {
    "payment": "payments",
    "refund": "refunds",
    "dispute": "disputes",
    "job": "jobs",
    "event": "events",
    "webhook_endpoint": "webhook_endpoints",
    "inbox_event": "inbox_events",
    "provider_account": "provider_accounts",
    "customer": "customers",
    "payment_method": "payment_methods",
    "finding": "findings",
    "reconciliation_run": "reconciliation_runs",
}
_ROUTE = {"default": {"then": {"accounts": ["acc_01k0000000000000000000000a"]}}}

#: A body with which each route that writes would do its work.
BODIES: Mapping[str, Any] = {
    "post /v1/payments/{id}/capture": {},
    "post /v1/payments/{id}/cancel": None,
    "post /v1/payments/{id}/sync": None,
    "post /v1/payments/{id}/refunds": {"amount": 1},
    "post /v1/disputes/{id}/evidence": {"message": "Delivered."},
    "post /v1/disputes/{id}/accept": None,
    "patch /v1/customers/{id}": {"name": "Mallory"},
    "delete /v1/customers/{id}": None,
    "post /v1/customers/{id}/reveal": None,
    "delete /v1/payment_methods/{id}": None,
    "post /v1/events/{id}/redeliver": None,
    "patch /v1/webhook_endpoints/{id}": {"enabled": True},
    "delete /v1/webhook_endpoints/{id}": None,
    "post /v1/webhook_endpoints/{id}/rotate_secret": None,
    f"post {HOME}/api_keys/{{key}}/rotate": WHY,
    f"post {HOME}/api_keys/{{key}}/expire": {"in_hours": 0, **WHY},
    f"post {HOME}/api_keys/{{key}}/revoke": WHY,
    f"post {HOME}/payments/{{payment}}/sync": None,
    f"post {HOME}/jobs/{{job}}/requeue": WHY,
    f"post {HOME}/jobs/{{job}}/resolve": {"as": "failed", **WHY},
    f"post {HOME}/jobs/{{job}}/cancel": WHY,
    f"post {HOME}/inbox/{{event}}/replay": WHY,
    f"patch {HOME}/provider_accounts/{{account}}": {"name": "mine now", **WHY},
    f"post {HOME}/provider_accounts/{{account}}/rotate": {"webhook_secret": "whsec_1", **WHY},
    f"post {HOME}/provider_accounts/{{account}}/enable": WHY,
    f"post {HOME}/provider_accounts/{{account}}/drain": WHY,
    f"post {HOME}/provider_accounts/{{account}}/disable": WHY,
    f"patch {HOME}/routes/{{version}}": {"note": "mine now", **WHY},
    f"post {HOME}/routes/{{version}}/activate": WHY,
    f"post {HOME}/customers/{{customer}}/reveal": WHY,
    f"post {HOME}/customers/{{customer}}/erase": WHY,
    f"post {HOME}/findings/{{finding}}/assign": {"to": "mallory", **WHY},
    f"post {HOME}/findings/{{finding}}/resolve": {"action": "done", **WHY},
}

#: Ids in bodies: how a body names one, by route and field. What a route decides by an id that is nobody's of the
#: merchant's is refused or never true.
REFERENCES: Mapping[str, Any] = {
    "post /v1/payments .customer": lambda one: {**_PAYMENT, "customer": one},
    "post /v1/payments .payment_method.id": lambda one: {**_PAYMENT, "payment_method": {"type": "saved", "id": one}},
    f"post {HOME}/findings/{{finding}}/resolve .payment": lambda one: {"action": "link", "payment": one, **WHY},
    f"post {HOME}/reconciliation/runs .provider_account": lambda one: {
        "provider_account": one, "kind": "two_way", "since": "2026-01-01T00:00:00Z", "until": "2026-01-02T00:00:00Z",
    },
    f"post {HOME}/routes .definition.default.then.accounts[]": lambda one: {"definition": _by(one), **WHY},
    f"patch {HOME}/routes/{{version}} .definition.default.then.accounts[]": lambda one: {"definition": _by(one), **WHY},
    f"post {HOME}/routes/explain .payment": lambda one: {"payment": one},
}  # fmt: skip
#: These only say what would be, or hold a condition that is never true; no row of the other's is read for them.
SAY_NOTHING = re.compile(
    r"(/routes/(explain|validate) \.definition\..*|/routes/explain \.sample\..*"
    r"|/routes(/\{version\})? \.definition\.(rules\[\]\..*))$"
)
_PAYMENT = {"amount": 500, "currency": "USD", "payment_method": {"type": "token", "token": "pm_card_visa"}}


def _by(account: str) -> dict[str, Any]:
    return {"default": {"then": {"accounts": [account]}}}


@dataclass
class Side:
    """One merchant's one mode, with an id of everything."""

    scope: Scope
    key: str
    ids: dict[str, str] = field(default_factory=dict)


@dataclass
class Ground:
    """`mine` asks; `theirs` is another merchant's, `other` my other mode."""

    client: FlaskClient
    owner: Core
    admin: str
    mine: Side
    theirs: Side
    other: Side

    def ask(self, key: str, method: str, path: str, body: Any = None, mode: str | None = None) -> TestResponse:
        headers = {"Authorization": f"Bearer {key}", "Idempotency-Key": f"walk {method} {path} {body}"[:200]}
        query = {"mode": mode} if mode else None
        return self.client.open(path, method=method, json=body, headers=headers, query_string=query)

    def state(self) -> dict[str, str]:
        """A digest of each table; the use of a key is noted beside the requests."""
        shown = "to_jsonb(t) - 'last_used_at'"
        query = "SELECT coalesce(md5(string_agg(({shown})::text, '|' ORDER BY ({shown})::text)), '') FROM {table} t"
        with self.owner.database.unscoped() as connection:
            return {
                table: connection.exec_driver_sql(query.format(shown=shown, table=table)).scalar_one()
                for table in WALLED
            }


@pytest.fixture(scope="module")
def ground(core: Core, owner: Core, worker: Core) -> Ground:
    settings = settings_for(core.settings.database_url, admin_rate_limit="10000/second")
    client = build_app(replace(core, settings=settings)).test_client()
    first, second = (accounts.create_merchant(owner, name) for name in ("Mine", "Theirs"))
    mine, theirs, other = (
        _side(owner, worker, client, scope, number)
        for number, scope in enumerate((Scope(first, "test"), Scope(second, "test"), Scope(first, "live")), 1)
    )
    admin = api_keys.create(owner, kind="admin", name="walker").text
    return Ground(client, owner, admin, mine, theirs, other)


def _side(owner: Core, worker: Core, client: FlaskClient, scope: Scope, number: int) -> Side:
    kind: api_keys.Kind = "test" if scope.mode == "test" else "live"
    scopes = sorted(api_keys.MERCHANT_SCOPES)
    key = api_keys.create(owner, kind=kind, merchant_id=scope.merchant_id, name="walker", scopes=scopes)
    with owner.database.unscoped() as connection:
        made = rows.fill(connection, scope)
        # Versions are numbers: of each side another one, which the others do not have.
        version = {"version": number * 10, "merchant": scope.merchant_id, "mode": scope.mode}
        moved = "UPDATE routes SET version = :version WHERE merchant_id = :merchant AND mode = :mode"
        connection.execute(sa.text(moved), version)
        payout = connection.execute(
            sa.text("SELECT payout FROM payouts WHERE merchant_id = :merchant AND mode = :mode"), version
        ).scalar_one()
    ids = {kind: public_id(kind, made[table]) for kind, table in TABLES.items()}  # type: ignore[arg-type]
    account = add_account(owner, scope, "stripe")
    with owner.database.unscoped() as connection:  # one whose credentials can be opened
        for table in ("statement_lines", "payouts"):
            given = {"account": account, "merchant": scope.merchant_id, "mode": scope.mode}
            moved = "SET provider_account_id = :account WHERE merchant_id = :merchant AND mode = :mode"
            connection.execute(sa.text(f"UPDATE {table} {moved}"), given)
    ids["provider_account"] = public_id("provider_account", account)
    merchant = Merchant(scope, key, client, {"stripe": account})
    ids["customer"] = make(merchant).json["id"]
    hook = {"url": "https://shop.example/hook", "event_types": ["*"]}
    ids["webhook_endpoint"] = merchant.post("/v1/webhook_endpoints", hook).json["id"]
    ids["payment_method"] = str(save_method(worker, merchant, ids["customer"]))
    ids |= {"api_key": str(made["api_keys"]), "route": str(number * 10), "payout": payout}
    ids["merchant"] = public_id("merchant", scope.merchant_id)
    return Side(scope, key.text, ids)


@pytest.fixture(scope="module")
def document(ground: Ground) -> dict[str, Any]:
    found: dict[str, Any] = ground.client.get("/openapi.json").json
    return found


def operations(
    document: Mapping[str, Any], start: str | tuple[str, ...]
) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    for path, item in document["paths"].items():
        if path.startswith(start):
            for method, what in item.items():
                yield method, path, what


def body_of(method: str, path: str) -> Any:
    """Fails for a route that nobody has written down."""
    if method == "get":
        return None
    assert f"{method} {path}" in BODIES, f"say in BODIES with what {method} {path} would do its work"
    return BODIES[f"{method} {path}"]


def refused(answer: TestResponse, what: str) -> None:
    assert (answer.status_code, answer.json["code"]) == (404, "not_found"), (what, answer.text)


def test_merchants_routes_know_no_others_ids(ground: Ground, document: dict[str, Any]) -> None:
    before, walked = ground.state(), 0
    for method, path, _ in operations(document, "/v1/"):
        names = re.findall(r"\{(\w+)\}", path)
        if not names:
            continue
        assert names == ["id"], f"a route with other ids than one: {path}"
        kind = NOUNS[path.split("/")[2]]
        for side in (ground.theirs, ground.other):
            answer = ground.ask(ground.mine.key, method, path.format(id=side.ids[kind]), body_of(method, path))
            refused(answer, f"{method} {path} with {side.scope.mode} {kind}")
            walked += 1
    assert walked >= 2 * 24
    assert ground.state() == before


def test_administrators_routes_hold_to_the_merchant_and_mode_they_name(
    ground: Ground, document: dict[str, Any]
) -> None:
    before, walked = ground.state(), 0
    for method, path, _ in operations(document, "/admin/v1/merchants/{id}/"):
        names = [name for name in re.findall(r"\{(\w+)\}", path) if name != "id"]
        if not names:
            continue
        body = body_of(method, path)
        for home, mode, side in (
            (ground.mine, "test", ground.theirs),
            (ground.mine, "test", ground.other),
            (ground.theirs, "test", ground.mine),
            (ground.mine, "live", ground.mine),
        ):
            ids = {name: side.ids[NAMES[name]] for name in names}
            address = path.format(id=home.ids["merchant"], **ids)
            refused(ground.ask(ground.admin, method, address, body, mode), f"{method} {path} of {side.scope}")
            walked += 1
    assert walked >= 4 * 25
    assert ground.state() == before


def test_a_merchant_that_is_not_there(ground: Ground, document: dict[str, Any]) -> None:
    before = ground.state()
    for method, path, _ in operations(document, HOME):
        if method == "get":
            ids = {name: ground.mine.ids[NAMES[name]] for name in re.findall(r"\{(\w+)\}", path) if name != "id"}
            mode = None if path == HOME else "test"
            query = "&since=2026-01-01&until=2026-01-02" if "/reports/" in path else ""
            address = path.format(id="mer_01k0000000000000000000000a", **ids) + (f"?{query}" if query else "")
            answer = ground.client.get(
                address + (("&" if query else "?") + f"mode={mode}" if mode else ""),
                headers={"Authorization": f"Bearer {ground.admin}"},
            )
            refused(answer, path)
    assert ground.state() == before


def test_an_administrators_route_takes_no_merchants_key(ground: Ground, document: dict[str, Any]) -> None:
    for method, path, _ in operations(document, "/admin/v1/api_keys/"):
        body = {"in_hours": 0, **WHY} if path.endswith("/expire") else WHY
        refused(ground.ask(ground.admin, method, path.format(key=ground.mine.ids["api_key"]), body), path)


def test_no_list_holds_a_row_of_another(ground: Ground, document: dict[str, Any]) -> None:
    """What was put there for all sides alike is in my list, and in none of it theirs."""
    foreign = {one for side in (ground.theirs, ground.other) for name, one in side.ids.items() if len(one) > 3}
    foreign -= set(ground.mine.ids.values())
    listed = 0
    for key, start, mode in ((ground.mine.key, "/v1/", None), (ground.admin, HOME, "test")):
        for method, path, _ in operations(document, start):
            if method != "get" or set(re.findall(r"\{(\w+)\}", path)) - {"id"} or (start == "/v1/" and "{" in path):
                continue
            address = path.format(id=ground.mine.ids["merchant"])
            dates = "?since=2020-01-01&until=2020-02-01" if "/reports/" in path else ""
            answer = ground.client.get(
                address + (dates or "?") + (f"&mode={mode}" if mode and path != HOME else ""),
                headers={"Authorization": f"Bearer {key}"},
            )
            assert answer.status_code == 200, (path, answer.text)
            assert not [one for one in foreign if one in answer.text], path
            listed += bool(answer.json.get("data"))
    assert listed >= 15


def test_filters_by_anothers_id_find_nothing(ground: Ground, document: dict[str, Any]) -> None:
    for method, path, what in (*operations(document, "/v1/"), *operations(document, HOME)):
        for parameter in what["parameters"]:
            kind = _kind(parameter["schema"].get("pattern"))
            if parameter["in"] != "query" or kind is None or parameter["name"] == "after":
                continue
            mine = path.startswith("/v1/")
            assert method == "get", path
            for side in (ground.theirs, ground.other):
                query = f"?{parameter['name']}={side.ids[kind]}" + ("" if mine else "&mode=test")
                address = path.format(id=ground.mine.ids["merchant"]) + query
                key = ground.mine.key if mine else ground.admin
                answer = ground.client.get(address, headers={"Authorization": f"Bearer {key}"})
                assert answer.status_code == 404 or answer.json["data"] == [], (address, answer.text)


def test_ids_in_bodies_are_ones_own(ground: Ground, document: dict[str, Any]) -> None:
    named = set()
    for method, path, what in (*operations(document, "/v1/"), *operations(document, HOME)):
        for place, kind in _ids_in(document, what):
            name = f"{method} {path} {place}"
            if SAY_NOTHING.search(name):
                continue
            assert name in REFERENCES, f"say in REFERENCES how a body names {name}"
            named.add(name)
            before = ground.state()
            for side in (ground.theirs, ground.other):
                ids = {one: ground.mine.ids[NAMES[one]] for one in re.findall(r"\{(\w+)\}", path) if one != "id"}
                address = path.format(id=ground.mine.ids["merchant"], **ids)
                key, mode = (ground.mine.key, None) if path.startswith("/v1/") else (ground.admin, "test")
                answer = ground.ask(key, method, address, REFERENCES[name](side.ids[kind]), mode)
                assert answer.status_code in (404, 409, 422), (name, answer.text)
            assert ground.state() == before, name
    assert named == set(REFERENCES)


def _kind(pattern: str | None) -> str | None:
    found = re.match(r"\^([a-z]+)_\[0-7\]", pattern or "")
    kinds = {"pay": "payment", "cus": "customer", "pm": "payment_method", "acc": "provider_account"}
    more = {"fnd": "finding", "run": "reconciliation_run", "mer": "merchant"}
    rest = {"ref": "refund", "dsp": "dispute", "evt": "event", "we": "webhook_endpoint", "job": "job"}
    return None if found is None else {**kinds, **more, **rest, "inb": "inbox_event"}[found[1]]


def _ids_in(document: Mapping[str, Any], what: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    content = what.get("requestBody", {}).get("content", {})
    for one in content.values():
        yield from dict.fromkeys(_walk(document, one.get("schema", {}), "", ()))


def _walk(document: Mapping[str, Any], schema: Any, place: str, seen: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    name = schema.get("$ref")
    if name is not None:
        if name not in seen:
            inner = document["components"]["schemas"][name.rsplit("/", 1)[-1]]
            yield from _walk(document, inner, place, (*seen, name))
        return
    kind = _kind(schema.get("pattern"))
    if kind is not None:
        yield place, kind
    for part, inner in schema.get("properties", {}).items():
        yield from _walk(document, inner, f"{place}.{part}", seen)
    for several in ("anyOf", "oneOf", "allOf"):
        for inner in schema.get(several, ()):
            yield from _walk(document, inner, place, seen)
    if "items" in schema:
        yield from _walk(document, schema["items"], f"{place}[]", seen)


def test_the_same_with_ones_own_ids_is_no_404(ground: Ground, document: dict[str, Any]) -> None:
    """Without this the walk would be content with routes that find nothing for anybody. Last: it changes things."""
    ends = ("/erase", "/revoke", "/expire", "/disable")
    walk = [
        *((ground.mine.key, None, *one) for one in operations(document, "/v1/")),
        *((ground.admin, "test", *one) for one in operations(document, HOME)),
    ]
    for key, mode, method, path, _ in sorted(walk, key=lambda one: (one[2] == "delete", one[3].endswith(ends))):
        names = re.findall(r"\{(\w+)\}", path)
        own = [name for name in names if name != "id" or mode is None]
        if not own:
            continue
        kinds = {name: NAMES[name] if mode else NOUNS[path.split("/")[2]] for name in own}
        ids = {name: ground.mine.ids[kind] for name, kind in kinds.items()}
        if "customer" in kinds.values() and (method == "delete" or path.endswith("/erase")):
            fresh = ground.ask(ground.mine.key, "post", "/v1/customers", {"name": f"{method} {path}"}).json["id"]
            ids = dict.fromkeys(ids, fresh)
        address = path.format(**{"id": ground.mine.ids["merchant"], **ids})
        answer = ground.ask(key, method, address, body_of(method, path), mode)
        told = answer.json.get("detail", "") if answer.is_json else ""
        assert answer.status_code < 500, (method, path, answer.text)
        assert answer.status_code != 404 or "nothing with this id" not in told, (method, path, answer.text)
        if mode is not None and method != "get" and answer.status_code < 300:
            told_of(ground, f"{method} {path}", answer)


#: What an administrator does above a single thing, with a body that does it.
ABOVE: Mapping[str, Any] = {
    "post /admin/v1/merchants": {"name": "Made by the walk"},
    f"patch {HOME}": {"name": "Renamed by the walk"},
    f"post {HOME}/api_keys": {"name": "walk"},
    f"post {HOME}/inbox/replay": {"status": "ignored", **WHY},
    f"post {HOME}/routes": REFERENCES[f"post {HOME}/routes .definition.default.then.accounts[]"],
    f"post {HOME}/reconciliation/runs": REFERENCES[f"post {HOME}/reconciliation/runs .provider_account"],
}
#: The same for keys of administrators and for themselves, by the last word, in the order of the document.
ENDS: Mapping[str, Any] = {
    "role": {"role": "support"},
    "disable": None,
    "enable": None,
    "reset_password": None,
    "reset_code": None,
    "end_sessions": {},
    "rotate": WHY,
    "expire": {"in_hours": 1, **WHY},
    "revoke": WHY,
}
INSTALLATION = ("/admin/v1/administrators", "/admin/v1/api_keys")
#: These change nothing (the first three), or were walked with the thing they are about in another test.
ELSEWHERE = (
    f"post {HOME}/routes/explain",
    f"post {HOME}/routes/validate",
    f"post {HOME}/routes/rollback",  # there is none to go back to
    f"post {HOME}/provider_accounts",  # asks the provider first: tests/orchestration/test_account_care.py
)


def test_each_act_of_an_administrator_is_recorded(ground: Ground, document: dict[str, Any]) -> None:
    """With who, from where and for which request. Acts on a single thing are looked at by the test before."""
    person = {"name": f"walker{secrets.token_hex(3)}", "role": "viewer"}
    made = ground.ask(ground.admin, "post", "/admin/v1/administrators", person)
    told_of(ground, "administrators", made)
    key = ground.ask(ground.admin, "post", "/admin/v1/api_keys", {"name": "walk", "role": "viewer"})
    told_of(ground, "api_keys", key)
    ids = {"id": made.json["administrator"]["id"], "key": key.json["id"]}
    for method, path, _ in operations(document, INSTALLATION):
        name = path.rpartition("/")[2]
        if method == "get" or name not in ENDS:
            assert method == "get" or "{" not in path, f"say in ENDS with what {path} would do its work"
            continue
        answer = ground.ask(ground.admin, method, path.format(**ids), ENDS[name])
        assert answer.status_code < 300, (path, answer.text)
        if name != "end_sessions":  # there were none
            told_of(ground, path, answer)
    with ground.owner.database.unscoped() as connection:
        connection.exec_driver_sql("UPDATE inbox_events SET status = 'ignored'")
    for method, path, _ in operations(document, "/admin/v1/"):
        name = f"{method} {path}"
        if method == "get" or name in BODIES or name in ELSEWHERE or path.startswith(INSTALLATION):
            continue
        assert name in ABOVE, f"say in ABOVE with what {name} would do its work"
        body = ABOVE[name]
        body = body(ground.mine.ids["provider_account"]) if callable(body) else body
        mode = "test" if path.startswith(f"{HOME}/") else None
        answer = ground.ask(ground.admin, method, path.format(id=ground.mine.ids["merchant"]), body, mode)
        assert answer.status_code < 300, (name, answer.text)
        told_of(ground, name, answer)


def told_of(ground: Ground, name: str, answer: TestResponse) -> None:
    query = "SELECT actor, from_address FROM audit_log WHERE request_id = :request"
    with ground.owner.database.unscoped() as connection:
        found = connection.execute(sa.text(query), {"request": answer.headers["X-Request-Id"]}).all()
    actor = f"key:{ground.admin.split('_')[2]}"
    assert (actor, "127.0.0.1") in [tuple(row) for row in found], (f"{name} left no record", answer.text)
