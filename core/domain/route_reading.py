"""Reading a route from its definition: plain JSON in, a `Route` out, or every mistake in it with its place.

{"rules": [{"name": "nigeria", "when": {"currency": ["NGN"], "amount": {"min": 100000}},
            "then": {"accounts": ["acc_…", "acc_…"]}, "on_soft_decline": "next"}],
 "default": {"then": {"weights": {"acc_…": 70, "acc_…": 30}}}}
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from uuid import UUID

from core.domain.card_numbers import holds_card_number
from core.domain.countries import COUNTRIES
from core.domain.errors import FieldError, RequestRefused
from core.domain.identifiers import InvalidIdentifier, parse_id
from core.domain.money import CURRENCIES, MAX_AMOUNT, digits
from core.domain.routes import DEFAULT, WHOLE, Between, Condition, OneOf, Route, Rule, Tagged

#: More rules than anybody can hold in mind are a table, which metadata can point into.
MOST_RULES = 50
MOST_ACCOUNTS = 20
MOST_VALUES = 100
MOST_FIELDS = 10
LONGEST_VALUE = 500
NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")
_FIELD_NAME = re.compile(r"[A-Za-z0-9_.\-]{1,40}")
#: A saved method is charged by the account that keeps it, whatever the rules say.
METHODS = frozenset({"token", "redirect"})

Say = Callable[[str, str], None]


def read(definition: Any) -> Route:
    """Raises RequestRefused with every mistake in it."""
    errors: list[FieldError] = []

    def say(path: str, message: str) -> None:
        errors.append(FieldError(path, message))

    route = _route(definition, say)
    if errors:
        raise RequestRefused("the route cannot be taken as it is", errors=errors)
    return route


def _route(definition: Any, say: Say) -> Route:
    given = _object(definition, "", ("rules", "default"), say)
    listed = given.get("rules", [])
    if not isinstance(listed, list) or len(listed) > MOST_RULES:
        say("rules", f"must be a list of at most {MOST_RULES} rules")
        listed = []
    rules = [_rule(one, f"rules[{number}]", say) for number, one in enumerate(listed)]
    for number, rule in enumerate(rules):
        if rule.name in {one.name for one in rules[:number]}:
            say(f"rules[{number}].name", "is the name of a rule before it; decisions and reports name rules")
    default = _default(given["default"], say) if given.get("default") is not None else None
    if not rules and default is None:
        say("(definition)", "must hold rules, a default, or both")
    return Route(tuple(rules), default)


def _rule(given: Any, path: str, say: Say) -> Rule:
    told = _object(given, path, ("name", "when", "then", "on_soft_decline"), say, ("name", "then"))
    name = told.get("name", "")
    if not isinstance(name, str) or not NAME.fullmatch(name) or name == DEFAULT or holds_card_number(name):
        if "name" in told:
            say(f"{path}.name", f"must have 1 to 40 small letters, digits, - or _, and not be {DEFAULT!r}")
        name = path
    return Rule(name, _when(told.get("when", {}), f"{path}.when", say), *_then(told, path, say))


def _default(given: Any, say: Say) -> Rule:
    told = _object(given, "default", ("then", "on_soft_decline"), say, ("then",))
    return Rule(DEFAULT, (), *_then(told, "default", say))


def _then(told: Mapping[str, Any], path: str, say: Say) -> tuple[tuple[UUID, ...], tuple[int, ...], bool]:
    after = told.get("on_soft_decline", "stop")
    if after not in ("stop", "next"):
        say(f"{path}.on_soft_decline", "must be stop or next")
    accounts, weights = _accounts(told["then"], f"{path}.then", say) if "then" in told else ((), ())
    return accounts, weights, after == "next"


def _accounts(given: Any, path: str, say: Say) -> tuple[tuple[UUID, ...], tuple[int, ...]]:
    told = _object(given, path, ("accounts", "weights"), say)
    if ("accounts" in told) == ("weights" in told):
        if isinstance(given, Mapping):
            say(path, "must name either accounts, first to last, or weights")
        return (), ()
    if "accounts" in told:
        return _by_priority(told["accounts"], f"{path}.accounts", say), ()
    return _by_weight(told["weights"], f"{path}.weights", say)


def _by_priority(given: Any, path: str, say: Say) -> tuple[UUID, ...]:
    named = _texts(given, path, MOST_ACCOUNTS, say)
    found = _parsed(named, path, say)
    if len(set(found)) < len(found):
        say(path, "names an account twice")
    return tuple(found)


def _by_weight(given: Any, path: str, say: Say) -> tuple[tuple[UUID, ...], tuple[int, ...]]:
    if not isinstance(given, Mapping) or not 1 <= len(given) <= MOST_ACCOUNTS:
        say(path, f"must be an object of 1 to {MOST_ACCOUNTS} accounts and their weights")
        return (), ()
    accounts = _parsed(list(given), path, say)
    weights = [one for one in given.values() if _is_number(one) and 1 <= one <= WHOLE]
    if len(weights) < len(given):
        say(path, f"each weight must be a whole number from 1 to {WHOLE}")
        return (), ()
    if sum(weights) != WHOLE:
        say(path, f"the weights add up to {sum(weights)}, and must add up to {WHOLE}")
    if len(accounts) < len(given):
        return (), ()
    pairs = sorted(zip(accounts, weights, strict=True))  # JSON objects have no order: one of their own, always the same
    return tuple(one for one, _ in pairs), tuple(weight for _, weight in pairs)


def _parsed(named: Iterable[Any], path: str, say: Say) -> list[UUID]:
    found = []
    for one in named:
        try:
            found.append(parse_id("provider_account", one))
        except InvalidIdentifier:
            say(path, "must name accounts by their ids, which begin with acc_")
            break
    return found


def _when(given: Any, path: str, say: Say) -> tuple[Condition, ...]:
    told = _object(given, path, tuple(_READERS), say)
    found = [one for name, value in told.items() for one in _READERS[name](value, f"{path}.{name}", say)]
    if "amount" in told:
        _check_unit(told.get("currency"), f"{path}.amount", say)
    return tuple(found)


def _check_unit(currencies: Any, path: str, say: Say) -> None:
    """5000 are 50 dollars or 5000 yen: a range of amounts means something in one kind of unit only."""
    known = [one for one in currencies if one in CURRENCIES] if isinstance(currencies, list) else []
    if currencies is None:
        say(path, "is in minor units, which every currency has its own of: name the currency as well")
    elif len({digits(one) for one in known}) > 1:
        say(path, "is in minor units, and the currencies of the rule have different ones: make a rule for each")


def _amount(given: Any, path: str, say: Say) -> list[Condition]:
    told = _object(given, path, ("min", "max"), say)
    wrong = [name for name, value in told.items() if not _is_number(value) or not 1 <= value <= MAX_AMOUNT]
    for name in wrong:
        say(f"{path}.{name}", f"must be a whole number from 1 to {MAX_AMOUNT}, in minor units")
    if not told and isinstance(given, Mapping):
        say(path, "must have min, max, or both")
    if wrong or not told:
        return []
    low, high = told.get("min"), told.get("max")
    if low is not None and high is not None and low > high:
        say(path, f"min is {low} and max is {high}: no amount lies between them")
    return [Between(low, high)]


def _currency(given: Any, path: str, say: Say) -> list[Condition]:
    return _among(given, path, CURRENCIES, "a currency of ISO 4217 in capitals", say)


def _country(given: Any, path: str, say: Say) -> list[Condition]:
    return _among(given, path, COUNTRIES, "a country of ISO 3166 by its two letters in capitals", say)


def _method(given: Any, path: str, say: Say) -> list[Condition]:
    if isinstance(given, list) and "saved" in given:
        say(path, "a saved payment method is charged by the account that keeps it, which no rule can change")
        return []
    return _among(given, path, METHODS, "token or redirect", say)


def _among(given: Any, path: str, known: frozenset[str], what: str, say: Say) -> list[Condition]:
    named = _texts(given, path, max(MOST_VALUES, len(known)), say)
    unknown = [one for one in named if one not in known]
    for one in unknown[:5]:
        shown = f"{one!r} is" if len(one) <= 10 and one.isprintable() else "one of the values is"
        say(path, f"{shown} not {what}")
    return [] if unknown else [OneOf(path.rpartition(".")[2], frozenset(named))]


def _customer(given: Any, path: str, say: Say) -> list[Condition]:
    named = _texts(given, path, MOST_VALUES, say)
    for one in named:
        try:
            parse_id("customer", one)
        except InvalidIdentifier:
            say(path, "must name customers by their ids, which begin with cus_")
            return []
    return [OneOf("customer", frozenset(named))]


def _tags(given: Any, path: str, say: Say) -> list[Condition]:
    if not isinstance(given, Mapping) or not 1 <= len(given) <= MOST_FIELDS:
        say(path, f"must be an object of 1 to {MOST_FIELDS} fields, each with a list of values")
        return []
    found: list[Condition] = []
    for name, values in given.items():
        if not isinstance(name, str) or not _FIELD_NAME.fullmatch(name) or holds_card_number(name):
            say(path, "a field's name has 1 to 40 letters, digits, and ._-")
            continue
        named = _texts(values, f"{path}.{name}", MOST_VALUES, say)
        found.append(Tagged(path.rpartition(".")[2], name, frozenset(named)))
    return found


#: Condition -> how it is read. What a rule may ask for.
_READERS: Mapping[str, Callable[[Any, str, Say], list[Condition]]] = {
    "currency": _currency,
    "country": _country,
    "amount": _amount,
    "method": _method,
    "customer": _customer,
    "metadata": _tags,
    "customer_metadata": _tags,
}


def _texts(given: Any, path: str, most: int, say: Say) -> list[str]:
    if not isinstance(given, list) or not 1 <= len(given) <= most or not all(isinstance(one, str) for one in given):
        say(path, f"must be a list of 1 to {most} texts; an empty one could never hold")
        return []
    if any(len(one) > LONGEST_VALUE or not one.isprintable() for one in given):
        say(path, f"each text may have {LONGEST_VALUE} characters and no control characters")
        return []
    if any(holds_card_number(one) for one in given):
        say(path, "looks like it holds a card number; leave it out")
        return []
    return given


def _object(
    given: Any, path: str, known: tuple[str, ...], say: Say, required: tuple[str, ...] = ()
) -> Mapping[str, Any]:
    """What is known of it; what is missing or unknown is said."""
    if not isinstance(given, Mapping):
        say(path or "(definition)", "must be an object")
        return {}
    prefix = f"{path}." if path else ""
    for name in given:
        if name not in known:
            say(f"{prefix}{str(name)[:60]}", f"is not known here; there is {', '.join(known)}")
    for name in required:
        if name not in given:
            say(f"{prefix}{name}", "is required")
    return {name: given[name] for name in known if name in given}


def _is_number(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
