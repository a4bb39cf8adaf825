"""One question to a provider, in its turn: a place among the calls in flight, and a moment of the account's pace."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from core.orchestration import in_flight, pacing, provider_manager
from core.orchestration.context import Core
from core.orchestration.provider_manager import OpenedAccount
from core.persistence.database import Scope

Answer = TypeVar("Answer")


def ask(core: Core, scope: Scope, account: OpenedAccount, operation: str, call: Callable[[], Answer]) -> Answer | float:
    """What `call` returns; or, when its turn is too far away to wait for, the seconds until then.

    No transaction may be open here.
    """
    with in_flight.call(core, account) as kept_back:
        if kept_back:
            return float(kept_back)
        wait = provider_manager.pause(core, scope, account, operation)
        if wait > pacing.MAX_PAUSE:
            return float(wait)
        if wait > 0:
            time.sleep(wait)
        return call()
