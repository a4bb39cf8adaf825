"""Failover: what may follow an outcome, given every send before it. The one place, and pure: rows in, a decision out.

The table is `FAILOVER` in core/domain/outcomes.py. What stands above it here is one rule: nothing more is sent while
anything that was sent before may have charged, or may still.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from core.domain.outcomes import (
    CANCEL_AFTER_DECLINE,
    FAILOVER,
    Declined,
    Elsewhere,
    NotExecuted,
    NotExecutedReason,
    Outcome,
    Retry,
    failover_key,
)
from core.domain.statuses import CHARGE_KINDS

Row = Mapping[Any, Any]

#: In a void's `extra`: the declined charge whose remains it ends. It says nothing about the payment itself.
CLOSES = "closes"
#: Status of such a void once nothing is left that could be paid.
_CLOSED = frozenset({"succeeded", "canceled"})


class Decision(StrEnum):
    """What follows."""

    DONE = "done"  # the provider has said what is
    LOOK_UP = "look_up"  # ask before anything else
    SAME_KEY = "same_key"  # after back-off, the stored request unchanged
    ELSEWHERE = "elsewhere"  # another account, as a new transaction
    RETRY_NEW = "retry_new"  # the same account after a long wait, as a new transaction
    GIVE_UP = "give_up"  # the payment fails with this outcome
    REVIEW = "review"  # cannot be: a person looks


class Fate(StrEnum):
    """What became of all sends of one transaction together."""

    ABSENT = "absent"  # none of them was executed, with proof
    ENDED = "ended"  # refused or closed, with nothing left that could be paid
    PAYABLE = "payable"  # refused, and what is left at the provider can still be paid
    OPEN = "open"  # may have been executed, or may yet be
    CHARGED = "charged"  # took the money, or holds it


#: Status of a transaction -> what became of it, before its extras are looked at.
FATES: Mapping[str, Fate] = {
    "sent": Fate.OPEN,
    "unknown": Fate.OPEN,
    "pending": Fate.OPEN,
    "requires_action": Fate.OPEN,
    "succeeded": Fate.CHARGED,
    "declined": Fate.ENDED,
    "canceled": Fate.ENDED,
    "not_executed": Fate.ABSENT,
}


@dataclass(frozen=True, slots=True)
class Sent:
    """One transaction of the payment so far. `own`: the earlier sends of the one whose outcome is decided about."""

    fate: Fate
    own: bool = False
    soft: bool = False  # it ended with a soft decline
    reason: str | None = None  # why it was not executed, as NotExecutedReason names it
    at: datetime | None = None  # its first send


@dataclass(frozen=True, slots=True)
class Spacing:
    """Seconds before the second and the third try of an off-session payment."""

    second: float
    third: float


#: Tries in all of an off-session payment that is declined softly, and the time they fall into.
TRIES, WITHIN = 3, timedelta(hours=72)
#: Code of a soft decline -> when the next try is worth its fee. A wait may be lengthened by a fifth (backoff.py), so
#: that the longest of each row still ends within 72 hours.
SPACING: Mapping[str, Spacing] = {
    # Money comes to accounts by the day, and a weekend is two of them.
    "insufficient_funds": Spacing(24 * 3600.0, 34 * 3600.0),
    # Limits of count and amount begin anew at midnight of the bank's own day.
    "card_velocity_exceeded": Spacing(24 * 3600.0, 25 * 3600.0),
    # The bank was away: an hour is a long outage, half a day the longest.
    "issuer_not_available": Spacing(3600.0, 12 * 3600.0),
    "processing_error": Spacing(3600.0, 12 * 3600.0),
}
#: For soft declines without a row: a day apart is what card schemes advise where nothing better is known.
DEFAULT_SPACING = Spacing(24 * 3600.0, 34 * 3600.0)

#: What the detail of NotExecuted says of a call that was kept back by us and never left.
KEPT_BACK: Mapping[NotExecutedReason, str] = {
    NotExecutedReason.BREAKER_OPEN: "the provider fails too often; it was not called",
    NotExecutedReason.RATE_LIMITED: "the provider has asked to wait; it was not called",
}

#: Only these cross accounts: a token or a saved method belongs to the account that made it.
CROSSES = frozenset({"redirect"})


def decide(
    outcome: Outcome,
    history: Sequence[Sent],
    *,
    method: str,
    route_says_next: bool,
    customer_authenticated: bool,
    off_session: bool,
    now: datetime,
    others: bool = True,
    sends_left: bool = True,
) -> Decision:
    """What follows the outcome of a charge or authorization.

    `history` holds every other transaction of the payment that takes money, and with `own` the earlier sends of this
    one. `others`: another account could carry the payment. `sends_left`: this transaction has tries left.
    """
    row = FAILOVER[failover_key(outcome)]
    if row.retry is Retry.LOOK_UP:
        return Decision.LOOK_UP
    if not isinstance(outcome, Declined | NotExecuted):
        return Decision.DONE
    if isinstance(outcome, NotExecuted) and any(one.own and one.fate is not Fate.ABSENT for one in history):
        return Decision.LOOK_UP  # this send never arrived; an earlier one may have
    before = [one.fate for one in history if not one.own]
    if Fate.OPEN in before:
        return Decision.REVIEW  # two at once: the unique index forbids it
    if Fate.CHARGED in before or Fate.PAYABLE in before:
        return Decision.GIVE_UP  # money came late for an earlier one, or still may
    if isinstance(outcome, Declined) and off_session and not customer_authenticated and method not in CROSSES:
        return Decision.RETRY_NEW if _worth_another(outcome, history, now) else Decision.GIVE_UP
    crosses = method in CROSSES and not customer_authenticated and others
    if crosses and _permits(row.elsewhere, outcome, history, route_says_next):
        return Decision.ELSEWHERE
    return Decision.SAME_KEY if row.retry is Retry.SAME_KEY and sends_left else Decision.GIVE_UP


def _permits(elsewhere: Elsewhere, outcome: Outcome, history: Sequence[Sent], route_says_next: bool) -> bool:
    match elsewhere:
        case Elsewhere.YES:
            return True
        case Elsewhere.ONCE:
            return not any(one.reason == NotExecutedReason.MISCONFIGURED for one in history if not one.own)
        case Elsewhere.IF_ROUTE_SAYS:
            return route_says_next and isinstance(outcome, Declined) and not leaves_payable(outcome)
        case Elsewhere.NO | Elsewhere.AFTER_PROOF:
            return False


def leaves_payable(outcome: Declined) -> bool:
    """Did the decline leave something at the provider that its customer could still pay?"""
    return CANCEL_AFTER_DECLINE in outcome.facts.extra


def _worth_another(outcome: Declined, history: Sequence[Sent], now: datetime) -> bool:
    """Is a try left, and does it fall within the time all of them may take?"""
    if FAILOVER[failover_key(outcome)].elsewhere is not Elsewhere.IF_ROUTE_SAYS:
        return False  # not soft
    declined = 1 + sum(1 for one in history if one.soft and not one.own)
    begun = min((one.at for one in history if one.at is not None), default=now)
    wait = timedelta(seconds=wait_of(outcome.decline.code, declined))
    return declined < TRIES and now + wait <= begun + WITHIN


def wait_of(code: str, declined: int) -> float:
    """Seconds until the next try after so many soft declines, of which the last bore `code`."""
    spacing = SPACING.get(code, DEFAULT_SPACING)
    return spacing.second if declined < 2 else spacing.third


def fate_of(row: Row, sent: Sequence[Row]) -> Fate:
    """What became of a charge; `sent` holds every transaction of its payment, the one that closed it among them."""
    fate = FATES[row["status"]]
    if row["status"] != "declined" or CANCEL_AFTER_DECLINE not in row["extra"]:
        return fate
    closed = any(one["extra"].get(CLOSES) == str(row["id"]) and one["status"] in _CLOSED for one in sent)
    return Fate.ENDED if closed else Fate.PAYABLE


def history_of(sent: Sequence[Row], transaction: Row, *, ambiguous: bool) -> list[Sent]:
    """The rows of a payment as `decide` reads them. `ambiguous`: an earlier send of `transaction` may have arrived."""
    found = []
    for row in sent:
        if row["kind"] not in CHARGE_KINDS:
            continue
        if row["id"] == transaction["id"]:
            found.append(Sent(Fate.OPEN if ambiguous else Fate.ABSENT, own=True, at=row["first_sent_at"]))
            continue
        soft = row["status"] == "declined" and (row["decline"] or {}).get("category") == "soft"
        reason = (row["evidence"] or {}).get("reason") if row["status"] == "not_executed" else None
        found.append(Sent(fate_of(row, sent), soft=soft, reason=reason, at=row["first_sent_at"]))
    return found


def route_says_next(payment: Row) -> bool:
    """Did the rule that routed the payment name another account for a soft decline?"""
    return (payment["route"] or {}).get("on_soft_decline") == "next"
