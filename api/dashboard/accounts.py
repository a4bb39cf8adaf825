"""Provider accounts: their state and health, how they are paced, where their webhooks go, and draining them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import Response, request

from api.answers import row_id
from api.dashboard import acting, forms
from api.dashboard.acting import NOT_YET, Refused, attempt
from api.dashboard.frame import Entry, Here, act, back, page, render
from api.dashboard.health import look
from api.state import gate
from core.orchestration import account_care, health, health_changes
from core.providers.registry import PROVIDERS

_HISTORY = 30

#: Where an account may be led -> (button, what it does, what has to be confirmed).
STEPS: Mapping[str, tuple[str, str, str]] = {
    "enabled": ("Enable", "New payments may be routed to it again.", "New payments may go there"),
    "draining": (
        "Drain",
        "No new payment is sent there. What was begun there is finished there: captures, refunds, look-ups, webhooks.",
        "No new payment goes there from now on",
    ),
    "disabled": (
        "Disable",
        "Nothing is sent there any more and its webhooks are refused. Only where no work is open.",
        "Nothing is sent there any more, and its webhooks are refused",
    ),
}


@page("/accounts", menu=Entry("Providers", 60))
def list_accounts(here: Here) -> Response:
    return render("accounts.html", here, title="Provider accounts", looks=look(gate().core, here.scope))


@page("/accounts/<account>")
def show_account_of(here: Here, account: str) -> Response:
    return _shown(here, account, NOT_YET)


def _shown(here: Here, account: str, refused: Refused) -> Response:
    core, number = gate().core, row_id("provider_account", account)
    found = account_care.show(core, here.scope, number)
    with core.database.scoped(here.scope) as connection:
        history = health_changes.history(connection, here.scope, number, _HISTORY)
    return render(
        "account_of.html", here, refused.status, title=found["name"], account=found,
        operations=health.report(core, here.scope, number), history=history, pacing=_pacing(found),
        webhook=request.host_url.rstrip("/") + found["webhook_path"], steps=STEPS,
        reachable=[step for step in STEPS if step in account_care.STEPS[found["status"]]], refused=refused,
    )  # fmt: skip


def _pacing(account: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(limit, requests a second): the account's own setting, else the published figure."""
    own = account["settings"].get("pacing", {})
    published = PROVIDERS[account["provider"]].capabilities.pacing
    total = published.total_test if account["mode"] == "test" else published.total_live
    found = []
    for name, label, figure in (
        ("per_operation", "each operation", published.per_operation),
        ("total", "all together", total),
    ):
        rate, whose = (own[name], "set here") if name in own else (figure, "as the provider publishes it")
        found.append((label, f"{rate:g} requests a second, {whose}" if rate else f"no limit, {whose}"))
    return found


@act("/accounts/<account>/status", "admin:accounts")
def set_account_status(here: Here, account: str) -> Response:
    number = row_id("provider_account", account)
    chosen = forms.field("to")

    def do() -> Response:
        to = acting.choice("to", STEPS, "the state")
        acting.confirmed(STEPS[to][2].lower())
        account_care.set_status(gate().core, here.scope, number, to, here.because())
        return back(here, "show_account_of", f"The account is {to}.", account=account)

    name = f"to-{chosen}" if chosen in STEPS else "to"
    return attempt(name, do, lambda refused: _shown(here, account, refused))
