"""The rows a finished payment leaves, as SELECT statements over the payments' numbers.

Every statement is a format string for one stretch of numbers: `{first}`, `{last}`; of a partitioned table also
`{ends}`, where its month ends. Ids follow from kind, number and time alone, so the tables agree without a look-up.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.growth import shape

#: Ids are UUIDv7 by time, as core.domain.identifiers makes them; the rest of the bits follow from kind and number.
PREPARE = """
CREATE TABLE growth_slots (
    slot integer, late boolean, merchant_id uuid NOT NULL, account_id uuid NOT NULL, PRIMARY KEY (slot, late));
CREATE FUNCTION growth_id(kind text, number bigint, ms bigint) RETURNS uuid IMMUTABLE PARALLEL SAFE
LANGUAGE sql AS $$
    SELECT overlay(overlay(overlay(md5(kind || number::text) PLACING lpad(to_hex(ms), 12, '0') FROM 1 FOR 12)
        PLACING '7' FROM 13 FOR 1) PLACING '8' FROM 17 FOR 1)::uuid
$$;
CREATE FUNCTION growth_bytes(number bigint, repeats integer) RETURNS bytea IMMUTABLE PARALLEL SAFE
LANGUAGE sql AS $$ SELECT decode(repeat(md5(number::text), repeats), 'hex') $$;
"""
CLEAN = (
    "DROP TABLE growth_slots; DROP FUNCTION growth_id(text, bigint, bigint); "
    "DROP FUNCTION growth_bytes(bigint, integer)"
)


def _status(column: str = "place") -> str:
    parts, end = [], 0
    for status, share in shape.STATUSES.items():
        end += share
        parts.append(f"WHEN {column} < {end} THEN '{status}'")
    return f"CASE {' '.join(parts)} END"


#: n, at (ms in milliseconds), merchant_id, account_id, status, payment: what every table's rows are made from.
_SOURCE = f"""
FROM (SELECT n, timestamptz '{{since}}' + n * interval '{{step_us}} microseconds' AS at,
             ({{since_us}} + n * {{step_us}}) / 1000 AS ms,
             (n * 31 % {shape.STATUS_SLOTS}) AS place, (n * 7919 % {shape.SLOTS})::integer AS slot,
             n > {{payments}} / 2 AS late
        FROM generate_series({{first}}::bigint, {{last}}::bigint) n OFFSET 0) s
CROSS JOIN LATERAL (SELECT growth_id('payment', n, ms) AS payment, {_status()} AS status OFFSET 0) p
JOIN growth_slots g USING (slot, late)
"""


def _id(kind: str, after: int) -> str:
    return f"growth_id('{kind}', n, ms + {after})"


def _at(after: int) -> str:
    return f"at + interval '{after} ms'"


def _kept(after: int) -> str:
    """A time that stays in the month of its payment's partition."""
    return f"least(at + interval '{after} ms', timestamptz '{{ends}}' - interval '1 us')"


@dataclass(frozen=True, slots=True)
class Row:
    """One row of every payment that meets `where`: the values of its table's columns, in their order."""

    values: str
    where: str = "true"


@dataclass(frozen=True, slots=True)
class Filling:
    """A table, its columns by name, and the rows a payment leaves in it, in the order they are written."""

    table: str
    columns: str
    rows: tuple[Row, ...]
    monthly: bool = False

    @property
    def names(self) -> list[str]:
        return self.columns.replace(" ", "").split(",")

    def query(self, types: Sequence[str], span: Mapping[str, object]) -> str:
        """A SELECT of binary equals: every value cast to its column's type."""
        named = [f"c{place}" for place in range(len(self.names))]
        cast = ", ".join(f"v.{name}::{kind}" for name, kind in zip(named, types, strict=True))
        rows = " UNION ALL ".join(f"SELECT {row.values} WHERE {row.where}" for row in self.rows)
        query = f"SELECT {cast} {_SOURCE} CROSS JOIN LATERAL ({rows}) v({', '.join(named)})"
        return query.format_map(span)


_TENANT = "merchant_id, 'test'"
_CUSTOMER = f"n % {shape.CUSTOMER_EACH} = 0"
_REFUNDED = f"n % {shape.REFUND_EACH} = 0"
_DELIVERED = f"n % {shape.DELIVERY_EACH} = 0"

#: The public form of a payment, shortened: what it holds is never read here, how long it is only costs disk.
_PAYMENT = (
    '{{"mode": "test", "amount": 5000, "status": "processing", "capture": "automatic", "currency": "USD", '
    '"provider": null, "metadata": {{"order": "1001"}}, "return_url": "https://shop.example/back", '
    '"payment_method": {{"type": "token"}}, "created_at": "2026-01-01T00:00:00.000Z"}}'
)

_CUSTOMERS = Filling(
    "customers",
    "id, merchant_id, mode, sealed, email_index, index_key_version, created_at",
    (Row(f"{_id('customer', 0)}, {_TENANT}, growth_bytes(n, 8), growth_bytes(n + 7, 2), 1, at", _CUSTOMER),),
)
_DATA_KEYS = Filling(
    "data_keys",
    "id, merchant_id, mode, owner_kind, owner_id, kek_version, wrapped, created_at",
    (
        Row(
            f"{_id('data key', 0)}, {_TENANT}, 'customer', {_id('customer', 0)}, 1, growth_bytes(n, 4), at",
            _CUSTOMER,
        ),
    ),
)
_AMOUNT = "1000 + n % 90000"
_TAKEN = f"CASE WHEN status = 'succeeded' THEN {_AMOUNT} ELSE 0 END"
_PAYMENTS = Filling(
    "payments",
    "id, merchant_id, mode, customer_id, status, amount, currency, capture, method, method_sealed, provider, "
    "provider_account_id, reference, metadata, return_url, amount_captured, amount_received, decline, "
    "failure_code, route, event_sequence, expires_at, next_sync_at, created_at, updated_at",
    (
        Row(
            f"payment, {_TENANT}, CASE WHEN {_CUSTOMER} THEN {_id('customer', 0)} END, status, {_AMOUNT}, "
            "CASE WHEN n % 20 = 0 THEN 'EUR' ELSE 'USD' END, "
            "CASE WHEN status = 'authorized' THEN 'manual' ELSE 'automatic' END, 'token', growth_bytes(n, 5), "
            "'stripe', account_id, 'order-' || n::text, jsonb_build_object('order', n::text), "
            f"'https://shop.example/back', {_TAKEN}, {_TAKEN}, "
            'CASE WHEN status = \'failed\' THEN \'{{"code": "card_declined", "category": "soft"}}\'::jsonb END, '
            "CASE WHEN status = 'failed' THEN 'card_declined' END, "
            '\'{{"chosen": "acc_00000000000000000000000000", "candidates": []}}\'::jsonb, 2, '
            "CASE WHEN status = 'requires_action' THEN timestamptz '{open_until}' END, "
            "CASE WHEN status IN ('requires_action', 'authorized') THEN timestamptz '{open_until}' END, "
            f"at, {_at(400)}"
        ),
    ),
)
_REFUNDS = Filling(
    "refunds",
    "id, merchant_id, mode, payment_id, status, amount, currency, origin, provider_id, created_at, updated_at",
    (
        Row(
            f"{_id('refund', 60000)}, {_TENANT}, payment, 'succeeded', 100, 'USD', 'api', "
            f"'re_' || md5('refund' || n::text), {_at(60000)}, {_at(60400)}",
            _REFUNDED,
        ),
    ),
)
_OUTCOMES = "CASE status WHEN 'failed' THEN 'declined' WHEN 'authorized' THEN 'succeeded' ELSE status END"


def _transaction(kind: str, after: int, refund: str, status: str, where: str = "true") -> Row:
    return Row(
        f"{_id(kind, after)}, {_TENANT}, payment, {refund}, '{kind}', 1, {status}, 'stripe', account_id, "
        f"'pay_' || translate(payment::text, '-', '') || '-{kind}-1', 'pi_' || md5('{kind}' || n::text), "
        f"'ch_' || md5('of {kind}' || n::text), {_AMOUNT}, 'USD', {_AMOUNT}, growth_bytes(n, 16), 1, "
        f"{_at(after)}, {_at(after)}, jsonb_build_object('job', {_id('create_payment', 1)}::text), {_at(after)}, "
        f"{_at(after + 350)}",
        where,
    )


_TRANSACTIONS = Filling(
    "transactions",
    "id, merchant_id, mode, payment_id, refund_id, kind, number, status, provider, provider_account_id, "
    "provider_key, provider_id, provider_charge_id, amount, currency, amount_confirmed, request_sealed, "
    "send_count, first_sent_at, last_sent_at, extra, created_at, updated_at",
    (
        _transaction("charge", 20, "NULL::uuid", _OUTCOMES),
        _transaction("refund", 60020, _id("refund", 60000), "'succeeded'", _REFUNDED),
    ),
)


def _job(kind: str, lane: str, after: int, target: str = "NULL::uuid", where: str = "true") -> Row:
    endpoint = _id("endpoint", 0) if kind == "deliver_event" else "NULL::uuid"
    payment = "NULL::uuid" if kind == "process_webhook" else "payment"
    return Row(
        f"{_id(kind, after)}, {_TENANT}, '{kind}', '{lane}', 'succeeded', {payment}, {target}, {endpoint}, "
        """'{{"actor": "key tg_test_0123456789", "request_id": "0123456789abcdef"}}'::jsonb, 1, """
        f"{_at(after)}, 1, {_at(after)}, {_at(after + 10)}, {_at(after + 400)}",
        where,
    )


_JOBS = Filling(
    "jobs",
    "id, merchant_id, mode, kind, lane, status, payment_id, target_id, endpoint_id, arguments, attempts, "
    "run_after, fence, created_at, started_at, finished_at",
    (
        _job("create_payment", "payments", 1),
        _job("deliver_event", "deliveries", 401, _id("event 2", 400), _DELIVERED),
        _job("process_webhook", "webhooks", 501, _id("inbox", 500)),
        _job("refund_payment", "payments", 60001, _id("refund", 60000), _REFUNDED),
    ),
)
_KEYS = Filling(
    "idempotency_keys",
    "merchant_id, mode, key, fingerprint, job_id, payment_id, status_code, location, response, created_at",
    (
        # The caller's keys are random, as those of a careful caller are.
        Row(
            f"{_TENANT}, md5('key' || n::text)::uuid::text, growth_bytes(n, 2), {_id('create_payment', 1)}, payment, "
            "202, '/v1/jobs/job_00000000000000000000000000', "
            """('{{"job": {{"id": "job_' || n::text || '"}}, "payment": """
            f"""{_PAYMENT}}}}}')::json, at"""
        ),
    ),
)
_EVENT = "'evt_' || md5('provider event' || n::text)"
_INBOX = Filling(
    "inbox_events",
    "id, merchant_id, mode, provider, provider_account_id, dedupe_key, kind, provider_event_id, "
    "provider_created_at, status, reason, payment_id, received_at, processed_at",
    (
        Row(
            f"{_id('inbox', 500)}, {_TENANT}, 'stripe', account_id, {_EVENT}, 'payment_intent.succeeded', {_EVENT}, "
            f"{_at(450)}, 'applied', 'applied', payment, {_at(500)}, {_at(700)}"
        ),
    ),
)
_FINDINGS = Filling(
    "findings",
    "id, merchant_id, mode, kind, dedupe_key, status, payment_id, details, created_at, resolved_at, resolution",
    (
        Row(
            f"{_id('finding', 800)}, {_TENANT}, 'operation_not_ours', payment::text, "
            f"CASE WHEN n % {10 * shape.FINDING_EACH} = 0 THEN 'open' ELSE 'resolved' END, payment, "
            f"jsonb_build_object(), {_at(800)}, "
            f"CASE WHEN n % {10 * shape.FINDING_EACH} <> 0 THEN {_at(90_000)} END, "
            f"CASE WHEN n % {10 * shape.FINDING_EACH} <> 0 THEN 'looked at' END",
            f"n % {shape.FINDING_EACH} = 0",
        ),
    ),
)


def _body(owner_kind: str, owner: str, after: int) -> Row:
    own = _id(f"body {owner_kind}", after)
    return Row(f"{own}, {_TENANT}, '{owner_kind}', {owner}, growth_bytes(n, 10), {_kept(after)}")


_BODIES = Filling(
    "bodies",
    "id, merchant_id, mode, owner_kind, owner_id, sealed, created_at",
    (_body("transaction", _id("charge", 20), 390), _body("inbox_event", _id("inbox", 500), 500)),
    monthly=True,
)


def _event(number: int, kind: str, after: int) -> Row:
    return Row(
        f"{_id(f'event {number}', after)}, {_TENANT}, {kind}, payment, {number}, "
        f"jsonb_build_object('payment', '{_PAYMENT}'::jsonb), {_kept(after)}"
    )


_EVENTS = Filling(
    "events",
    "id, merchant_id, mode, type, payment_id, sequence, data, created_at",
    (_event(1, "'payment.processing'", 0), _event(2, "'payment.' || status", 400)),
    monthly=True,
)


def _record(number: int, subject: str, subject_id: str, source: str, target: str, after: int) -> Row:
    action = f"{subject}.created" if source == "NULL" else f"{subject}.status_changed"
    return Row(
        f"{_id(f'audit {number}', after)}, 4 * n + {number - 4}, {_TENANT}, 'worker', '{action}', '{subject}', "
        f"{subject_id}, payment, {source}, {target}, 'answer', '0123456789abcdef', "
        f"jsonb_build_object('reference', 'job job_00000000000000000000000000'), {_kept(after)}"
    )


_AUDIT = Filling(
    "audit_log",
    "id, number, merchant_id, mode, actor, action, subject_kind, subject_id, payment_id, from_status, to_status, "
    "cause, request_id, details, created_at",
    (
        _record(1, "payment", "payment", "NULL", "'processing'", 0),
        _record(2, "transaction", _id("charge", 20), "NULL", "'sent'", 20),
        _record(3, "transaction", _id("charge", 20), "'sent'", _OUTCOMES, 400),
        _record(4, "payment", "payment", "'processing'", "status", 401),
    ),
    monthly=True,
)
_DELIVERIES = Filling(
    "deliveries",
    "id, merchant_id, mode, event_id, endpoint_id, job_id, payment_id, attempt, outcome, http_status, duration_ms, "
    "created_at",
    (
        Row(
            f"{_id('delivery', 600)}, {_TENANT}, {_id('event 2', 400)}, {_id('endpoint', 0)}, "
            f"{_id('deliver_event', 401)}, payment, 1, 'delivered', 200, 40, {_kept(600)}",
            _DELIVERED,
        ),
    ),
    monthly=True,
)

#: The longest first, so that two at a time end together.
FILLINGS: tuple[Filling, ...] = (
    _JOBS,
    _TRANSACTIONS,
    _KEYS,
    _PAYMENTS,
    _INBOX,
    _CUSTOMERS,
    _DATA_KEYS,
    _REFUNDS,
    _FINDINGS,
    _AUDIT,
    _EVENTS,
    _BODIES,
    _DELIVERIES,
)
