"""What merchants are told: events with every attempt to deliver them, sending one again, and where they go."""

from __future__ import annotations

from flask import Response

from api.answers import optional_id, row_id
from api.dashboard import forms
from api.dashboard.acting import NOT_YET, Refused, attempt
from api.dashboard.frame import Entry, Here, act, back, page, render
from api.state import gate
from core.orchestration import merchant_events, webhook_endpoints

_PAGE = 50
_LONGEST_KIND = 100


@page("/events", menu=Entry("Events", 35))
def list_events(here: Here) -> Response:
    kind = (forms.asked("type") or "")[:_LONGEST_KIND] or None
    payment = forms.asked("payment")
    found = merchant_events.list_events(
        gate().core, here.scope, _PAGE, optional_id("event", forms.asked("after")), kind=kind,
        payment_id=optional_id("payment", payment),
    )  # fmt: skip
    chosen = {name: value for name, value in (("type", kind), ("payment", payment)) if value}
    return render("events.html", here, title="Events", found=found, chosen_values=chosen)


@page("/events/<event>")
def show_event(here: Here, event: str) -> Response:
    return _shown(here, event, NOT_YET)


def _shown(here: Here, event: str, refused: Refused) -> Response:
    """Without its body: that holds what the merchant wrote, and the payment's page shows it as it is now."""
    found = merchant_events.get_event(gate().core, here.scope, row_id("event", event))
    return render("event.html", here, refused.status, title=found["type"], event=found, refused=refused)


@act("/events/<event>/redeliver", "admin:jobs")
def redeliver_event(here: Here, event: str) -> Response:
    number = row_id("event", event)

    def do() -> Response:
        answer = merchant_events.redeliver(gate().core, here.caller(), number)
        several = len(answer.body["jobs"])
        notice = f"It is sent again to {several} endpoint{'' if several == 1 else 's'}; load this page in a moment."
        return back(here, "show_event", notice, event=event)

    return attempt("redeliver", do, lambda refused: _shown(here, event, refused))


@page("/endpoints")
def list_endpoints(here: Here) -> Response:
    found = webhook_endpoints.list_endpoints(gate().core, here.scope, webhook_endpoints.MOST_ENDPOINTS)
    return render("endpoints.html", here, title="Webhook endpoints", found=found)
