"""What an API key may do: the scopes there are, and the names that stand for several."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase

from core.domain.roles import SCOPES as ADMIN

#: Of merchants' keys; each route of /v1 names the one it needs.
MERCHANT: Mapping[str, str] = {
    "payments:read": "see payments, their timelines and jobs, and what providers can do",
    "payments:write": "create, capture and cancel payments; have one asked about",
    "refunds:read": "see refunds",
    "refunds:write": "give money back",
    "disputes:read": "see disputes",
    "disputes:write": "send evidence, accept disputes",
    "customers:read": "see customers and their payment methods",
    "customers:write": "create, change and erase customers; forget payment methods",
    "customers:reveal": "see the data of a person in clear; each look is an audit record",
    "events:read": "see events",
    "events:write": "have an event delivered again",
    "webhook_endpoints:read": "see webhook endpoints",
    "webhook_endpoints:write": "make, change and delete webhook endpoints",
}

#: A key shows people in clear only where somebody has asked for that by name.
USUAL = frozenset(MERCHANT) - {"customers:reveal"}

#: Names that stand for several, beside those that end in `:*`.
_ALIASES: Mapping[str, frozenset[str]] = {
    "webhooks:manage": frozenset({"webhook_endpoints:read", "webhook_endpoints:write"}),
    "admin:write": frozenset(ADMIN),
}


def known(kind: str) -> frozenset[str]:
    """All scopes of an `admin` key, or of any other, which is a merchant's."""
    return frozenset(ADMIN) if kind == "admin" else frozenset(MERCHANT)


def chosen(kind: str, names: Iterable[str]) -> frozenset[str]:
    """The scopes that somebody means who names scopes, aliases or wildcards as `payments:*`.

    What a wildcard stands for is fixed on the day it is used: no key learns to do more with a later version.

    Raises:
        ValueError: a name stands for nothing that a key of this kind may do.
    """
    everything, found, strange = known(kind), set[str](), []
    for name in names:
        meant = {name} & everything or _several(name) & everything
        found |= meant
        if not meant:
            strange.append(name)
    if strange:
        listed = ", ".join(sorted(everything))
        raise ValueError(f"unknown scopes: {', '.join(sorted(strange))}; known are {listed}")
    return frozenset(found)


def _several(name: str) -> frozenset[str]:
    if name.endswith(":*") and "*" not in name[:-1]:
        return frozenset(scope for scope in (*MERCHANT, *ADMIN) if fnmatchcase(scope, name))
    return _ALIASES.get(name, frozenset())
