"""What each route demands, declared beside it: kind of key, scope, body, idempotency key, errors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from flask import current_app, request

from core.domain import scopes

View = TypeVar("View", bound=Callable[..., Any])
Key = Literal["none", "required", "optional"]


@dataclass(frozen=True, slots=True)
class Policy:
    """`codes` are the errors of the route itself; those of its demands are added in the document."""

    door: Literal["merchant", "admin", "person", "public"]
    scope: str | None = None
    body: Literal["none", "required", "optional", "raw", "form"] = "none"
    key: Key = "none"  # the Idempotency-Key header
    waits: bool = False
    codes: tuple[str, ...] = ()
    # Of people's pages: how far a login must have come, whether it must have been confirmed a moment ago, and whether
    # the page works while the installation is paused.
    stages: tuple[str, ...] = ("full",)
    fresh: bool = False
    while_paused: bool = False


#: Where people's pages are: HTML for browsers, and no part of the API or its document.
PAGES = "/dashboard"


def is_page(path: str) -> bool:
    """Of a route's rule or a request's path."""
    return path == PAGES or path.startswith(f"{PAGES}/")


_ATTRIBUTE = "tollgate_policy"


def demands(policy: Policy) -> Callable[[View], View]:
    """Attach a policy to a view. An app with a view that has none does not start."""
    if (policy.door == "public") != (policy.scope is None):
        raise ValueError("every route behind a key names its scope, a public one names none")
    if policy.scope is not None and policy.scope not in scopes.known(
        "admin" if policy.door == "person" else policy.door
    ):
        raise ValueError(f"there is no scope {policy.scope} for the door {policy.door}")

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
