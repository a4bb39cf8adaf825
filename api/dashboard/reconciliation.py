"""Our books against the providers': runs and how far they are, a new one, and what was paid out, line by line."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import get_args
from uuid import UUID

from flask import Response

from api.answers import optional_id, row_id
from api.dashboard import acting, forms
from api.dashboard.acting import NOT_YET, Refused, attempt
from api.dashboard.frame import Entry, Here, act, back, page, render
from api.errors import InvalidFields
from api.state import gate
from core.domain.errors import FieldError
from core.domain.identifiers import InvalidIdentifier, parse_id, public_id
from core.orchestration import accounts
from core.orchestration.reading import listing
from core.persistence.database import present
from core.reconciliation import exports, payout_reading, runs
from core.reconciliation.payout_reading import Place
from core.reconciliation.runs import Kind, Window

_PAGE = 50
_LINES = 100
_KINDS = get_args(Kind)
_STATUSES = ("queued", "running", "succeeded", "failed")
_PAYOUT_STATUSES = ("matched", "differs", "incomplete", "failed")

#: Kind of run -> what it does.
DOES = {
    "missed_events": "Ask what happened there, and heed what our books do not say",
    "two_way": "Compare charge by charge, both ways",
    "statement": "Match the provider's statement line by line, with fees and payouts",
}
LINES = ("line", "kind", "matched", "amount", "fee", "net", "currency", "payment", "transaction", "refund", "dispute",
         "source", "payout", "original_amount", "original_currency", "exchange_rate", "booked_at")  # fmt: skip


@page("/reconciliation", menu=Entry("Reconciliation", 50))
def list_runs(here: Here) -> Response:
    return _list(here, NOT_YET)


def _list(here: Here, refused: Refused) -> Response:
    core = gate().core
    kind, status = acting.filtered("kind", DOES), acting.filtered("status", _STATUSES)
    rows = runs.list_runs(
        core, here.scope, _PAGE, optional_id("reconciliation_run", forms.asked("after")), kind=kind, status=status
    )
    with core.database.scoped(here.scope) as connection:
        today = present(connection).date()
    found = listing(rows, _PAGE, "reconciliation_run", runs.shown)  # type: ignore[arg-type]
    return render(
        "runs.html", here, refused.status, title="Reconciliation", found=found, kinds=_KINDS, statuses=_STATUSES,
        does=DOES, accounts=accounts.list_accounts(core, here.scope), names=_names(here), refused=refused,
        chosen_values={name: value for name, value in (("kind", kind), ("status", status)) if value},
        since=(today - timedelta(days=3)).isoformat(), until=today.isoformat(),
    )  # fmt: skip


def _names(here: Here) -> dict[str, str]:
    return {one["id"]: one["name"] for one in accounts.list_accounts(gate().core, here.scope)}


@act("/reconciliation", "admin:reconciliation")
def start_run(here: Here) -> Response:
    def do() -> Response:
        account = _account(forms.required("account", "the account"))
        kind: Kind = acting.choice("kind", DOES, "the kind")  # type: ignore[assignment]
        window = _window(here, _day("since"), _day("until"))
        run = runs.start(gate().core, here.scope, account, kind, window, here.session.actor)
        return back(here, "show_run", "The comparison has begun; load this page to follow it.",
                    run=public_id("reconciliation_run", run))  # fmt: skip

    return attempt("start", do, lambda refused: _list(here, refused))


def _account(text: str) -> UUID:
    try:
        return parse_id("provider_account", text)
    except InvalidIdentifier:
        raise InvalidFields("no account is named", errors=[FieldError("account", "choose one of the list")]) from None


def _day(name: str) -> date:
    """Raises InvalidFields."""
    try:
        return date.fromisoformat(forms.required(name, name))
    except ValueError:
        message = "write the day like 2026-11-30"
        raise InvalidFields("a day cannot be read", errors=[FieldError(name, message)]) from None


def _window(here: Here, since: date, until: date) -> Window:
    """Both days are part of it; today goes as far as now."""
    with gate().core.database.scoped(here.scope) as connection:
        now = present(connection)
    begin = datetime(since.year, since.month, since.day, tzinfo=UTC)
    end = datetime(until.year, until.month, until.day, tzinfo=UTC) + timedelta(days=1)
    return Window(begin, now if until == now.date() else end)


@page("/reconciliation/<run>")
def show_run(here: Here, run: str) -> Response:
    found = runs.shown(runs.find(gate().core, here.scope, row_id("reconciliation_run", run)))
    return render("run.html", here, title=DOES[found["kind"]], run=found, names=_names(here))


@page("/payouts", menu=Entry("Payouts", 55))
def list_payouts(here: Here) -> Response:
    status = acting.filtered("status", _PAYOUT_STATUSES)
    after = Place.read(forms.asked("after") or "")
    wanted = payout_reading.Wanted(_PAGE, status=status, after=after)
    return render(
        "payouts.html", here, title="Payouts", found=payout_reading.list_payouts(gate().core, here.scope, wanted),
        names=_names(here), statuses=_PAYOUT_STATUSES, chosen_status=status,
    )  # fmt: skip


@page("/payouts/<account>/<payout>")
def show_payout(here: Here, account: str, payout: str) -> Response:
    core, number = gate().core, row_id("provider_account", account)
    found = payout_reading.find(core, here.scope, number, payout)
    lines = payout_reading.lines(core, here.scope, number, payout, _LINES + 1, forms.asked("after"))
    following = lines[_LINES - 1]["line"] if len(lines) > _LINES else None
    return render(
        "payout.html", here, title="Payout", payout=found, lines=lines[:_LINES], following=following, names=_names(here)
    )


@page("/payouts/<account>/<payout>/lines.csv")
def download_payout_lines(here: Here, account: str, payout: str) -> Response:
    core, number = gate().core, row_id("provider_account", account)
    payout_reading.find(core, here.scope, number, payout)
    rows = payout_reading.all_lines(core, here.scope, number, payout)
    return csv("payout-lines.csv", exports.lines(LINES, rows))


def csv(name: str, lines: object) -> Response:
    answer = Response(lines, content_type="text/csv; charset=utf-8")  # type: ignore[arg-type]
    answer.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    answer.headers["Cache-Control"] = "no-store"
    return answer
