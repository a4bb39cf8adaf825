"""Routes: which accounts a merchant's rules name for a payment, and in what order. Pure: facts in, a choice out.

A route is read from its definition by `route_reading.py`. The first rule whose conditions all hold decides; where none
does, the default. Weights are shares of the payments, drawn by the payment's id: the same payment always comes to the
same order, and where an account is left out only its own payments go elsewhere.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol
from uuid import UUID

#: What the default is called in decisions and reports; no rule may be.
DEFAULT = "default"
#: What the weights of a rule add up to.
WHOLE = 100
#: Names of values that are told before the rest is counted.
_TOLD = 5


@dataclass(frozen=True, slots=True)
class Facts:
    """What rules may ask about a payment. `customer` is an id as callers see it; metadata of both is the merchant's."""

    amount: int
    currency: str
    method: str
    country: str | None = None
    customer: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    customer_metadata: Mapping[str, str] = field(default_factory=dict)


class Condition(Protocol):
    def holds(self, facts: Facts) -> bool: ...

    def against(self, facts: Facts) -> str:
        """Why it does not hold, in words; values of metadata are not repeated."""
        ...

    def covers(self, other: Condition) -> bool:
        """Does it hold wherever the other one does?"""
        ...


@dataclass(frozen=True, slots=True)
class OneOf:
    """A fact is one of the values."""

    fact: str
    values: frozenset[str]

    def holds(self, facts: Facts) -> bool:
        return getattr(facts, self.fact) in self.values

    def against(self, facts: Facts) -> str:
        found = getattr(facts, self.fact)
        if found is None:
            return f"the payment names no {self.fact}"
        return f"the {self.fact} is {found}, not {_one_of(self.values)}"

    def covers(self, other: Condition) -> bool:
        return isinstance(other, OneOf) and other.fact == self.fact and other.values <= self.values


@dataclass(frozen=True, slots=True)
class Between:
    """The amount lies in a range, both ends included, in minor units."""

    minimum: int | None
    maximum: int | None

    def holds(self, facts: Facts) -> bool:
        over = self.minimum is None or facts.amount >= self.minimum
        return over and (self.maximum is None or facts.amount <= self.maximum)

    def against(self, facts: Facts) -> str:
        if self.minimum is not None and facts.amount < self.minimum:
            return f"the amount of {facts.amount} is under {self.minimum} (minor units)"
        return f"the amount of {facts.amount} is over {self.maximum} (minor units)"

    def covers(self, other: Condition) -> bool:
        if not isinstance(other, Between):
            return False
        low = self.minimum is None or (other.minimum is not None and other.minimum >= self.minimum)
        return low and (self.maximum is None or (other.maximum is not None and other.maximum <= self.maximum))


@dataclass(frozen=True, slots=True)
class Tagged:
    """A field of the payment's metadata, or of its customer's, is one of the values."""

    of: str
    name: str
    values: frozenset[str]

    def holds(self, facts: Facts) -> bool:
        return getattr(facts, self.of).get(self.name) in self.values

    def against(self, facts: Facts) -> str:
        if self.name not in getattr(facts, self.of):
            return f"there is no {self.of}.{self.name}"
        return f"{self.of}.{self.name} is not {_one_of(self.values)}"

    def covers(self, other: Condition) -> bool:
        same = isinstance(other, Tagged) and (other.of, other.name) == (self.of, self.name)
        return same and isinstance(other, Tagged) and other.values <= self.values


def _one_of(values: frozenset[str]) -> str:
    named = sorted(values)
    more = f" or {len(named) - _TOLD} more" if len(named) > _TOLD else ""
    return f"{'one of ' if len(named) > 1 else ''}{', '.join(named[:_TOLD])}{more}"


@dataclass(frozen=True, slots=True)
class Rule:
    """`weights` are those of `accounts` in their order; empty where the order itself says who comes first."""

    name: str
    when: tuple[Condition, ...]
    accounts: tuple[UUID, ...]
    weights: tuple[int, ...] = ()
    next_on_soft_decline: bool = False

    def against(self, facts: Facts) -> tuple[str, ...]:
        """Each condition that does not hold, in words; empty where the rule applies."""
        return tuple(one.against(facts) for one in self.when if not one.holds(facts))

    def covers(self, other: Rule) -> bool:
        """Does it apply wherever the other one does?"""
        return all(any(mine.covers(its) for its in other.when) for mine in self.when)


@dataclass(frozen=True, slots=True)
class Route:
    """`default` None: every account, by its own priority."""

    rules: tuple[Rule, ...]
    default: Rule | None = None


@dataclass(frozen=True, slots=True)
class Choice:
    """`tried` holds the rules before the one that applies, each with what spoke against it; no `rule`: by priority."""

    name: str
    rule: Rule | None
    tried: tuple[tuple[str, tuple[str, ...]], ...]


def choose(route: Route, facts: Facts) -> Choice:
    """The first rule that applies, else the default."""
    tried: list[tuple[str, tuple[str, ...]]] = []
    for rule in route.rules:
        against = rule.against(facts)
        if not against:
            return Choice(rule.name, rule, tuple(tried))
        tried.append((rule.name, against))
    return Choice(DEFAULT, route.default, tuple(tried))


def order(rule: Rule, payment_id: UUID) -> tuple[UUID, ...]:
    """The rule's accounts in the order in which they are tried for this payment."""
    if not rule.weights:
        return rule.accounts
    drawn = [(_draw(payment_id, one) / weight, one) for one, weight in zip(rule.accounts, rule.weights, strict=True)]
    return tuple(one for _, one in sorted(drawn))


def _draw(payment_id: UUID, account_id: UUID) -> float:
    """Of an exponential distribution: divided by its weight, each account's is the least in its share of the payments.

    Weighted rendezvous hashing: what an account draws depends on no other, so that leaving one out moves none of the
    others' payments.
    """
    digest = hashlib.sha256(payment_id.bytes + account_id.bytes).digest()
    return -math.log((int.from_bytes(digest[:8], "big") + 0.5) / 2.0**64)


def shares(rule: Rule, able: Sequence[UUID]) -> dict[UUID, float]:
    """Which part of the payments comes first to each account that is able; of those without weights all to one."""
    if not rule.weights:
        first = next((one for one in rule.accounts if one in able), None)
        return {one: float(one == first) for one in able}
    weights = {one: weight for one, weight in zip(rule.accounts, rule.weights, strict=True) if one in able}
    total = sum(weights.values())
    return {one: weight / total for one, weight in weights.items()}
