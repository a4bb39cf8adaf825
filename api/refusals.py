"""What people and keys that exist were refused, for the audit log: counted by who and why, and written beside."""

from __future__ import annotations

from flask import g, request

from api import client_address
from api.errors import Forbidden
from api.policy import current_policy
from api.state import gate
from core.domain.errors import GrantRefused
from core.orchestration.administrators.sessions import Session
from core.orchestration.administrators.trail import NOBODY
from core.orchestration.key_notes import PERSON_REFUSED, Refusal


def count(what: Refusal) -> None:
    """From where, and what for; both in words that nobody can make up."""
    route = None if request.url_rule is None else f"{request.method} {request.url_rule.rule}"
    gate().key_notes.refused(what, client_address.current(), g.request_id, route)


def note() -> None:
    """After each request: a role that does not reach, a form that is not ours, a grant of more than one has.

    What a key lacks is counted where it is found.
    """
    error, session = g.get("problem"), g.get("session")
    if isinstance(error, GrantRefused):
        _count_grant(session)
    elif isinstance(error, Forbidden) and error.code == "role_missing":
        policy = current_policy()
        _count_person(f"lacks {None if policy is None else policy.scope}", session)
    elif isinstance(error, Forbidden) and error.code == "form_forged":
        _count_person("form_forged", session)


def _count_grant(session: Session | None) -> None:
    if session is None:
        count(Refusal("grant_refused", g.admin.removeprefix("key:")))
    else:
        _count_person("grant_refused", session)


def _count_person(why: str, session: Session | None) -> None:
    """A form of the login itself comes from nobody."""
    count(Refusal(why, person=NOBODY if session is None else session.person, action=PERSON_REFUSED))
