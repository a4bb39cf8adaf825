"""Findings: listed, one with what both sides say and the money at stake, put into hands, and ended with a repair."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args
from uuid import UUID

from flask import Response

from api.answers import optional_id, row_id
from api.dashboard import acting, forms, words
from api.dashboard.acting import NOT_YET, Refused, attempt
from api.dashboard.frame import Entry, Here, act, back, page, render
from api.errors import InvalidFields
from api.state import gate
from core.domain.errors import FieldError, StateConflict
from core.domain.findings import KINDS, Repair, Severity
from core.domain.identifiers import InvalidIdentifier, parse_id
from core.orchestration.reading import listing
from core.reconciliation import findings as roads

_PAGE = 50
_STATUSES = ("unresolved", "open", "assigned", "resolved")
_SEVERITIES = get_args(Severity)

#: Repair -> (button, what it does to the money).
REPAIRS: Mapping[str, tuple[str, str]] = {
    "take_over": (
        "Take over what the provider says",
        "The provider is asked once more, and our books take its answer over like any other. Nothing is sent that "
        "moves money.",
    ),
    "link": (
        "It belongs to a payment of ours",
        "The provider's charge is taken over as surplus money of the payment you name: it counts as received "
        "and is reported. While that payment has a charge of its own, its refunds are taken from that: then give this "
        "one back at the provider's dashboard, and the refund is taken over here.",
    ),
    "refund_surplus": (
        "Give the surplus back",
        "Money leaves the merchant's balance: the whole surplus is refunded to whoever paid it.",
    ),
    "done": ("It was put right elsewhere", "Nothing of ours changes. The finding ends."),
    "ignore": ("Looked at, nothing to do", "Nothing of ours changes. The finding ends."),
}
#: Those that take money out of the account ask for more than a button.
_DANGEROUS = "refund_surplus"


@page("/findings", menu=Entry("Findings", 40))
def list_findings(here: Here) -> Response:
    status = acting.filtered("status", _STATUSES) or "unresolved"
    kind, severity = acting.filtered("kind", KINDS), acting.filtered("severity", _SEVERITIES)
    wanted = roads.Wanted(
        limit=_PAGE,
        after=optional_id("finding", forms.asked("after")),
        status=status,  # type: ignore[arg-type]
        kind=kind,
        severity=severity,  # type: ignore[arg-type]
        run_id=optional_id("reconciliation_run", forms.asked("run")),
        payment_id=optional_id("payment", forms.asked("payment")),
    )
    rows = roads.list_findings(gate().core, here.scope, wanted)
    found = listing(rows, _PAGE, "finding", roads.shown)  # type: ignore[arg-type]
    chosen = {"status": status, "kind": kind, "severity": severity}
    chosen |= {name: forms.asked(name) for name in ("run", "payment")}
    return render(
        "findings.html", here, title="Findings", found=found, statuses=_STATUSES, kinds=sorted(KINDS),
        severities=_SEVERITIES, chosen_values={name: value for name, value in chosen.items() if value},
    )  # fmt: skip


@page("/findings/<finding>")
def show_finding(here: Here, finding: str) -> Response:
    return _shown(here, finding, NOT_YET)


def _shown(here: Here, finding: str, refused: Refused) -> Response:
    found = _found(here, finding)
    return render(
        "finding.html", here, refused.status, title=found["means"] or words.plain(found["kind"]).capitalize(),
        finding=found, repairs=REPAIRS, sides=_sides(found), dangerous=_DANGEROUS, refused=refused,
    )  # fmt: skip


def _found(here: Here, finding: str) -> dict[str, Any]:
    return roads.shown(roads.find(gate().core, row_id("finding", finding), here.scope))


def _sides(found: Mapping[str, Any]) -> list[tuple[str, object, object]]:
    """(what, ours, theirs), what both tell first; sums as money, where their currency is known."""
    ours, theirs = (found["evidence"].get(side, {}) for side in ("ours", "theirs"))
    names = dict.fromkeys((*(name for name in ours if name in theirs), *ours, *theirs))
    return [(name, *(_told(found, side, name) for side in (ours, theirs))) for name in names]


#: Parts of names that stand for sums in minor units.
_SUMS = ("amount", "paid_out", "fee", "net", "gross", "refund", "dispute", "difference", "received", "captured")


def _told(found: Mapping[str, Any], side: Mapping[str, Any], name: str) -> object:
    value = side.get(name)
    currency = side.get("currency") or found["currency"]
    if isinstance(currency, str) and isinstance(value, int) and any(part in name for part in _SUMS):
        return f"{words.money(value, currency)} ({value})"
    return value


@act("/findings/<finding>/assign", "admin:findings")
def assign_finding(here: Here, finding: str) -> Response:
    number = row_id("finding", finding)

    def do() -> Response:
        to = forms.field("to") or None
        roads.assign(gate().core, here.scope, number, to, here.because())
        notice = "The finding is in nobody's hands now." if to is None else f"The finding is in the hands of {to}."
        return back(here, "show_finding", notice, finding=finding)

    return attempt("assign", do, lambda refused: _shown(here, finding, refused))


@act("/findings/<finding>/resolve", "admin:findings")
def resolve_finding(here: Here, finding: str) -> Response:
    number, chosen = row_id("finding", finding), forms.field("action")

    def do() -> Response:
        action = acting.choice("action", REPAIRS, "the repair")
        if action == _DANGEROUS:
            raise StateConflict("giving money back has a page of its own, which shows the sum: nothing was done")
        acting.confirmed("the finding ends with it")
        _resolve(here, number, action, forms.field("payment"))
        return back(here, "show_finding", "The finding is resolved.", finding=finding)

    name = f"resolve-{chosen}" if chosen in REPAIRS else "resolve"
    return attempt(name, do, lambda refused: _shown(here, finding, refused))


def _resolve(here: Here, number: UUID, action: str, payment: str = "") -> None:
    if action != "link":
        about = None
    else:
        try:
            about = parse_id("payment", payment)
        except InvalidIdentifier:
            message = "give the id of the payment: it begins with pay_"
            raise InvalidFields("no payment is named", errors=[FieldError("payment", message)]) from None
    repair: Repair = action  # type: ignore[assignment]
    roads.resolve(gate().core, here.scope, number, repair, here.because(), about)


@page("/findings/<finding>/give-back", "admin:findings", fresh=True)
def show_give_back(here: Here, finding: str) -> Response:
    """Behind a fresh login: money leaves."""
    return _give_back_page(here, finding, NOT_YET)


@act("/findings/<finding>/give-back", "admin:findings", fresh=True)
def give_back(here: Here, finding: str) -> Response:
    number = row_id("finding", finding)

    def do() -> Response:
        acting.confirmed("the money leaves the merchant's balance")
        _resolve(here, number, _DANGEROUS)
        return back(here, "show_finding", "The refund is on its way; the payment shows how it goes.", finding=finding)

    return attempt("give-back", do, lambda refused: _give_back_page(here, finding, refused))


def _give_back_page(here: Here, finding: str, refused: Refused) -> Response:
    found = _found(here, finding)
    if _DANGEROUS not in found["repairs"] or found["status"] == "resolved":
        raise StateConflict("this finding has no surplus to give back; nothing was done")
    details = found["details"] if isinstance(found["details"], Mapping) else {}
    amount = found["amount"] if found["amount"] is not None else details.get("amount")
    currency = found["currency"] or details.get("currency")
    return render(
        "give_back.html", here, refused.status, title="Give the surplus back", finding=found, amount=amount,
        currency=currency, effect=REPAIRS[_DANGEROUS][1], refused=refused,
    )  # fmt: skip
