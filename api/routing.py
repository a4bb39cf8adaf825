"""Declaring a route once: address, demands, answers; the guard and the document both read it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, get_type_hints

from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag
from pydantic import BaseModel

from api.policy import Policy, View, demands

_METHODS = frozenset({"get", "post", "patch", "delete"})
_ATTRIBUTE = "tollgate_answers"
BEARER: list[dict[str, list[Any]]] = [{"api_key": []}]


def models_of(view: Callable[..., Any]) -> tuple[type[BaseModel] | None, tuple[type[BaseModel], ...]]:
    """(body, answers) of a declared route."""
    return get_type_hints(view).get("body"), getattr(view, _ATTRIBUTE, ())


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
        setattr(view, _ATTRIBUTE, tuple(answer for answer in answers.values() if answer is not None))
        options: dict[str, Any] = {"responses": dict(answers)}
        if policy.door != "public":
            options["security"] = BEARER
        register(rule, **options)(demanded)
        return view

    return declare
