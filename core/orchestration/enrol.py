"""Have a provider know our customer before it keeps a payment method of theirs: one object, whoever asks first."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy.engine import Connection

from core.domain.outcomes import CUSTOMER_GONE, LookUp, NotExecuted, NotExecutedReason, Succeeded
from core.orchestration import customers, jobs, pacing, provider_manager, settlement, status_manager
from core.orchestration.context import Cause, Core
from core.orchestration.jobs import Job
from core.orchestration.provider_manager import OpenedAccount
from core.orchestration.steps import Enrol, Send, Step
from core.persistence.database import Scope
from core.persistence.queries import payments as rows
from core.providers.base import StartRequest

Row = Mapping[Any, Any]


def customer_at(
    core: Core, connection: Connection, scope: Scope, payment: Row, account: OpenedAccount
) -> str | Enrol | None:
    """The provider's id of the payment's customer; the step to get one; None where none is needed."""
    needed = payment["save_method"] and account.provider.capabilities.customer_objects
    if not needed or payment["customer_id"] is None:
        return None
    row = customers.begin_provider_customer(connection, scope, payment["customer_id"], account.account_id)
    if row["provider_id"] is not None:
        return str(row["provider_id"])
    return Enrol(account, payment["customer_id"], customers.customer_request(core, connection, scope, row))


GoOn = Callable[[Core, Connection, Job, Row], Step | None]


def settle(core: Core, connection: Connection, job: Job, step: Enrol, result: LookUp, go_on: GoOn) -> Step | None:
    """Keep the provider's id and `go_on` to the payment; without one it is tried again, and then fails unsent.

    No money has moved: whatever became of the call, its key makes no second customer. Raises LeaseLost.
    """
    payment = rows.lock_payment(connection, job.payment)
    jobs.check_lease(connection, job)
    if isinstance(result, Succeeded) and result.facts.provider_id is not None:
        account_id = step.account.account_id
        customers.keep_provider_customer(connection, step.customer_id, account_id, result.facts.provider_id)
        return go_on(core, connection, job, payment)
    if isinstance(result, NotExecuted) and result.detail == pacing.PACED:
        jobs.keep_back(connection, job, result.retry_after or 1.0)
        return None
    cause = Cause("answer", "worker", job.arguments.get("request_id"), job.reference, job_id=job.id)
    refused = isinstance(result, NotExecuted) and result.reason in _FINAL
    if isinstance(result, NotExecuted) and result.reason is NotExecutedReason.MISCONFIGURED:
        provider_manager.suspend(core, connection, job.scope, step.account, result.detail, cause)
    delays = core.settings.retry_delays
    if refused or job.attempts > len(delays):
        status_manager.fail_unsent(core, connection, payment, _decline(result), cause)
        jobs.finish(connection, job)
        return None
    wait = (result.retry_after or 0.0) if isinstance(result, NotExecuted) else 0.0
    jobs.requeue(connection, job, max(delays[job.attempts - 1], wait), _WAITING)
    return None


@dataclass(frozen=True, slots=True)
class Lost:
    """A payment that was refused because the customer it named, `provider_id`, is gone at the provider."""

    step: Send
    result: NotExecuted
    provider_id: str


def lost_customer(step: Step, result: LookUp) -> Lost | None:
    if not isinstance(result, NotExecuted) or result.detail != CUSTOMER_GONE:
        return None
    if not isinstance(step, Send) or not isinstance(step.request, StartRequest) or step.was_ambiguous:
        return None  # an earlier send may have arrived, while the customer was there still: then it is looked up
    named = step.request.provider_customer
    return None if named is None else Lost(step, result, named)


def begin_again(core: Core, connection: Connection, job: Job, lost: Lost) -> bool:
    """Forget the customer that is lost, and put the payment back to be started with another one.

    False when this payment has been put back before: then it fails, and only the next one gets another customer.
    Raises LeaseLost.
    """
    payment = rows.lock_payment(connection, job.payment)
    jobs.check_lease(connection, job)
    if payment["customer_id"] is None:
        return False
    customer_id = payment["customer_id"]
    customers.forget_provider_customer(connection, customer_id, lost.step.account.account_id, lost.provider_id)
    before = [row["evidence"] or {} for row in rows.transactions_of(connection, payment["id"])]
    if any(evidence.get("detail") == CUSTOMER_GONE for evidence in before):
        return False
    cause = Cause("answer", "worker", job.arguments.get("request_id"), job.reference, job_id=job.id)
    transaction = rows.lock_transaction(connection, lost.step.transaction_id)
    status_manager.apply(core, connection, payment, transaction, lost.result, cause, keep_payment=True)
    jobs.requeue(connection, job, 0.0, _WAITING)
    return True


#: Asking again would bring the same answer.
_FINAL = frozenset({NotExecutedReason.MISCONFIGURED, NotExecutedReason.INVALID_REQUEST})
_WAITING = {"code": "customer_not_made", "message": "the provider has not made the customer yet; it is asked again"}
_UNAVAILABLE = NotExecuted(NotExecutedReason.CONNECTION, "the customer could not be made at the provider")


def _decline(result: LookUp) -> dict[str, Any]:
    told = settlement.decline_of(result if isinstance(result, NotExecuted) else _UNAVAILABLE)
    if told is None:
        raise LookupError("a refusal without words for it")
    return told.as_dict()
