"""What administrators may do: scopes, and the roles that are named sets of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

#: Each is one kind of act on the whole installation; routes of the Admin API and pages of the dashboard name theirs.
SCOPES: Mapping[str, str] = {
    "admin:read": "see merchants, payments, jobs, inbox, findings, reports, health; people's data stays sealed",
    "admin:jobs": "requeue, resolve and cancel jobs; have a payment asked about",
    "admin:inbox": "have a provider's event read again",
    "admin:findings": "assign and resolve findings, with the repairs that go with it",
    "admin:reconciliation": "start comparisons with the providers' books",
    "admin:reveal": "see the data of a person in clear; each look is an audit record",
    "admin:audit": "search, export and verify the audit log",
    "admin:routes": "draft, activate and roll back routes",
    "admin:accounts": "add, rotate, drain, disable and tune provider accounts",
    "admin:merchants": "make and rename merchants",
    "admin:keys": "create, rotate and revoke API keys",
    "admin:people": "make administrators, give roles, end sessions; erase persons",
}

_SEE = frozenset({"admin:read"})

#: The matrix of the documents is printed from this.
ROLES: Mapping[str, frozenset[str]] = {
    "viewer": _SEE,
    "support": _SEE | {"admin:jobs", "admin:inbox", "admin:reveal"},
    "finance": _SEE | {"admin:findings", "admin:reconciliation", "admin:audit"},
    "admin": frozenset(SCOPES),
}

#: Of keys made before there were finer ones.
_ALL = "admin:write"


def expand(scopes: Iterable[str]) -> frozenset[str]:
    """The scopes that a key's list stands for; `admin:write` of older keys stands for all."""
    given = frozenset(scopes)
    return frozenset(SCOPES) if _ALL in given else given & frozenset(SCOPES)
