"""Provider accounts as administrators enter and see them. Secrets go in and never come out."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, SecretStr

from api.schemas.admin import OfMode
from api.schemas.base import Body, Parameters, QueryNumber, Shown
from api.schemas.parameters import Moment

_SECRET = Field(None, min_length=1, max_length=500)
_REASON = Field(min_length=1, max_length=500, description="Kept in the audit log.")


class AccountPath(Parameters):
    id: str
    account: str


class PacingBody(Body):
    """Requests a second; 0 is no limit."""

    per_operation: float | int | None = Field(None, ge=0, le=100_000)
    total: float | int | None = Field(None, ge=0, le=100_000)


class SettingsBody(Body):
    exclusive: bool | None = Field(None, description="Every charge there is ours: a foreign one is a finding.")
    pacing: PacingBody | None = None


class NewAccountBody(Body):
    """The credentials are tried at the provider before they are stored, sealed."""

    provider: str = Field(max_length=50, description="One of those that `GET /v1/providers` lists.")
    name: str = Field(min_length=1, max_length=200)
    secret_key: SecretStr = Field(min_length=1, max_length=500)
    publishable_key: SecretStr | None = _SECRET
    webhook_secret: SecretStr | None = _SECRET
    priority: int = Field(100, ge=0, le=10_000, description="Lower is used first.")
    settings: SettingsBody | None = None


class RotateBody(Body):
    """What is left out stays. Replaced webhook secrets verify on for 72 hours."""

    secret_key: SecretStr | None = _SECRET
    publishable_key: SecretStr | None = _SECRET
    webhook_secret: SecretStr | None = _SECRET
    reason: str = _REASON


class ChangeBody(Body):
    name: str | None = Field(None, min_length=1, max_length=200)
    priority: int | None = Field(None, ge=0, le=10_000)
    settings: SettingsBody | None = None
    reason: str = _REASON


class ReasonBody(Body):
    reason: str = _REASON


class OpenWork(Shown):
    """What is not ended at the account."""

    payments: int
    transactions: int
    refunds: int
    disputes: int


class Pacing(Shown):
    per_operation: float | int | None = None
    total: float | int | None = None


class Settings(Shown):
    exclusive: bool | None = None
    pacing: Pacing | None = None


class AccountInFull(Shown):
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
    settings: Settings
    open_work: OpenWork


class HealthQuery(OfMode):
    limit: QueryNumber = Field(50, ge=1, le=500, description="How many steps of the history.")
    before: Moment | None = Field(None, description="Steps before this; the `at` of the last one of the page before.")


class OperationHealth(Shown):
    """Of the last ten minutes, as all processes know it. A decline is an answer."""

    operation: str
    circuit: Literal["closed", "open", "half_open"]
    since: str | None
    calls: int
    success: float | None = Field(description="The part that was answered.")
    p95_ms: int | None = Field(description="The bound under which 95 of 100 calls ended.")
    paused_seconds: float = Field(description="The provider asked to wait so long.")


class CircuitStep(Shown):
    """One change of a circuit."""

    at: str
    operation: str
    from_state: Literal["closed", "open", "half_open"]
    to_state: Literal["closed", "open", "half_open"]
    opened_in_a_row: int | None
    seconds: float | None = Field(description="How long it stays open before it is tried.")


class AccountHealth(Shown):
    """How an account stands, operation by operation, and how its circuits have stepped, the newest first."""

    account: str
    status: Literal["enabled", "draining", "suspended", "disabled"]
    operations: list[OperationHealth]
    history: list[CircuitStep]
