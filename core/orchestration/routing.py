"""What the active route says about a payment: decided once, when it is accepted, and kept with it.

A payment is carried out under the route it was accepted under: another version, activated meanwhile, sends none of its
tries elsewhere. Which of the accounts can carry it is looked at again before each try.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy.engine import Connection

from core.domain import route_reading
from core.domain.errors import RequestRefused, Unavailable
from core.domain.identifiers import public_id
from core.domain.routes import Facts, Route, choose, order
from core.orchestration.router import Order
from core.persistence.database import Scope
from core.persistence.queries import active_route
from core.persistence.queries.active_route import ActiveRoute

#: Routes read from their definitions; more merchants than this have theirs read again.
_MOST = 2000
_read: dict[UUID, Route] = {}
_last: dict[tuple[UUID, str], UUID] = {}

#: Of a route that is known already, so that its definition does not travel again; nobody's where none is.
NONE = UUID(int=0)


def known_id(scope: Scope) -> UUID:
    """The route that this process has seen active last."""
    return _last.get((scope.merchant_id, scope.mode), NONE)


def decide(connection: Connection, scope: Scope, payment_id: UUID, facts: Facts) -> dict[str, Any] | None:
    """What is kept in `payments.route`; None where no route is active. Raises Unavailable where it is unreadable."""
    active = active_route.known(connection)
    if active is None:
        return None
    return decision(active.version, _compiled(connection, scope, active), payment_id, facts)


def decision(version: int, route: Route, payment_id: UUID, facts: Facts) -> dict[str, Any]:
    """The rules that were tried, the one that applied, and the order of accounts that it gives this payment."""
    choice = choose(route, facts)
    found: dict[str, Any] = {
        "version": version,
        "rule": choice.name,
        "tried": [{"rule": name, "against": list(against)} for name, against in choice.tried],
    }
    rule = choice.rule
    if rule is None:
        return found
    if rule.weights:
        weighted = zip(rule.accounts, rule.weights, strict=True)
        found["weights"] = {public_id("provider_account", one): weight for one, weight in weighted}
    if rule.next_on_soft_decline:
        found["on_soft_decline"] = "next"
    return {**found, "order": [public_id("provider_account", one) for one in order(rule, payment_id)]}


def order_of(kept: Mapping[str, Any] | None) -> Order | None:
    """The order that a payment's route gave it; None where its accounts are tried by their own priority."""
    if not kept or "order" not in kept:
        return None
    return Order(tuple(kept["order"]), f"rule {kept['rule']} of route version {kept['version']}")


def _compiled(connection: Connection, scope: Scope, active: ActiveRoute) -> Route:
    route = _read.get(active.id)
    if route is None:
        definition = active.definition or active_route.definition_of(connection, active.id)
        try:
            route = route_reading.read(definition)
        except RequestRefused:
            raise Unavailable(
                f"this program cannot read route version {active.version}, which a newer one has activated"
            ) from None
        if len(_read) >= _MOST:
            _read.clear()
        _read[active.id] = route
    if len(_last) >= _MOST:
        _last.clear()
    _last[(scope.merchant_id, scope.mode)] = active.id
    return route
