"""Every setting with its unit and its reason; read once from the environment and handed in."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator, Field
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict


def _numbers(value: object) -> object:
    return [float(part) for part in value.split(",")] if isinstance(value, str) else value


Seconds = Annotated[tuple[float, ...], NoDecode, BeforeValidator(_numbers)]


class Settings(BaseSettings):
    """All times in seconds. Names in the environment are `TOLLGATE_…` except the three addresses."""

    model_config = SettingsConfigDict(env_prefix="TOLLGATE_", extra="ignore", frozen=True)

    # Addresses: the names every host already uses.
    database_url: str = Field(validation_alias="DATABASE_URL", repr=False)
    redis_url: str = Field("redis://127.0.0.1:6379/0", validation_alias="REDIS_URL", repr=False)
    #: Celery's broker; another than Redis is named here (amqp://…), limits and pacing stay with REDIS_URL.
    broker_url: str = Field(default_factory=lambda given: given["redis_url"], validation_alias="BROKER_URL", repr=False)
    redis_ca_file: Path | None = None  # who signed the certificate of Redis and of the broker, if no public authority
    key_file: Path | None = None

    # The gate.
    api_threads: int = 8  # granian's threads a process: a connection each, a quarter of them may wait for jobs
    max_body_bytes: int = 256 * 1024  # a payment is under 4 kB; this leaves room for metadata and nothing else
    max_webhook_bytes: int = 1024 * 1024  # providers' largest events are a few hundred kB
    rate_limit: str = "100/second"  # per key; above what one shop's checkout produces in a rush
    admin_rate_limit: str = "20/second"
    max_wait: float = 30.0  # `?wait=` and `Prefer: wait`: under every proxy's usual 60 s
    idempotency_wait: float = 1.0  # a parallel request waits this long for the first one's commit

    # Jobs.
    lease: float = 6.0  # with renewal every 2 s a dead worker's jobs are free within 10 s
    lease_renewal: float = 2.0
    poll_interval: float = 1.0  # a dead broker slows pick-up to under 3 s
    claim_batch: int = 50  # one hint's worth; measured best in one statement
    executor_threads: int = 150  # calls in flight a worker process
    calls_per_account: int = 100  # of those at one provider account: 50 places stay free for the others
    webhook_threads: int = 16
    delivery_threads: int = 32  # a lane of its own: a slow merchant endpoint never takes money's threads
    maintenance_threads: int = 2
    database_pool: int = 20  # serves 150 calls in flight, since none is held during a call
    max_job_attempts: int = 50  # a poison job ends in review instead of killing workers for ever

    # Provider calls.
    provider_connect_timeout: float = 5.0
    provider_deadline: float = 30.0  # whole call; longer than Stripe's slowest published answers
    not_found_after: float = 40.0  # deadline plus the time a request may still travel
    not_found_spacing: float = 60.0  # between two "not found" where one is not enough
    refund_absent_spacing: float = 600.0  # a Paystack refund absent from two lists this far apart: review
    lookup_delays: Seconds = (5.0, 30.0, 120.0, 600.0, 3600.0, 21600.0)
    retry_delays: Seconds = (1.0, 5.0, 15.0, 60.0, 300.0)  # NotExecuted; then the payment fails, with proof

    # Open payments.
    redirect_ttl: float = 24 * 3600.0  # then the provider is asked, told and the payment canceled
    redirect_watch: float = 7 * 24 * 3600.0  # a closed redirect is watched this much longer for late money
    sync_delays: Seconds = (60.0, 300.0, 1800.0, 7200.0, 21600.0)  # open payments asked again, backing off

    # Events out.
    delivery_timeout: float = 15.0  # Standard Webhooks: 15 to 30 s
    # Standard Webhooks' own schedule: 0, 5 s, 5 m, 30 m, 2 h, 5 h, 10 h, 14 h, 20 h, 24 h.
    delivery_delays: Seconds = (5.0, 300.0, 1800.0, 7200.0, 18000.0, 36000.0, 50400.0, 72000.0, 86400.0)
    allow_private_webhook_targets: bool = False  # development only: deliveries to loopback and private nets

    # What `tollgate up` sets for its children.
    sandbox: bool = False
    ready_file: Path | None = None
    log_level: str = "INFO"


def load_settings() -> Settings:
    """Raises pydantic.ValidationError naming every missing or wrong setting."""
    return Settings()
