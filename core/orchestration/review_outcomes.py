"""What a job in review is about, and what a person's word on it does to transaction, payment and refund."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy.engine import Connection

from core.domain.card_numbers import holds_card_number
from core.domain.errors import RequestRefused, StateConflict
from core.domain.identifiers import public_id
from core.domain.money import Money
from core.domain.outcomes import Canceled, Facts, NotExecuted, NotExecutedReason, Outcome, Succeeded
from core.domain.statuses import CHARGE_KINDS, FINAL_PAYMENT, OPEN_TRANSACTION
from core.orchestration import announce, jobs, status_manager
from core.orchestration.context import Cause, Core
from core.orchestration.settlement import CONTRADICTED
from core.persistence.database import Scope, present
from core.persistence.queries import payments as rows
from core.persistence.queries import review as review_rows

Row = Mapping[Any, Any]

#: Kinds of jobs that send something, with the kinds of transactions that are theirs.
SENDS: Mapping[str, frozenset[str]] = {
    "create_payment": CHARGE_KINDS,
    "capture_payment": frozenset({"capture"}),
    "cancel_payment": frozenset({"void"}),
    "close_payment": frozenset({"void"}),
    "refund_payment": frozenset({"refund"}),
}
#: Kinds that only ask: what they found in contradiction is a transaction of another job.
ASKS = frozenset({"sync_payment", "expire_payment"})
#: Of these a person has to say what happened. One that waits for the customer is closed by the clock.
UNDECIDED = OPEN_TRANSACTION - {"requires_action"}
#: What an operation has to be told with: whose object, and how much of whose money.
MOVES_MONEY = CHARGE_KINDS | {"capture", "refund"}
MAKES_OBJECT = CHARGE_KINDS | {"refund"}
LONGEST_PROVIDER_ID = 255


@dataclass(frozen=True, slots=True)
class Told:
    """What the provider shows. `amount` in minor units of the transaction's currency."""

    provider_id: str | None = None
    amount: int | None = None


@dataclass(frozen=True, slots=True)
class Matter:
    """A job with the rows it is about, locked. `others` counts further open transactions it might mean."""

    job: Row
    payment: Row | None = None
    transaction: Row | None = None
    refund: Row | None = None
    others: int = 0

    @property
    def undecided(self) -> bool:
        return self.transaction is not None and self.transaction["status"] in UNDECIDED

    @property
    def contradicted(self) -> bool:
        """Did the provider answer something else than was asked for?"""
        return self.transaction is not None and CONTRADICTED in self.transaction["extra"]


def matter(connection: Connection, job: Row, payment: Row | None) -> Matter:
    """The payment is locked already, so that its transactions hold still."""
    if payment is None:
        return Matter(job)
    sent = rows.transactions_of(connection, payment["id"])
    if job["kind"] == "refund_payment":
        own = next((row for row in sent if row["refund_id"] == job["target_id"]), None)
        return Matter(job, payment, _locked(connection, own), rows.lock_refund(connection, job["target_id"]))
    if job["kind"] == "create_payment":
        return Matter(job, payment, _locked(connection, rows.latest_start(sent)))
    if job["kind"] in SENDS:
        # The newest: one whose key grew old was left behind for another.
        own = next((row for row in reversed(sent) if row["extra"].get("job") == str(job["id"])), None)
        return Matter(job, payment, _locked(connection, own))
    if job["kind"] not in ASKS:
        return Matter(job, payment)
    meant = _doubted(sent) or [row for row in sent if row["status"] in UNDECIDED]
    first = meant[0] if meant else None
    return Matter(job, payment, _locked(connection, first), None, max(0, len(meant) - 1))


def _doubted(sent: Sequence[Row]) -> list[Row]:
    """Those whose answer contradicted what was asked for."""
    return [row for row in sent if row["status"] in UNDECIDED and CONTRADICTED in row["extra"]]


def _locked(connection: Connection, row: Row | None) -> Row | None:
    return None if row is None else rows.lock_transaction(connection, row["id"])


def executed(core: Core, connection: Connection, held: Matter, told: Told, cause: Cause) -> None:
    """The provider shows it done. Raises StateConflict, RequestRefused."""
    payment, transaction = _undecided(held)
    provider_id = _checked_id(connection, transaction, told.provider_id)
    facts = _facts(transaction, provider_id, _checked_amount(transaction, told.amount))
    applied = status_manager.apply(core, connection, payment, transaction, Succeeded(facts), cause)
    if applied.stale or applied.review is not None:
        raise StateConflict(f"{_named(transaction)} cannot be called executed: {applied.review or 'it has ended'}")
    if transaction["kind"] == "void" and applied.payment["status"] == "canceled":
        announce.close_start(core, connection, applied.payment, cause)
    _ask_once_more(connection, payment, transaction)


def not_executed(core: Core, connection: Connection, held: Matter, cause: Cause) -> None:
    """The provider shows nothing of it, or it was undone there. Raises StateConflict."""
    if held.undecided:
        payment, transaction = _undecided(held)
        status_manager.apply(core, connection, payment, transaction, _nothing(transaction), cause)
        _ask_once_more(connection, payment, transaction)
        return
    job, payment_row, refund = held.job, held.payment, held.refund
    if payment_row is None or job["kind"] not in SENDS:
        raise StateConflict(f"a {job['kind']} moves no money: resolve it as succeeded or failed")
    ended = held.transaction is not None and held.transaction["status"] != "not_executed"
    if ended and held.transaction is not None:
        what = f"{_named(held.transaction)} is {held.transaction['status']}"
        raise StateConflict(f"{what}: nothing is left to be told of it; resolve the job as succeeded or failed")
    if job["kind"] == "create_payment" and payment_row["status"] not in FINAL_PAYMENT:
        status_manager.fail_unsent(core, connection, payment_row, _NEVER_SENT, cause)
    elif refund is not None and refund["status"] in ("processing", "requires_action"):
        failure = {name: _NEVER_SENT[name] for name in ("code", "message")}
        status_manager.fail_refund(connection, payment_row, refund, failure, cause)


_NEVER_SENT = {
    "code": "provider_unavailable",
    "category": "soft",
    "message": "Nothing was sent to a provider.",
    "provider_code": None,
}


def check_settled(held: Matter, verdict: str) -> None:
    """May the job end like this, with nothing told of the provider? Raises StateConflict with what to say instead."""
    job, payment, transaction = held.job, held.payment, held.transaction
    if transaction is not None and held.undecided and (job["kind"] in SENDS or held.contradicted):
        raise StateConflict(
            f"{_named(transaction)} is {transaction['status']}: look at {transaction['provider']} what became of it, "
            f"then resolve the job as {_how(transaction)}, or as not-executed; or requeue it to have it asked again"
        )
    open_refund = held.refund is not None and held.refund["status"] == "processing" and transaction is None
    unsent = job["kind"] == "create_payment" and payment is not None and payment["status"] == "processing"
    if open_refund or unsent:
        raise StateConflict("nothing was sent for this job: requeue it, or resolve it as not-executed, which ends it")
    if verdict == "succeeded" and job["kind"] in SENDS and not _did_its_work(held):
        raise StateConflict("nothing here shows that this job did what it was for: resolve it as failed, or requeue it")
    if verdict == "succeeded" and job["kind"] == "forget_method":
        raise StateConflict(
            "requeue it: a payment method that is gone at the provider counts as dropped, and only then"
        )


def plain_verdicts(held: Matter) -> list[str]:
    """How a job may end of which no operation is undecided."""
    fitting = [verdict for verdict in ("succeeded", "failed") if _settles(held, verdict)]
    return fitting or ["not_executed"]  # nothing was sent for it


def _settles(held: Matter, verdict: str) -> bool:
    try:
        check_settled(held, verdict)
    except StateConflict:
        return False
    return True


def _did_its_work(held: Matter) -> bool:
    if held.job["kind"] == "create_payment":
        return held.payment is not None and held.payment["status"] != "processing"
    return held.transaction is not None and held.transaction["status"] == "succeeded"


def keep_asking(core: Core, connection: Connection, held: Matter) -> None:
    """What only asked gives up; what is open has to be asked about by the schedule from here on."""
    payment = held.payment
    if payment is not None and held.undecided and payment["next_sync_at"] is None:
        due = present(connection) + timedelta(seconds=core.settings.sync_delays[0])
        review_rows.ask_at(connection, payment["id"], due)


def ask_now(connection: Connection, held: Matter) -> None:
    """A job put back goes on with what is unknown; what is pending the schedule asks about: now."""
    if held.payment is not None and held.transaction is not None and held.transaction["status"] == "pending":
        review_rows.ask_at(connection, held.payment["id"], present(connection))


def _undecided(held: Matter) -> tuple[Row, Row]:
    """Payment and the transaction a person can tell the outcome of. Raises StateConflict."""
    if held.payment is None or held.transaction is None:
        raise StateConflict(
            "no send of this job is known: requeue it, or resolve it as not-executed or failed once you have looked"
        )
    if held.others:
        raise StateConflict("several operations of this payment are open: requeue the job to have each asked about")
    if not held.undecided:
        what = f"{_named(held.transaction)} is {held.transaction['status']}"
        raise StateConflict(f"{what}: nothing is left to be told of it; resolve the job as succeeded or failed")
    return held.payment, held.transaction


def _named(transaction: Row) -> str:
    return f"{transaction['kind']} {public_id('transaction', transaction['id'])}"


def _how(transaction: Row) -> str:
    """The words of the command that would say it was executed."""
    said = "executed"
    if transaction["kind"] in MAKES_OBJECT:
        said += " with its provider id"
    if transaction["kind"] in MOVES_MONEY:
        said += f"{' and' if transaction['kind'] in MAKES_OBJECT else ' with'} the amount"
    return said


def _checked_amount(transaction: Row, amount: int | None) -> int | None:
    """Raises RequestRefused, so that what was compared with nothing is never recorded as paid."""
    asked, currency = transaction["amount"], transaction["currency"]
    if transaction["kind"] not in MOVES_MONEY:
        if amount is not None:
            raise RequestRefused(f"a {transaction['kind']} moves no money: leave the amount out")
        return None
    if amount is None:
        raise RequestRefused(
            f"read the amount at {transaction['provider']} and give it in minor units of {currency}: it is compared "
            "with what was asked for"
        )
    if amount != asked:
        wanted = f"{Money(asked, currency).major} {currency} ({asked})"
        raise RequestRefused(
            f"{_named(transaction)} asked for {wanted}, not for {amount}: another sum is never its success. Give the "
            f"money back at {transaction['provider']}, then resolve the job as not-executed"
        )
    return amount


def _checked_id(connection: Connection, transaction: Row, given: str | None) -> str | None:
    """The provider's object; refused where it is another operation's already. Raises RequestRefused."""
    known = transaction["provider_id"]
    if given is None:
        if known is None and transaction["kind"] in MAKES_OBJECT:
            ours = transaction["provider_key"]
            raise RequestRefused(f"give the id under which {transaction['provider']} shows it; our own mark is {ours}")
        return None if known is None else str(known)
    if not given.isascii() or not given.isprintable() or " " in given or not 0 < len(given) <= LONGEST_PROVIDER_ID:
        raise RequestRefused("that is no id of a provider: copy it from the dashboard, without spaces")
    if holds_card_number(given):
        raise RequestRefused("that looks like a card number, not like an id of a provider")
    if known is not None and given not in (known, transaction["provider_charge_id"]):
        raise RequestRefused(f"{_named(transaction)} is known at {transaction['provider']} as {known}: compare the two")
    if transaction["kind"] in MAKES_OBJECT:
        _refuse_taken(connection, transaction, given)
    return str(known or given)


def _refuse_taken(connection: Connection, transaction: Row, given: str) -> None:
    kinds = rows.REFUND if transaction["kind"] == "refund" else rows.TAKES
    for other in rows.find_by_provider(connection, transaction["provider_account_id"], given, kinds):
        if other["id"] != transaction["id"] and other["payment_id"] != transaction["payment_id"]:
            raise RequestRefused(f"{given} is {_named(other)} of another payment")
    if transaction["kind"] != "refund":
        return
    refund = rows.find_refund_by_provider(connection, transaction["payment_id"], given)
    if refund is not None and refund["id"] != transaction["refund_id"]:
        raise RequestRefused(
            f"{given} is kept as refund {public_id('refund', refund['id'])} already: if it is the only one there, "
            "resolve this job as not-executed, or it would be counted twice"
        )


def _facts(transaction: Row, provider_id: str | None, amount: int | None) -> Facts:
    if amount is None:
        return Facts(provider_id=provider_id)
    if transaction["kind"] == "authorize":
        return Facts(provider_id, amount=amount, amount_authorized=amount, currency=transaction["currency"])
    if transaction["kind"] == "refund":
        return Facts(provider_id, amount=amount, currency=transaction["currency"])
    taken = {"amount_captured": amount, "amount_received": amount, "currency": transaction["currency"]}
    return (
        Facts(provider_id, **taken) if transaction["kind"] == "capture" else Facts(provider_id, amount=amount, **taken)
    )


def _nothing(transaction: Row) -> Outcome:
    """A charge that came with another sum did exist, and was given back; anything else never happened."""
    if CONTRADICTED in transaction["extra"] and transaction["kind"] in CHARGE_KINDS:
        return Canceled(Facts(), "person")
    return NotExecuted(NotExecutedReason.NOT_FOUND, "a person looked at the provider and found nothing")


def _ask_once_more(connection: Connection, payment: Row, transaction: Row) -> None:
    """A person may err: the provider is asked after all, and money it shows then is recorded as surplus.

    Not where it contradicted us before: it would say the same again.
    """
    if CONTRADICTED not in transaction["extra"]:
        rows.doubt(connection, [transaction["id"]])
        jobs.enqueue_sync(connection, Scope(payment["merchant_id"], payment["mode"]), payment["id"])
