"""Who is at a page: the session in the cookie, how far it has come, what its role may, and that the form is ours."""

from __future__ import annotations

import hmac
from urllib.parse import urlsplit

import structlog
from flask import Response, g, request

from api import client_address
from api.errors import ConfirmNeeded, Forbidden, LoginNeeded
from api.policy import PAGES, Policy
from api.state import gate
from core.domain.identifiers import public_id
from core.orchestration.administrators import sessions
from core.orchestration.administrators.sessions import Session
from core.orchestration.administrators.trail import From

_SESSION = "tollgate_session"
#: Before there is a session, the login's own form is bound to this.
_VISITOR = "tollgate_visitor"
_DEVICE = "tollgate_device"
_DEVICE_LIFE = 180 * 24 * 3600
#: Longer than any token of ours.
_LONGEST = 100
_SAFE = ("GET", "HEAD")


def come_from() -> From:
    """Where the request comes from, for the audit log."""
    return From(client_address.current() or "", request.headers.get("User-Agent"), g.request_id)


def is_secure() -> bool:
    """Does the browser speak TLS, to us or to the proxy that is trusted?"""
    return client_address.client().secure


def admit(policy: Policy) -> None:
    """Raises LoginNeeded, ConfirmNeeded, Forbidden, RateLimited."""
    session = current()
    stage = None if session is None else _stage(session)
    if session is None or stage not in policy.stages:
        raise LoginNeeded("log in to see this page", stage)
    g.session = session
    structlog.contextvars.bind_contextvars(actor=session.actor)
    gate().limits.spend_admin(public_id("administrator_session", session.id))
    if request.method not in _SAFE:
        check_origin()
    if policy.scope not in session.scopes:
        raise Forbidden(f"the role {session.role} lacks {policy.scope}", code="role_missing")
    if policy.fresh and not session.confirmed:
        raise ConfirmNeeded("give your password or a code again before you do this; nothing was done")


def _stage(session: Session) -> str:
    return "choose" if session.stage == "full" and session.must_choose else session.stage


def current() -> Session | None:
    """Whose cookie this is, if it is somebody's."""
    token = cookie(_SESSION)
    return None if token is None else sessions.find(gate().core, token)


def check_origin() -> None:
    """A browser says from which page a form was sent; one that says another one's is refused. Raises Forbidden."""
    site, origin = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin")
    foreign = site is not None and site != "same-origin"
    if origin is not None and not is_ours(origin):
        foreign = True
    if foreign:
        raise Forbidden("the form was sent from another site; nothing was done", code="form_forged")


def is_ours(url: str) -> bool:
    """Is it an address of this server? A proxy may have taken the port out of what we see."""
    given, here = urlsplit(url), urlsplit(f"//{request.host}")
    try:
        return given.hostname == here.hostname and here.port in (None, given.port)
    except ValueError:  # a port that is no number
        return False


def check_form(policy: Policy) -> None:
    """The form's token is the session's, or before there is one the visitor's. Raises Forbidden."""
    if policy.door == "person":
        holder: str | None = g.session.token
    else:
        check_origin()
        holder = cookie(_VISITOR)
    given = str(g.form.pop("csrf", ""))
    expected = sessions.csrf(holder) if holder else ""
    if not expected or not hmac.compare_digest(given.encode(), expected.encode()):
        raise Forbidden(
            "the form is too old, or not from here; open the page again. Nothing was done", code="form_forged"
        )


def cookie(name: str) -> str | None:
    """Of this name as it is set over this kind of line."""
    found = request.cookies.get(_full(name), "")
    return found if 0 < len(found) <= _LONGEST and found.isascii() else None


def _full(name: str) -> str:
    """A browser takes `__Host-` only over TLS, for this host alone and the whole of it."""
    return f"__Host-{name}" if is_secure() else name


def set_cookie(answer: Response, name: str, value: str, seconds: int | None = None) -> None:
    answer.set_cookie(
        _full(name), value, max_age=seconds, path="/", secure=is_secure(), httponly=True, samesite="Strict"
    )


def begin(answer: Response, token: str) -> Response:
    """The browser holds the session until it is closed; the server ends it by itself."""
    set_cookie(answer, _SESSION, token)
    return answer


def leave(answer: Response) -> Response:
    for name in (_SESSION, _VISITOR):
        set_cookie(answer, name, "", 0)
    return answer


def visitor() -> str | None:
    return cookie(_VISITOR)


def greet(answer: Response, token: str) -> Response:
    set_cookie(answer, _VISITOR, token)
    return answer


def device() -> str | None:
    return cookie(_DEVICE)


def remember(answer: Response, token: str) -> Response:
    set_cookie(answer, _DEVICE, token, _DEVICE_LIFE)
    return answer


def inside(target: str | None) -> str:
    """A place to return to, if it is one of ours; else the first page."""
    if not target or not target.isascii() or not target.isprintable() or "\\" in target or len(target) > 1000:
        return PAGES
    parts = urlsplit(target)
    ours = not parts.scheme and not parts.netloc and (parts.path == PAGES or parts.path.startswith(f"{PAGES}/"))
    return target if ours and "//" not in parts.path and ".." not in parts.path else PAGES
