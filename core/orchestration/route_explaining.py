"""What the router would do with a payment: every rule and every account, in words. Nothing is kept or sent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.domain.errors import FieldError, NotFoundError, RequestRefused
from core.domain.identifiers import new_id, public_id
from core.domain.routes import Facts, Route, choose, shares
from core.orchestration import payment_methods, route_checks, route_words, router, routes, routing, starting
from core.orchestration.context import Core
from core.orchestration.failover import CROSSES
from core.orchestration.health import Standing
from core.orchestration.router import Candidate, Wish
from core.persistence.database import Scope
from core.persistence.queries import customers
from core.persistence.queries.reading import within
from core.persistence.tables import payments


@dataclass(frozen=True, slots=True)
class Sample:
    """A payment that might be asked for. `saved` names the saved method; customer's metadata is read from theirs."""

    amount: int
    currency: str
    method: str
    capture: str = "automatic"
    country: str | None = None
    customer: UUID | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    provider: str | None = None
    saved: UUID | None = None
    save_method: bool = False
    off_session: bool = False
    has_email: bool = True
    has_return_url: bool = True


@dataclass(frozen=True, slots=True)
class Asked:
    """The payment as rules and router read it. `payment_id`: of one that is there, whose draw is known."""

    facts: Facts
    wish: Wish
    payment_id: UUID | None = None


def explain(
    core: Core,
    scope: Scope,
    about: Sample | UUID,
    *,
    definition: Any = None,
    version: int | None = None,
) -> dict[str, Any]:
    """By the definition, else the version, else what is active now. `about` may be the id of a payment that is there.

    Raises NotFoundError for a payment or version that is not there, RequestRefused for a definition that is wrong.
    """
    with core.database.scoped(scope) as connection:
        asked = _sampled(connection, scope, about) if isinstance(about, Sample) else _stored(connection, scope, about)
        route, number = _route(connection, scope, definition, version)
        kept = {} if route is None else _decided(route, number, asked)
        order = routing.order_of(kept)
        found = router.candidates(connection, scope.merchant_id, scope.mode, asked.wish, order)
    found = router.with_health(found, _standings(core, scope, found))
    if asked.wish.method in CROSSES:
        found = [*router.down_last([one for one in found if not one.reasons]), *(one for one in found if one.reasons)]
    return _told(route, kept, asked, found)


def _decided(route: Route, number: int, asked: Asked) -> dict[str, Any]:
    kept = routing.decision(number, route, asked.payment_id or new_id(), asked.facts)
    rule = choose(route, asked.facts).rule
    if asked.payment_id is None and rule is not None and rule.weights:
        # Of no payment in particular: the greatest share first.
        heaviest = sorted(zip(rule.weights, rule.accounts, strict=True), reverse=True)
        kept["order"] = [public_id("provider_account", one) for _, one in heaviest]
    return kept


def _route(connection: Connection, scope: Scope, definition: Any, version: int | None) -> tuple[Route | None, int]:
    """Raises NotFoundError, RequestRefused."""
    accounts = routes.accounts_of(connection, scope)
    if definition is not None:
        return route_checks.check(definition, accounts).route, 0
    row = routes.active(connection, scope) if version is None else routes.find(connection, scope, version)
    return (None, 0) if row is None else (route_checks.check(row["definition"], accounts).route, row["version"])


def _sampled(connection: Connection, scope: Scope, sample: Sample) -> Asked:
    """Raises RequestRefused."""
    account_id, customer_id = None, sample.customer
    if (sample.method == "saved") != (sample.saved is not None):
        raise _refused("saved", "names the saved payment method (pm_…), with the method saved and no other")
    if sample.saved is not None:
        method = payment_methods.load_for_payment(connection, scope, sample.saved)
        if method is None:
            raise _refused("saved", "there is no such saved payment method")
        account_id, customer_id = method["provider_account_id"], method["customer_id"]
    customer = None if customer_id is None else customers.find_customer(connection, scope, customer_id)
    if customer_id is not None and (customer is None or customer["erased_at"] is not None):
        raise _refused("customer", "there is no such customer")
    facts = Facts(
        sample.amount,
        sample.currency,
        sample.method,
        sample.country,
        None if customer_id is None else public_id("customer", customer_id),
        sample.metadata,
        {} if customer is None else customer["metadata"],
    )
    has_email = sample.has_email if customer is None else customer["email_index"] is not None
    wish = Wish(
        sample.amount,
        sample.currency,
        sample.method,
        sample.capture,
        sample.provider,
        has_email,
        sample.has_return_url,
        sample.save_method,
        sample.off_session,
        account_id,
    )
    return Asked(facts, wish)


def _stored(connection: Connection, scope: Scope, payment_id: UUID) -> Asked:
    """Raises NotFoundError."""
    query = sa.select(payments).where(within(payments, scope), payments.c.id == payment_id)
    payment = connection.execute(query).mappings().one_or_none()
    if payment is None:
        raise NotFoundError(f"there is no payment {public_id('payment', payment_id)}")
    customer_id = payment["customer_id"]
    customer = None if customer_id is None else customers.find_customer(connection, scope, customer_id)
    facts = Facts(
        payment["amount"],
        payment["currency"],
        payment["method"],
        payment["country"],
        None if customer_id is None else public_id("customer", customer_id),
        payment["metadata"],
        {} if customer is None else customer["metadata"],
    )
    return Asked(facts, starting.wish_of(connection, payment), payment_id)


def _standings(core: Core, scope: Scope, found: Sequence[Candidate]) -> dict[UUID, Standing]:
    """As all processes know them; what was not called lately is as good as new."""
    fresh = core.health.standings(core, scope, [one.account_id for one in found], "start")
    return {
        one.account_id: core.health.report(core, scope, one.account_id, ("start",)).get("start", fresh[one.account_id])
        for one in found
    }


def _told(route: Route | None, kept: dict[str, Any], asked: Asked, found: Sequence[Candidate]) -> dict[str, Any]:
    able = [one for one in found if not one.reasons]
    rule = None if route is None else choose(route, asked.facts).rule
    by_name = {} if rule is None else shares(rule, [one.account_id for one in able])
    accounts = [
        {
            **one.as_dict(),
            "name": one.name,
            "weight": kept.get("weights", {}).get(public_id("provider_account", one.account_id)),
            "share": _share(one, able, by_name if rule is not None and rule.weights else None, asked),
        }
        for one in found
    ]
    refusal = _refusal(found, asked.wish)
    shown = {**kept, "candidates": accounts}
    names = {public_id("provider_account", one.account_id): one.name for one in found}
    words = route_words.lines(shown, names) + (
        [] if refusal is None else [f"The payment is refused: {refusal['message']}."]
    )
    return {
        "version": kept.get("version") or None,
        "rule": kept.get("rule"),
        "rules": _rules(route, kept),
        "accounts": accounts,
        "on_soft_decline": kept.get("on_soft_decline", "stop"),
        "refused": refusal,
        "words": words,
    }


def _share(one: Candidate, able: Sequence[Candidate], drawn: Mapping[UUID, float] | None, asked: Asked) -> float:
    """Which part of such payments it is the first for."""
    if drawn and asked.payment_id is None and not any(each.is_down for each in able):
        return round(drawn.get(one.account_id, 0.0), 4)
    return float(bool(able) and able[0] is one)


def _rules(route: Route | None, kept: Mapping[str, Any]) -> list[dict[str, Any]]:
    """All of them in order; `applies` null where a rule before it has decided already."""
    if route is None:
        return []
    tried = {one["rule"]: one["against"] for one in kept["tried"]}
    return [
        {
            "rule": rule.name,
            "applies": False if rule.name in tried else True if rule.name == kept["rule"] else None,
            "against": tried.get(rule.name, []),
        }
        for rule in route.rules
    ]


def _refusal(found: Sequence[Candidate], wish: Wish) -> dict[str, Any] | None:
    """What whoever asks for such a payment would be told."""
    try:
        router.require_eligible(found, wish)
    except RequestRefused as error:
        wrong = [{"field": one.field, "message": one.message} for one in error.errors]
        return {"code": error.code, "message": error.detail, "errors": wrong}
    return None


def _refused(field_: str, message: str) -> RequestRefused:
    return RequestRefused("the sample cannot be taken as it is", errors=[FieldError(field_, message)])
