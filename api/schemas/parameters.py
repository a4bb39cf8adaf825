"""Path and query parameters."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from api.schemas.base import Parameters, QueryNumber, id_pattern
from core.domain.countries import COUNTRIES
from core.domain.money import CURRENCIES
from core.providers.registry import PROVIDERS


class PathId(Parameters):
    """What is not an id of the right kind is not found (404)."""

    id: str = Field(description="The public id.")


def _moment(value: Any) -> Any:
    """RFC 3339 with a zone; pydantic alone would also take a number of seconds."""
    if not isinstance(value, str) or len(value) > 40 or "T" not in value.upper():
        raise ValueError("must be a time like 2026-11-23T10:00:00Z")
    try:
        found = datetime.fromisoformat(value.upper().replace("Z", "+00:00"))
    except ValueError:
        raise ValueError("must be a time like 2026-11-23T10:00:00Z") from None
    if found.tzinfo is None:
        raise ValueError("must name its zone: add Z for UTC")
    try:
        return found.astimezone(UTC)
    except OverflowError:
        raise ValueError("must be a time like 2026-11-23T10:00:00Z") from None


def known_currency(value: str) -> str:
    """Upper case and known to ISO 4217. Raises ValueError."""
    code = value.upper()
    if code not in CURRENCIES:
        raise ValueError("is not a currency of ISO 4217 that people pay with")
    return code


Moment = Annotated[datetime, BeforeValidator(_moment)]
Currency = Annotated[
    str,
    Field(
        pattern=r"^[A-Za-z]{3}$",
        description="ISO 4217, e.g. USD, in capitals or small letters.",
        examples=["USD"],
        json_schema_extra={"enum": [form for code in sorted(CURRENCIES) for form in (code, code.lower())]},
    ),
    AfterValidator(known_currency),
]


def known_country(value: str) -> str:
    """Raises ValueError."""
    if value not in COUNTRIES:
        raise ValueError("is not a country of ISO 3166 by its two letters")
    return value


Country = Annotated[
    str,
    Field(
        pattern=r"^[A-Z]{2}$",
        description="ISO 3166-1 by two capitals, e.g. NG.",
        examples=["NG"],
        json_schema_extra={"enum": sorted(COUNTRIES)},
    ),
    AfterValidator(known_country),
]
Short = Annotated[str, Field(min_length=1, max_length=200)]


def known_provider(value: str) -> str:
    """Raises ValueError."""
    if value not in PROVIDERS:
        raise ValueError(f"must be one of {', '.join(sorted(PROVIDERS))}")
    return value


KnownProvider = Annotated[
    str, Field(max_length=40, json_schema_extra={"enum": [*sorted(PROVIDERS)]}), AfterValidator(known_provider)
]


class _Page(Parameters):
    limit: QueryNumber = Field(20, ge=1, le=100, description="How many at most.")
    created_after: Moment | None = Field(None, description="RFC 3339, exclusive.")
    created_before: Moment | None = Field(None, description="RFC 3339, exclusive.")


class PaymentsQuery(_Page):
    after: str | None = Field(None, pattern=id_pattern("payment"), description="The last id of the page before.")
    status: Literal["processing", "requires_action", "authorized", "succeeded", "failed", "canceled"] | None = None
    currency: Currency | None = None
    reference: Short | None = None
    provider: KnownProvider | None = None
    customer: str | None = Field(None, pattern=id_pattern("customer"))


class RefundsQuery(_Page):
    after: str | None = Field(None, pattern=id_pattern("refund"), description="The last id of the page before.")
    status: Literal["processing", "requires_action", "succeeded", "failed", "canceled"] | None = None
    currency: Currency | None = None
    payment: str | None = Field(None, pattern=id_pattern("payment"))


class PaymentDisputesQuery(_Page):
    after: str | None = Field(None, pattern=id_pattern("dispute"), description="The last id of the page before.")
    status: Literal["needs_response", "under_review", "won", "lost", "closed"] | None = None


class DisputesQuery(PaymentDisputesQuery):
    payment: str | None = Field(None, pattern=id_pattern("payment"))
    provider: KnownProvider | None = None


class PaymentRefundsQuery(_Page):
    after: str | None = Field(None, pattern=id_pattern("refund"), description="The last id of the page before.")
    status: Literal["processing", "requires_action", "succeeded", "failed", "canceled"] | None = None


class JobQuery(Parameters):
    wait: QueryNumber = Field(
        0, ge=0, le=30, description="Answer once the job has ended, after this many seconds at most."
    )


class EventsQuery(Parameters):
    limit: QueryNumber = Field(20, ge=1, le=100, description="How many at most.")
    after: str | None = Field(None, pattern=id_pattern("event"), description="The last id of the page before.")
    type: Annotated[str, Field(pattern=r"^[a-z_]+(\.[a-z_]+)*$", max_length=80)] | None = None
    payment: str | None = Field(None, pattern=id_pattern("payment"))


class NoQuery(Parameters):
    """For routes that take no query parameter: one that is sent is an error."""
