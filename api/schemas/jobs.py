"""Jobs and the answers that carry them."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from api.schemas.base import Shown, id_pattern
from api.schemas.customers import CustomerNamed
from api.schemas.disputes import Dispute
from api.schemas.payment_methods import PaymentMethodShown
from api.schemas.payments import Payment
from api.schemas.refunds import Refund


class Job(Shown):
    """Work that was accepted and ends."""

    id: str = Field(pattern=id_pattern("job"))
    kind: str = Field(examples=["create_payment"])
    status: Literal["queued", "running", "succeeded", "failed", "needs_review", "canceled"]
    url: str
    payment: str | None
    attempts: int
    next_attempt_at: str | None
    error: dict[str, Any] | None
    created_at: str
    finished_at: str | None


class JobResult(Shown):
    """As it is now."""

    payment: Payment | None = None
    refund: Refund | None = None
    customer: CustomerNamed | None = None
    payment_method: PaymentMethodShown | None = None
    dispute: Dispute | None = None


class JobWithResult(Job):
    """`result` is null until the job has ended."""

    result: JobResult | None


class AcceptedPayment(Shown):
    """The job and the payment it works on."""

    job: Job
    payment: Payment


class AskedPayment(Shown):
    """The job that asks."""

    job: Job


class AcceptedDispute(Shown):
    """The job, the dispute it answers and its payment."""

    job: Job
    payment: Payment
    dispute: Dispute


class AcceptedMethod(Shown):
    """The job that has the provider drop a saved payment method."""

    job: Job
    payment_method: PaymentMethodShown


class AcceptedRefund(Shown):
    """The job, its payment and the refund."""

    job: Job
    payment: Payment
    refund: Refund
