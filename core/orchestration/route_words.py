"""Why a payment was routed as it was, in plain words: from what is kept with it, for its timeline and for `explain`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

Kept = Mapping[str, Any]
#: {id of an account: its name for people}. An account that is not in it is called by its id.
Names = Mapping[str, str]


def summary(kept: Kept, provider: str | None) -> str:
    """One sentence."""
    if provider is None:
        return f"To be routed by {_rule(kept)}" if "version" in kept else "No provider chosen"
    how = f" by {_rule(kept)}" if "version" in kept else " by the accounts' own priority"
    weight = kept.get("weights", {}).get(kept.get("chosen"))
    drawn = f", which gives its account {weight} of 100 payments" if weight is not None else ""
    left_out = [
        f"{one['provider']} ({'; '.join(one['reasons'])})" for one in kept.get("candidates", ()) if one["reasons"]
    ]
    return f"Routed to {provider}{how}{drawn}{'; left out: ' + ', '.join(left_out) if left_out else ''}"


def lines(kept: Kept, names: Names) -> list[str]:
    """Everything that was weighed, a sentence each."""
    return [*_about_rules(kept, names), *(_about_account(one, kept, names) for one in kept.get("candidates", ()))]


def _rule(kept: Kept) -> str:
    named = "the default" if kept["rule"] == "default" else f"rule {kept['rule']}"
    return f"{named} of route version {kept['version']}"


def _called(account: str, names: Names) -> str:
    """Its name, with the id where another account bears the same one."""
    name = names.get(account)
    if name is None:
        return account
    return name if list(names.values()).count(name) == 1 else f"{name} {account}"


def _about_rules(kept: Kept, names: Names) -> Iterator[str]:
    if "version" not in kept:
        yield "No route was active: accounts are tried by their own priority."
        return
    for one in kept["tried"]:
        yield f"Rule {one['rule']} does not apply: {'; '.join(one['against'])}."
    yield f"{_rule(kept)[0].upper()}{_rule(kept)[1:]} applies."
    if "order" not in kept:
        yield "It names no accounts: they are tried by their own priority."
    elif "weights" in kept:
        shares = ", ".join(f"{_called(account, names)} {weight}" for account, weight in kept["weights"].items())
        yield f"By weight ({shares} of 100), drawn by the payment's id: {_then(kept['order'], names)}."
    else:
        yield f"In this order: {_then(kept['order'], names)}."
    if kept.get("on_soft_decline") == "next":
        yield "After a soft decline on a page that the customer has not seen, the next account is tried."


def _then(accounts: Sequence[str], names: Names) -> str:
    return ", then ".join(_called(one, names) for one in accounts)


def _about_account(one: Mapping[str, Any], kept: Kept, names: Names) -> str:
    name = f"{_called(one['account'], names)} ({one['provider']})"
    if one["reasons"]:
        return f"{name} is left out: {'; '.join(one['reasons'])}."
    chosen = " and was chosen" if one["account"] == kept.get("chosen") else ""
    return f"{name} can carry it{chosen}{_health(one.get('health'))}."


def _health(health: Mapping[str, Any] | None) -> str:
    if health is None:
        return ""
    said = {"closed": "its circuit is closed", "open": "its circuit is open"}
    state = said.get(health["circuit"], "its circuit is half open")
    if not health["calls"]:
        return f"; {state}"
    if health["calls"] == 1:
        return f"; {state}, and its one call was {'' if health['success'] else 'not '}answered"
    return f"; {state}, and of {health['calls']} calls {round(100 * (health['success'] or 0))} in 100 were answered"
