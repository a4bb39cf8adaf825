"""Requests and answers as the two providers see them, and the table that leads an address to its handler."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from .ledger import Json, dumps
from .world import Desk

H = TypeVar("H")


@dataclass(slots=True)
class Raw:
    """A request before anybody has read it; `path` is decoded, header names are lower case."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes


@dataclass(slots=True)
class Reply:
    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)
    content_type: str = "application/json"


def json_reply(status: int, body: Any, headers: dict[str, str] | None = None) -> Reply:
    return Reply(status, dumps(body).encode(), headers or {})


@dataclass(frozen=True, slots=True)
class Route(Generic[H]):
    method: str
    template: str
    operation: str
    handler: H


@dataclass(slots=True)
class Call:
    """A request to a provider's API that has been read and belongs to an account."""

    raw: Raw
    desk: Desk
    route: Route[Handler]
    args: tuple[str, ...]
    params: Json
    version: str = ""

    @property
    def operation(self) -> str:
        return self.route.operation


Handler = Callable[[Call], Json]


class Router(Generic[H]):
    """Finds a route by method and path; `{}` in a template stands for one segment."""

    def __init__(self, routes: Iterable[Route[H]]) -> None:
        self._exact: dict[tuple[str, str], Route[H]] = {}
        self._shaped: list[tuple[str, re.Pattern[str], Route[H]]] = []
        for route in routes:
            if "{}" not in route.template:
                self._exact[route.method, route.template] = route
            else:
                pattern = re.compile(re.escape(route.template).replace(r"\{\}", "([^/]+)"))
                self._shaped.append((route.method, pattern, route))

    def find(self, method: str, path: str) -> tuple[Route[H], tuple[str, ...]] | None:
        exact = self._exact.get((method, path))
        if exact:
            return exact, ()
        for wanted, pattern, route in self._shaped:
            if wanted == method and (match := pattern.fullmatch(path)):
                return route, match.groups()
        return None
