"""What a page of the dashboard stands on: its address with merchant and mode, its demands, its menu, its layout.

A page is a function behind `@page`, a button one behind `@act`:

    @page("/jobs", menu=Entry("Jobs", 30))
    def show_jobs(here: Here) -> Response:
        return render("jobs.html", here, title="Jobs", jobs=…)

    @act("/jobs/<job>/requeue", "admin:jobs")
    def requeue(here: Here, job: str) -> Response:
        review.requeue(gate().core, row_id("job", job), here.because())
        return back(here, "show_jobs", "The job is queued again.")
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, wraps
from pathlib import Path
from typing import Any

from flask import Blueprint, Response, g, render_template, request, url_for

from api import client_address
from api.answers import row_id
from api.dashboard import forms, words
from api.policy import PAGES, Policy, demands
from api.state import gate
from core.orchestration import admin_reading
from core.orchestration.administrators import sessions
from core.orchestration.administrators.sessions import Session
from core.orchestration.context import Caller
from core.orchestration.reading import missing
from core.orchestration.review import Person
from core.persistence.database import Scope

View = Callable[..., Response]
STATIC = Path(__file__).parent / "static"
#: Nothing comes from elsewhere, nothing is inline, nothing may frame it.
CONTENT_POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
MODES = ("test", "live")
#: The switcher lists so many merchants; the others are found on the page of all.
_LISTED = 100

dashboard = Blueprint("dashboard", __name__, url_prefix=PAGES, template_folder="templates")
# Macros see these too, which they would not if each page handed them in.
dashboard.record_once(lambda setup: setup.app.jinja_env.globals.update(words.FILTERS))


@dataclass(frozen=True, slots=True)
class Entry:
    """A page's word in the menu; the menu goes by `place`, and shows what the role may see."""

    label: str
    place: int


@dataclass(frozen=True, slots=True)
class _Listed:
    entry: Entry
    name: str
    scope: str
    of_merchant: bool


_MENU: list[_Listed] = []
#: The page that a merchant begins with.
HOME = "show_overview"


@dataclass(frozen=True, slots=True)
class Here:
    """Who is at which page. `scope` is set on pages of a merchant, `merchant` and `mode` are then its words."""

    session: Session
    merchant: str | None = None
    merchant_name: str | None = None
    mode: str | None = None
    merchant_scope: Scope | None = None

    @property
    def scope(self) -> Scope:
        if self.merchant_scope is None:
            raise RuntimeError("this page has no merchant in its address")
        return self.merchant_scope

    def may(self, scope: str) -> bool:
        """Does the role of who is here hold this scope? Templates ask it before they show a button."""
        return scope in self.session.scopes

    def caller(self) -> Caller:
        """For roads that merchants take, too."""
        return Caller(self.scope, self.session.actor, g.request_id, from_address=client_address.current())

    def because(self) -> Person:
        """Who decides, with the reason the form gives. Raises InvalidFields, RequestRefused."""
        reason = forms.required("reason", "the reason")
        return Person(self.session.actor, reason, g.request_id, client_address.current())

    def url(self, name: str, **values: Any) -> str:
        """Of a page or an act by its function's name, for this merchant and mode."""
        return address(name, self.merchant, self.mode, **values)


_OF_MERCHANT: set[str] = set()


def address(name: str, merchant: str | None, mode: str | None, **values: Any) -> str:
    own: dict[str, Any] = {"merchant": merchant, "mode": mode} if name in _OF_MERCHANT else {}
    return url_for(f"dashboard.{name}", **own, **values)


def page(rule: str, scope: str = "admin:read", *, menu: Entry | None = None, **demanded: Any) -> Callable[[View], View]:
    """A page of one merchant and mode, at `/dashboard/<merchant>/<mode><rule>`."""
    return _route(f"/<merchant>/<mode>{rule}", "GET", Policy("person", scope, **demanded), menu)


def act(rule: str, scope: str, **demanded: Any) -> Callable[[View], View]:
    """What a form of such a page does: POST, with the session's token in the field `csrf`."""
    return _route(f"/<merchant>/<mode>{rule}", "POST", Policy("person", scope, body="form", **demanded), None)


def own_page(
    rule: str, scope: str = "admin:read", *, menu: Entry | None = None, **demanded: Any
) -> Callable[[View], View]:
    """A page of the installation or of the person, without a merchant."""
    return _route(rule, "GET", Policy("person", scope, **demanded), menu)


def own_act(rule: str, scope: str = "admin:read", **demanded: Any) -> Callable[[View], View]:
    return _route(rule, "POST", Policy("person", scope, body="form", **demanded), None)


def _route(rule: str, method: str, policy: Policy, menu: Entry | None) -> Callable[[View], View]:
    of_merchant = rule.startswith("/<merchant>/<mode>")

    def declare(view: View) -> View:
        @wraps(view)
        def shown(**values: str) -> Response:
            here = _here(values.pop("merchant"), values.pop("mode")) if of_merchant else Here(g.session)
            return view(here, **values)

        if of_merchant:
            _OF_MERCHANT.add(view.__name__)
        if menu is not None:
            _MENU.append(_Listed(menu, view.__name__, str(policy.scope), of_merchant))
        dashboard.add_url_rule(rule, view.__name__, demands(policy)(shown), methods=[method])
        return view

    return declare


def public_page(rule: str, method: str = "GET") -> Callable[[View], View]:
    """One that is there before anybody has logged in."""
    policy = Policy("public", body="form" if method == "POST" else "none")

    def declare(view: View) -> View:
        dashboard.add_url_rule(rule, view.__name__, demands(policy)(view), methods=[method])
        return view

    return declare


def _here(merchant: str, mode: str) -> Here:
    """Raises NotFoundError."""
    if mode not in MODES:
        raise missing("page")
    number = row_id("merchant", merchant)
    name = admin_reading.merchant_name(gate().core, number)
    here = Here(g.session, merchant, name, mode, Scope(number, mode))
    g.here = here
    return here


def menu_of(here: Here) -> list[dict[str, Any]]:
    """What the role may see, with the page that is open marked."""
    found = []
    for one in sorted(_MENU, key=lambda listed: listed.entry.place):
        if not here.may(one.scope) or (one.of_merchant and here.merchant is None):
            continue
        url = here.url(one.name)
        # The first page of a merchant is above all the others.
        open_now = request.path == url or (one.name != HOME and request.path.startswith(f"{url}/"))
        found.append({"label": one.entry.label, "url": url, "open": open_now, "name": one.name})
    return found


def is_listed(name: str) -> bool:
    """Is it a page of a merchant that the menu leads to?"""
    return any(one.name == name and one.of_merchant for one in _MENU)


def usual_mode() -> str:
    """Where one looks first: nothing is live beside the local providers."""
    return "test" if gate().core.settings.sandbox else "live"


def _near(here: Here, merchants: Sequence[Mapping[str, Any]]) -> Here:
    """On a page without a merchant the menu leads to the only one there is."""
    if here.merchant is not None or len(merchants) != 1:
        return here
    return replace(here, merchant=merchants[0]["id"], mode=usual_mode())


def render(template: str, here: Here, status: int = 200, **values: Any) -> Response:
    """A page in its frame. What was to be said once is said here."""
    said = here.session.notice
    if said is not None:
        sessions.say(gate().core, here.session, None)
    whole = here.session.stage == "full"
    merchants = admin_reading.list_merchants(gate().core, _LISTED, None)["data"] if whole else []
    text = render_template(
        template, here=here, menu=menu_of(_near(here, merchants)) if whole else [], merchants=merchants,
        csrf=here.session.csrf(), notice=said, style=static_url("style.css"), **values,
    )  # fmt: skip
    return as_page(text, status)


def render_bare(template: str, status: int = 200, **values: Any) -> Response:
    """A page for whom nobody knows yet."""
    return as_page(render_template(template, style=static_url("style.css"), **values), status)


def as_page(text: str, status: int = 200) -> Response:
    answer = Response(text, status, content_type="text/html; charset=utf-8")
    answer.headers["Content-Security-Policy"] = CONTENT_POLICY
    # With `no-referrer` a browser would not say where a form comes from.
    answer.headers["Referrer-Policy"] = "same-origin"
    answer.headers["Cache-Control"] = "no-store"
    return answer


def go(url: str) -> Response:
    """Look there next, by GET."""
    return Response(status=303, headers={"Location": url, "Referrer-Policy": "same-origin"})


def back(here: Here, name: str, notice: str, **values: Any) -> Response:
    """After an act: to a page, which says once what was done."""
    sessions.say(gate().core, here.session, notice)
    return go(here.url(name, **values))


@lru_cache
def _version(name: str) -> str:
    return hashlib.sha256((STATIC / name).read_bytes()).hexdigest()[:12]


def static_url(name: str) -> str:
    """Changes with the file, so that a browser may keep it."""
    return url_for("dashboard.static_file", name=name, v=_version(name))


def frame_values() -> Mapping[str, Any]:
    """For pages about errors, which may come before anything is known."""
    return {"here": g.get("here") or (Here(g.session) if "session" in g else None)}
