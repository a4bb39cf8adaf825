"""Another try for a payment whose charge was declined softly: not before its time, nor while anything may charge."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.domain.outcomes import Declined, Outcome
from core.domain.statuses import CHARGE_KINDS
from core.orchestration import failover
from core.orchestration.failover import Decision, Fate
from core.persistence.database import present
from core.persistence.queries import payments as rows

Row = Mapping[Any, Any]

#: Seconds until it is looked again whether what a decline left payable has been ended.
WAIT_FOR_CLOSING = 60.0
#: What a job says meanwhile.
LATER = "declined for now; it is tried again"

_CLOSING = sa.text(
    "SELECT 1 FROM jobs WHERE payment_id = :payment AND kind = 'close_payment' AND status IN ('queued', 'running')"
)
_CREATION = sa.text(
    "SELECT 1 FROM jobs WHERE payment_id = :payment AND kind = 'create_payment' AND status IN ('queued', 'running')"
)


def next_step(connection: Connection, payment: Row, sent: Sequence[Row]) -> float | None:
    """Seconds to wait before another attempt may begin, 0 for at once; None: never, and the payment has to fail."""
    starts = starts_of(sent)
    fates = {failover.fate_of(row, sent) for row in starts}
    if Fate.CHARGED in fates:
        return None  # money came late for an earlier attempt
    wait = 0.0
    if Fate.PAYABLE in fates:
        if connection.execute(_CLOSING, {"payment": payment["id"]}).first() is None:
            return None  # it could not be ended
        wait = WAIT_FOR_CLOSING
    when = due(starts) if payment["off_session"] else None
    return wait if when is None else max(wait, (when - present(connection)).total_seconds())


def starts_of(sent: Sequence[Row]) -> list[Row]:
    return [row for row in sent if row["kind"] in CHARGE_KINDS]


def decide(
    connection: Connection,
    payment: Row,
    transaction: Row,
    outcome: Outcome,
    *,
    ambiguous: bool = False,
    others: bool = True,
    sends_left: bool = True,
) -> Decision:
    """`failover.decide` for the rows as they are."""
    sent = rows.transactions_of(connection, payment["id"])
    return failover.decide(
        outcome,
        failover.history_of(sent, transaction, ambiguous=ambiguous),
        method=payment["method"],
        route_says_next=failover.route_says_next(payment),
        # Where its customer may have been sent: the address is kept from then on.
        customer_authenticated=payment["next_action_sealed"] is not None,
        off_session=payment["off_session"],
        now=present(connection),
        others=others,
        sends_left=sends_left,
    )


def keeps_open(connection: Connection, payment: Row, transaction: Row, outcome: Outcome) -> bool:
    """Does the payment stay under way after this decline, whoever told of it? Only while its job can go on with it."""
    if not isinstance(outcome, Declined) or transaction["kind"] not in CHARGE_KINDS:
        return False
    if transaction["status"] == "declined":
        return True  # told again: what it does to the payment was decided the first time
    may_go_on = payment["off_session"] or failover.route_says_next(payment)
    if not may_go_on or payment["status"] != "processing" or transaction["surplus"]:
        return False
    if connection.execute(_CREATION, {"payment": payment["id"]}).first() is None:
        return False
    return decide(connection, payment, transaction, outcome) in (Decision.RETRY_NEW, Decision.ELSEWHERE)


def left_behind(payment: Row, starts: Sequence[Row]) -> frozenset[Any]:
    """Accounts whose soft decline sent the payment elsewhere; what cannot cross is tried at its own account again."""
    if payment["method"] not in failover.CROSSES:
        return frozenset()
    return frozenset(row["provider_account_id"] for row in starts if row["status"] == "declined")


def due(starts: Sequence[Row]) -> datetime | None:
    """When the next try after a soft decline may begin; None where the last one was none."""
    if not starts or starts[-1]["status"] != "declined":
        return None
    declined = sum(1 for row in starts if row["status"] == "declined")
    wait = failover.wait_of((starts[-1]["decline"] or {}).get("code", ""), declined)
    begun: datetime = starts[-1]["first_sent_at"]
    return begun + timedelta(seconds=wait)
