"""A million payments by generated rows, with ids that the statement's lines can be made from."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from uuid import UUID

import psycopg2

from core.domain.identifiers import public_id
from core.providers.base import StatementLine

#: The payments are spread over so many days, the last of them yesterday.
DAYS = 60

_ID = (
    "(lpad(to_hex(%(base)s + i * %(step)s), 12, '0') || '7' || substr(md5({salt} || i), 1, 3) || '8' || "
    "substr(md5({salt} || i), 4, 15))::uuid"
)
_AT = "to_timestamp((%(base)s + i * %(step)s) / 1000.0)"
_PAYMENT, _TRANSACTION = _ID.format(salt="'p'"), _ID.format(salt="'t'")
_PAYMENTS = f"""
INSERT INTO payments (id, merchant_id, mode, status, amount, currency, capture, method, provider, provider_account_id,
    amount_authorized, amount_captured, amount_received, amount_refunded, decline, failure_code, route, created_at,
    updated_at, save_method, off_session)
SELECT {_PAYMENT}, %(merchant)s, 'test', CASE WHEN i %% 12 = 0 THEN 'failed' ELSE 'succeeded' END, 5000,
    CASE WHEN i %% 5 = 0 THEN 'EUR' ELSE 'USD' END, 'automatic', 'token', 'stripe', %(account)s,
    CASE WHEN i %% 12 = 0 THEN 0 ELSE 5000 END, CASE WHEN i %% 12 = 0 THEN 0 ELSE 5000 END,
    CASE WHEN i %% 12 = 0 THEN 0 ELSE 5000 END, CASE WHEN i %% 30 = 7 THEN 1000 ELSE 0 END,
    CASE WHEN i %% 12 = 0 THEN jsonb_build_object('code', 'card_declined', 'category',
        (ARRAY['hard', 'soft', 'customer_action'])[1 + i %% 3]) END,
    CASE WHEN i %% 12 = 0 THEN 'card_declined' END,
    jsonb_build_object('version', 1 + i %% 2, 'rule', (ARRAY['cards', 'rest'])[1 + i %% 2]), {_AT}, {_AT}, false, false
FROM generate_series(%(first)s::bigint, %(last)s::bigint) AS i"""
_TRANSACTIONS = f"""
INSERT INTO transactions (id, merchant_id, mode, payment_id, kind, number, status, surplus, provider,
    provider_account_id, provider_key, provider_id, provider_charge_id, amount, currency, request_sealed, send_count,
    first_sent_at, last_sent_at, created_at, updated_at, call_ms)
SELECT {_TRANSACTION}, %(merchant)s, 'test', {_PAYMENT}, 'charge', 1,
    CASE WHEN i %% 12 = 0 THEN 'declined' ELSE 'succeeded' END, false, 'stripe', %(account)s, 'bench-' || i,
    'pi_' || i, 'ch_' || i, 5000, CASE WHEN i %% 5 = 0 THEN 'EUR' ELSE 'USD' END, '', 1, {_AT}, {_AT}, {_AT}, {_AT},
    100 + i %% 900
FROM generate_series(%(first)s::bigint, %(last)s::bigint) AS i"""
_AT_ONCE = 100_000


class Shop:
    """The payments of one merchant at one account; `count` of them."""

    def __init__(self, merchant: UUID, account: UUID, count: int) -> None:
        self.merchant, self.account, self.count = merchant, account, count
        start = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=DAYS)
        self.base = int(start.timestamp() * 1000)
        self.step = DAYS * 86_400_000 // count

    def fill(self, connection: psycopg2.extensions.connection) -> None:
        connection.autocommit = True
        with connection.cursor() as cursor:
            for first in range(0, self.count, _AT_ONCE):
                values = {
                    "merchant": str(self.merchant), "account": str(self.account), "base": self.base,
                    "step": self.step, "first": first, "last": min(first + _AT_ONCE, self.count) - 1,
                }  # fmt: skip
                cursor.execute(_PAYMENTS, values)
                cursor.execute(_TRANSACTIONS, values)
            cursor.execute("VACUUM (ANALYZE) payments")
            cursor.execute("VACUUM (ANALYZE) transactions")

    def lines(self, count: int) -> Iterator[StatementLine]:
        """One for each of the first succeeded payments, and a foreign one in fifty: made one by one, none is kept."""
        number = -1
        for made in range(count):
            number = number + 1 if (number + 1) % 12 else number + 2
            ours = made % 50 != 0 and number < self.count
            yield self._line(made, number if ours else None)

    def _line(self, made: int, number: int | None) -> StatementLine:
        """The next succeeded payment's, or a foreign charge's."""
        when = datetime.fromtimestamp((self.base + (number or made) * self.step) / 1000, UTC)
        return StatementLine(
            line_id=f"txn_{made}",
            kind="charge",
            amount=5000,
            fee=175,
            net=4825,
            currency="USD" if number is None or number % 5 else "EUR",
            source=f"ch_{number}" if number is not None else f"ch_foreign_{made}",
            transaction_id=None if number is None else public_id("transaction", self._transaction(number)),
            payout=None,
            created_at=when,
        )

    def _transaction(self, number: int) -> UUID:
        digest = hashlib.md5(f"t{number}".encode(), usedforsecurity=False).hexdigest()
        return UUID(f"{self.base + number * self.step:012x}7{digest[:3]}8{digest[3:18]}")
