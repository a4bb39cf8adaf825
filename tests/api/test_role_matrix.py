"""What each role may do, written out, and asked cell by cell over HTTP; a route that is not in the table fails."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest
import requests
from werkzeug.serving import WSGIRequestHandler, make_server

from api.app import build_app
from core.domain.identifiers import new_id, public_id
from core.domain.key_form import make_key
from core.domain.roles import ROLES, SCOPES
from core.orchestration import api_keys
from core.orchestration.context import Core
from tests.api.support import Merchant, settings_for

#: Whoever may do this: `all` are viewer, support, finance and admin. {m} stands for /admin/v1/merchants/{id}.
MATRIX = """
GET    /admin/v1/merchants                          all
POST   /admin/v1/merchants                          admin
GET    {m}                                          all
PATCH  {m}                                          admin

GET    /admin/v1/administrators                     admin
POST   /admin/v1/administrators                     admin
GET    /admin/v1/administrators/{id}                admin
POST   /admin/v1/administrators/{id}/role           admin
POST   /admin/v1/administrators/{id}/disable        admin
POST   /admin/v1/administrators/{id}/enable         admin
POST   /admin/v1/administrators/{id}/reset_password admin
POST   /admin/v1/administrators/{id}/reset_code     admin
GET    /admin/v1/administrators/{id}/sessions       admin
POST   /admin/v1/administrators/{id}/end_sessions   admin

GET    {m}/api_keys                                 all
POST   {m}/api_keys                                 admin
POST   {m}/api_keys/{key}/rotate                    admin
POST   {m}/api_keys/{key}/expire                    admin
POST   {m}/api_keys/{key}/revoke                    admin
GET    /admin/v1/api_keys                           all
POST   /admin/v1/api_keys                           admin
POST   /admin/v1/api_keys/{key}/rotate              admin
POST   /admin/v1/api_keys/{key}/expire              admin
POST   /admin/v1/api_keys/{key}/revoke              admin

GET    {m}/payments                                 all
GET    {m}/payments/{payment}                       all
GET    {m}/payments/{payment}/timeline              all
POST   {m}/payments/{payment}/sync                  support admin

GET    {m}/jobs                                     all
GET    {m}/jobs/{job}                               all
POST   {m}/jobs/{job}/requeue                       support admin
POST   {m}/jobs/{job}/resolve                       support admin
POST   {m}/jobs/{job}/cancel                        support admin

GET    {m}/inbox                                    all
GET    {m}/inbox/{event}                            all
POST   {m}/inbox/{event}/replay                     support admin
POST   {m}/inbox/replay                             support admin

GET    {m}/provider_accounts                        all
POST   {m}/provider_accounts                        admin
GET    {m}/provider_accounts/{account}              all
PATCH  {m}/provider_accounts/{account}              admin
POST   {m}/provider_accounts/{account}/rotate       admin
POST   {m}/provider_accounts/{account}/enable       admin
POST   {m}/provider_accounts/{account}/drain        admin
POST   {m}/provider_accounts/{account}/disable      admin

GET    {m}/provider_accounts/{account}/health       all
GET    {m}/routes                                   all
POST   {m}/routes                                   admin
POST   {m}/routes/explain                           all
POST   {m}/routes/rollback                          admin
POST   {m}/routes/validate                          all
GET    {m}/routes/{version}                         all
PATCH  {m}/routes/{version}                         admin
POST   {m}/routes/{version}/activate                admin

POST   {m}/customers/{customer}/reveal              support admin
POST   {m}/customers/{customer}/erase               admin

GET    {m}/findings                                 all
GET    {m}/findings/{finding}                       all
POST   {m}/findings/{finding}/assign                finance admin
POST   {m}/findings/{finding}/resolve               finance admin

GET    /admin/v1/sealing_keys                       all
GET    /admin/v1/audit                              finance admin
GET    /admin/v1/audit/standing                     finance admin
GET    /admin/v1/audit/export                       finance admin

GET    {m}/payouts                                  all
GET    {m}/payouts/{account}/{payout}               all
GET    {m}/payouts/{account}/{payout}/lines         all
GET    {m}/reconciliation/runs                      all
POST   {m}/reconciliation/runs                      finance admin
GET    {m}/reconciliation/runs/{run}                all
GET    /admin/v1/audit                              finance admin
GET    /admin/v1/audit/standing                     finance admin
GET    /admin/v1/audit/export                       finance admin
GET    {m}/reports/payments                         all
GET    {m}/reports/settlements                      all
"""
HOME = "/admin/v1/merchants/{id}"
EVERYBODY = ("viewer", "support", "finance", "admin")


def cells() -> Mapping[tuple[str, str], frozenset[str]]:
    found = {}
    for line in MATRIX.strip().splitlines():
        if line:
            method, path, *roles = line.split()
            allowed = EVERYBODY if roles == ["all"] else tuple(roles)
            assert set(allowed) <= set(EVERYBODY), line
            found[method.lower(), path.replace("{m}", HOME)] = frozenset(allowed)
    return found


class Quiet(WSGIRequestHandler):
    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """The gate logs its requests itself."""


@pytest.fixture(scope="module")
def url(core: Core) -> Iterator[str]:
    settings = settings_for(core.settings.database_url, admin_rate_limit="10000/second")
    server = make_server(
        "127.0.0.1", 0, build_app(replace(core, settings=settings)), threaded=True, request_handler=Quiet
    )
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join(5)


@pytest.fixture(scope="module")
def document(url: str) -> dict[str, Any]:
    found: dict[str, Any] = requests.get(f"{url}/openapi.json", timeout=20).json()
    return found


@pytest.fixture(scope="module")
def keys(owner: Core) -> Mapping[str, str]:
    return {role: api_keys.create(owner, kind="admin", name=role, scopes=scopes).text for role, scopes in ROLES.items()}


def operations(document: Mapping[str, Any]) -> Mapping[tuple[str, str], Mapping[str, Any]]:
    paths = document["paths"].items()
    return {(m, path): what for path, item in paths if path.startswith("/admin/") for m, what in item.items()}


def test_the_table_has_each_route_of_the_admin_api_and_no_other(document: dict[str, Any]) -> None:
    assert set(cells()) == set(operations(document)), "add it to MATRIX, with the roles that may do it"


def test_the_table_says_what_the_code_says(document: dict[str, Any]) -> None:
    for operation, what in operations(document).items():
        assert cells()[operation] == {role for role, held in ROLES.items() if what["x-scope"] in held}, operation


def test_each_scope_opens_something(document: dict[str, Any]) -> None:
    used = {what["x-scope"] for what in operations(document).values()}
    assert used == set(SCOPES)


IDS: Mapping[str, Callable[[], str]] = {
    "key": lambda: make_key("test").id,
    "payment": lambda: public_id("payment", new_id()),
    "job": lambda: public_id("job", new_id()),
    "event": lambda: public_id("inbox_event", new_id()),
    "account": lambda: public_id("provider_account", new_id()),
    "customer": lambda: public_id("customer", new_id()),
    "finding": lambda: public_id("finding", new_id()),
    "run": lambda: public_id("reconciliation_run", new_id()),
    "payout": lambda: "po_1",
    "version": lambda: "999",
}


@pytest.mark.parametrize("role", EVERYBODY)
def test_cell_by_cell(role: str, url: str, keys: Mapping[str, str], merchant: Merchant) -> None:
    """What is allowed goes on to the next question: is the body good, is there such a thing."""
    home, session = public_id("merchant", merchant.scope.merchant_id), requests.Session()
    for (method, path), allowed in cells().items():
        address = path.format(id=home, **{name: make() for name, make in IDS.items()})
        query = {"mode": "test"} if path.startswith(f"{HOME}/") else {}
        body = None if method == "get" or path.endswith("/sync") else {}
        headers = {"Authorization": f"Bearer {keys[role]}"}
        answer = session.request(method, url + address, params=query, json=body, headers=headers, timeout=20)
        told = answer.json().get("code") if answer.status_code >= 400 else None
        if role in allowed:
            assert answer.status_code in (200, 400, 404, 409, 422), (role, method, path, answer.text)
        else:
            assert (answer.status_code, told) == (403, "scope_missing"), (role, method, path, answer.text)
    session.close()
