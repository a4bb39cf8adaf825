"""Payouts and the lines they are made of."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from api.schemas.admin import OfMode, PageQuery
from api.schemas.base import Parameters, Shown, id_pattern
from api.schemas.parameters import Moment

_STATUS = Literal["matched", "differs", "incomplete", "failed"]


class PayoutPath(Parameters):
    id: str
    account: str
    payout: str


class PayoutsQuery(OfMode, PageQuery):
    after: str | None = Field(
        None, max_length=300, pattern=f"{id_pattern('provider_account')[:-1]}:.+$",
        description="The `next` of the page before.",
    )  # fmt: skip
    before: Moment | None = Field(None, description="Only those booked before then.")
    provider_account: str | None = Field(None, pattern=id_pattern("provider_account"))
    status: _STATUS | None = None


class LinesQuery(OfMode, PageQuery):
    after: str | None = Field(None, max_length=255, description="The last line of the page before.")
    format: Literal["json", "csv"] = Field("json", description="CSV holds all lines, whatever the limit.")


class Exchanged(Shown):
    """What of a payout was charged in another currency."""

    lines: int
    original: int = Field(description="In minor units of the currency it was charged in.")
    converted: int = Field(description="In minor units of the payout's currency.")


class Payout(Shown):
    """gross - fees - refunds - disputes - adjustments = paid out, up to `difference`; in minor units of `currency`.

    Where the provider takes refunds out of later payouts, `carried_in` is what was still owed before this one and
    `carried_over` what is owed after it.
    """

    payout: str
    provider_account: str
    status: _STATUS
    currency: str
    paid_out: int
    gross: int
    fees: int
    refunds: int
    disputes: int
    adjustments: int
    carried_in: int
    carried_over: int
    difference: int
    lines: int
    foreign_lines: int
    foreign_net: int
    exchanged: dict[str, Exchanged] = Field(description="By the currency it was charged in.")
    booked_at: str | None
    arrives_at: str | None


class Payouts(Shown):
    """A page, newest first; `next` goes into `after`."""

    data: list[Payout]
    has_more: bool
    next: str | None


class StatementLine(Shown):
    """A movement on the provider's books, signed as it moves the balance, with what of ours it is about."""

    line: str
    kind: str
    matched: Literal["matched", "foreign", "unmatched", "account"]
    amount: int
    fee: int
    net: int
    currency: str
    source: str | None
    payout: str | None
    payment: str | None
    transaction: str | None
    refund: str | None
    dispute: str | None
    original_amount: int | None
    original_currency: str | None
    exchange_rate: str | None
    provider_kind: str | None
    booked_at: str | None
    available_at: str | None


class StatementLines(Shown):
    data: list[StatementLine]
