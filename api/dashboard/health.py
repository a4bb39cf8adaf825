"""How a merchant's provider accounts are, for the pages that show it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from core.domain.identifiers import parse_id
from core.orchestration import accounts, health
from core.orchestration.breaker import State
from core.orchestration.context import Core
from core.orchestration.health import Standing
from core.persistence.database import Scope


@dataclass(frozen=True, slots=True)
class Look:
    """One account with how each of its operations stands."""

    account: Mapping[str, Any]
    operations: Mapping[str, Standing]

    @property
    def open_circuits(self) -> int:
        return sum(one.state is not State.CLOSED for one in self.operations.values())

    @property
    def state(self) -> str:
        """The worst of its circuits, as one word."""
        states = {one.state for one in self.operations.values()}
        for state in (State.OPEN, State.HALF_OPEN):
            if state in states:
                return state.value
        return State.CLOSED.value

    @property
    def calls(self) -> int:
        return sum(one.calls for one in self.operations.values())

    @property
    def answered(self) -> float | None:
        """The share of all calls within ten minutes that were answered; None without a call."""
        if not self.calls:
            return None
        return sum((one.success or 0.0) * one.calls for one in self.operations.values()) / self.calls


def look(core: Core, scope: Scope) -> Sequence[Look]:
    """All accounts of a merchant; asks Redis once for each."""
    return [
        Look(account, health.report(core, scope, parse_id("provider_account", account["id"])))
        for account in accounts.list_accounts(core, scope)
    ]
