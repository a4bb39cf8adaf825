"""Who did what: searched, with what was before and after, and how far the log is sealed."""

from __future__ import annotations

from flask import Response

from api.dashboard import acting, forms
from api.dashboard.frame import Entry, Here, page, render
from api.errors import InvalidFields
from api.state import gate
from core.audit.searching import Wanted
from core.domain.errors import RequestRefused
from core.domain.identifiers import InvalidIdentifier, parse_id
from core.orchestration import auditing

_PAGE = 50
_LONGEST = 120
_FIELDS = ("actor", "action", "subject", "payment", "request", "since", "until")
_WHOSE = ("merchant", "installation")


@page("/audit", "admin:audit", menu=Entry("Audit", 85))
def show_audit(here: Here) -> Response:
    asked = {name: (forms.asked(name) or "")[:_LONGEST] for name in _FIELDS}
    whose = acting.filtered("of", _WHOSE) or _WHOSE[0]
    before = forms.asked("before")
    found, problem = {"data": [], "has_more": False, "next": None}, None
    try:
        number = int(before) if before is not None and before.isascii() and before.isdigit() else None
        found = auditing.search(gate().core, _wanted(here, asked, whose), _PAGE, number)
    except (RequestRefused, InvalidFields) as error:
        problem = "; ".join(f"{one.field} {one.message}" for one in error.errors) or error.detail
    except InvalidIdentifier:
        problem = "the id of a payment begins with pay_"
    chosen = {**{name: value for name, value in asked.items() if value}, "of": whose}
    return render(
        "audit.html", here, title="Audit", found=found, problem=problem, chosen_values=chosen, whose=_WHOSE,
        standing=auditing.standing(gate().core),
    )  # fmt: skip


def _wanted(here: Here, asked: dict[str, str], whose: str) -> Wanted:
    """Raises RequestRefused, InvalidFields, InvalidIdentifier."""
    own = whose == _WHOSE[0]
    return Wanted(
        merchant=here.scope.merchant_id if own else None,
        mode=here.scope.mode if own else None,
        payment=parse_id("payment", asked["payment"]) if asked["payment"] else None,
        subject=auditing.subject_id(asked["subject"]) if asked["subject"] else None,
        actor=asked["actor"] or None,
        action=asked["action"] or None,
        request=asked["request"] or None,
        since=forms.day("from", asked["since"] or None),
        until=forms.day("until", asked["until"] or None, end=True),
    )
