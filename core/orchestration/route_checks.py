"""What a route's definition cannot say by itself: are its accounts there, and can they take what rules send them?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar
from uuid import UUID

from core.domain import route_reading
from core.domain.errors import FieldError, RequestRefused
from core.domain.identifiers import public_id
from core.domain.routes import Between, Condition, OneOf, Route, Rule
from core.providers.base import Capabilities, CurrencyLimit
from core.providers.registry import PROVIDERS

One = TypeVar("One", bound=Condition)


@dataclass(frozen=True, slots=True)
class KnownAccount:
    """One of the merchant's own, in the mode of the route."""

    provider: str
    status: str


Accounts = Mapping[UUID, KnownAccount]


@dataclass(frozen=True, slots=True)
class Checked:
    """`warnings` are what a person should know before it is active; they hinder nothing."""

    route: Route
    warnings: tuple[FieldError, ...] = ()


def check(definition: Any, accounts: Accounts, *, activating: bool = False) -> Checked:
    """Raises RequestRefused with everything that is wrong.

    With `activating` a rule none of whose accounts is enabled is wrong: it would refuse every payment it applies to.
    """
    route = route_reading.read(definition)
    errors: list[FieldError] = []
    warnings: list[FieldError] = []
    for path, rule in _rules(route):
        unknown = [one for one in rule.accounts if one not in accounts]
        for one in unknown:
            name = public_id("provider_account", one)
            what = f"{name} is no account of this merchant and mode; `tollgate accounts list` shows them"
            errors.append(FieldError(f"{path}.then", what))
        if not unknown:
            _check_statuses(rule, path, accounts, errors if activating else warnings, warnings)
            _check_able(rule, path, accounts, errors, warnings)
    warnings += _shadowed(route.rules)
    if errors:
        raise RequestRefused("the route cannot be taken as it is", errors=errors)
    return Checked(route, tuple(warnings))


def _rules(route: Route) -> Iterator[tuple[str, Rule]]:
    for number, rule in enumerate(route.rules):
        yield f"rules[{number}]", rule
    if route.default is not None:
        yield "default", route.default


def _check_statuses(
    rule: Rule, path: str, accounts: Accounts, grave: list[FieldError], light: list[FieldError]
) -> None:
    idle = [(one, accounts[one].status) for one in rule.accounts if accounts[one].status != "enabled"]
    told = ", ".join(f"{public_id('provider_account', one)} is {status}" for one, status in idle)
    if len(idle) == len(rule.accounts):
        what = f"no account of the rule is enabled ({told}): every payment it applies to would be refused"
        grave.append(FieldError(f"{path}.then", what))
    elif idle:
        light.append(FieldError(f"{path}.then", f"{told}: new payments pass it by"))


def _check_able(
    rule: Rule, path: str, accounts: Accounts, errors: list[FieldError], warnings: list[FieldError]
) -> None:
    """Could any payment that the rule applies to be carried by one of its accounts?"""
    providers = sorted({accounts[one].provider for one in rule.accounts})
    able = [PROVIDERS[name].capabilities for name in providers]
    methods, currencies = _values(rule, "method"), _values(rule, "currency")
    if methods is not None and not any(methods & one.methods for one in able):
        errors.append(_nobody(path, providers, f"payment method {_words(methods)}"))
    elif currencies is not None:
        nobody = {one for one in currencies if not any(_takes(each, one, rule) for each in able)}
        if nobody == currencies:
            errors.append(_nobody(path, providers, f"{_words(currencies)} in such amounts"))
        elif nobody:
            what = f"{_words(nobody)}: {' and '.join(providers)} cannot take it, so that such payments are refused"
            warnings.append(FieldError(f"{path}.when.currency", what))
    if (methods is None or "token" in methods) and _may_scatter(rule, accounts):
        what = (
            "a token is good at the account that made it alone, and this rule may send it to another one of the same "
            'provider: ask for {"method": ["redirect"]}, and name one account for tokens'
        )
        warnings.append(FieldError(f"{path}.then", what))


def _takes(capabilities: Capabilities, currency: str, rule: Rule) -> bool:
    limit: CurrencyLimit | None = capabilities.currencies.get(currency)
    if limit is None:
        return False
    range_ = next((one for one in rule.when if isinstance(one, Between)), Between(None, None))
    over = range_.maximum is None or range_.maximum >= limit.minimum
    return over and (range_.minimum is None or range_.minimum <= limit.maximum)


def _may_scatter(rule: Rule, accounts: Accounts) -> bool:
    """May its payments come first to more than one account of a provider that takes tokens?"""
    takers = [
        accounts[one].provider
        for one in rule.accounts
        if "token" in PROVIDERS[accounts[one].provider].capabilities.methods
    ]
    return bool(rule.weights) and len(takers) > len(set(takers))


def _nobody(path: str, providers: Sequence[str], what: str) -> FieldError:
    return FieldError(f"{path}.then", f"{' and '.join(providers)} cannot take {what}: nothing could ever match")


def _values(rule: Rule, fact: str) -> frozenset[str] | None:
    return next((one.values for one in rule.when if isinstance(one, OneOf) and one.fact == fact), None)


def _words(values: frozenset[str] | set[str]) -> str:
    return ", ".join(sorted(values)[:10])


def _shadowed(rules: Sequence[Rule]) -> Iterator[FieldError]:
    """Rules that can never apply, since one before them takes all that they would."""
    for number, rule in enumerate(rules):
        before = next((one for one in rules[:number] if one.covers(rule)), None)
        if before is not None:
            yield FieldError(
                f"rules[{number}]", f"never applies: rule {before.name}, before it, takes all its payments"
            )
