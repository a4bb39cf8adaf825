"""A page of a list is a call of its own. Whoever walks a list may have each of its pages asked for in its turn."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, cast

from core.domain.outcomes import NotExecuted, Unknown

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Page(Generic[Answer]):
    """What came of asking for one page; `failed` where the provider gave none."""

    answer: Answer
    failed: NotExecuted | Unknown | None = None


#: Makes the call when its turn has come.
Door = Callable[[Callable[[], Page[Any]]], Page[Any]]

# Lists are lazy: a page is asked for while its first row is waited for, in the thread of whoever waits.
_door: ContextVar[Door | None] = ContextVar("door", default=None)


@contextmanager
def through(door: Door) -> Iterator[None]:
    """Pages that this thread asks for within the block go through `door`; what it raises ends the list."""
    token = _door.set(door)
    try:
        yield
    finally:
        _door.reset(token)


def in_turn(ask: Callable[[], Page[Answer]]) -> Page[Answer]:
    """For providers: every page of a list is asked for by this. At once, unless somebody minds the turns."""
    door = _door.get()
    return ask() if door is None else cast("Page[Answer]", door(ask))
