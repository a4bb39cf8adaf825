"""The rows a finished payment leaves, as SELECT statements over the payments' numbers.

Every statement is a format string for one stretch of numbers: `{first}`, `{last}`; of a partitioned table also
`{ends}`, where its month ends. Ids follow from kind, number and time alone, so the tables agree without a look-up.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bench.growth import shape

#: Ids are UUIDv7 by time, as core.domain.identifiers makes them; the rest of the bits follow from kind and number.
PREPARE = """
CREATE TABLE growth_slots (slot integer PRIMARY KEY, merchant_id uuid NOT NULL, account_id uuid NOT NULL);
CREATE FUNCTION growth_id(kind text, number bigint, at timestamptz) RETURNS uuid IMMUTABLE PARALLEL SAFE
LANGUAGE sql AS $$
    SELECT overlay(overlay(overlay(md5(kind || number)
        PLACING lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') FROM 1 FOR 12)
        PLACING '7' FROM 13 FOR 1) PLACING '8' FROM 17 FOR 1)::uuid
$$;
CREATE FUNCTION growth_bytes(number bigint, repeats integer) RETURNS bytea IMMUTABLE PARALLEL SAFE
LANGUAGE sql AS $$ SELECT decode(repeat(md5(number::text), repeats), 'hex') $$;
"""
CLEAN = (
    "DROP TABLE growth_slots; DROP FUNCTION growth_id(text, bigint, timestamptz); "
    "DROP FUNCTION growth_bytes(bigint, integer)"
)


def _status(column: str = "place") -> str:
    parts, end = [], 0
    for status, share in shape.STATUSES.items():
        end += share
        parts.append(f"WHEN {column} < {end} THEN '{status}'")
    return f"CASE {' '.join(parts)} END"


#: n, at, merchant_id, account_id, status, payment: what every table's rows are made from.
_SOURCE = f"""
FROM (SELECT n, timestamptz '{{since}}' + n * interval '{{step_us}} microseconds' AS at,
             (n * 31 % {shape.STATUS_SLOTS}) AS place, (n * 7919 % {shape.SLOTS})::integer AS slot
        FROM generate_series({{first}}::bigint, {{last}}::bigint) n OFFSET 0) s
CROSS JOIN LATERAL (SELECT growth_id('payment', n, at) AS payment, {_status()} AS status OFFSET 0) p
JOIN growth_slots g USING (slot)
"""
_ID = "growth_id('{kind}', n, at + interval '{after} ms')"


def _id(kind: str, after: int) -> str:
    return f"growth_id('{kind}', n, at + interval '{after} ms')"


def _at(after: int) -> str:
    return f"at + interval '{after} ms'"


def _kept(after: int) -> str:
    """A time that stays in the month of its payment's partition."""
    return f"least(at + interval '{after} ms', timestamptz '{{ends}}' - interval '1 us')"


@dataclass(frozen=True, slots=True)
class Filling:
    """One stretch of a table: its columns, what is selected into them, and which payments have such rows."""

    table: str
    columns: str
    select: str
    where: str = "true"

    def query(self, values: Mapping[str, object]) -> str:
        return f"SELECT {self.select} {_SOURCE} WHERE {self.where}".format_map(values)


_TENANT = "merchant_id, 'test'"
_CUSTOMER = f"n % {shape.CUSTOMER_EACH} = 0"
_REFUNDED = f"n % {shape.REFUND_EACH} = 0"
_DELIVERED = f"n % {shape.DELIVERY_EACH} = 0"

_PAYMENT = (
    '{{"mode": "test", "amount": 5000, "status": "processing", "capture": "automatic", "currency": "USD", '
    '"customer": null, "provider": null, "metadata": {{"order": "1001"}}, "reference": "order-1001", '
    '"return_url": "https://shop.example/back", "amount_captured": 0, "amount_refunded": 0, '
    '"payment_method": {{"type": "token"}}, "created_at": "2026-01-01T00:00:00.000Z"}}'
)

_CUSTOMERS = Filling(
    "customers",
    "id, merchant_id, mode, sealed, email_index, index_key_version, created_at",
    f"{_id('customer', 0)}, {_TENANT}, growth_bytes(n, 8), growth_bytes(n + 7, 2), 1, at",
    _CUSTOMER,
)
_DATA_KEYS = Filling(
    "data_keys",
    "id, merchant_id, mode, owner_kind, owner_id, kek_version, wrapped, created_at",
    f"{_id('data_key', 0)}, {_TENANT}, 'customer', {_id('customer', 0)}, 1, growth_bytes(n, 4), at",
    _CUSTOMER,
)
_PAYMENTS = Filling(
    "payments",
    "id, merchant_id, mode, customer_id, status, amount, currency, capture, method, method_sealed, provider, "
    "provider_account_id, reference, metadata, return_url, amount_captured, amount_received, decline, "
    "failure_code, route, event_sequence, expires_at, next_sync_at, created_at, updated_at",
    f"payment, {_TENANT}, CASE WHEN {_CUSTOMER} THEN {_id('customer', 0)} END, status, 1000 + n % 90000, "
    "CASE WHEN n % 20 = 0 THEN 'EUR' ELSE 'USD' END, CASE WHEN status = 'authorized' THEN 'manual' ELSE 'automatic' "
    "END, 'token', growth_bytes(n, 5), 'stripe', account_id, 'order-' || n, jsonb_build_object('order', n::text), "
    "'https://shop.example/back', CASE WHEN status = 'succeeded' THEN 1000 + n % 90000 ELSE 0 END, "
    "CASE WHEN status = 'succeeded' THEN 1000 + n % 90000 ELSE 0 END, CASE WHEN status = 'failed' THEN "
    """'{{"code": "card_declined", "category": "soft", "message": "Declined.", "provider_code": "do_not_honor"}}'"""
    "::jsonb END, CASE WHEN status = 'failed' THEN 'card_declined' END, "
    """'{{"chosen": "acc_00000000000000000000000000", "candidates": []}}'::jsonb, 2, """
    "CASE WHEN status = 'requires_action' THEN timestamptz '{open_until}' END, "
    "CASE WHEN status IN ('requires_action', 'authorized') THEN timestamptz '{open_until}' END, "
    f"at, {_at(400)}",
)
_REFUNDS = Filling(
    "refunds",
    "id, merchant_id, mode, payment_id, status, amount, currency, origin, provider_id, created_at, updated_at",
    f"{_id('refund', 60000)}, {_TENANT}, payment, 'succeeded', 100, 'USD', 'api', 're_' || md5('r' || n), "
    f"{_at(60000)}, {_at(60400)}",
    _REFUNDED,
)


def _transactions(kind: str, after: int, refund: str, where: str) -> Filling:
    status = "CASE status WHEN 'failed' THEN 'declined' ELSE status END" if kind == "charge" else "'succeeded'"
    if kind == "charge":
        status = "CASE status WHEN 'failed' THEN 'declined' WHEN 'authorized' THEN 'succeeded' ELSE status END"
    return Filling(
        "transactions",
        "id, merchant_id, mode, payment_id, refund_id, kind, number, status, provider, provider_account_id, "
        "provider_key, provider_id, provider_charge_id, amount, currency, amount_confirmed, request_sealed, "
        "send_count, first_sent_at, last_sent_at, extra, created_at, updated_at",
        f"{_id(kind, after)}, {_TENANT}, payment, {refund}, '{kind}', 1, {status}, 'stripe', account_id, "
        f"'pay_' || translate(payment::text, '-', '') || '-{kind}-1', 'pi_' || md5('{kind}' || n), "
        f"'ch_' || md5('{kind}c' || n), 1000 + n % 90000, 'USD', 1000 + n % 90000, growth_bytes(n, 24), 1, "
        f"{_at(after)}, {_at(after)}, jsonb_build_object('job', {_id('create', 1)}::text), {_at(after)}, "
        f"{_at(after + 350)}",
        where,
    )


def _jobs(kind: str, lane: str, after: int, target: str = "NULL", where: str = "true") -> Filling:
    endpoint = _id("endpoint", 0) if kind == "deliver_event" else "NULL::uuid"
    payment = "NULL::uuid" if kind == "process_webhook" else "payment"
    return Filling(
        "jobs",
        "id, merchant_id, mode, kind, lane, status, payment_id, target_id, endpoint_id, arguments, attempts, "
        "run_after, fence, created_at, started_at, finished_at",
        f"{_id(kind, after)}, {_TENANT}, '{kind}', '{lane}', 'succeeded', {payment}, {target}::uuid, {endpoint}, "
        """'{{"actor": "key tg_test_0123456789", "request_id": "0123456789abcdef"}}'::jsonb, 1, """
        f"{_at(after)}, 1, {_at(after)}, {_at(after + 10)}, {_at(after + 400)}",
        where,
    )


_KEYS = Filling(
    "idempotency_keys",
    "merchant_id, mode, key, fingerprint, job_id, payment_id, status_code, location, response, created_at",
    f"{_TENANT}, md5('key' || n)::uuid::text, growth_bytes(n, 2), {_id('create_payment', 1)}, payment, 202, "
    f"""'/v1/jobs/job_' || n, ('{{{{"job": {{{{"id": "job_' || n || '"}}}}, "payment": {_PAYMENT}}}}}')::json, at""",
)
_INBOX = Filling(
    "inbox_events",
    "id, merchant_id, mode, provider, provider_account_id, dedupe_key, kind, provider_event_id, "
    "provider_created_at, status, reason, payment_id, received_at, processed_at",
    f"{_id('inbox', 500)}, {_TENANT}, 'stripe', account_id, 'evt_' || md5('evt' || n), 'payment_intent.succeeded', "
    f"'evt_' || md5('evt' || n), {_at(450)}, 'applied', 'applied', payment, {_at(500)}, {_at(700)}",
)
_FINDINGS = Filling(
    "findings",
    "id, merchant_id, mode, kind, dedupe_key, status, payment_id, details, created_at, resolved_at, resolution",
    f"{_id('finding', 800)}, {_TENANT}, 'operation_not_ours', payment::text, CASE WHEN n % 10000 = 0 THEN 'open' "
    f"ELSE 'resolved' END, payment, '{{{{}}}}'::jsonb, {_at(800)}, CASE WHEN n % 10000 <> 0 THEN {_at(90000)} END, "
    "CASE WHEN n % 10000 <> 0 THEN 'looked at' END",
    f"n % {shape.FINDING_EACH} = 0",
)


def _bodies(owner_kind: str, owner: str, after: int) -> Filling:
    return Filling(
        "bodies",
        "id, merchant_id, mode, owner_kind, owner_id, sealed, created_at",
        f"{_id('body ' + owner_kind, after)}, {_TENANT}, '{owner_kind}', {owner}, growth_bytes(n, 20), {_kept(after)}",
    )


def _events(number: int, kind: str, after: int) -> Filling:
    return Filling(
        "events",
        "id, merchant_id, mode, type, payment_id, sequence, data, created_at",
        f"{_id(f'event {number}', after)}, {_TENANT}, {kind}, payment, {number}, "
        f"""jsonb_build_object('payment', '{_PAYMENT}'::jsonb), {_kept(after)}""",
    )


def _audit(number: int, subject: str, subject_id: str, source: str, target: str, after: int) -> Filling:
    action = f"{subject}.created" if source == "NULL" else f"{subject}.status_changed"
    return Filling(
        "audit_log",
        "id, number, merchant_id, mode, actor, action, subject_kind, subject_id, payment_id, from_status, "
        "to_status, cause, request_id, details, created_at",
        f"{_id(f'audit {number}', after)}, 4 * n + {number - 4}, {_TENANT}, 'worker', '{action}', '{subject}', "
        f"{subject_id}, payment, {source}, {target}, 'answer', '0123456789abcdef', "
        f"""'{{{{"reference": "job job_00000000000000000000000000"}}}}'::jsonb, {_kept(after)}""",
    )


_DELIVERIES = Filling(
    "deliveries",
    "id, merchant_id, mode, event_id, endpoint_id, job_id, payment_id, attempt, outcome, http_status, duration_ms, "
    "created_at",
    f"{_id('delivery', 600)}, {_TENANT}, {_id('event 2', 400)}, {_id('endpoint', 0)}, {_id('deliver_event', 401)}, "
    f"payment, 1, 'delivered', 200, 40, {_kept(600)}",
    _DELIVERED,
)

#: Whole tables, in the order of their foreign keys.
WHOLE: tuple[Filling, ...] = (
    _CUSTOMERS,
    _DATA_KEYS,
    _PAYMENTS,
    _REFUNDS,
    _transactions("charge", 20, "NULL::uuid", "true"),
    _transactions("refund", 60020, _id("refund", 60000), _REFUNDED),
    _jobs("create_payment", "payments", 1),
    _jobs("process_webhook", "webhooks", 501, _id("inbox", 500)),
    _jobs("deliver_event", "deliveries", 401, _id("event 2", 400), _DELIVERED),
    _jobs("refund_payment", "payments", 60001, _id("refund", 60000), _REFUNDED),
    _KEYS,
    _INBOX,
    _FINDINGS,
)
#: Tables partitioned by month.
MONTHLY: tuple[Filling, ...] = (
    _bodies("transaction", _id("charge", 20), 390),
    _bodies("inbox_event", _id("inbox", 500), 500),
    _events(1, "'payment.processing'", 0),
    _events(2, "'payment.' || status", 400),
    _audit(1, "payment", "payment", "NULL", "'processing'", 0),
    _audit(2, "transaction", _id("charge", 20), "NULL", "'sent'", 20),
    _audit(3, "transaction", _id("charge", 20), "'sent'", "'succeeded'", 400),
    _audit(4, "payment", "payment", "'processing'", "status", 401),
    _DELIVERIES,
)


def tables(fillings: tuple[Filling, ...]) -> list[str]:
    return list(dict.fromkeys(one.table for one in fillings))
