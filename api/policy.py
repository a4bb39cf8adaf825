"""What each route demands, declared beside it: kind of key, scope, body, idempotency key, errors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from flask import current_app, request

View = TypeVar("View", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Policy:
    """`codes` are the errors of the route itself; those of its demands are added in the document."""

    door: Literal["merchant", "admin", "public"]
    scope: str | None = None
    body: Literal["none", "required", "optional", "raw"] = "none"
    key: Literal["none", "required", "optional"] = "none"  # the Idempotency-Key header
    waits: bool = False
    codes: tuple[str, ...] = ()


_ATTRIBUTE = "tollgate_policy"


def demands(policy: Policy) -> Callable[[View], View]:
    """Attach a policy to a view. An app with a view that has none does not start."""
    if (policy.door == "public") != (policy.scope is None):
        raise ValueError("every route behind a key names its scope, a public one names none")

    def attach(view: View) -> View:
        setattr(view, _ATTRIBUTE, policy)
        return view

    return attach


def policy_of(view: Callable[..., Any]) -> Policy | None:
    return getattr(view, _ATTRIBUTE, None)


def current_policy() -> Policy | None:
    """None where no route was found."""
    endpoint = request.endpoint
    return None if endpoint is None else policy_of(current_app.view_functions[endpoint])
