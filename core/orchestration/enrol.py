"""Have a provider know our customer before it keeps a payment method of theirs: one object, whoever asks first."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy.engine import Connection

from core.domain.outcomes import LookUp, NotExecuted, NotExecutedReason, Succeeded
from core.orchestration import customers, jobs, pacing, provider_manager, settlement, status_manager
from core.orchestration.context import Cause, Core
from core.orchestration.jobs import Job
from core.orchestration.provider_manager import OpenedAccount
from core.orchestration.steps import Enrol, Step
from core.persistence.database import Scope
from core.persistence.queries import payments as rows

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
    cause = Cause("answer", "worker", job.arguments.get("request_id"), job.reference)
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


#: Asking again would bring the same answer.
_FINAL = frozenset({NotExecutedReason.MISCONFIGURED, NotExecutedReason.INVALID_REQUEST})
_WAITING = {"code": "customer_not_made", "message": "the provider has not made the customer yet; it is asked again"}
_UNAVAILABLE = NotExecuted(NotExecutedReason.CONNECTION, "the customer could not be made at the provider")


def _decline(result: LookUp) -> dict[str, Any]:
    told = settlement.decline_of(result if isinstance(result, NotExecuted) else _UNAVAILABLE)
    if told is None:
        raise LookupError("a refusal without words for it")
    return told.as_dict()
