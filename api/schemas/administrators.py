"""Administrators as the Admin API makes and shows them. A password is shown by the answer that made it alone."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from api.schemas.base import Body, Shown, id_pattern

_Role = Literal["viewer", "support", "finance", "admin"]
_Name = Annotated[
    str,
    Field(min_length=2, max_length=80, pattern=r"^[a-z0-9][a-z0-9._@+-]{1,79}$", description="They log in with it."),
]


class NewAdministratorBody(Body):
    """Never with a role that may more than you."""

    name: _Name
    role: _Role


class RoleBody(Body):
    role: _Role


class EndSessionsBody(Body):
    """Without a session: all of them."""

    session: Annotated[str, Field(pattern=id_pattern("administrator_session"))] | None = None


class Administrator(Shown):
    """Never with password or key."""

    id: str = Field(pattern=id_pattern("administrator"))
    name: str
    role: _Role
    status: Literal["enabled", "disabled"]
    has_code: bool = Field(description="A device for codes is set up.")
    must_choose_password: bool = Field(description="The present one was made for them, and is good for a day.")
    created_by: str
    created_at: str
    seen_at: str | None


class Administrators(Shown):
    """All of them."""

    data: list[Administrator]


class NewAccess(Shown):
    """`password` is shown this once."""

    administrator: Administrator
    password: str


class Session(Shown):
    """Where an administrator is logged in, or on the way."""

    id: str = Field(pattern=id_pattern("administrator_session"))
    stage: Literal["code", "enrol", "full"]
    address: str
    agent: str | None
    created_at: str
    seen_at: str
    expires_at: str


class Sessions(Shown):
    """Those that are not over."""

    data: list[Session]


class SessionsEnded(Shown):
    ended: int
