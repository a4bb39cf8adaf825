"""What administrators ask and see."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from api.schemas.base import Amount, Body, Parameters, QueryNumber, Shown, id_pattern
from api.schemas.jobs import Job
from api.schemas.parameters import PaymentsQuery
from core.orchestration.merchants import LONGEST_NAME
from core.orchestration.review import Verdict

Reason = Annotated[str, Field(min_length=1, max_length=500, description="Kept in the audit log.")]


class PageQuery(Parameters):
    limit: QueryNumber = Field(20, ge=1, le=100, description="How many at most.")


class OfMode(Parameters):
    mode: Literal["test", "live"]


class MerchantsQuery(PageQuery):
    after: str | None = Field(None, pattern=id_pattern("merchant"), description="The last id of the page before.")


class ModeQuery(OfMode):
    """Which of the merchant's two worlds."""


class JobsQuery(OfMode, PageQuery):
    after: str | None = Field(None, pattern=id_pattern("job"), description="The last id of the page before.")
    status: Literal["queued", "running", "succeeded", "failed", "needs_review", "canceled"] | None = None


class MerchantBody(Body):
    name: str = Field(min_length=1, max_length=LONGEST_NAME)


class JobPath(Parameters):
    id: str
    job: str


class AdminPaymentsQuery(PaymentsQuery):
    mode: Literal["test", "live"]


class PaymentPath(Parameters):
    id: str
    payment: str


class ReasonedBody(Body):
    reason: Reason


class ResolveJobBody(Body):
    """How the job ends; while its operation has no known outcome, what the provider shows of it."""

    verdict: Verdict = Field(alias="as", description="`executed` and `not_executed` say what became of the operation.")
    provider_id: str | None = Field(None, min_length=1, max_length=200, description="With `executed`: its id there.")
    amount: Amount | None = Field(None, description="With `executed`: the amount that is shown there.")
    reason: Reason


class Merchant(Shown):
    """A tenant."""

    id: str = Field(pattern=id_pattern("merchant"))
    name: str
    created_at: str


class Merchants(Shown):
    """A page, newest first; `next` goes into `after`."""

    data: list[Merchant]
    has_more: bool
    next: str | None


class ProviderAccount(Shown):
    """Never with its credentials."""

    id: str
    provider: str
    mode: Literal["test", "live"]
    name: str
    identity: str
    status: Literal["enabled", "draining", "suspended", "disabled"]
    suspended_reason: str | None
    priority: int
    api_base: str | None
    webhook_path: str = Field(description="Where the provider is told to send its events.")


class ProviderAccounts(Shown):
    """All of one merchant and mode."""

    data: list[ProviderAccount]


class JobTransaction(Shown):
    """What the job has sent, and what is known of it."""

    id: str
    operation: str
    status: str
    amount: str
    provider: str
    account: str
    provider_key: str
    provider_id: str | None
    sends: int
    first_sent_at: str | None
    look_ups: int
    evidence: dict[str, Any] | None


class JobFinding(Shown):
    id: str
    kind: str
    details: dict[str, Any]
    created_at: str


class JobDecision(Shown):
    """What a person has decided before."""

    at: str
    by: str
    what: str
    reason: str | None


class JobChoices(Shown):
    """What a person may decide now."""

    requeue: bool
    verdicts: list[Verdict]
    asks_id: bool
    asks_amount: bool


class JobInFull(Shown):
    """A job with all that is needed to decide it."""

    id: str
    kind: str
    status: str
    mode: Literal["test", "live"]
    merchant: str
    payment: str | None
    attempts: int
    lease_losses: int
    created_at: str
    started_at: str | None
    finished_at: str | None
    reason: str | None
    message: str | None
    payment_status: str | None
    transactions: list[JobTransaction]
    findings: list[JobFinding]
    decided: list[JobDecision]
    next_attempt_at: str | None
    target: str | None
    choices: JobChoices
    what_to_do: list[str] = Field(description="The commands that fit.")


class DecidedJob(Shown):
    """How the job stands now, and the findings that were closed with it."""

    id: str
    status: str
    transaction: str | None
    findings: list[str]


class Jobs(Shown):
    """A page, newest first; `next` goes into `after`."""

    data: list[Job]
    has_more: bool
    next: str | None
