"""Administrators, for those who may make them: listed, made, given roles, closed, their sessions ended."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

from flask import Response, url_for

from api.answers import row_id
from api.dashboard import door, forms
from api.dashboard.frame import Entry, Here, go, own_act, own_page, render
from api.state import gate
from core.domain.identifiers import public_id
from core.domain.roles import ROLES, SCOPES
from core.orchestration.administrators import roster, sessions
from core.orchestration.administrators.roster import Access, By

_PEOPLE = "admin:people"
_ONE = "/people/<person>"


def _by(here: Here) -> By:
    return By(here.session.actor, door.come_from(), here.session.scopes)


@own_page("/people", _PEOPLE, menu=Entry("People", 90))
def list_people(here: Here) -> Response:
    return render(
        "people.html", here, title="People", people=roster.listed(gate().core), roles=ROLES, scopes=SCOPES,
        own=public_id("administrator", here.session.person),
    )  # fmt: skip


@own_act("/people", _PEOPLE, fresh=True)
def create_person(here: Here) -> Response:
    made = roster.create(gate().core, forms.required("name", "the name"), forms.field("role"), _by(here))
    return _hand_over(here, made, f"{made.name} is an administrator now.")


def _hand_over(here: Here, made: Access, sentence: str) -> Response:
    """The password is on this one page, which no browser keeps."""
    person = public_id("administrator", made.id)
    return render("access.html", here, title="Hand this over", made=made, sentence=sentence, person=person)


@own_page(_ONE, _PEOPLE)
def show_person(here: Here, person: str) -> Response:
    number = row_id("administrator", person)
    return render(
        "person.html", here, title="Administrator", person=roster.get(gate().core, number), roles=ROLES,
        sessions=sessions.listed(gate().core, number), self_too=number == here.session.person,
    )  # fmt: skip


@own_act(f"{_ONE}/role", _PEOPLE, fresh=True)
def give_role(here: Here, person: str) -> Response:
    role = forms.required("role", "the role")
    return _done(
        here, person, lambda number: roster.set_role(gate().core, number, role, _by(here)), "The role is changed."
    )


def _done(here: Here, person: str, act: Callable[[UUID], object], sentence: str) -> Response:
    act(row_id("administrator", person))
    sessions.say(gate().core, here.session, sentence)
    return go(url_for("dashboard.show_person", person=person))


@own_act(f"{_ONE}/disable", _PEOPLE, fresh=True)
def disable_person(here: Here, person: str) -> Response:
    return _done(here, person, lambda number: roster.disable(gate().core, number, _by(here)), "The account is closed.")


@own_act(f"{_ONE}/enable", _PEOPLE, fresh=True)
def enable_person(here: Here, person: str) -> Response:
    return _done(
        here, person, lambda number: roster.enable(gate().core, number, _by(here)), "The account is open again."
    )


@own_act(f"{_ONE}/sessions/end", _PEOPLE, fresh=True, while_paused=True)
def end_sessions_of(here: Here, person: str) -> Response:
    wanted = forms.field("session")
    one = row_id("administrator_session", wanted) if wanted else None

    def end(number: UUID) -> None:
        sessions.revoke(gate().core, number, by=here.session.actor, come_from=door.come_from(), one=one)

    return _done(here, person, end, "Ended.")


@own_act(f"{_ONE}/password", _PEOPLE, fresh=True)
def reset_password_of(here: Here, person: str) -> Response:
    made = roster.reset_password(gate().core, row_id("administrator", person), _by(here))
    return _hand_over(here, made, f"{made.name} has another password; their sessions are over.")


@own_act(f"{_ONE}/code", _PEOPLE, fresh=True)
def reset_code_of(here: Here, person: str) -> Response:
    number = row_id("administrator", person)
    sentence = "Their device counts no more: they set up another when they log in next."
    return _done(here, person, lambda _: roster.reset_code(gate().core, number, _by(here)), sentence)
