"""The document says what is true: it is valid, it holds every route, and every code a route can answer with."""

from __future__ import annotations

import re
from typing import Any

import jsonschema_rs
import pytest
from flask import Flask
from flask.testing import FlaskClient
from schemathesis.specs.openapi.definitions import OPENAPI_31_VALIDATOR

from api.errors import CODES, STATUS
from api.openapi import codes_of
from api.policy import is_page, policy_of
from core.domain.errors import TollgateError
from core.orchestration.context import Core
from tests.api.methods import change, erase, make, save_method
from tests.api.support import Merchant, payment


@pytest.fixture
def document(client: FlaskClient) -> dict[str, Any]:
    found: dict[str, Any] = client.get("/openapi.json").json
    return found


def operations(document: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    return {(path, method): what for path, item in document["paths"].items() for method, what in item.items()}


def resolve(document: dict[str, Any], schema: dict[str, Any]) -> Any:
    """The schema with the document's components beside it, as a validator."""
    return jsonschema_rs.Draft202012Validator({**schema, "components": document["components"]})


def test_it_is_valid_openapi_3_1(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1")
    OPENAPI_31_VALIDATOR.validate(document)
    for name, schema in document["components"]["schemas"].items():
        jsonschema_rs.meta.validate(schema)
        assert schema.get("title") == name


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    names = set(re.findall(r'"#/components/schemas/([^"]+)"', str(document).replace("'", '"')))
    assert names <= set(document["components"]["schemas"])
    assert set(document["components"]["schemas"]) <= names | {"Problem"}


def test_every_route_is_in_it_and_no_other(app: Flask, document: dict[str, Any]) -> None:
    routes = {
        (re.sub(r"<(?:[^:>]+:)?([^>]+)>", r"{\1}", rule.rule), method.lower())
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
        if rule.endpoint.partition(".")[0] != "docs" and not is_page(rule.rule)
    }
    assert routes == set(operations(document))


def test_every_code_of_every_route_is_in_it(app: Flask, document: dict[str, Any]) -> None:
    for rule in app.url_map.iter_rules():
        policy = policy_of(app.view_functions[rule.endpoint])
        assert policy is not None
        if rule.endpoint.partition(".")[0] == "docs" or is_page(rule.rule):
            continue
        path = re.sub(r"<([^>]+)>", r"{\1}", rule.rule)
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}:
            answers = operations(document)[(path, method.lower())]["responses"]
            for code in codes_of(policy):
                status = str(CODES[code][0])
                content = answers[status]["content"]
                assert set(content) == {"application/problem+json"}, (rule.rule, status)
                told = content["application/problem+json"]["schema"]["allOf"][1]["properties"]["code"]["enum"]
                assert code in told, (rule.rule, code)


def test_the_two_tables_of_errors_agree() -> None:
    def every(kind: type[TollgateError]) -> list[type[TollgateError]]:
        return [kind, *(below for child in kind.__subclasses__() for below in every(child))]

    for kind in every(TollgateError)[1:]:
        assert kind in STATUS, kind
        assert CODES[kind.code][0] == STATUS[kind], kind


def test_answers_have_their_documented_shape(document: dict[str, Any], merchant: Merchant) -> None:
    made = merchant.pay().json
    asked = {
        "/v1/payments": "/v1/payments",
        "/v1/payments/{id}": f"/v1/payments/{made['payment']['id']}",
        "/v1/payments/{id}/timeline": f"/v1/payments/{made['payment']['id']}/timeline",
        "/v1/payments/{id}/refunds": f"/v1/payments/{made['payment']['id']}/refunds",
        "/v1/refunds": "/v1/refunds",
        "/v1/jobs/{id}": made["job"]["url"],
        "/v1/providers": "/v1/providers",
        "/v1/events": "/v1/events",
        "/v1/webhook_endpoints": "/v1/webhook_endpoints",
        "/healthz": "/healthz",
        "/readyz": "/readyz",
    }
    for path, address in asked.items():
        answer = merchant.get(address)
        assert answer.status_code == 200, path
        schema = operations(document)[(path, "get")]["responses"]["200"]["content"]["application/json"]["schema"]
        resolve(document, schema).validate(answer.json)
    schema = operations(document)[("/v1/payments", "post")]["responses"]["202"]["content"]["application/json"]["schema"]
    resolve(document, schema).validate(made)


def test_customers_and_their_methods_have_their_documented_shape(
    document: dict[str, Any], merchant: Merchant, worker: Core
) -> None:
    made = make(merchant)
    method = save_method(worker, merchant, made.json["id"])
    address = f"/v1/customers/{made.json['id']}"
    gone = merchant.client.delete(f"/v1/payment_methods/{method}", headers=merchant.headers())
    method = save_method(worker, merchant, made.json["id"], "pm_other")
    answers = (
        ("/v1/customers", "post", "201", made),
        ("/v1/customers", "get", "200", merchant.get("/v1/customers")),
        ("/v1/customers/{id}", "get", "200", merchant.get(address)),
        ("/v1/customers/{id}", "patch", "200", change(merchant, made.json["id"], {"name": "Countess"})),
        ("/v1/customers/{id}/payment_methods", "get", "200", merchant.get(f"{address}/payment_methods")),
        ("/v1/payment_methods/{id}", "get", "200", merchant.get(f"/v1/payment_methods/{method}")),
        ("/v1/payment_methods/{id}", "delete", "202", gone),
        ("/v1/jobs/{id}", "get", "200", merchant.get(gone.json["job"]["url"])),
        ("/v1/customers/{id}", "delete", "200", erase(merchant, made.json["id"])),
    )
    for path, method_name, status, answer in answers:
        assert str(answer.status_code) == status, (path, answer.json)
        schema = operations(document)[(path, method_name)]["responses"][status]["content"]["application/json"]["schema"]
        resolve(document, schema).validate(answer.json)


def test_problems_have_their_documented_shape(document: dict[str, Any], merchant: Merchant) -> None:
    answers = operations(document)[("/v1/payments", "post")]["responses"]
    for answer in (
        merchant.pay(amount=0),
        merchant.post("/v1/payments", payment(), key=" "),
        merchant.client.post("/v1/payments", json=payment()),
    ):
        schema = answers[str(answer.status_code)]["content"]["application/problem+json"]["schema"]
        resolve(document, schema).validate(answer.json)


def test_refusals_before_a_route_runs_are_documented(document: dict[str, Any], merchant: Merchant) -> None:
    endpoint = "/v1/webhook_endpoints/{id}"
    ask, headers = merchant.client.open, merchant.headers()
    chunked = {"HTTP_TRANSFER_ENCODING": "chunked", "CONTENT_LENGTH": ""}
    empty_key = {**headers, "Idempotency-Key": ""}
    card = "4242424242424242"
    for method, path, status, options in (
        ("patch", endpoint, 400, {"headers": empty_key, "json": {}}),
        ("delete", endpoint, 400, {"headers": empty_key}),
        ("post", "/webhooks/{provider}/{account_id}", 404, {"data": b"{}"}),
        ("get", "/v1/payments", 411, {"headers": headers, "environ_overrides": chunked}),
        ("get", "/v1/payments", 413, {"headers": headers, "data": b" " * 2**20}),
        ("get", "/v1/payments", 400, {"headers": headers, "data": b"["}),
        ("get", "/v1/payments", 400, {"headers": headers, "data": b"[]"}),
        ("get", "/v1/payments", 422, {"headers": headers, "data": b'{"a": 1}'}),
        ("delete", endpoint, 413, {"headers": headers, "data": b" " * 2**20}),
        ("get", "/healthz", 411, {"environ_overrides": chunked}),
        ("get", "/healthz", 422, {"query_string": {"a": card}}),
    ):
        answer = ask(path.format(id="we_1", provider="p" * 41, account_id="x"), method=method, **options)
        assert answer.status_code == status, (method, path, answer.json)
        content = operations(document)[(path, method)]["responses"][str(status)]["content"]
        resolve(document, content["application/problem+json"]["schema"]).validate(answer.json)


def test_names_that_are_refused_are_refused_by_the_document(document: dict[str, Any], merchant: Merchant) -> None:
    schema = resolve(document, document["components"]["schemas"]["CreatePaymentBody"])
    for changes in ({"currency": "XXZ"}, {"provider": "acme"}):
        assert merchant.pay(**changes).status_code == 422
        assert not schema.is_valid(payment(**changes))
    for changes in ({"currency": "usd"}, {"provider": "stripe"}):
        assert merchant.pay(**changes).status_code == 202
        assert schema.is_valid(payment(**changes))
    parameters = operations(document)[("/v1/payments", "get")]["parameters"]
    enums = {one["name"]: set(one["schema"].get("enum", ())) for one in parameters}
    assert enums["provider"] == {"stripe", "paystack"}
    assert {"USD", "usd"} <= enums["currency"]


def test_bodies_that_are_taken_match_the_document(document: dict[str, Any], merchant: Merchant) -> None:
    schema = resolve(document, document["components"]["schemas"]["CreatePaymentBody"])
    for changes in ({}, {"metadata": {"a": "b"}}, {"customer": {"email": "ada@example.com"}}, {"provider": None}):
        assert merchant.pay(**changes).status_code == 202
        assert schema.is_valid(payment(**changes))
    for changes in ({"amount": 0}, {"colour": "red"}, {"metadata": {"a b": "x"}}, {"currency": 840}):
        assert not schema.is_valid(payment(**changes))


def test_the_page_needs_nothing_from_elsewhere(client: FlaskClient) -> None:
    page = client.get("/docs")
    assert page.status_code == 200
    text = page.get_data(as_text=True)
    assert "//" not in re.sub(r"<!doctype[^>]*>", "", text)
    assert "<script>" not in text
    for address in re.findall(r'(?:src|href)="(/[^"]+)"', text):
        with client.get(address) as found:
            assert found.status_code == 200, address
    policy = page.headers["Content-Security-Policy"]
    assert "script-src 'self';" in policy
    assert "default-src 'none'" in policy


def test_every_answer_carries_the_security_headers(client: FlaskClient, merchant: Merchant) -> None:
    for answer in (client.get("/healthz"), client.get("/nothing"), merchant.get("/v1/payments")):
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert merchant.get("/v1/payments").headers["Cache-Control"] == "no-store"
    assert client.get("/v1/payments").headers["Cache-Control"] == "no-store"


def test_request_ids(client: FlaskClient) -> None:
    assert client.get("/healthz", headers={"X-Request-Id": "shop-1.2_3"}).headers["X-Request-Id"] == "shop-1.2_3"
    for bad in ("a b", "a" * 101, "", "a\u00e9"):
        assert client.get("/healthz", headers={"X-Request-Id": bad}).headers["X-Request-Id"].startswith("req_")


def test_what_can_be_had_as_csv_says_so(document: dict[str, Any]) -> None:
    told = {
        path
        for (path, _), what in operations(document).items()
        if "text/csv" in what["responses"].get("200", {}).get("content", {})
    }
    assert "/admin/v1/merchants/{id}/reports/settlements" in told
    assert len(told) >= 4
