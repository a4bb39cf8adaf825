"""API keys as administrators make and see them. The key itself is shown by the answer that made it, and by no other."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from api.schemas.base import Body, Parameters, Shown
from core.domain.roles import ROLES
from core.orchestration.api_keys import LONGEST_LIFE, LONGEST_OVERLAP
from core.orchestration.key_grants import LONGEST_NAME

_HOURS = 24
_Days = Annotated[
    int | None, Field(None, ge=1, le=LONGEST_LIFE.days, description="Ends after so many days; never if left out.")
]
_Scopes = Annotated[
    list[Annotated[str, Field(min_length=1, max_length=80)]] | None,
    Field(None, min_length=1, max_length=60, description="`payments:*` stands for all of payments, as they are today."),
]
_Name = Annotated[str, Field(min_length=1, max_length=LONGEST_NAME, description="What it is for, as lists show it.")]
_Reason = Annotated[str, Field(min_length=1, max_length=500, description="Kept in the audit log.")]


def _known_role(value: str) -> str:
    """Raises ValueError."""
    if value not in ROLES:
        raise ValueError(f"must be one of {', '.join(ROLES)}")
    return value


class KeyPath(Parameters):
    id: str
    key: str = Field(description="The key's id: what stands between `tg_test_` and the next `_`.")


class AdminKeyPath(Parameters):
    key: str = Field(description="The key's id: what stands between `tg_admin_` and the next `_`.")


class NewKeyBody(Body):
    """Without scopes it may do all that a merchant's key may, except to show people's data in clear."""

    name: _Name
    scopes: _Scopes = None
    days: _Days = None


class NewAdminKeyBody(Body):
    """With scopes or with a role; never with more than you have yourself."""

    name: _Name
    scopes: _Scopes = None
    role: Annotated[str, Field(json_schema_extra={"enum": [*ROLES]}), AfterValidator(_known_role)] | None = None
    days: _Days = None


class RotateKeyBody(Body):
    """The new key may do what the old one may; the old one works beside it for a while."""

    overlap_hours: int = Field(_HOURS, ge=0, le=LONGEST_OVERLAP.days * _HOURS, description="0 ends the old one now.")
    days: _Days = None
    reason: _Reason


class ExpireKeyBody(Body):
    in_hours: int = Field(ge=0, le=LONGEST_LIFE.days * _HOURS, description="An end is never moved to later.")
    reason: _Reason


class RevokeKeyBody(Body):
    reason: _Reason


class ApiKey(Shown):
    """Never with its secret."""

    id: str
    kind: Literal["merchant", "admin"]
    merchant: str | None
    mode: Literal["test", "live"] | None
    name: str
    prefix: str
    scopes: list[str]
    state: Literal["active", "expired", "revoked"]
    created_at: str
    created_by: str | None
    replaces: str | None = Field(description="The key that this one was rotated from.")
    expires_at: str | None
    revoked_at: str | None
    ended_by: str | None
    last_used_at: str | None = Field(description="To the minute.")


class NewApiKey(ApiKey):
    """`key` is shown this once."""

    key: str = Field(description="The key itself: keep it now. Only its hash is stored.")


class ApiKeys(Shown):
    """All of one merchant and mode, or all of administrators."""

    data: list[ApiKey]
