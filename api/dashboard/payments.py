"""Payments: the list with search and filters, and one with its sums, its route, its timeline and its buttons."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import Response

from api.answers import optional_id, row_id
from api.dashboard import forms
from api.dashboard.frame import Entry, Here, act, back, go, page, render
from api.errors import InvalidFields
from api.state import gate
from core.domain.errors import FieldError
from core.domain.identifiers import InvalidIdentifier, parse_id
from core.domain.money import CURRENCIES
from core.domain.statuses import PAYMENT
from core.orchestration import admin_reading, customers, payment_page
from core.orchestration.reading import Filters
from core.providers.registry import PROVIDERS

_PAGE = 50
#: What may stand in the address besides the page's own place.
_FILTERS = ("q", "status", "currency", "provider", "reference", "customer", "from", "until")


@page("/payments", menu=Entry("Payments", 10))
def list_payments(here: Here) -> Response:
    """The search takes the id of a payment, or of what belongs to one; anything else is the merchant's reference."""
    sought = forms.asked("q")
    if sought is not None:
        found = payment_page.search(gate().core, here.scope, sought)
        if found is not None:
            return go(here.url("show_payment", payment=found))
    wanted = {name: forms.asked(name) for name in _FILTERS}
    listed = admin_reading.list_payments(gate().core, here.scope, _filters(wanted))
    chosen = {name: value for name, value in wanted.items() if value is not None}
    return render(
        "payments.html", here, title="Payments", found=listed, wanted=wanted, chosen=chosen,
        statuses=[one for one in PAYMENT if one], providers=sorted(PROVIDERS), deeper=forms.asked("after") is not None,
    )  # fmt: skip


def _filters(wanted: Mapping[str, str | None]) -> Filters:
    """Raises InvalidFields, NotFoundError."""
    currency = wanted["currency"]
    if currency is not None and currency.upper() not in CURRENCIES:
        raise InvalidFields("that is no currency", errors=[FieldError("currency", "must be a code of ISO 4217")])
    return Filters(
        limit=_PAGE,
        after=optional_id("payment", forms.asked("after")),
        status=wanted["status"],
        currency=None if currency is None else currency.upper(),
        reference=wanted["reference"] or wanted["q"],
        provider=wanted["provider"],
        customer_id=optional_id("customer", wanted["customer"]),
        created_after=forms.day("from", wanted["from"]),
        created_before=forms.day("until", wanted["until"], end=True),
    )


@page("/payments/<payment>")
def show_payment(here: Here, payment: str) -> Response:
    shown = payment_page.show(gate().core, here.scope, row_id("payment", payment))
    return render("payment.html", here, title="Payment", reveal=None, **shown)


@act("/payments/<payment>/sync", "admin:jobs")
def ask_provider(here: Here, payment: str) -> Response:
    """One question that already waits serves several who ask."""
    payment_page.ask(gate().core, here.caller(), row_id("payment", payment))
    notice = "The provider will be asked in a moment; reload to see what it says."
    return back(here, "show_payment", notice, payment=payment)


@act("/payments/<payment>/reveal", "admin:reveal", fresh=True)
def reveal_customer(here: Here, payment: str) -> Response:
    """The customer's data, on this one page and with an audit record; it is gone with the next."""
    reason = here.because().reason
    shown: dict[str, Any] = payment_page.show(gate().core, here.scope, row_id("payment", payment))
    try:
        customer = parse_id("customer", shown["payment"]["customer"] or "")
    except InvalidIdentifier:
        raise InvalidFields("this payment names no customer") from None
    person = customers.reveal(gate().core, here.caller(), customer, {"reason": reason})
    return render("payment.html", here, title="Payment", reveal=person, **shown)
