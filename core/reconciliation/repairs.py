"""What a person can have done about a finding: each repair goes through the status manager, and leaves the payment as
it is when that has moved since."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from uuid import UUID

from sqlalchemy.engine import Connection

from core.domain.errors import RequestRefused, StateConflict
from core.domain.findings import Repair
from core.domain.identifiers import new_id, public_id
from core.domain.statuses import FINAL_PAYMENT, OPEN_TRANSACTION
from core.orchestration import jobs, permits, requests, status_manager
from core.orchestration.context import Cause, Core
from core.orchestration.review import Person
from core.persistence.database import Scope
from core.persistence.queries import payments as rows
from core.persistence.tables import findings, provider_accounts

Row = Mapping[Any, Any]
#: What a repair tells the audit log.
Done = dict[str, Any]


def carry_out(
    core: Core, connection: Connection, scope: Scope, action: Repair, finding: Row, payment: Row | None, person: Person
) -> Done:
    """Finding and payment are locked. Raises StateConflict when the payment has moved, RequestRefused when it is
    not a repair of this finding."""
    repair = _REPAIRS.get(action)
    if repair is None:  # looked at, or put right elsewhere: nothing of ours changes
        return {}
    if payment is None:
        raise RequestRefused(f"{action} needs a payment, and this finding names none that is known here")
    _refuse_moved(finding, payment)
    return repair(core, connection, scope, finding, payment, person)


def _refuse_moved(finding: Row, payment: Row) -> None:
    """What was found is compared with what is: a person must not act on an old page."""
    seen = finding["evidence"].get("ours", {})
    for name in ("status", "amount_received", "amount_refunded"):
        if f"payment_{name}" in seen and seen[f"payment_{name}"] != payment[name]:
            was, now = seen[f"payment_{name}"], payment[name]
            raise StateConflict(
                f"the payment has moved since: its {name.replace('_', ' ')} was {was} and is {now}. Nothing was "
                "changed; look at it again, have the provider asked with a sync, then end the finding as done"
            )


def _take_over(core: Core, connection: Connection, scope: Scope, finding: Row, payment: Row, person: Person) -> Done:
    """The provider is asked once more, and what it says goes the way of every look-up."""
    sent = rows.transactions_of(connection, payment["id"])
    meant = [row for row in sent if finding["transaction_id"] in (None, row["id"])]
    if not meant:
        raise StateConflict("nothing was ever sent for this payment: there is nothing to ask the provider about")
    # A hold is asked about as what it is: whether it still stands, was captured or let go.
    held = payment["status"] == "authorized"
    rows.doubt(connection, [row["id"] for row in meant if not (held and status_manager.is_start(row))])
    return {"job": public_id("job", jobs.enqueue_sync(connection, scope, payment["id"]))}


def _refund_surplus(
    core: Core, connection: Connection, scope: Scope, finding: Row, payment: Row, person: Person
) -> Done:
    """Money that came for a payment that had ended goes back, as a refund of ours with the person's reason."""
    if payment["amount_captured"]:
        raise StateConflict(
            "this payment was charged as it should be, too: a refund would be taken from that charge. Give the surplus "
            f"back at {payment['provider']}'s dashboard; it is taken over here. Then resolve the finding as done"
        )
    taken = [row for row in rows.transactions_of(connection, payment["id"]) if _took(row)]
    if len(taken) != 1 or finding["transaction_id"] not in (None, taken[0]["id"]):
        raise StateConflict(
            f"{len(taken)} charges of this payment took money, and a refund of ours might be taken from another one. "
            f"Give it back at {payment['provider']}'s dashboard; it is taken over here. Then resolve it as done"
        )
    asked = finding["amount"] if finding["amount"] is not None else finding["details"].get("amount")
    amount = permits.refund(connection, payment, asked)
    cause = _cause(person, finding)
    values = {"amount": amount, "reason": person.reason, "origin": "api"}
    refund = status_manager.create_refund(connection, payment, values, cause)
    arguments = {"actor": person.actor}
    job = jobs.enqueue(
        connection, scope, "refund_payment", payment_id=payment["id"], target_id=refund["id"], arguments=arguments
    )
    return {"refund": public_id("refund", refund["id"]), "job": public_id("job", job)}


def _cause(person: Person, finding: Row) -> Cause:
    return Cause("person", person.actor, reference=f"finding {public_id('finding', finding['id'])}", **person.origin)


def _took(row: Row) -> bool:
    return status_manager.is_start(row) and row["status"] == "succeeded"


def _link(core: Core, connection: Connection, scope: Scope, finding: Row, payment: Row, person: Person) -> Done:
    """A charge at the provider that we do not know is taken over as a surplus charge of a payment: it is asked about
    by its id, and what the provider says is recorded and reported. Refunds are taken from the payment's own charge
    while it has one: then this one is given back at the dashboard."""
    theirs = finding["evidence"].get("theirs", {})
    provider_id, amount, currency = theirs.get("provider_id"), theirs.get("amount"), theirs.get("currency")
    account_id = finding["provider_account_id"]
    if not (isinstance(provider_id, str) and isinstance(amount, int) and account_id):
        raise RequestRefused("this finding does not say which charge of which account it is about")
    if currency != payment["currency"]:
        raise RequestRefused(f"the charge is in {currency}, the payment in {payment['currency']}")
    if payment["status"] not in FINAL_PAYMENT:
        raise StateConflict(f"the payment is {payment['status']}: its own outcome has to be known first")
    sent = rows.transactions_of(connection, payment["id"])
    _refuse_known(connection, account_id, provider_id, theirs.get("charge_id"))
    if any(row["status"] in OPEN_TRANSACTION for row in sent):
        raise StateConflict("an operation on this payment is under way: link the charge when it has ended")
    transaction_id = new_id()
    kind = "authorize" if payment["capture"] == "manual" else "charge"
    number = sum(1 for row in sent if status_manager.is_start(row)) + 1
    request = requests.asked_about(payment, transaction_id, number)
    values = {
        "id": transaction_id,
        "kind": kind,
        "number": number,
        "amount": amount,
        "provider": _provider(connection, account_id),
        "provider_account_id": account_id,
        "provider_key": f"linked-{public_id('transaction', transaction_id)}",
        "provider_id": provider_id,
        "provider_charge_id": theirs.get("charge_id"),
        "request_sealed": requests.seal(core, connection, scope, transaction_id, request),
        "extra": {"finding": str(finding["id"])},
    }
    cause = _cause(person, finding)
    status_manager.adopt_charge(connection, payment, values, cause)
    rows.doubt(connection, [transaction_id])
    job = jobs.enqueue_sync(connection, scope, payment["id"])
    connection.execute(findings.update().where(findings.c.id == finding["id"]).values(payment_id=payment["id"]))
    return {"transaction": public_id("transaction", transaction_id), "job": public_id("job", job)}


def _refuse_known(connection: Connection, account_id: UUID, *names: str | None) -> None:
    """By every name it has: what was paid on a page is known by the page and by the charge behind it."""
    if any(rows.find_by_provider(connection, account_id, name, rows.TAKES) for name in names if name):
        raise StateConflict("this charge is known by now as a transaction of ours; nothing was changed")


def _provider(connection: Connection, account_id: UUID) -> str:
    return str(
        connection.execute(provider_accounts.select().where(provider_accounts.c.id == account_id))
        .mappings()
        .one()["provider"]
    )


_REPAIRS: Mapping[Repair, Callable[[Core, Connection, Scope, Row, Row, Person], Done]] = {
    "take_over": _take_over,
    "refund_surplus": _refund_surplus,
    "link": _link,
}
