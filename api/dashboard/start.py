"""Where one comes in: the first page, the switch to another merchant or mode, and the files of the pages."""

from __future__ import annotations

from flask import Response, send_from_directory, url_for

from api.answers import optional_id
from api.dashboard import forms
from api.dashboard.frame import HOME, MODES, STATIC, Here, dashboard, go, is_listed, own_page, render, usual_mode
from api.policy import Policy, demands
from api.state import gate
from core.domain.identifiers import public_id
from core.orchestration import admin_reading
from core.orchestration.reading import missing


@own_page("")
def start(here: Here) -> Response:
    """With one merchant there is nothing to choose."""
    found = admin_reading.list_merchants(gate().core, 100, optional_id("merchant", forms.asked("after")))
    if len(found["data"]) == 1 and forms.asked("after") is None:
        return go(url_for(f"dashboard.{HOME}", merchant=found["data"][0]["id"], mode=usual_mode()))
    return render("merchants.html", here, title="Merchants", found=found)


@own_page("/switch")
def switch(here: Here) -> Response:
    """To the same page of another merchant or mode."""
    mode, merchant = forms.asked("mode"), optional_id("merchant", forms.asked("merchant"))
    if mode not in MODES or merchant is None:
        raise missing("page")
    name = forms.asked("page") or HOME
    target = name if is_listed(name) else HOME
    return go(url_for(f"dashboard.{target}", merchant=public_id("merchant", merchant), mode=mode))


@dashboard.get("/static/<name>")
@demands(Policy("public"))
def static_file(name: str) -> Response:
    """Its address changes with what is in it."""
    return send_from_directory(STATIC, name, max_age=365 * 24 * 3600)
