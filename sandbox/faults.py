"""Misbehaviour on purpose: which request or webhook is hit, how often, and in what way."""

from __future__ import annotations

import json
import random
from collections.abc import Collection
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from . import ids
from .ledger import Json

if TYPE_CHECKING:
    from .http import Call

# "before": the provider does nothing. "after": it acts, and only the answer goes wrong.
BEFORE = {"timeout_before", "reset_before", "status_before"}
AFTER = {"timeout_after", "reset_after", "status_after"}
ANSWER = {"html", "nonsense", "cut_body", "slow_body", "wrong_amount", "wrong_currency"}
# Nobody listens for a while: no request can be met then, so it begins at once or after the call it names.
REFUSE = "refuse"
CALL_EFFECTS = BEFORE | AFTER | ANSWER | {"delay", REFUSE}
WEBHOOK_EFFECTS = {
    "webhook_late",
    "webhook_double",
    "webhook_reorder",
    "webhook_forge",
    "webhook_lose",
    "webhook_early",
}
EFFECTS = CALL_EFFECTS | WEBHOOK_EFFECTS
_CALL_ONLY = ("operation", "method", "path", "metadata", "params")
_TEXTS = {"operation", "method", "path", "event", "secret_key"}
_OBJECTS = {"metadata", "params"}
#: Least, most, and whether the number has to be whole.
_RANGES: dict[str, tuple[float, float, bool]] = {
    "times": (1, 1_000_000, True),  # "for ever" is many times, until the order is removed
    "status": (200, 599, True),
    "ms": (0, 86_400_000, False),  # a day: webhooks come late by hours
    "probability": (0, 1, False),
    "seed": (0, 2**53, True),
}


@dataclass(slots=True)
class Fault:
    """One order to misbehave. `times` counts down the hits left; `fired` counts those done."""

    id: str
    effect: str
    operation: str | None = None
    method: str | None = None
    path: str | None = None
    event: str | None = None
    secret_key: str | None = None
    metadata: Json = field(default_factory=dict)
    params: Json = field(default_factory=dict)
    times: int = 1
    status: int | None = None
    ms: float = 1000
    probability: float = 1.0
    seed: int | None = None
    fired: int = 0

    def meets(self, call: Call) -> bool:
        raw = call.raw
        return (
            self.effect in CALL_EFFECTS
            and (self.operation is None or fnmatchcase(call.operation, self.operation))
            and (self.method is None or raw.method == self.method.upper())
            and (self.path is None or fnmatchcase(raw.path, self.path))
            and (self.secret_key is None or call.desk.account.secret_key == self.secret_key)
            and _within(self.params, call.params)
            and (not self.metadata or _within(self.metadata, _metadata(call.params)))
        )

    def meets_event(self, secret_key: str, type: str) -> bool:
        return (
            self.effect in WEBHOOK_EFFECTS
            and (self.event is None or fnmatchcase(type, self.event))
            and self.secret_key in (None, secret_key)
        )

    @property
    def aimed(self) -> bool:
        """Whether it waits for a call of some kind."""
        return any(getattr(self, name) for name in (*_CALL_ONLY, "secret_key"))


def _within(wanted: Json, given: Json) -> bool:
    return all(str(given.get(name)) == str(value) for name, value in wanted.items())


def _metadata(params: Json) -> Json:
    found: Json = {}
    for holder in (params, params.get("payment_intent_data") or {}):
        metadata = holder.get("metadata") if isinstance(holder, dict) else None
        if isinstance(metadata, str) and metadata.startswith("{"):  # Paystack takes the text of an object, too
            with suppress(ValueError):
                metadata = json.loads(metadata)
        if isinstance(metadata, dict):
            found |= metadata
    return found


class Faults:
    """The orders in force, in memory only: a restarted sandbox behaves."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self._dice: dict[str, random.Random] = {}

    def add(self, wanted: Json, operations: Collection[str]) -> Fault:
        """Takes an order as posted; raises ValueError saying what is wrong with it."""
        _check(wanted, operations)
        fault = Fault(id=ids.fresh("fault_", 12), **wanted)
        self._faults.append(fault)
        self._dice[fault.id] = random.Random(fault.seed)  # noqa: S311  (repeatable dice, no secret)
        return fault

    def take(self, call: Call) -> Fault | None:
        """The first order this call meets, with one of its hits used up."""
        return next((fault for fault in self._faults if fault.meets(call) and self.hit(fault)), None)

    def take_event(self, secret_key: str, type: str) -> Fault | None:
        """The same for an event about to be lined up for a merchant."""
        return next((one for one in self._faults if one.meets_event(secret_key, type) and self.hit(one)), None)

    def hit(self, fault: Fault) -> bool:
        if fault.times <= 0:
            return False
        if fault.probability < 1 and self._dice[fault.id].random() >= fault.probability:
            return False
        fault.times -= 1
        fault.fired += 1
        return True

    def remove(self, id: str | None = None) -> int:
        kept = [fault for fault in self._faults if id is not None and fault.id != id]
        removed = len(self._faults) - len(kept)
        self._faults = kept
        return removed

    def shown(self) -> list[dict[str, Any]]:
        return [asdict(fault) for fault in self._faults]


def _check(wanted: Json, operations: Collection[str]) -> None:
    effect = wanted.get("effect")
    if effect not in EFFECTS:
        raise ValueError(f"effect must be one of {', '.join(sorted(EFFECTS))}")
    unknown = set(wanted) - set(Fault.__dataclass_fields__) | {"id", "fired"} & set(wanted)
    if unknown:
        raise ValueError(f"unknown field {', '.join(sorted(unknown))}")
    _check_forms(wanted)
    if effect.startswith("status_") and "status" not in wanted:
        raise ValueError("status is needed with status_before and status_after")
    if effect in WEBHOOK_EFFECTS and any(name in wanted for name in _CALL_ONLY):
        raise ValueError(f"{effect} meets webhooks: it knows event and secret_key, not {', '.join(_CALL_ONLY)}")
    if effect not in WEBHOOK_EFFECTS and "event" in wanted:
        raise ValueError(f"{effect} meets calls: event is for the webhook effects")
    _check_operation(wanted.get("operation"), operations)


def _check_forms(wanted: Json) -> None:
    """Every field that is given has its kind and its range."""
    for name in _TEXTS & set(wanted):
        if not isinstance(wanted[name], str) or not wanted[name]:
            raise ValueError(f"{name} must be a text of at least one character; leave it out to meet every one")
    for name in _OBJECTS & set(wanted):
        if not isinstance(wanted[name], dict):
            raise ValueError(f'{name} must be an object, such as {{"order": "7"}}')
    for name, (least, most, whole) in _RANGES.items():
        value = wanted.get(name, least)
        number = isinstance(value, int if whole else int | float) and not isinstance(value, bool)
        if not number or not least <= value <= most:
            kind = "a whole number" if whole else "a number"
            raise ValueError(f"{name} must be {kind} from {least} to {most}")


def _check_operation(wanted: str | None, operations: Collection[str]) -> None:
    """A name that no route has would wait for ever, and its test would pass for nothing."""
    if wanted is None or any(fnmatchcase(name, wanted) for name in operations):
        return
    meant = get_close_matches(wanted, operations, n=3, cutoff=0.5) or sorted(operations)
    raise ValueError(f"no operation is called {wanted}; * stands for any part of a name; there are {', '.join(meant)}")
