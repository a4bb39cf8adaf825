"""The figures of a day's payments, counted from the payments themselves: one statement for roll-up and report."""

from __future__ import annotations

#: Upper bounds of the latency histogram, in milliseconds; what is slower counts under `slower`.
BOUNDS = (50, 100, 200, 300, 500, 750, 1000, 1500, 2000, 3000, 5000, 10000, 20000, 30000)
SLOWER = "slower"

#: What is added up, in the order of the table's columns.
SUMS = (
    "payments", "succeeded", "failed", "canceled", "open", "amount", "captured", "received", "refunds", "refunded",
    "disputes", "disputed", "fees", "calls", "call_ms",
)  # fmt: skip
#: What is counted by name: declined payments by category, provider calls by upper bound.
NAMED = ("declines", "latency")
KEYS = ("provider", "provider_account_id", "currency", "route")

_NOBODY = "'00000000-0000-0000-0000-000000000000'::uuid"
_BUCKET = "CASE " + " ".join(f"WHEN t.call_ms <= {bound} THEN '{bound}'" for bound in BOUNDS) + f" ELSE '{SLOWER}' END"

#: What a provider kept of a payment's own money, as its transactions say. Of a hold that was captured both may say the
#: same fee, the capture by its answer and the hold by the statement, which names the hold: the statement's counts.
_TAKEN = """t.status = 'succeeded' AND (t.kind IN ('charge', 'authorize') OR (t.kind = 'capture' AND NOT EXISTS (
               SELECT FROM transactions h WHERE h.payment_id = t.payment_id AND h.kind = 'authorize'
                  AND h.status = 'succeeded' AND h.fee IS NOT NULL)))"""

_SUMMED = ", ".join(
    f"(coalesce({one}, 0) + coalesce(booked, 0))::bigint AS {one}"
    if one == "fees"
    else f"coalesce({one}, 0)::bigint AS {one}"
    for one in SUMS
)

#: Rows of (provider, provider_account_id, currency, route, sums…, named…) for the payments that {where} chooses among
#: `payments p`. Fees are those of the transactions that took money, and those that only the statement tells: of
#: refunds and disputes, and whatever was taken in another currency than the payment's, which is a row of its own,
#: under that currency, without payments. Calls are those that began a charge, took it or gave it back.
_COUNT = f"""
WITH chosen AS (
    SELECT p.id, p.status, p.amount, p.amount_captured, p.amount_received, p.amount_refunded, p.amount_disputed,
           p.decline ->> 'category' AS category, coalesce(p.provider, '') AS provider,
           coalesce(p.provider_account_id, {_NOBODY}) AS provider_account_id, p.currency,
           CASE WHEN p.route ->> 'version' IS NULL THEN ''
                ELSE 'v' || (p.route ->> 'version') || coalesce(':' || (p.route ->> 'rule'), '') END AS route
      FROM payments p WHERE {{where}}),
sent AS (
    SELECT c.provider, c.provider_account_id, c.currency, c.route, {_BUCKET} AS bucket, count(t.call_ms) AS calls,
           coalesce(sum(t.call_ms), 0) AS call_ms,
           coalesce(sum(t.fee) FILTER (WHERE {_TAKEN}), 0) AS fees
      FROM chosen c JOIN transactions t ON t.payment_id = c.id
     WHERE t.call_ms IS NOT NULL OR t.fee IS NOT NULL GROUP BY 1, 2, 3, 4, 5),
sent_in_all AS (
    SELECT provider, provider_account_id, currency, route, sum(calls) AS calls, sum(call_ms) AS call_ms,
           sum(fees) AS fees, jsonb_object_agg(bucket, calls) FILTER (WHERE calls > 0) AS latency
      FROM sent GROUP BY 1, 2, 3, 4),
booked AS (
    SELECT c.provider, c.provider_account_id, s.currency, c.route, sum(s.fee) AS booked
      FROM chosen c JOIN statement_lines s ON s.payment_id = c.id
     WHERE s.fee <> 0 AND (s.kind <> 'charge' OR s.currency <> c.currency) GROUP BY 1, 2, 3, 4),
refused AS (
    SELECT provider, provider_account_id, currency, route, jsonb_object_agg(category, n) AS declines FROM (
        SELECT provider, provider_account_id, currency, route, category, count(*) AS n FROM chosen
         WHERE status = 'failed' AND category IS NOT NULL GROUP BY 1, 2, 3, 4, 5) AS one GROUP BY 1, 2, 3, 4),
returned AS (
    SELECT c.provider, c.provider_account_id, c.currency, c.route, count(*) AS refunds
      FROM chosen c JOIN refunds r ON r.payment_id = c.id AND r.status = 'succeeded'
     WHERE c.amount_refunded > 0 GROUP BY 1, 2, 3, 4),
complained AS (
    SELECT c.provider, c.provider_account_id, c.currency, c.route, count(*) AS disputes
      FROM disputes d JOIN chosen c ON c.id = d.payment_id GROUP BY 1, 2, 3, 4),
paid AS (
    SELECT provider, provider_account_id, currency, route, count(*) AS payments,
           count(*) FILTER (WHERE status = 'succeeded') AS succeeded,
           count(*) FILTER (WHERE status = 'failed') AS failed,
           count(*) FILTER (WHERE status = 'canceled') AS canceled,
           count(*) FILTER (WHERE status IN ('processing', 'requires_action', 'authorized')) AS open,
           sum(amount) AS amount, sum(amount_captured) AS captured, sum(amount_received) AS received,
           sum(amount_refunded) AS refunded, sum(amount_disputed) AS disputed
      FROM chosen GROUP BY 1, 2, 3, 4)
SELECT provider, provider_account_id, currency, route,
       {_SUMMED},
       coalesce(declines, '{{}}'::jsonb) AS declines, coalesce(latency, '{{}}'::jsonb) AS latency
  FROM paid FULL JOIN booked USING (provider, provider_account_id, currency, route)
  LEFT JOIN sent_in_all USING (provider, provider_account_id, currency, route)
  LEFT JOIN refused USING (provider, provider_account_id, currency, route)
  LEFT JOIN returned USING (provider, provider_account_id, currency, route)
  LEFT JOIN complained USING (provider, provider_account_id, currency, route)
"""  # noqa: S608


def count(where: str) -> str:
    """`where` is one of our own constants, over `payments p`."""
    return _COUNT.replace("{where}", where)
