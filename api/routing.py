"""Declaring a route once: address, demands, answers; the guard and the document both read it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag
from pydantic import BaseModel

from api.policy import Policy, View, demands

_METHODS = frozenset({"get", "post", "patch", "delete"})
BEARER: list[dict[str, list[Any]]] = [{"api_key": []}]


def room(name: str, module: str, about: str) -> APIBlueprint:
    """A blueprint for one noun."""
    return APIBlueprint(name, module, abp_tags=[Tag(name=name.replace("_", " "), description=about)])


def route(
    blueprint: APIBlueprint,
    method: str,
    rule: str,
    policy: Policy,
    answers: Mapping[int, type[BaseModel] | None],
) -> Callable[[View], View]:
    """`answers` are the successes; errors follow from the policy."""
    if method not in _METHODS:
        raise ValueError(f"no such method: {method}")
    register = getattr(blueprint, method)

    def declare(view: View) -> View:
        demanded = demands(policy)(view)
        options: dict[str, Any] = {"responses": dict(answers)}
        if policy.door != "public":
            options["security"] = BEARER
        register(rule, **options)(demanded)
        return view

    return declare
