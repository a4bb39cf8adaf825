"""Errands: what providers are told about people. No money moves; telling twice does no harm, giving up does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID

from sqlalchemy.engine import Connection

from core import points
from core.domain.identifiers import public_id
from core.domain.outcomes import CUSTOMER_GONE, Facts, NotExecuted, NotExecutedReason, Succeeded, Unknown
from core.orchestration import customers, jobs, payment_methods, provider_manager
from core.orchestration.asking import ask, guarded
from core.orchestration.context import Cause, Core
from core.orchestration.jobs import Job
from core.orchestration.provider_manager import OpenedAccount
from core.persistence.queries import customers as rows
from core.providers.base import CustomerRequest, ForgetRequest, SavedMethod

Row = Mapping[Any, Any]
Told = Succeeded | NotExecuted | Unknown

#: An account whose credentials were refused is not asked again before somebody has replaced them.
_SUSPENDED = NotExecuted(NotExecutedReason.MISCONFIGURED, "the provider account is suspended")


@dataclass(frozen=True, slots=True)
class _Forget:
    """A method's tokens and those that the provider is to drop; `account` is None while it is suspended."""

    account: OpenedAccount | None
    tokens: tuple[str, ...] = field(repr=False)
    told: tuple[str, ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class _Push:
    """A customer's details of `as_of`; `account` is None while it is suspended."""

    account: OpenedAccount | None
    request: CustomerRequest
    as_of: datetime


def forget_method(core: Core, job: Job) -> None:
    """Have the provider drop a saved method; once it has, nothing of it is left here either.

    Tried again on the schedule of look-ups, then handed to a person: the merchant was promised that it goes.
    """
    with core.transaction(job.scope, commit=points.announcing(job.kind)) as connection:
        errand = _to_forget(core, connection, job)
        if errand is None:  # forgotten meanwhile, or saved again
            jobs.finish(connection, job)
            return
    result = _forget_all(core, job, errand)
    with core.transaction(job.scope, commit=points.settling(job.kind)) as connection:
        row = rows.find_method(connection, job.scope, job.target, lock=True)
        jobs.check_lease(connection, job)
        if isinstance(result, Succeeded):
            if row is not None and payment_methods.is_kept_under(core, connection, job.scope, row, errand.tokens):
                payment_methods.end_forgetting(connection, job.scope, row, _cause(job))
            jobs.finish(connection, job)
        elif not _later(core, connection, job, errand.account, result):
            message = "the provider was not told to drop the payment method; it may still hold it"
            jobs.review(connection, job, "method_not_forgotten", message)


def _to_forget(core: Core, connection: Connection, job: Job) -> _Forget | None:
    row = rows.find_method(connection, job.scope, job.target)
    if row is None or row["status"] != "forgetting":
        return None
    tokens = payment_methods.tokens_of(core, connection, job.scope, row)
    account_id = row["provider_account_id"]
    # Two customers of ours may be one to the provider: what the other can still be charged with has to stay there.
    told = [token for token in tokens if not payment_methods.is_charged_by(core, connection, account_id, token)]
    return _Forget(_account(core, connection, job, account_id), tuple(tokens), tuple(told))


def _forget_all(core: Core, job: Job, errand: _Forget) -> Told | float:
    """The first answer that is not a success ends it: every token is tried anew then."""
    account = errand.account
    if account is None:
        return _SUSPENDED
    result: Told | float = Succeeded(Facts())
    for number, token in enumerate(errand.told):
        # A key of its own for each try: a provider repeats even a fault of its own under the same key.
        request = ForgetRequest(f"{public_id('job', job.id)}-{job.fence}-{number}", SavedMethod(token))
        call = guarded(partial(account.provider.forget_method, request))
        result = ask(core, job, account, "forget_method", call)
        if not isinstance(result, Succeeded):
            return result
    return result


def push_customer(core: Core, job: Job) -> None:
    """Have a provider know a customer's new details; of an erased one, that there are none.

    It gives up in the end: the customer here is what counts. An erased one then goes to a person.
    """
    account_id = UUID(str(job.arguments["account"]))
    with core.transaction(job.scope, commit=points.announcing(job.kind)) as connection:
        errand = _to_push(core, connection, job, account_id)
        if errand is None:
            jobs.finish(connection, job)
            return
    account, request = errand.account, errand.request
    result: Told | float = _SUSPENDED
    if account is not None:
        call = guarded(partial(account.provider.upsert_customer, request))
        result = ask(core, job, account, "upsert_customer", call)
    with core.transaction(job.scope, commit=points.settling(job.kind)) as connection:
        customer = rows.find_customer(connection, job.scope, job.target)
        jobs.check_lease(connection, job)
        if isinstance(result, Succeeded):
            if customer is not None and customer["updated_at"] != errand.as_of:
                jobs.requeue(connection, job, 0.0)  # changed while we told: the last one to tell tells the newest
            else:
                jobs.finish(connection, job)
        elif isinstance(result, NotExecuted) and result.detail == CUSTOMER_GONE and request.provider_id is not None:
            # Nobody is left there to be told; the next payment that saves makes another, with all there is to know.
            customers.forget_provider_customer(connection, job.target, account_id, request.provider_id)
            jobs.finish(connection, job)
        elif _refused(result) or not _later(core, connection, job, account, result):
            _give_up_pushing(connection, job, customer)


def _give_up_pushing(connection: Connection, job: Job, customer: Row | None) -> None:
    if customer is not None and customer["erased_at"] is not None:
        # Promised to the person: nobody can change an erased customer to try again.
        message = "the provider was not told to drop the erased person's details; it may still hold them"
        jobs.review(connection, job, "person_not_forgotten", message)
        return
    message = "the provider did not take the customer's new details; change the customer to try again"
    jobs.finish(connection, job, "failed", {"code": "customer_not_updated", "message": message})


def _to_push(core: Core, connection: Connection, job: Job, account_id: UUID) -> _Push | None:
    customer = rows.find_customer(connection, job.scope, job.target)
    row = customers.provider_customer(connection, job.target, account_id)
    if customer is None or row is None or row["provider_id"] is None:
        return None
    request = customers.customer_request(core, connection, job.scope, row)
    return _Push(_account(core, connection, job, account_id), request, customer["updated_at"])


def _refused(result: Told | float) -> bool:
    """Would the provider say the same again?"""
    return isinstance(result, NotExecuted) and result.reason is NotExecutedReason.INVALID_REQUEST


def _account(core: Core, connection: Connection, job: Job, account_id: UUID) -> OpenedAccount | None:
    if rows.account_status(connection, job.scope, account_id) == "suspended":
        return None
    return provider_manager.open_account(core, connection, job.scope, account_id)


def _later(core: Core, connection: Connection, job: Job, account: OpenedAccount | None, result: Told | float) -> bool:
    """Put the job back; False when it was tried often enough. Raises LeaseLost."""
    if isinstance(result, float):
        jobs.keep_back(connection, job, result)
        return True
    wait = 0.0
    error = {"code": "provider_unanswered", "message": "the provider gave no clear answer; it is told again"}
    if isinstance(result, NotExecuted):
        wait = result.retry_after or 0.0
        error = {"code": f"not_executed_{result.reason.value}", "message": result.detail}
        if result.reason is NotExecutedReason.MISCONFIGURED and account is not None:
            provider_manager.suspend(core, connection, job.scope, account, result.detail, _cause(job))
    delays = core.settings.lookup_delays
    if job.attempts > len(delays):
        return False
    jobs.requeue(connection, job, max(delays[job.attempts - 1], wait), error)
    return True


def _cause(job: Job) -> Cause:
    return Cause("answer", "worker", job.arguments.get("request_id"), job.reference, job_id=job.id)
