"""The way in, as pages: name and password, then a code, or a device to be set up; and the question asked again."""

from __future__ import annotations

import secrets

import segno
from flask import Response, g, request, url_for

from api import client_address
from api.dashboard import door, forms
from api.dashboard.frame import Here, go, own_act, own_page, public_page, render, render_bare
from api.errors import status_of
from api.state import gate
from core.domain.errors import LoginRefused, TollgateError, TooManyTries
from core.orchestration.administrators import codes, login, sessions


def _next() -> str:
    return door.inside(request.args.get("next"))


def _next_step(stage: str) -> str:
    step = {"code": "dashboard.ask_code", "enrol": "dashboard.show_enrolment"}[stage]
    return url_for(step, next=_next())


@public_page("/login")
def show_login() -> Response:
    """Who is in already has no use for it."""
    session = door.current()
    if session is not None and session.stage == "full":
        return go(_next())
    return _login_page()


def _login_page(problem: TollgateError | None = None, name: str = "") -> Response:
    """Its form is bound to the browser it was shown to, so that no other site can log somebody in."""
    visitor = door.visitor() or secrets.token_urlsafe(32)
    answer = render_bare(
        "login.html", 200 if problem is None else status_of(problem), title="Log in", csrf=sessions.csrf(visitor),
        problem=problem, name=name, next=_next(), plain_line=_is_plain(),
    )  # fmt: skip
    say_when(answer, problem)
    return door.greet(answer, visitor)


def _is_plain() -> bool:
    """Over a network, without TLS: whoever listens reads the password."""
    client = client_address.client()
    return not client.secure and client.address not in ("127.0.0.1", "::1", None)


def say_when(answer: Response, problem: TollgateError | None) -> None:
    """To whom tries too often."""
    if isinstance(problem, TooManyTries):
        answer.headers["Retry-After"] = str(problem.retry_after)
    if problem is not None:
        g.problem_code = problem.code


@public_page("/login", "POST")
def log_in() -> Response:
    name = forms.field("name")
    try:
        begun = gate().logins.give_password(name, forms.secret("password"), door.device(), door.come_from())
    except TollgateError as problem:
        return _login_page(problem, name)
    return door.begin(go(_next_step(begun.stage)), begun.token)


@own_page("/code", stages=("code",), while_paused=True)
def ask_code(here: Here) -> Response:
    return _code_page(here)


def _code_page(here: Here, problem: TollgateError | None = None) -> Response:
    status = 200 if problem is None else status_of(problem)
    answer = render("code.html", here, status, title="Your code", problem=problem, next=_next())
    say_when(answer, problem)
    return answer


@own_act("/code", stages=("code",), while_paused=True)
def give_code(here: Here) -> Response:
    try:
        found = gate().logins.give_code(here.session, forms.secret("code"), door.device(), door.come_from())
    except (LoginRefused, TooManyTries) as problem:
        return _code_page(here, problem)
    return _come_in(go(_next()), found)


def _come_in(answer: Response, found: login.In) -> Response:
    door.begin(answer, found.token)
    if found.device is not None:
        door.remember(answer, found.device)
    return answer


@own_page("/enrol", stages=("enrol",), while_paused=True)
def show_enrolment(here: Here) -> Response:
    return _enrolment_page(here)


def _enrolment_page(here: Here, problem: TollgateError | None = None) -> Response:
    secret = login.pending_secret(gate().core, here.session)
    picture = segno.make(codes.uri(here.session.name, secret), error="m").svg_data_uri(
        scale=5, dark="#000", light="#fff"
    )
    status = 200 if problem is None else status_of(problem)
    answer = render(
        "enrol.html", here, status, title="Set up your codes", picture=picture, secret=_in_fours(secret),
        problem=problem, next=_next(),
    )  # fmt: skip
    say_when(answer, problem)
    return answer


def _in_fours(secret: str) -> str:
    return " ".join(secret[start : start + 4] for start in range(0, len(secret), 4))


@own_act("/enrol", stages=("enrol",), while_paused=True)
def enrol(here: Here) -> Response:
    try:
        found = gate().logins.enrol(here.session, forms.secret("code"), door.device(), door.come_from())
    except (LoginRefused, TooManyTries) as problem:
        return _enrolment_page(here, problem)
    answer = render_bare("spare.html", title="Your spare codes", spare=found.spare, onward=_next())
    return _come_in(answer, found)


@own_page("/confirm", stages=("full",))
def ask_again(here: Here) -> Response:
    return _confirm_page(here)


def _confirm_page(here: Here, problem: TollgateError | None = None) -> Response:
    status = 200 if problem is None else status_of(problem)
    answer = render("confirm.html", here, status, title="Say again who you are", problem=problem, next=_next())
    say_when(answer, problem)
    return answer


@own_act("/confirm", while_paused=True)
def confirm(here: Here) -> Response:
    try:
        gate().logins.confirm(here.session, forms.secret("password"), door.come_from())
    except (LoginRefused, TooManyTries) as problem:
        return _confirm_page(here, problem)
    return go(_next())
