"""Routes: the active one in words, its versions, what it would do with a payment, and making another one active."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from flask import Response

from api.dashboard import acting, forms, words
from api.dashboard.acting import NOT_YET, Refused, attempt
from api.dashboard.frame import Entry, Here, act, back, page, render
from api.errors import InvalidFields
from api.state import gate
from core.domain.countries import COUNTRIES
from core.domain.errors import FieldError, NotFoundError, RequestRefused
from core.domain.money import CURRENCIES, MAX_AMOUNT
from core.orchestration import accounts, route_explaining, routes
from core.orchestration.reading import missing
from core.orchestration.route_explaining import Sample

_METHODS = ("token", "redirect")
_FIELDS = ("amount", "currency", "method", "country")
_LONGEST = 12


@page("/routes", menu=Entry("Routes", 65))
def show_routes(here: Here) -> Response:
    return _page(here, NOT_YET)


def _page(here: Here, refused: Refused) -> Response:
    core = gate().core
    names = {one["id"]: f"{one['name']} ({one['provider']})" for one in accounts.list_accounts(core, here.scope)}
    versions = routes.list_versions(core, here.scope)
    active = _active(here)
    sample = {name: forms.asked(name) or "" for name in _FIELDS}
    explained, problem = _explained(here, sample)
    return render(
        "routes.html", here, refused.status, title="Routes", active=active, versions=versions, names=names,
        rules=[] if active is None else in_words(active["definition"], names), sample=sample, explained=explained,
        problem=problem, methods=_METHODS, refused=refused,
    )  # fmt: skip


def _active(here: Here) -> dict[str, Any] | None:
    try:
        return routes.show(gate().core, here.scope)
    except NotFoundError:
        return None


@page("/routes/<version>")
def show_route(here: Here, version: str) -> Response:
    return _version(here, version, NOT_YET)


def _version(here: Here, version: str, refused: Refused) -> Response:
    core = gate().core
    found = routes.show(core, here.scope, _number(version))
    names = {one["id"]: f"{one['name']} ({one['provider']})" for one in accounts.list_accounts(core, here.scope)}
    now = _active(here)
    return render(
        "route.html", here, refused.status, title=f"Route version {found['version']}", found=found,
        rules=in_words(found["definition"], names), replaces=0 if now is None else now["version"], refused=refused,
    )  # fmt: skip


def _number(version: str) -> int:
    """Raises NotFoundError."""
    if not (version.isascii() and version.isdigit() and len(version) <= 9):
        raise missing("route")
    return int(version)


@act("/routes/<version>/activate", "admin:routes")
def activate_route(here: Here, version: str) -> Response:
    def do() -> Response:
        acting.confirmed("new payments are routed by it from now on")
        routes.activate(gate().core, here.scope, _number(version), here.because(), replaces=_replaced())
        return back(here, "show_routes", f"Version {version} routes new payments from now on.")

    return attempt("activate", do, lambda refused: _version(here, version, refused))


@act("/routes/rollback", "admin:routes")
def roll_back_route(here: Here) -> Response:
    def do() -> Response:
        acting.confirmed("new payments are routed otherwise from now on")
        done = routes.roll_back(gate().core, here.scope, here.because(), replaces=_replaced())
        now = done["active"]
        told = "no route is active now" if now is None else f"version {now['version']} is active again"
        return back(here, "show_routes", f"Version {done['retired']} is retired; {told}.")

    return attempt("rollback", do, lambda refused: _page(here, refused))


def _replaced() -> int:
    """What the page showed as active: of two people who act on the same picture one succeeds."""
    return _number(forms.field("replaces") or "0")


def _explained(here: Here, asked: Mapping[str, str]) -> tuple[dict[str, Any] | None, str | None]:
    """(what the router would do, what is wrong with the sample)"""
    if not asked["amount"]:
        return None, None
    try:
        return route_explaining.explain(gate().core, here.scope, _sample(asked)), None
    except (InvalidFields, RequestRefused) as error:
        told = "; ".join(f"{one.field} {one.message}" for one in error.errors)
        return None, told or error.detail


def _sample(asked: Mapping[str, str]) -> Sample:
    """Raises InvalidFields."""
    amount, currency = asked["amount"], asked["currency"].upper()
    country, method = asked["country"].upper(), asked["method"] or _METHODS[0]
    number = int(amount) if amount.isascii() and amount.isdigit() and len(amount) <= _LONGEST else 0
    wrong = []
    if not 0 < number <= MAX_AMOUNT:
        wrong.append(FieldError("amount", "must be a whole number of minor units: 50.00 USD is 5000"))
    if currency not in CURRENCIES:
        wrong.append(FieldError("currency", "must be a code like USD"))
    if country and country not in COUNTRIES:
        wrong.append(FieldError("country", "must be a code like NG, or nothing"))
    if method not in _METHODS:
        wrong.append(FieldError("method", "must be one of the list"))
    if wrong:
        raise InvalidFields("the sample cannot be taken as it is", errors=wrong)
    return Sample(number, currency, method, country=country or None)


def in_words(definition: Mapping[str, Any], names: Mapping[str, str]) -> list[tuple[str, str, str]]:
    """(rule, when, then) of each rule in order, the default last."""
    rules = definition.get("rules", [])
    found = [(rule.get("name", ""), _when(rule.get("when") or {}), _then(rule, names)) for rule in rules]
    return [*found, ("default", "no rule applies", _then(definition.get("default") or {}, names))]


def _when(when: Mapping[str, Any]) -> str:
    said = []
    for name, value in when.items():
        if name == "amount":
            bounds = (("from", value.get("min")), ("to", value.get("max")))
            said.append("amount " + " ".join(f"{word} {number}" for word, number in bounds if number is not None))
        elif isinstance(value, Mapping):
            said += [f"{words.plain(name)} {key} is {_any(values)}" for key, values in value.items()]
        else:
            said.append(f"{words.plain(name)} is {_any(value)}")
    return " and ".join(said) or "always"


def _any(values: Sequence[str]) -> str:
    return " or ".join(str(one) for one in values)


def _then(rule: Mapping[str, Any], names: Mapping[str, str]) -> str:
    then = rule.get("then") or {}
    if then.get("weights"):
        told = ", ".join(f"{weight} of 100 to {names.get(one, one)}" for one, weight in then["weights"].items())
    elif then.get("accounts"):
        told = ", then ".join(names.get(one, one) for one in then["accounts"])
    else:
        told = "accounts by their own priority"
    return f"{told}; after a soft decline the next" if rule.get("on_soft_decline") == "next" else told
