"""Provider lists read in their turn: a page is a call like any other, and payments come first."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from typing import Literal, TypeVar

from core.domain.outcomes import LookUp, Unknown
from core.orchestration import asking, pacing
from core.orchestration.context import Core
from core.orchestration.provider_manager import OpenedAccount
from core.providers import paging
from core.providers.paging import Page

Item = TypeVar("Item")
Answer = TypeVar("Answer")

#: Health, breaker and pace are kept of each by itself: a list that fails keeps no payment back.
Listing = Literal["list_changes", "list_charges", "list_statement"]
#: Seconds that a turn is waited for before the run gives its place to others: putting it back costs its slice, and a
#: worker that is stopped waits for what runs no longer than for a call.
PATIENCE = 10.0


class Answered:
    """Stands for what was answered and has no outcome of ours."""


class NotNow(Exception):
    """The next call's turn is too far away to be waited for; `seconds` until it is worth another try."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"not before {seconds:.1f} s")
        self.seconds = seconds


def paced(
    core: Core, account: OpenedAccount, items: Iterable[Item], operation: Listing = "list_charges"
) -> Iterator[Item]:
    """The same items; each page behind them is asked for in its turn, and heeded by Health. Raises NotNow, too."""

    def door(fetch: Callable[[], Page[Answer]]) -> Page[Answer]:
        return _in_turn(core, account, operation, fetch, _of_page)

    source = iter(items)
    while True:
        with paging.through(door):
            try:
                item = next(source)
            except StopIteration:
                return
        yield item


def ask(core: Core, account: OpenedAccount, call: Callable[[], LookUp]) -> LookUp:
    """One question about one object, in its turn. Raises NotNow."""
    return _in_turn(core, account, "look_up", call, _of_object)


def _of_page(page: Page[Answer]) -> object:
    return page.failed or Answered()


def _of_object(answer: LookUp) -> object:
    """That there is no such object is an answer, however little it says about money."""
    gone = isinstance(answer, Unknown) and answer.evidence.get("http_status") == 404
    return Answered() if gone else answer


def _in_turn(
    core: Core,
    account: OpenedAccount,
    operation: str,
    call: Callable[[], Answer],
    outcome_of: Callable[[Answer], object],
) -> Answer:
    until = time.monotonic() + PATIENCE
    while True:
        with asking.turn(core, account, operation, account.account_id) as wait:
            if not wait:
                return asking.timed(core, account, operation, call, outcome_of=outcome_of)
        if time.monotonic() + wait > until:
            raise NotNow(wait)
        time.sleep(min(wait, pacing.MAX_PAUSE))
