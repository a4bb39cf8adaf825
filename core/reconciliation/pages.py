"""Provider lists read at the account's pace: a page is a call like any other, and payments come first."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from core.orchestration import pacing, provider_manager
from core.orchestration.context import Core
from core.orchestration.provider_manager import OpenedAccount
from core.persistence.database import Scope

Item = TypeVar("Item")
Answer = TypeVar("Answer")

#: Rows on a page of either provider, and so the calls that a list costs.
PAGE = 100


def paced(core: Core, scope: Scope, account: OpenedAccount, items: Iterable[Item]) -> Iterator[Item]:
    """The same items; before each page's worth of them the account's pace is kept."""
    _wait(core, scope, account, "list")
    for number, item in enumerate(items, 1):
        yield item
        if number % PAGE == 0:
            _wait(core, scope, account, "list")


def ask(core: Core, scope: Scope, account: OpenedAccount, call: Callable[[], Answer]) -> Answer:
    """One question, in its turn."""
    _wait(core, scope, account, "look_up")
    return call()


def _wait(core: Core, scope: Scope, account: OpenedAccount, operation: str) -> None:
    wait = provider_manager.pause(core, scope, account, operation)
    time.sleep(min(wait, pacing.MAX_PAUSE))
