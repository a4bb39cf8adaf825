"""What reports are asked for, and their lines."""

from __future__ import annotations

from datetime import date
from typing import Literal

from pydantic import Field, field_validator

from api.schemas.admin import OfMode
from api.schemas.base import Shown
from api.schemas.payouts import Exchanged
from core.reports.reading import DIMENSIONS


class WindowQuery(OfMode):
    """Whole days (UTC), both included."""

    since: date = Field(description="The first day, like 2026-11-01.")
    until: date = Field(description="The last day.")
    format: Literal["json", "csv"] = "json"


class PaymentsReportQuery(WindowQuery):
    by: str = Field("", max_length=60, description=f"Any of {', '.join(DIMENSIONS)}, separated by commas.")

    @field_validator("by")
    @classmethod
    def _known(cls, value: str) -> str:
        if any(one not in DIMENSIONS for one in value.split(",") if value):
            raise ValueError(f"may hold {', '.join(DIMENSIONS)}, separated by commas")
        return value


class PaymentsLine(Shown):
    """Money in minor units of `currency`; latency of provider calls in milliseconds, as upper bounds."""

    provider: str | None = None
    account: str | None = None
    day: str | None = None
    route: str | None = None
    currency: str
    payments: int
    succeeded: int
    failed: int
    canceled: int
    open: int
    amount: int
    captured: int
    received: int
    refunds: int
    refunded: int
    disputes: int
    disputed: int
    fees: int = Field(
        description="What the provider kept of these payments in `currency`: of charges, refunds and disputes. A fee "
        "in another currency than the payment's stands in a line of that currency, without payments. Fees of the "
        "account itself are not in it; `settlements` has them."
    )
    net: int = Field(description="Received less refunded, disputed and fees, each in `currency`.")
    success_rate: float | None = Field(description="Of those decided, the part that succeeded.")
    declines: dict[str, int] = Field(description="Failed payments by category.")
    calls: int
    latency_mean_ms: int | None
    latency_p50_ms: int | None
    latency_p95_ms: int | None


class PaymentsReport(Shown):
    data: list[PaymentsLine]


class SettlementLine(Shown):
    """What a provider paid out: gross - fees - refunds - disputes - adjustments = paid out, up to `difference`."""

    account: str
    payout: str
    status: str
    currency: str
    paid_out: int
    gross: int
    fees: int
    refunds: int
    disputes: int
    adjustments: int
    difference: int
    lines: int
    foreign_lines: int
    foreign_net: int
    booked_at: str | None
    arrives_at: str | None
    exchanged: dict[str, Exchanged] = Field(description="What was charged in other currencies, by currency.")


class SettlementsReport(Shown):
    data: list[SettlementLine]
