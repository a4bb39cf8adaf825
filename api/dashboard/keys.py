"""A merchant's API keys: listed without their secrets, made and rotated behind a fresh login, shown once, revoked."""

from __future__ import annotations

from datetime import timedelta

from flask import Response, g

from api import client_address
from api.dashboard import acting, forms
from api.dashboard.acting import NOT_YET, Refused, attempt
from api.dashboard.frame import Entry, Here, act, back, page, render
from api.errors import InvalidFields
from api.state import gate
from core.domain.errors import FieldError
from core.domain.key_form import NewKey
from core.domain.scopes import MERCHANT
from core.orchestration import api_keys
from core.orchestration.key_grants import Granter

_MOST_DAYS = 3650
_OVERLAPS = {"0": "at once", "1": "after an hour", "24": "after a day", "168": "after a week"}
_SCOPES = tuple(MERCHANT)


@page("/keys", menu=Entry("API keys", 80))
def list_keys(here: Here) -> Response:
    return render("keys.html", here, title="API keys", keys=api_keys.list_keys(gate().core, here.scope))


@page("/keys/new", "admin:keys", fresh=True)
def new_key(here: Here) -> Response:
    return _form(here, NOT_YET)


def _form(here: Here, refused: Refused) -> Response:
    return render(
        "key_new.html", here, refused.status, title="A new API key", scopes=MERCHANT, refused=refused,
    )  # fmt: skip


@act("/keys", "admin:keys", fresh=True)
def make_key(here: Here) -> Response:
    def do() -> Response:
        chosen = [one for one in _SCOPES if forms.field(f"scope_{one}") == "yes"]
        if not chosen:
            raise InvalidFields("a key that may do nothing opens nothing", errors=[FieldError("scopes", "tick some")])
        made = api_keys.create(
            gate().core, kind="live" if here.mode == "live" else "test", merchant_id=here.scope.merchant_id,
            name=forms.required("name", "the name"), scopes=chosen, lifetime=_days(forms.field("days")),
            by=_granter(here),
        )  # fmt: skip
        return _once(here, made)

    return attempt("new", do, lambda refused: _form(here, refused))


@page("/keys/<key>", "admin:keys", fresh=True)
def show_key(here: Here, key: str) -> Response:
    return _shown(here, key, NOT_YET)


def _shown(here: Here, key: str, refused: Refused) -> Response:
    found = api_keys.show(gate().core, key, here.scope)
    return render("key.html", here, refused.status, title=found["name"], key=found, overlaps=_OVERLAPS, refused=refused)


@act("/keys/<key>/rotate", "admin:keys", fresh=True)
def rotate_key(here: Here, key: str) -> Response:
    def do() -> Response:
        overlap = timedelta(hours=int(acting.choice("overlap", _OVERLAPS, "when the old one ends")))
        by = _granter(here, here.because().reason)
        return _once(here, api_keys.rotate(gate().core, key, by, scope=here.scope, overlap=overlap), key)

    return attempt("rotate", do, lambda refused: _shown(here, key, refused))


@act("/keys/<key>/revoke", "admin:keys", fresh=True)
def revoke_key(here: Here, key: str) -> Response:
    def do() -> Response:
        acting.confirmed("whoever uses it is refused from now on")
        api_keys.revoke(gate().core, key, _granter(here, here.because().reason), scope=here.scope)
        return back(here, "list_keys", "The key is revoked: it is refused from its next request on.")

    return attempt("revoke", do, lambda refused: _shown(here, key, refused))


def _once(here: Here, made: NewKey, old: str | None = None) -> Response:
    """Not by a redirect: the text of the key is in this answer and nowhere else."""
    return render("key_made.html", here, 201, title="The new API key", made=made, old=old)


def _days(text: str) -> timedelta | None:
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 4 and 1 <= int(text) <= _MOST_DAYS):
        message = f"a whole number of days from 1 to {_MOST_DAYS}, or nothing"
        raise InvalidFields("the lifetime cannot be read", errors=[FieldError("days", message)])
    return timedelta(days=int(text))


def _granter(here: Here, reason: str | None = None) -> Granter:
    """Nobody grants more than they have."""
    return Granter(here.session.actor, here.session.scopes, reason, g.request_id, client_address.current())
