"""The person's own page: who they are, where they are logged in, password and spare codes, and the way out."""

from __future__ import annotations

from flask import Response, request, url_for

from api.answers import row_id
from api.dashboard import door, forms
from api.dashboard.frame import Here, go, own_act, own_page, render, render_bare
from api.dashboard.login import say_when
from api.errors import InvalidFields, status_of
from api.state import gate
from core.domain.errors import LoginRefused, RequestRefused, TollgateError, TooManyTries
from core.domain.identifiers import public_id
from core.domain.roles import SCOPES
from core.orchestration.administrators import passwords, roster, sessions

_ANY_STAGE = ("code", "enrol", "choose", "full")


@own_page("/account")
def show_account(here: Here) -> Response:
    own = here.session
    return render(
        "account.html", here, title="Your account", sessions=sessions.listed(gate().core, own.person),
        this=public_id("administrator_session", own.id), scopes={name: SCOPES[name] for name in sorted(own.scopes)},
        spare=sessions.spare_codes_left(gate().core, own),
    )  # fmt: skip


@own_act("/account/sessions/end", while_paused=True)
def end_own_sessions(here: Here) -> Response:
    """One of them, or all but this one."""
    wanted = forms.field("session")
    one = row_id("administrator_session", wanted) if wanted else None
    but = None if one is not None else here.session.id
    ended = sessions.revoke(
        gate().core, here.session.person, by=here.session.actor, come_from=door.come_from(), one=one, but=but
    )
    sessions.say(gate().core, here.session, f"Sessions ended: {ended}.")
    return go(url_for("dashboard.show_account"))


@own_page("/account/password", stages=("choose", "full"), while_paused=True)
def show_password(here: Here) -> Response:
    return _password_page(here)


def _password_page(here: Here, problem: TollgateError | None = None) -> Response:
    answer = render(
        "password.html", here, 200 if problem is None else status_of(problem), title="Choose a password",
        problem=problem, shortest=passwords.SHORTEST, next=door.inside(request.args.get("next")),
    )  # fmt: skip
    say_when(answer, problem)
    return answer


@own_act("/account/password", stages=("choose", "full"), while_paused=True)
def change_password(here: Here) -> Response:
    old, new = forms.secret("password"), forms.secret("new_password")
    try:
        if new != forms.secret("again"):
            raise InvalidFields("the two new passwords are not the same")
        ended = roster.change_password(gate().core, gate().logins, here.session, old, new, door.come_from())
    except (LoginRefused, RequestRefused, InvalidFields, TooManyTries) as problem:
        return _password_page(here, problem)
    sessions.say(gate().core, here.session, f"Your password is changed; other sessions ended: {ended}.")
    return go(door.inside(request.args.get("next")))


@own_act("/account/spare_codes", fresh=True, while_paused=True)
def renew_spare_codes(here: Here) -> Response:
    made = roster.new_spare_codes(gate().core, here.session, door.come_from())
    return render_bare("spare.html", title="Your spare codes", spare=made, onward=url_for("dashboard.show_account"))


@own_act("/logout", stages=_ANY_STAGE, while_paused=True)
def log_out(here: Here) -> Response:
    sessions.end(gate().core, here.session, door.come_from())
    return door.leave(go(url_for("dashboard.start")))
