"""One row in every walled table for a merchant and mode, written by the owner."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.domain.identifiers import new_id
from core.persistence import tables
from core.persistence.database import Scope

#: An older revision knows fewer columns, and fewer tables.
_COLUMNS = sa.text("SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'public'")


def make_merchant(connection: Connection) -> UUID:
    merchant_id = new_id()
    connection.execute(tables.merchants.insert().values(id=merchant_id, name="Shop"))
    return merchant_id


def fill(connection: Connection, scope: Scope, partitioned: bool = True) -> dict[str, UUID | str]:
    """{table: id of its new row}. Every table of the database's revision that has merchant and mode gets one."""
    made: dict[str, UUID | str] = {}
    present = {tuple(row) for row in connection.execute(_COLUMNS)}

    def add(table: sa.Table, **values: Any) -> UUID:
        row_id = new_id()
        named = {"id": row_id} if "id" in table.c and "id" not in values else {}
        owned = {"merchant_id": scope.merchant_id, "mode": scope.mode}
        given = {**named, **owned, **values}
        known = {name: value for name, value in given.items() if (table.name, name) in present}
        if known:
            connection.execute(table.insert().values(**known))
        made[table.name] = values.get("id", row_id)
        return row_id

    add(tables.data_keys, owner_kind="merchant", owner_id=uuid4(), kek_version=1, wrapped=b"w")
    text = {"name": "key", "prefix": f"tg_{scope.mode}_", "scopes": ["payments:read"]}
    add(tables.api_keys, id=secrets.token_hex(8), kind="merchant", secret_hash=secrets.token_bytes(32), **text)
    account = add(
        tables.provider_accounts,
        provider="stripe",
        name="stripe",
        identity=secrets.token_hex(8),
        status="enabled",
        priority=100,
        credentials_sealed=b"s",
        webhook_secrets_sealed=b"s",
        settings={},
    )
    customer = add(tables.customers, sealed=b"s", email_index=b"i", index_key_version=1)
    at_account = {"customer_id": customer, "provider_account_id": account}
    add(tables.erasures, customer_id=customer)
    add(tables.provider_customers, provider_key=secrets.token_hex(8), first_sent_at=sa.func.app_now(), **at_account)
    saved = {"provider": "stripe", "kind": "card", "status": "active", "token_index": b"i", "sealed": b"s"}
    add(tables.payment_methods, **saved, **at_account)
    payment = add(tables.payments, customer_id=customer, **payment_values(account))
    at_provider = {"payment_id": payment, "currency": "USD", "amount": 700}
    refund = add(tables.refunds, status="succeeded", origin="api", **at_provider)
    charge = add(tables.transactions, refund_id=refund, **transaction_values(account), **at_provider)
    add(
        tables.disputes,
        transaction_id=charge,
        provider_account_id=account,
        provider_id=secrets.token_hex(8),
        provider="stripe",
        status="won",
        **at_provider,
    )
    job = add(tables.jobs, payment_id=payment, **job_values())
    add(tables.idempotency_keys, key=secrets.token_hex(8), fingerprint=b"f" * 32, status_code=202, response={})
    inbox = {"provider": "stripe", "dedupe_key": secrets.token_hex(8), "kind": "x", "status": "ignored"}
    received = add(tables.inbox_events, provider_account_id=account, payment_id=payment, **inbox)
    sealed = {"url": "https://shop.example/hook", "event_types": ["*"], "enabled": True, "secrets_sealed": b"s"}
    endpoint = add(tables.webhook_endpoints, **sealed)
    add(tables.findings, kind="x", dedupe_key=secrets.token_hex(8), status="open", details={}, payment_id=payment)
    _orchestration(add, account, payment)
    if not partitioned:
        return made
    add(tables.bodies, owner_kind="inbox_event", owner_id=received, sealed=b"s")
    event = add(tables.events, type="payment.succeeded", payment_id=payment, sequence=1, data={})
    sent = {"event_id": event, "endpoint_id": endpoint, "job_id": job, "attempt": 1, "outcome": "delivered"}
    add(tables.deliveries, duration_ms=1, **sent)
    told = {"actor": "tests", "action": "payment.created", "subject_kind": "payment", "details": {}}
    add(tables.audit_log, subject_id=payment, payment_id=payment, **told)
    return made


def _orchestration(add: Callable[..., UUID], account: UUID, payment: UUID) -> None:
    add(tables.routes, version=1, status="draft", definition={}, created_by="tests")
    at = {"provider_account_id": account}
    add(tables.health_changes, operation="start", from_state="closed", to_state="open", details={}, **at)
    window = {"window_from": sa.text("app_now() - interval '1 day'"), "window_until": sa.func.app_now()}
    add(tables.reconciliation_runs, kind="two_way", status="succeeded", started_by="tests", **window, **at)
    sums = {"amount": 100, "fee": 3, "net": 97, "currency": "USD"}
    line = {"line_id": secrets.token_hex(8), "kind": "charge", "matched": "matched", "payment_id": payment}
    add(tables.statement_lines, **line, **sums, **at)
    add(tables.payouts, payout=secrets.token_hex(8), status="matched", currency="USD", paid_out=97, **at)
    counted = [column.name for column in tables.daily_figures.c if isinstance(column.type, sa.BigInteger)]
    day = {"day": sa.text("app_now()::date")}
    named = {"provider": "stripe", "currency": "USD", "route": ""}
    add(tables.daily_figures, declines={}, latency={}, **dict.fromkeys(counted, 0), **named, **day, **at)
    add(tables.report_days, **day)


def payment_values(account: UUID | None = None, **changes: Any) -> dict[str, Any]:
    sums = "authorized captured received refunded disputed"
    return {
        "status": "succeeded",
        "amount": 5000,
        "currency": "USD",
        "capture": "automatic",
        "method": "token",
        "provider_account_id": account,
        "metadata": {},
        **{f"amount_{name}": 0 for name in sums.split()},
        "refund_reserved": 0,
        "event_sequence": 1,
        "sync_count": 0,
        **changes,
    }


def transaction_values(account: UUID, **changes: Any) -> dict[str, Any]:
    return {
        "kind": "charge",
        "number": 1,
        "status": "succeeded",
        "surplus": False,
        "provider": "stripe",
        "provider_account_id": account,
        "provider_key": secrets.token_hex(8),
        "request_sealed": b"s",
        "send_count": 1,
        "ambiguous": False,
        "not_found_count": 0,
        "lookup_count": 0,
        "extra": {},
        **changes,
    }


def job_values(**changes: Any) -> dict[str, Any]:
    counts = {"attempts": 0, "lease_losses": 0, "fence": 0}
    return {"kind": "sync_payment", "lane": "payments", "status": "succeeded", "arguments": {}, **counts, **changes}
