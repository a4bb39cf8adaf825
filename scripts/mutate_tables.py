"""Which tables decide about money, and every way in which one row of them can be wrong."""

from __future__ import annotations

import ast
import dataclasses
import importlib
import inspect
import pkgutil
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from types import ModuleType
from typing import Any

from core.domain import statuses
from core.providers.registry import PROVIDERS

#: Beside these, every module of every registered provider is searched: a new table cannot be forgotten.
MODULES = (
    "core.domain.outcomes",
    "core.domain.statuses",
    "core.orchestration.dispute_answers",
    "core.orchestration.enrol",
    "core.orchestration.breaker",
    "core.orchestration.failover",
    "core.orchestration.permits",
    "core.orchestration.settlement",
    "core.providers.transport",
    # The example that a new provider begins with.
    "tests.providers.bank_transfer.client",
    "tests.providers.bank_transfer.outcomes",
    "tests.providers.bank_transfer.webhooks",
)

#: Tables that decide about no outcome, status or decline; each with the reason why flipping it would say nothing.
EXCUSED: Mapping[str, str] = {
    "core.orchestration.enrol._WAITING": "one code and its sentence, not rows of a table",
    "core.providers.transport._BROKEN_OFF": "overlapping classes, to be caught on a socket: test_transport.py does",
    "core.providers.stripe.changes.TYPES": "computed from the events that are read",
    "core.providers.stripe.declines._FALLBACK": "one row, not rows of a table",
    "core.providers.stripe.declines._REFUND_FALLBACK": "one row, not rows of a table",
    "core.providers.stripe.client._HEADERS": "headers that are kept for people to read",
    "core.providers.stripe.client._MODES": "how keys begin; the contract tries each mode and kind",
    "core.providers.stripe.currencies.CURRENCIES": "computed from the literals beside it",
    "core.providers.stripe.currencies._SMALLEST": "published limits, which Stripe checks itself",
    "core.providers.stripe.failures._ADVICE": "sentences for operators",
    "core.providers.paystack.currencies.CURRENCIES": "published limits, which Paystack checks itself",
    "core.providers.paystack.identity._ADVICE": "sentences for operators",
    "core.providers.paystack.identity._FIRST_CUSTOMER": "the body of a connection check",
    "core.providers.paystack.identity._MODES": "how keys begin; the contract tries each mode and kind",
    "core.providers.paystack.payments._MEANINGFUL": "metadata names that Paystack's page reads; not ours to forward",
}

#: What Python itself reads.
_DUNDER = re.compile(r"__\w+__\Z")


@dataclass(frozen=True, slots=True)
class Table:
    """One literal table: where it stands, and what it holds."""

    name: str
    value: Any


@dataclass(frozen=True, slots=True)
class Flip:
    """One row made wrong. `apply` changes this process for good, so it is called in a fork only."""

    table: str
    what: str
    apply: Callable[[], None]


def modules() -> Iterator[ModuleType]:
    for name in MODULES:
        yield importlib.import_module(name)
    for kind in PROVIDERS.values():
        package = importlib.import_module(kind.__module__)
        yield package
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            yield importlib.import_module(found.name)


def tables() -> list[Table]:
    """Every table that has to be held by a test. Raises SystemExit for an excuse that names nothing."""
    found = {f"{module.__name__}.{name}": value for module in modules() for name, value in _constants(module)}
    stale = sorted(set(EXCUSED) - set(found))
    if stale:
        raise SystemExit(f"scripts/mutate_tables.py excuses what is not there: {', '.join(stale)}")
    return [Table(name, value) for name, value in found.items() if name not in EXCUSED]


def _constants(module: ModuleType) -> Iterator[tuple[str, Any]]:
    """The tables written in `module` itself, however they are named; what it imports belongs to another.

    Raises SystemExit for rows that stand in a shape which cannot be flipped one by one.
    """
    body = ast.parse(inspect.getsource(module)).body
    for name in _assigned(body):
        value = getattr(module, name)
        if _holds_rows(value):
            raise SystemExit(f"{module.__name__}.{name} holds rows in a sequence: write them as a dict")
        if _is_table(value):
            yield name, value
    for node in body:
        if isinstance(node, ast.ClassDef):
            kind = getattr(module, node.name)
            for name in _assigned(node.body):
                value = getattr(kind, name, None)
                if value and (_is_table(value) or _holds_rows(value)):
                    raise SystemExit(f"{module.__name__}.{node.name}.{name} is a table: let it stand in the module")


def _assigned(body: Sequence[ast.stmt]) -> Iterator[str]:
    for node in body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        for target in targets:
            if isinstance(target, ast.Name) and not _DUNDER.match(target.id):
                yield target.id


def _holds_rows(value: Any) -> bool:
    """Pairs and the like, one after the other."""
    if not isinstance(value, list | tuple):
        return False
    return any(isinstance(one, list | tuple | Mapping) or dataclasses.is_dataclass(one) for one in value)


def _is_table(value: Any) -> bool:
    return isinstance(value, Mapping | frozenset | set) or (isinstance(value, list | tuple) and len(value) > 1)


def flips(table: Table) -> Iterator[Flip]:
    """Each row removed, and each part of it replaced by what another row has there."""
    value = table.value
    if isinstance(value, Mapping):
        yield from _flips_of_mapping(table.name, value)
        return
    for one in _sorted(value):
        yield Flip(table.name, f"{_shown(one)} removed", _rebinding(value, type(value)(x for x in value if x != one)))
    if isinstance(value, list | tuple):
        return
    for one in _sorted(_universe(table.name) - set(value)):
        yield Flip(table.name, f"{_shown(one)} added", _rebinding(value, value | {one}))


def _flips_of_mapping(name: str, rows: Mapping[Any, Any]) -> Iterator[Flip]:
    if not isinstance(rows, dict):
        raise SystemExit(f"{name} is no dict, so its rows cannot be flipped in place")
    sets = rows and all(isinstance(value, frozenset) for value in rows.values())
    every = frozenset().union(*rows.values()) | (set(rows) - {None}) if sets else frozenset()
    for key, value in rows.items():
        if isinstance(value, Mapping):
            yield from _flips_of_mapping(f"{name}[{_shown(key)}]", value)
            continue
        yield Flip(name, f"{_shown(key)} removed", _deleting(rows, key))
        if sets:
            for one in _sorted(every):
                what = f"{_shown(key)} -> {_shown(one)} {'removed' if one in value else 'added'}"
                yield Flip(name, what, _setting(rows, key, value ^ {one}))
            continue
        for part, other in _others(rows, key):
            yield Flip(name, f"{_shown(key)} -> {part}", _setting(rows, key, other))


def _others(rows: Mapping[Any, Any], key: Any) -> Iterator[tuple[str, Any]]:
    """The row with one part of it taken from another row; a part that all rows share cannot be mistaken."""
    value, keys = rows[key], list(rows)
    start = keys.index(key)
    neighbours = [rows[one] for one in keys[start + 1 :] + keys[:start]]
    if isinstance(value, tuple):
        rest = [one for one in neighbours if isinstance(one, tuple) and len(one) == len(value)]
        for place, part in enumerate(value):
            other = _different(part, [one[place] for one in rest])
            if other is not None:
                yield _shown(other[0]), (*value[:place], other[0], *value[place + 1 :])
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        alike = [one for one in neighbours if type(one) is type(value)]
        for field in dataclasses.fields(value):
            other = _different(getattr(value, field.name), [getattr(one, field.name) for one in alike])
            if other is not None:
                yield f"{field.name} {_shown(other[0])}", dataclasses.replace(value, **{field.name: other[0]})
    else:
        other = _different(value, neighbours)
        if other is not None:
            yield _shown(other[0]), other[0]


def _different(value: Any, candidates: list[Any]) -> tuple[Any] | None:
    if isinstance(value, Enum):
        candidates = candidates + list(type(value))
    return next(((one,) for one in candidates if not _alike(value, one)), None)


def _alike(one: Any, other: Any) -> bool:
    """Equal, or two functions made by one factory from equal values."""
    if one == other:
        return True
    code = getattr(one, "__code__", None)
    return code is not None and code is getattr(other, "__code__", None) and _cells(one) == _cells(other)


def _cells(function: Any) -> list[Any]:
    return [cell.cell_contents for cell in function.__closure__ or ()]


def _universe(name: str) -> frozenset[Any]:
    """What could stand in a set by mistake, where that is known: for the sets of statuses."""
    if not name.startswith("core.domain.statuses."):
        return frozenset()
    if name.endswith(".SURPLUS_ONLY"):
        return frozenset((source, target) for source, targets in statuses.TRANSACTION.items() for target in targets)
    if name.endswith(".CHARGE_KINDS"):
        return frozenset({"capture", "void", "refund"})
    subject = name.rpartition("_")[2].lower()
    table = statuses.TABLES.get(subject, statuses.TRANSACTION)
    return frozenset(one for one in table if one is not None)


def _setting(rows: dict[Any, Any], key: Any, value: Any) -> Callable[[], None]:
    return lambda: rows.__setitem__(key, value)


def _deleting(rows: dict[Any, Any], key: Any) -> Callable[[], None]:
    return lambda: rows.__delitem__(key)


def _rebinding(old: Any, new: Any) -> Callable[[], None]:
    """What cannot be changed in place is exchanged under every name that a module has for it."""

    def apply() -> None:
        for module in list(sys.modules.values()):
            for name, value in list(vars(module).items()):
                if value is old:
                    setattr(module, name, new)

    return apply


def _sorted(values: Any) -> list[Any]:
    return sorted(values, key=_shown)


def _shown(value: Any) -> str:
    if isinstance(value, type) or callable(value):
        return str(getattr(value, "__name__", value))
    return str(value.value) if isinstance(value, Enum) else repr(value)
