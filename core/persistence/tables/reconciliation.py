"""Our books against theirs: runs, the provider's statement line by line, what was paid out; and the daily figures."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import UUID

from core.persistence.tables.base import (
    created, flag, identifier, json, link, metadata, number, small, tenant, text, when,
)  # fmt: skip


def _account() -> sa.Column[object]:
    return sa.Column("provider_account_id", UUID(as_uuid=True), primary_key=True)


reconciliation_runs = sa.Table(
    "reconciliation_runs",
    metadata,
    identifier(),
    *tenant(),
    link("provider_account_id", False),
    text("kind", False),
    text("status", False),
    when("window_from", False),
    when("window_until", False),
    json("progress", False),
    json("counts", False),
    json("sums", False),
    small("findings"),
    link("job_id"),
    text("started_by", False),
    json("error"),
    created(),
    created("updated_at"),
    when("finished_at"),
)

statement_lines = sa.Table(
    "statement_lines",
    metadata,
    _account(),
    text("line_id", False, primary_key=True),
    *tenant(),
    text("kind", False),
    number("amount"),
    number("fee"),
    number("net"),
    text("currency", False),
    text("source"),
    text("payout"),
    text("matched", False),
    link("payment_id"),
    link("transaction_id"),
    link("refund_id"),
    link("dispute_id"),
    when("booked_at"),
    when("available_at"),
    number("original_amount", True),
    text("original_currency"),
    text("exchange_rate"),
    text("provider_kind"),
    link("run_id"),
    when("read_for"),
    text("reported"),
    created(),
    created("updated_at"),
)

payouts = sa.Table(
    "payouts",
    metadata,
    _account(),
    text("payout", False, primary_key=True),
    *tenant(),
    text("status", False),
    text("currency", False),
    *(number(name) for name in "paid_out gross fees refunds disputes adjustments".split()),
    number("deducted", True),
    number("carried_in"),
    number("carried_over"),
    flag("opening"),
    number("difference"),
    json("exchanged", False),
    flag("settled"),
    when("failed_at"),
    text("reported"),
    small("lines"),
    small("foreign_lines"),
    number("foreign_net"),
    when("booked_at"),
    when("arrives_at"),
    created(),
    created("updated_at"),
)

_COUNTED = "payments succeeded failed canceled open amount captured received refunds refunded disputes disputed fees"

daily_figures = sa.Table(
    "daily_figures",
    metadata,
    sa.Column("merchant_id", UUID(as_uuid=True), primary_key=True),
    text("mode", False, primary_key=True),
    sa.Column("day", sa.Date, primary_key=True),
    text("provider", False, primary_key=True),
    _account(),
    text("currency", False, primary_key=True),
    text("route", False, primary_key=True),
    *(number(name) for name in _COUNTED.split()),
    json("declines", False),
    number("calls"),
    number("call_ms"),
    json("latency", False),
)

report_days = sa.Table(
    "report_days",
    metadata,
    sa.Column("merchant_id", UUID(as_uuid=True), primary_key=True),
    text("mode", False, primary_key=True),
    sa.Column("day", sa.Date, primary_key=True),
    when("built_at"),
    when("changed_at"),
)
