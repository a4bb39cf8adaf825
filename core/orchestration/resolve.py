"""Resolve: ask the provider about everything of one payment that is still open, and close what was abandoned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID

from sqlalchemy.engine import Connection

from core import points
from core.domain.outcomes import ActionRequired, Canceled, Declined, LookUp, NotExecuted, NotFound, Succeeded, Unknown
from core.domain.statuses import OPEN_TRANSACTION
from core.orchestration import (
    announce,
    asking,
    jobs,
    provider_manager,
    refund_lists,
    requests,
    settle,
    status_manager,
)
from core.orchestration.backoff import spread
from core.orchestration.context import Cause, Core
from core.orchestration.jobs import Job
from core.persistence.database import present
from core.persistence.queries import payments as rows
from core.persistence.tables import payments
from core.providers.base import LookUpRequest

Row = Mapping[Any, Any]

#: Times that a look which learned nothing is repeated by the times of look-ups, before the schedule goes on.
_SOON_AGAIN = 3
#: Seconds a provider call may still be under way: its own answer is awaited before anybody asks.
_IN_FLIGHT = 40.0


@dataclass(frozen=True, slots=True)
class Question:
    """One look-up about one transaction; `hold` asks what became of an authorization."""

    account: provider_manager.OpenedAccount
    transaction_id: UUID
    look_up: LookUpRequest
    hold: bool


def sync_payment(core: Core, job: Job) -> None:
    """Ask about every open transaction, the hold of an authorized payment, and a watched closed redirect."""
    # Asked for only where there was money before: what is just paid has no refunds to be surprised by.
    charges = refund_lists.charges_with_money(core, job)
    questions = _prepare(core, job)
    unheard, review = False, None
    for question in questions:
        result = _ask(core, job, question)
        unheard = unheard or isinstance(result, Unknown | NotExecuted)
        with core.transaction(job.scope, commit=points.settling(job.kind)) as connection:
            review = _apply(core, connection, job, question, result) or review
    asked = frozenset(question.transaction_id for question in questions)
    for charge in charges:
        refund_lists.look(core, job, charge, asked)
    with core.transaction(job.scope, commit=points.settling(job.kind)) as connection:
        _end_sync(core, connection, job, unheard, review)


def _end_sync(core: Core, connection: Connection, job: Job, unheard: bool, review: str | None) -> None:
    """A question without an answer is put again soon, and so is one that somebody told us to ask in vain."""
    payment = rows.lock_payment(connection, job.payment)
    if review is not None and not jobs.in_review(connection, job.payment):
        jobs.finish(connection, job, "needs_review", {"code": "contradiction", "message": review})
        return
    sent = rows.transactions_of(connection, job.payment)
    in_vain = bool(job.arguments.get("told")) and _start_is_open(sent)
    soon = (unheard or in_vain) and job.attempts <= _SOON_AGAIN and not jobs.sync_waits(connection, job.payment)
    if soon:
        jobs.requeue(connection, job, core.settings.lookup_delays[: job.attempts][-1], _IN_VAIN)
        return
    _plan_next(core, connection, payment, sent, further=not unheard)
    jobs.finish(connection, job)


def _start_is_open(sent: Sequence[Any]) -> bool:
    begun = rows.latest_start(sent)
    return begun is not None and begun["status"] in OPEN_TRANSACTION


_IN_VAIN = {"code": "nothing_learned", "message": "the provider did not say how the payment stands; it is asked again"}


def expire_payment(core: Core, job: Job) -> None:
    """A redirect past its time: read it back, tell the provider where it can be told, and close it."""
    answers = []
    for question in _prepare(core, job):
        result = _ask(core, job, question)
        answers.append(result)
        with core.transaction(job.scope, commit=points.settling(job.kind)) as connection:
            _apply(core, connection, job, question, result)
    with core.transaction(job.scope, commit=points.settling(job.kind)) as connection:
        _close(core, connection, job, answers)


def _ask(core: Core, job: Job, question: Question) -> LookUp:
    """No transaction is open here. What has no place, or pacing keeps back for long, is asked another time."""
    call = partial(question.account.provider.look_up, question.look_up)
    answer: LookUp | float = asking.ask(core, job, question.account, "look_up", call)
    return settle.paced_look_up(answer) if isinstance(answer, float) else answer


def _prepare(core: Core, job: Job) -> list[Question]:
    with core.transaction(job.scope, commit=points.announcing(job.kind)) as connection:
        payment = rows.find_payment(connection, job.payment)
        sent = rows.transactions_of(connection, job.payment)
        asked = [row for row in sent if _is_open(connection, row) or row["recheck_at"] is not None]
        questions = [_question(core, connection, job, row) for row in asked]
        begun = rows.latest_start(sent)
        if begun is not None and begun not in asked:
            if _asks_about_hold(payment, begun, sent):
                questions.append(_hold_question(core, connection, job, payment, begun))
            elif payment["watch_until"] is not None and begun["status"] == "canceled":
                questions.append(_question(core, connection, job, begun))
        return questions


def _asks_about_hold(payment: Row, begun: Row, sent: Sequence[Row]) -> bool:
    """Not while a capture or release of ours is under way: what it finds would be our own doing."""
    own = any(row["kind"] in ("capture", "void") and row["status"] in OPEN_TRANSACTION for row in sent)
    return payment["status"] == "authorized" and begun["provider_id"] is not None and not own


def _is_open(connection: Connection, row: Row) -> bool:
    if row["status"] not in OPEN_TRANSACTION:
        return False
    in_flight = row["status"] == "sent" and present(connection) - row["last_sent_at"] < timedelta(seconds=_IN_FLIGHT)
    return not in_flight


def _question(core: Core, connection: Connection, job: Job, row: Row) -> Question:
    account = provider_manager.open_account(core, connection, job.scope, row["provider_account_id"])
    return Question(account, row["id"], requests.look_up_request(core, connection, job.scope, row), False)


def _hold_question(core: Core, connection: Connection, job: Job, payment: Row, begun: Row) -> Question:
    account = provider_manager.open_account(core, connection, job.scope, begun["provider_account_id"])
    return Question(account, begun["id"], requests.hold_look_up(payment, begun), True)


def _apply(core: Core, connection: Connection, job: Job, question: Question, result: LookUp) -> str | None:
    """Why a person has to look, where what we heard contradicts what was asked for."""
    cause = Cause("look_up", "worker", job.arguments.get("request_id"), job.reference, job_id=job.id)
    if isinstance(result, NotFound | Unknown | NotExecuted):
        # Nothing learned; the transaction's own job counts what was not found.
        provider_manager.heed(core, connection, job.scope, question.account, result, cause)
        if isinstance(result, NotFound) and not question.hold:
            _end_doubt(core, connection, question.transaction_id)
        return None
    payment = rows.lock_payment(connection, job.payment)
    transaction = rows.lock_transaction(connection, question.transaction_id)
    # Asking took a while: another worker may have the job by now, and what it found is newer.
    jobs.check_lease(connection, job)
    review: str | None = None
    if not question.hold:
        if not _left_to_its_job(payment, transaction, result):
            applied = status_manager.apply(core, connection, payment, transaction, result, cause)
            if transaction["kind"] == "void" and isinstance(result, Declined):
                # As after an answer: then something else happened to the money.
                announce.doubt_start(connection, job.scope, applied.payment)
            review = applied.review
        rows.trust(connection, transaction["id"])
    elif not _asks_about_hold(payment, transaction, rows.transactions_of(connection, payment["id"])):
        return None
    elif isinstance(result, Succeeded):
        taken = result.facts.amount_captured
        status_manager.apply_without_transaction(core, connection, payment, "capture", taken, cause)
    elif isinstance(result, Canceled):
        status_manager.apply_without_transaction(core, connection, payment, "void", None, cause)
    return review


def _end_doubt(core: Core, connection: Connection, transaction_id: UUID) -> None:
    """What has ended and is not there is as we thought; asking again would go on for ever."""
    row = rows.lock_transaction(connection, transaction_id)
    old = present(connection) - row["last_sent_at"] > timedelta(seconds=core.settings.not_found_after)
    if row["status"] not in OPEN_TRANSACTION and old:
        rows.trust(connection, transaction_id)


def _left_to_its_job(payment: Row, transaction: Row, result: LookUp) -> bool:
    """A page whose address was lost with the answer: the job that began it makes another."""
    lost = payment["method"] == "redirect" and isinstance(result, ActionRequired) and result.next_action is None
    return lost and transaction["status"] in ("sent", "unknown") and payment["next_action_sealed"] is None


def _plan_next(core: Core, connection: Connection, payment: Row, sent: Sequence[Row], *, further: bool) -> None:
    """Ask again later while anything is open, less and less often; as often as before unless `further`."""
    now = present(connection)
    doubted = any(row["recheck_at"] is not None for row in sent)
    is_open = doubted or any(row["status"] in OPEN_TRANSACTION for row in sent) or payment["status"] == "authorized"
    watched = payment["watch_until"] is not None and payment["watch_until"] > now
    delays = core.settings.sync_delays
    values: dict[str, Any] = {"next_sync_at": None}
    if is_open:
        count = min(payment["sync_count"] + (1 if further else 0), len(delays) - 1)
        values = {"next_sync_at": now + timedelta(seconds=spread(delays[count])), "sync_count": count}
    elif watched:
        values = {"next_sync_at": now + timedelta(seconds=spread(delays[-1]))}
    connection.execute(payments.update().where(payments.c.id == payment["id"]).values(**values))


def _close(core: Core, connection: Connection, job: Job, answers: list[LookUp]) -> None:
    payment = rows.lock_payment(connection, job.payment)
    begun = rows.latest_start(rows.transactions_of(connection, job.payment))
    if payment["status"] != "requires_action" or begun is None:
        jobs.finish(connection, job)
        return
    if not answers or isinstance(answers[0], Unknown | NotExecuted):
        delays = core.settings.lookup_delays
        delay = delays[min(job.attempts, len(delays) - 1)]
        jobs.requeue(connection, job, delay, {"code": "outcome_unknown", "message": "the provider did not answer"})
        return
    account = provider_manager.open_account(core, connection, job.scope, begun["provider_account_id"])
    if jobs.closing(connection, payment["id"]) is not None:
        pass  # somebody is ending it already
    elif account.provider.capabilities.close_unfinished and begun["provider_id"] is not None:
        jobs.enqueue(connection, job.scope, "cancel_payment", payment_id=payment["id"], arguments={"actor": "clock"})
    else:
        cause = Cause("clock", "worker", None, job.reference, job_id=job.id)
        status_manager.close_abandoned(core, connection, payment, begun, cause)
    jobs.finish(connection, job)
