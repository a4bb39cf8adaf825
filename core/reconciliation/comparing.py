"""Do our row of a charge and what the provider says of it agree? Pure: rows and answers in, a verdict out.

A row here is a transaction with what its payment says of the money: `payment_status`, `method`, `amount_captured`,
`amount_received`, `amount_refunded`, and as `beside` what was taken and given back of other charges of the payment.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from core.domain.outcomes import Canceled, Declined, Facts, LookUp, Succeeded, Unknown
from core.domain.statuses import OPEN_TRANSACTION
from core.persistence.queries.surplus import NOTHING, Beside
from core.providers.base import ChargeSeen

Row = Mapping[Any, Any]

#: A hold of such a payment was let go, or could not be captured: it need not stand any more.
_LET_GO = frozenset({"canceled", "failed"})


def may_be(sent: Row, one: ChargeSeen) -> bool:
    """A mark can be copied, and a charge be made twice: where we know another object as this transaction's, it proves
    nothing. The object behind a page is known once it is paid."""
    known = {sent["provider_id"], sent["provider_charge_id"]} - {None}
    if sent["method"] == "redirect" and sent["provider_charge_id"] is None:
        return True
    return not known or not known.isdisjoint({one.provider_id, one.charge_id})


def agree(sent: Row, one: ChargeSeen) -> bool:
    """By the provider's list alone."""
    took = one.status == "succeeded"
    if sent["status"] == "succeeded":
        if held(sent):
            return one.status == "held"
        if _may_be_gone(sent):
            return not took
        if sent["surplus"]:
            return took
        return took and _received(sent, one.received) and not refunds_differ(sent, one)
    if sent["status"] in OPEN_TRANSACTION:
        return one.status == "open"
    # A declined try on a page may be tried again, and what we ended may be told as open for a while.
    return one.status in ("open", "ended")


def held(sent: Row) -> bool:
    """A hold that stands, as we have it: its fate is asked about by the payment's own road."""
    return bool(sent["status"] == "succeeded" and sent["payment_status"] == "authorized")


def taken_of_hold(sent: Row, one: ChargeSeen) -> bool:
    """Then the question is how much was captured: the hold's own answer tells what was held."""
    return bool(sent["kind"] == "authorize" and sent["status"] == "succeeded" and one.status == "succeeded")


def refunds_differ(sent: Row, one: ChargeSeen) -> bool:
    """The charge's own refunds: those of other charges of the payment are counted on it, too."""
    own = sent["amount_refunded"] - _beside(sent).refunded
    return one.refunded is not None and not sent["surplus"] and one.refunded != own


def confirms(sent: Row, answer: LookUp, *, captured: bool) -> bool:
    """Does the charge itself, asked by name, say of its status and its amount what we say?"""
    if isinstance(answer, Succeeded):
        # Asked what was captured of a hold it names that amount, which `other_sum` looks at.
        same = captured or answer.facts.amount in (None, sent["amount"])
        return bool(sent["status"] == "succeeded" and same)
    return bool(sent["status"] != "succeeded")


def other_sum(sent: Row, answer: LookUp) -> int | None:
    """What the provider took, where both call it succeeded and we have received another sum."""
    if not isinstance(answer, Succeeded) or sent["status"] != "succeeded" or sent["surplus"]:
        return None
    taken = _taken(answer.facts)
    return None if _received(sent, taken) else taken


def own_received(sent: Row) -> int:
    """What the payment received by this charge, without those beside it."""
    return int(sent["amount_received"] - _beside(sent).taken)


def let_go(sent: Row, answer: LookUp) -> bool:
    """The hold of a payment that ended without money, and the provider says the same of it."""
    return _may_be_gone(sent) and isinstance(answer, Canceled | Declined)


def gone(answer: Unknown) -> bool:
    """By name, and the provider has no such object: a look-up calls that unknown, since it must not charge again."""
    return answer.evidence.get("http_status") == 404


def _may_be_gone(sent: Row) -> bool:
    return bool(sent["kind"] == "authorize" and sent["payment_status"] in _LET_GO)


def _received(sent: Row, told: int | None) -> bool:
    """With the fee on the customer a payment receives more than is captured; charges beside its own add to that."""
    return told is None or told in (sent["amount_received"], sent["amount_captured"], own_received(sent))


def _taken(facts: Facts) -> int | None:
    return facts.amount_received if facts.amount_received is not None else facts.amount_captured


def _beside(sent: Row) -> Beside:
    found: Beside = sent.get("beside", NOTHING)
    return found
