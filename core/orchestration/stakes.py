"""What goes with a finding about a payment: the money at stake, and what our books and the provider's say of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypedDict
from uuid import UUID

from core.domain.identifiers import public_id
from core.domain.outcomes import Facts

Row = Mapping[Any, Any]


class Stakes(TypedDict):
    """As `open_finding` takes them; amounts in minor units of `currency`."""

    amount: int
    currency: str
    account_id: UUID | None
    ours: Mapping[str, Any]
    theirs: Mapping[str, Any]


def standing(payment: Row) -> dict[str, Any]:
    """How our books have the payment, for `ours`: a repair is refused when it stands otherwise by then."""
    return {f"payment_{name}": payment[name] for name in ("status", "amount_received", "amount_refunded")}


def of_transaction(payment: Row, transaction: Row, theirs: Mapping[str, Any], amount: int | None = None) -> Stakes:
    """One operation. Without an amount of its own, what is at stake is what the two sides differ by, or all of it."""
    asked: int = transaction["amount"]
    if amount is None:
        said = theirs.get("amount_received", theirs.get("amount"))
        same = theirs.get("currency", transaction["currency"]) == transaction["currency"]
        amount = abs(said - asked) if same and said not in (None, asked) else asked
    ours = {
        "transaction": public_id("transaction", transaction["id"]),
        "operation": transaction["kind"],
        "status": transaction["status"],
        "amount": asked,
        "currency": transaction["currency"],
        **standing(payment),
    }
    return Stakes(
        amount=amount,
        currency=transaction["currency"],
        account_id=transaction["provider_account_id"],
        ours=ours,
        theirs=theirs,
    )


def of_payment(payment: Row, amount: int, theirs: Mapping[str, Any]) -> Stakes:
    """What was done at the provider without our asking, or without a transaction of ours that it belongs to."""
    sums = ("amount_authorized", "amount_captured", "amount_received", "amount_refunded", "amount_disputed")
    return Stakes(
        amount=amount,
        currency=payment["currency"],
        account_id=payment["provider_account_id"],
        ours={name: payment[name] for name in sums if payment[name]} | standing(payment),
        theirs=theirs,
    )


def said(facts: Facts) -> dict[str, Any]:
    """The sums that the provider names."""
    names = ("amount", "amount_captured", "amount_received", "currency")
    return {name: getattr(facts, name) for name in names if getattr(facts, name) is not None}
