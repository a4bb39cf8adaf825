"""Every setting with its unit, range and reason; read once from the environment and handed in."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

from core.environment import read
from core.setting_values import (
    Network,
    Unit,
    bearer_token,
    double,
    growing,
    listening_address,
    networks,
    numbers,
    origins,
    postgres_address,
    rate,
    redis_address,
    sealing_keys,
    upper,
    web_address,
    with_authority,
)
from core.setting_values import broker_address as broker

Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False), Unit("s")]
Delays = Annotated[tuple[float, ...], BeforeValidator(numbers), AfterValidator(growing), Unit("s")]
Rate = Annotated[str, AfterValidator(rate)]
Networks = Annotated[tuple[Network, ...], BeforeValidator(networks)]
Count = Annotated[int, Field(ge=1)]
Bytes = Annotated[int, Field(ge=1024), Unit("bytes")]
Level = Annotated[Literal["DEBUG", "INFO", "WARNING", "ERROR"], BeforeValidator(upper)]


class Settings(BaseModel):
    """Names in the environment are `TOLLGATE_…` except those of the three addresses."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    # Addresses: the names every host already uses. What is not shown may hold a password.
    database_url: Annotated[str, AfterValidator(postgres_address)] = Field(
        validation_alias="DATABASE_URL",
        repr=False,
        description="of this process: the API's login for the API, the worker's for workers and beat",
    )
    redis_ca_file: Path | None = Field(
        None, description="PEM file of who signed the certificate of Redis and of the broker, if no public authority"
    )
    redis_url: Annotated[str, AfterValidator(redis_address)] = Field(
        "redis://127.0.0.1:6379/0",
        validation_alias="REDIS_URL",
        repr=False,
        description="hints, rate limits and pacing; holds nothing that may not be lost",
    )
    broker_url: Annotated[str, AfterValidator(broker)] = Field(
        default_factory=lambda given: given.get("redis_url", ""),
        validation_alias="BROKER_URL",
        repr=False,
        description="Celery's broker if it is not Redis: `amqps://…` for RabbitMQ; limits and pacing stay in Redis",
    )
    key_file: Path | None = Field(
        None, description="the sealing keys (`tollgate keys make-file`); keep a copy elsewhere"
    )
    keys: Annotated[str, AfterValidator(sealing_keys)] | None = Field(
        None,
        repr=False,
        description="the same keys as text, where no file can be; read once, at the start",
    )
    anchor_file: Path | None = Field(
        None,
        description="kept by the workers of this machine outside Postgres, so that an older copy of the database is "
        "noticed: it starts paused; on a disk that is not restored with the database",
    )
    synchronous_standby: bool = Field(
        False,
        description="a standby that takes over lacks no commit, since replication is synchronous: its timeline alone "
        "pauses nothing",
    )
    allow_plaintext: bool = Field(
        False, description="allows Postgres, Redis and the broker without TLS over a network nobody else is on"
    )

    # The gate.
    api_threads: Count = Field(8, description="of one API process: a connection each; a quarter may wait for jobs")
    api_processes: Count = Field(2, description="of one API server; one answers while the other restarts")
    drain: Annotated[float, Field(ge=0, le=60), Unit("s")] = Field(
        5.0, description="on SIGTERM readiness is red this long while serving goes on; a balancer asks every 1 to 2 s"
    )
    trusted_proxies: Networks = Field(
        (),
        description="addresses or networks, parted by commas: their `X-Forwarded-For` and `-Proto` are believed, "
        "nobody else's",
    )
    cors_origins: Annotated[tuple[str, ...], BeforeValidator(origins)] = Field(
        (),
        description="exact origins, parted by commas, whose pages may call the API from a browser; a key that a page "
        "holds is known to whoever opens it",
    )
    max_body_bytes: Bytes = Field(
        256 * 1024, description="of a request; a payment is under 4 kB, the rest is room for metadata"
    )
    max_webhook_bytes: Bytes = Field(
        1024 * 1024, description="of a provider's event; their largest are a few hundred kB"
    )
    rate_limit: Rate = Field(
        "100/second,200",
        description="requests of one API key in the long run, and after the comma how many may come at once; above "
        "what one shop's checkout produces in a rush",
    )
    merchant_rate_limit: Rate = Field(
        default_factory=lambda given: double(given["rate_limit"]) if "rate_limit" in given else "",
        description="of all keys of a merchant in one mode together: one with many keys leaves room for the others",
    )
    route_rate_limit: Rate = Field(
        default_factory=lambda given: given.get("rate_limit", ""),
        description="the same for each route: a script that lists leaves room for payments",
    )
    admin_rate_limit: Rate = Field("20/second", description="the same for `tg_admin_` keys")
    max_wait: Annotated[Seconds, Field(le=300)] = Field(
        30.0, description="the longest `?wait=` and `Prefer: wait`; under every proxy's usual 60 s"
    )
    idempotency_wait: Annotated[Seconds, Field(le=10)] = Field(
        1.0, description="a parallel request with the same key waits this long for the first one's commit"
    )

    # Administrators in the dashboard.
    session_rest: Seconds = Field(1800.0, description="an administrator's session is over when it rests this long")
    session_lifetime: Seconds = Field(
        12 * 3600.0, description="and at the latest now, however busy: a working day, then the code is asked for again"
    )
    session_confirm: Seconds = Field(
        600.0, description="dangerous acts ask for password or code again once the last answer is older"
    )

    # Jobs.
    lease: Seconds = Field(
        6.0, description="a job is held this long without renewal: a dead worker's are free within 10 s"
    )
    lease_renewal: Seconds = Field(2.0, description="under half a lease, so that one late renewal loses nothing")
    poll_interval: Seconds = Field(
        1.0, description="how often a worker looks for due jobs itself; a dead broker costs under 3 s"
    )
    claim_batch: Annotated[Count, Field(le=1000)] = Field(
        50, description="one hint's worth; measured best in one statement"
    )
    executor_threads: Annotated[Count, Field(le=2000)] = Field(
        150, description="provider calls in flight in one worker process"
    )
    calls_per_account: Count = Field(
        100, description="of those at one provider account: a frozen one leaves the other places free"
    )
    webhook_threads: Count = Field(16, description="webhooks applied at once in one worker process")
    delivery_threads: Count = Field(
        32, description="deliveries at once; a slow merchant endpoint never takes money's threads"
    )
    deliveries_per_endpoint: Count = Field(
        8, description="of those to one merchant endpoint: a slow one leaves the other places free"
    )
    maintenance_threads: Count = Field(2, description="scheduled runs at once in one worker process")
    database_pool: Annotated[int, Field(ge=2)] = Field(
        20, description="connections of one worker process, besides three for its leases; none is held during a call"
    )
    max_job_attempts: Count = Field(50, description="a poison job ends in review instead of killing workers for ever")

    # Provider calls.
    provider_connect_timeout: Seconds = Field(5.0, description="until a provider has taken the connection")
    provider_deadline: Seconds = Field(
        30.0, description="one call in all; longer than Stripe's slowest published answers"
    )
    not_found_after: Seconds = Field(
        40.0, description='"not found" counts only now: the deadline and 10 s that a request may still travel'
    )
    not_found_spacing: Seconds = Field(60.0, description='between two "not found" where one is not enough')
    refund_absent_spacing: Seconds = Field(
        600.0, description="a Paystack refund absent from two lists this far apart goes to review"
    )
    lookup_delays: Delays = Field(
        (5.0, 30.0, 120.0, 600.0, 3600.0, 21600.0),
        description="between look-ups of an unknown outcome; the last one repeats",
    )
    retry_delays: Delays = Field(
        (1.0, 5.0, 15.0, 60.0, 300.0),
        description="between sends that provably did not arrive; then the payment fails, with proof",
    )

    # Open payments.
    redirect_ttl: Seconds = Field(
        24 * 3600.0, description="a payment page stays open this long when nobody names a time"
    )
    redirect_watch: Seconds = Field(
        7 * 24 * 3600.0, description="a closed page is watched this much longer for late money"
    )
    sync_delays: Delays = Field(
        (60.0, 300.0, 1800.0, 7200.0, 21600.0), description="open payments are asked about again, backing off"
    )

    # Events out.
    delivery_timeout: Seconds = Field(15.0, description="one delivery of an event; Standard Webhooks: 15 to 30 s")
    delivery_delays: Delays = Field(
        (5.0, 300.0, 1800.0, 7200.0, 18000.0, 36000.0, 50400.0, 72000.0, 86400.0),
        description="between deliveries of one event; Standard Webhooks' own schedule",
    )
    allow_private_webhook_targets: bool = Field(
        False,
        description="deliveries into your own network; `tollgate up` with the local providers sets it",
    )

    # How long rows are kept. The least of each also stands in migration 0006, which no running login can pass.
    keep_bodies: Annotated[int, Field(ge=7, le=600), Unit("months")] = Field(
        20, description="what providers said, sealed: evidence while a payment can be disputed, 540 days at the longest"
    )
    keep_events: Annotated[int, Field(ge=7, le=600), Unit("months")] = Field(
        20, description="events for merchants: they can be listed and delivered again as long as a dispute may come"
    )
    keep_deliveries: Annotated[int, Field(ge=4, le=600), Unit("months")] = Field(
        13, description="attempts to deliver: a merchant asks about them within weeks, a year of them shows seasons"
    )
    keep_audit: Annotated[int, Field(ge=13, le=600), Unit("months")] = Field(
        26, description="months of the audit log at hand; older ones are taken off the table and never dropped"
    )
    keep_detached: Annotated[int, Field(ge=7, le=36500), Unit("days")] = Field(
        90, description="a month of the first three that was taken off waits so long for an archive, then it is dropped"
    )
    keep_jobs: Annotated[int, Field(ge=30, le=36500), Unit("days")] = Field(
        90, description="ended webhook and delivery jobs; jobs that callers asked for are kept"
    )
    keep_findings: Annotated[int, Field(ge=180, le=36500), Unit("days")] = Field(
        730, description="findings after somebody resolved them; open ones stay"
    )
    rotation_settle: Annotated[float, Field(ge=0, le=3600), Unit("s")] = Field(
        30.0,
        description="after the walk of a key rotation it is looked again for rows under the old key: longer than a "
        "process takes to see a new key file and to end a transaction",
    )
    keep_erasures: Annotated[int, Field(ge=30, le=36500), Unit("days")] = Field(
        400, description="erasures and ended keys in the anchor file: no backup older than this may be restored"
    )
    keep_forged_counts: Annotated[int, Field(ge=90, le=36500), Unit("days")] = Field(
        400, description="counts of webhooks with a wrong signature: a year of them, to compare"
    )

    public_url: Annotated[str, AfterValidator(web_address)] | None = Field(
        None, description="where providers reach the API from outside, such as `https://pay.example`; doctor asks it"
    )

    # Monitoring.
    metrics_token: Annotated[str, AfterValidator(bearer_token)] | None = Field(
        None,
        repr=False,
        description="whoever sends it as a bearer token may read `/metrics`; without one, this machine alone",
    )
    metrics_listen: Annotated[str, AfterValidator(listening_address)] | None = Field(
        None, description="where a worker serves its own `/metrics`, such as `127.0.0.1:9464`; each needs its own port"
    )

    log_level: Level = Field("INFO", description="of the JSON lines on standard error")

    # What `tollgate up` sets for its children.
    sandbox: bool = Field(False, description="set by `tollgate up`: the local providers run beside")
    ready_file: Path | None = Field(
        None, description="set by `tollgate up`: a worker writes its process id here once it runs"
    )
    drain_file: Path | None = Field(
        None, description="set by `api.serve` for its processes: there once they are to say that they leave"
    )

    @field_validator("redis_url", "broker_url")
    @classmethod
    def _trusted(cls, address: str, given: ValidationInfo) -> str:
        return with_authority(address, given.data.get("redis_ca_file"))

    @model_validator(mode="after")
    def _fit_together(self) -> Settings:
        wrong = []
        if self.lease_renewal * 2 >= self.lease:
            wrong.append("TOLLGATE_LEASE_RENEWAL must be under half of TOLLGATE_LEASE")
        if self.provider_connect_timeout > self.provider_deadline:
            wrong.append("TOLLGATE_PROVIDER_CONNECT_TIMEOUT must not exceed TOLLGATE_PROVIDER_DEADLINE")
        if self.not_found_after < self.provider_deadline + max(10, self.lease):
            wrong.append(
                "TOLLGATE_NOT_FOUND_AFTER must be at least TOLLGATE_PROVIDER_DEADLINE and TOLLGATE_LEASE together, and "
                "10 s more than the deadline: a request still on its way would be taken for one that never arrived"
            )
        if wrong:
            raise ValueError("; ".join(wrong))
        return self


def load_settings(environ: Mapping[str, str] = os.environ) -> Settings:
    """Raises core.environment.WrongSettings naming every missing, wrong or unknown setting."""
    return read(Settings, environ)
