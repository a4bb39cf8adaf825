"""The OpenAPI 3.1 document: what flask-openapi3 collects, corrected to say what is true."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from flask import Flask
from flask_openapi3.models.info import Info
from flask_openapi3.openapi import OpenAPI
from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from api.errors import CODES
from api.idempotency_key import LONGEST
from api.policy import Policy, policy_of
from api.routing import models_of

_METHODS = ("get", "post", "patch", "delete")
_PROBLEM = {"$ref": "#/components/schemas/Problem"}

INFO = Info(
    title="Tollgate",
    version="1",
    description=(
        "One gate in front of Stripe and Paystack. Amounts are whole numbers in the currency's minor unit, times are "
        "UTC. Every answer that is not a success is `application/problem+json` with a stable `code`. Declines are no "
        "errors: the job succeeds in telling that the payment failed."
    ),
)
SECURITY: dict[str, Any] = {
    "api_key": {
        "type": "http",
        "scheme": "bearer",
        "description": "`tg_test_…` or `tg_live_…` for /v1 (the key decides the mode), `tg_admin_…` for /admin/v1.",
    }
}

_PROBLEM_SCHEMA: dict[str, Any] = {
    "title": "Problem",
    "description": "RFC 9457. `code` is stable; messages name fields and never repeat values.",
    "type": "object",
    "additionalProperties": False,
    "required": ["type", "title", "status", "detail", "code", "errors", "request_id"],
    "properties": {
        "type": {"type": "string", "format": "uri"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "code": {"type": "string", "enum": sorted(CODES)},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "additionalProperties": False,
                "required": ["field", "message"],
                "properties": {"field": {"type": "string"}, "message": {"type": "string"}},
            },
        },
        "request_id": {"type": ["string", "null"]},
        "next_look_up": {
            "type": "string",
            "format": "date-time",
            "description": "With `outcome_unknown`: when the provider is asked again, as `Retry-After` in seconds.",
        },
    },
}

_KEY_PARAMETER = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": True,
    "description": (
        "Bare or quoted (RFC 8941). The first answer is repeated for every request with the same key and body, "
        "marked `Idempotent-Replayed: true`; a refused request uses no key up."
    ),
    "schema": {"type": "string", "minLength": 1, "maxLength": LONGEST, "pattern": r"^[\x20-\x7e]+$"},
    "example": "order-42-try-1",
}
_PREFER_PARAMETER = {
    "name": "Prefer",
    "in": "header",
    "required": False,
    "description": "`wait=N`, 1 to 30 seconds: 200 with the ended job and its payment, 202 if it takes longer.",
    "schema": {"type": "string"},
    "example": "wait=10",
}
_REQUEST_ID_PARAMETER = {
    "name": "X-Request-Id",
    "in": "header",
    "required": False,
    "description": "Yours, if it has 1 to 100 of A-Z a-z 0-9 _ . -; else one is made. Comes back with the answer.",
    "schema": {"type": "string"},
}
_TEXT = {"type": "string"}
_HEADERS: dict[str, dict[str, Any]] = {
    "X-Request-Id": {"schema": _TEXT, "description": "Name it when you ask for help."},
    "Location": {"schema": _TEXT, "description": "Where to read it."},
    "Idempotent-Replayed": {
        "schema": {"type": "string", "enum": ["true"]},
        "description": "This answer was given before.",
    },
    "Preference-Applied": {"schema": _TEXT, "description": "`wait=N` as it was honoured."},
    "Retry-After": {"schema": {"type": "integer"}, "description": "Seconds."},
    "RateLimit": {
        "schema": _TEXT,
        "description": "How the limit stands that ends first: `r` requests left, whole again in `t` s.",
        "example": '"key";r=187;t=1',
    },
    "RateLimit-Policy": {
        "schema": _TEXT,
        "description": "The limits of this key: `q` requests at once, which are there again after `w` s.",
        "example": '"key";q=200;w=2, "merchant";q=400;w=2, "route";q=200;w=2',
    },
    "WWW-Authenticate": {"schema": _TEXT},
    "Allow": {"schema": _TEXT},
}
#: On whatever is answered to a key that is known.
_LIMITS = ("RateLimit", "RateLimit-Policy")
_ERROR_HEADERS = {
    401: ("WWW-Authenticate",),
    429: ("Retry-After",),
    503: ("Retry-After",),
}


def codes_of(policy: Policy) -> list[str]:
    """Every error code a route can answer with, from what it demands."""
    codes = list(policy.codes)
    if policy.door != "public":
        codes += ["unauthorized", "scope_missing", "key_kind", "rate_limited", "unavailable", "paused"]
    codes += ["length_required", "body_too_large", "malformed_request"]
    if policy.body == "raw":
        codes += ["unavailable"]
    else:  # a body is read even where none is taken, to refuse what is in it
        codes += ["malformed_json", "body_not_object", "duplicate_json_key", "json_too_deep"]
        codes += ["card_number_refused", "validation_failed"]
    if policy.body in ("required", "optional"):
        codes += ["unsupported_media_type"]
    if policy.key != "none":  # one that may be left out must still not be empty
        codes += [
            "idempotency_key_missing",
            "idempotency_key_invalid",
            "idempotency_key_in_use",
            "idempotency_key_reused",
        ]
    return sorted({*codes, "internal_error"})


def complete(app: OpenAPI) -> dict[str, Any]:
    """The document to serve. Call it once all routes are registered."""
    document: dict[str, Any] = app.api_doc
    for path, method, operation in _operations(document):
        view, policy = _route(app, path, method)
        # Short and the program's own: generated clients and `tollgate api` name their calls by it.
        operation["operationId"] = view.__name__
        _correct(operation, policy)
    document["components"]["schemas"] = {**_schemas(app), "Problem": _PROBLEM_SCHEMA}
    return document


def _schemas(app: Flask) -> dict[str, Any]:
    """Made by pydantic itself: on the way through flask-openapi3 a schema loses what that has no field for."""
    wanted: list[tuple[type[BaseModel], JsonSchemaMode]] = []
    for view in app.view_functions.values():
        body, answers = models_of(view)
        wanted += [(body, "validation")] if body is not None else []
        wanted += [(answer, "serialization") for answer in answers]
    _, found = models_json_schema(list(dict.fromkeys(wanted)), ref_template="#/components/schemas/{model}")
    return dict(sorted(found["$defs"].items()))


def _operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in document["paths"].items():
        for method in _METHODS:
            if method in item:
                yield path, method, item[method]


def _route(app: Flask, path: str, method: str) -> tuple[Callable[..., Any], Policy]:
    rule = path.replace("{", "<").replace("}", ">")
    for found in app.url_map.iter_rules():
        if found.rule == rule and method.upper() in (found.methods or ()):
            view = app.view_functions[found.endpoint]
            policy = policy_of(view)
            if policy is not None:
                return view, policy
    raise LookupError(f"no route for {method} {path}")


def _correct(operation: dict[str, Any], policy: Policy) -> None:
    parameters = operation.setdefault("parameters", [])
    for parameter in parameters:
        parameter["schema"] = _parameter_schema(parameter["schema"])
    if policy.key != "none":
        parameters.append({**_KEY_PARAMETER, "required": policy.key == "required"})
    if policy.waits:
        parameters.append(_PREFER_PARAMETER)
    parameters.append(_REQUEST_ID_PARAMETER)
    if policy.body == "optional":
        operation["requestBody"]["required"] = False
    if policy.body == "raw":
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": {}}}}
    if policy.scope:
        note = f"Needs the scope `{policy.scope}`."
        operation["description"] = f"{operation.get('description', '').replace('<br/>', ' ').strip()} {note}".strip()
        operation["x-scope"] = policy.scope
    operation["responses"] = _successes(operation["responses"], policy) | _errors(policy)
    for parameter in parameters:
        if parameter["name"] == "format" and "csv" in parameter["schema"].get("enum", ()):
            operation["responses"]["200"]["content"]["text/csv"] = {"schema": _TEXT}


def _parameter_schema(given: dict[str, Any]) -> dict[str, Any]:
    """A parameter is there or not, never null; and whole bounds are whole numbers."""
    schema = {name: value for name, value in given.items() if name not in ("title", "description")}
    chosen = [one for one in schema.pop("anyOf", ()) if one.get("type") != "null"]
    if chosen:
        schema.pop("default", None)
        schema.update({name: value for name, value in chosen[0].items() if name != "description"})
    return {name: int(value) if isinstance(value, float) else value for name, value in schema.items()}


def _successes(given: dict[str, Any], policy: Policy) -> dict[str, Any]:
    found = {}
    for status, answer in given.items():
        if status == "422" or (int(status) >= 400 and not answer.get("content")):
            continue
        names = ["X-Request-Id"]
        names += _LIMITS if policy.door != "public" else ()
        names += ["Idempotent-Replayed"] if policy.key != "none" else []
        names += ["Preference-Applied"] if policy.waits else []
        names += ["Location"] if status in ("201", "202") else []
        found[status] = {**answer, "headers": {name: _HEADERS[name] for name in names}}
    return found


def _errors(policy: Policy) -> dict[str, Any]:
    by_status: dict[int, list[str]] = {}
    for code in codes_of(policy):
        by_status.setdefault(CODES[code][0], []).append(code)
    found = {}
    for status, codes in sorted(by_status.items()):
        told = "; ".join(f"`{code}`: {CODES[code][1]}" for code in codes)
        names = ["X-Request-Id", *_ERROR_HEADERS.get(status, ())]
        names += _LIMITS if policy.door != "public" and status != 401 else ()
        found[str(status)] = {
            "description": told,
            "headers": {name: _HEADERS[name] for name in names},
            "content": {
                "application/problem+json": {
                    "schema": {
                        "allOf": [_PROBLEM, {"properties": {"code": {"enum": codes}, "status": {"const": status}}}]
                    }
                }
            },
        }
    return found
