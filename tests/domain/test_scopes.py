"""Which scopes names stand for: themselves, several under a wildcard, those of older names, of a role."""

from __future__ import annotations

import pytest

from core.domain import roles, scopes


@pytest.mark.parametrize(
    ("kind", "names", "meant"),
    [
        ("test", ["payments:read"], {"payments:read"}),
        ("live", ["payments:*"], {"payments:read", "payments:write"}),
        ("test", ["customers:*"], {"customers:read", "customers:write", "customers:reveal"}),
        ("test", ["webhooks:manage"], {"webhook_endpoints:read", "webhook_endpoints:write"}),
        ("test", ["refunds:write", "refunds:*"], {"refunds:read", "refunds:write"}),
        ("admin", ["admin:*"], set(roles.SCOPES)),
        ("admin", ["admin:write"], set(roles.SCOPES)),
        ("admin", ["admin:jobs", "admin:read"], {"admin:jobs", "admin:read"}),
    ],
)
def test_names_stand_for_scopes(kind: str, names: list[str], meant: set[str]) -> None:
    assert scopes.chosen(kind, names) == meant


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("test", "admin:read"),
        ("test", "admin:*"),
        ("admin", "payments:*"),
        ("admin", "webhooks:manage"),
        ("test", "*"),
        ("test", ":*"),
        ("test", "*:*"),
        ("test", "pay*:*"),
        ("test", "payments:r*"),
        ("test", "payments"),
        ("test", ""),
    ],
)
def test_names_that_stand_for_nothing_are_refused(kind: str, name: str) -> None:
    with pytest.raises(ValueError, match="unknown scopes"):
        scopes.chosen(kind, ["payments:read" if kind == "test" else "admin:read", name])


def test_people_are_shown_in_clear_by_name_only() -> None:
    assert set(scopes.MERCHANT) - scopes.USUAL == {"customers:reveal"}


def test_older_admin_keys_keep_what_they_might() -> None:
    assert roles.expand(["admin:read", "admin:write"]) == set(roles.SCOPES)
    assert roles.expand(["admin:read"]) == {"admin:read"}
    assert roles.expand(["admin:jobs", "payments:write", "anything"]) == {"admin:jobs"}


def test_roles_are_made_of_scopes_that_exist() -> None:
    assert all(allowed <= set(roles.SCOPES) for allowed in roles.ROLES.values())
    assert roles.ROLES["admin"] == set(roles.SCOPES)
