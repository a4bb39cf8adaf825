"""Statements read as a run reads them, and what they left."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import requests
import sqlalchemy as sa

from core.domain.identifiers import new_id
from core.orchestration import provider_manager
from core.persistence.database import present
from core.reconciliation import statements
from core.reconciliation.slices import SliceResult
from tests.orchestration import by_hand
from tests.support.world import World

DAY = 86400


@contextmanager
def at(world: World, account: str) -> Iterator[None]:
    """What the world's helpers do at Stripe goes through this account meanwhile."""
    names = ("{}", "{}.webhook")
    kept = {name: world.secrets[name.format("stripe")] for name in names}
    for name in names:
        world.secrets[name.format("stripe")] = world.secrets[name.format(account)]
    try:
        yield
    finally:
        world.secrets |= {name.format("stripe"): kept[name] for name in names}


def now(world: World) -> datetime:
    with world.worker.database.scoped(world.scope) as connection:
        return present(connection)


def read(world: World, account: str, days: float = 3, *, run_id: UUID | None = None, lines: Any = None) -> SliceResult:
    """The last `days`, in one slice, by a run that succeeds."""
    until = now(world) + timedelta(minutes=1)
    return read_window(world, account, until - timedelta(days=days), until, run_id=run_id, lines=lines)


def read_window(
    world: World, account: str, since: datetime, until: datetime, *, run_id: UUID | None = None, lines: Any = None
) -> SliceResult:
    run_id = run_id or begin(world, account, since, until)
    with world.worker.transaction(world.scope) as connection:
        opened = provider_manager.open_account(world.worker, connection, world.scope, world.accounts[account])
    return statements.read_slice(world.worker, world.scope, opened, run_id, since, until, lines)


def begin(world: World, account: str, since: datetime, until: datetime) -> UUID:
    run_id = new_id()
    row = {"id": run_id, "merchant": world.merchant_id, "account": world.accounts[account], "s": since, "u": until}
    with world.owner.begin() as connection:
        connection.execute(
            sa.text(
                "INSERT INTO reconciliation_runs (id, merchant_id, mode, provider_account_id, kind, status, "
                "window_from, window_until, started_by) "
                "VALUES (:id, :merchant, 'test', :account, 'statement', 'succeeded', :s, :u, 'test')"
            ),
            row,
        )
    return run_id


def lines(world: World, account: str, **wanted: Any) -> list[Mapping[str, Any]]:
    where = "".join(f" AND {name} = :{name}" for name in wanted)
    query = f"SELECT * FROM statement_lines WHERE provider_account_id = :account{where} ORDER BY line_id"
    return world.rows(query, account=world.accounts[account], **wanted)


def payouts(world: World, account: str) -> list[Mapping[str, Any]]:
    query = "SELECT * FROM payouts WHERE provider_account_id = :account ORDER BY booked_at, payout"
    return world.rows(query, account=world.accounts[account])


def findings(world: World, account: str, kind: str) -> list[Mapping[str, Any]]:
    query = "SELECT * FROM findings WHERE provider_account_id = :account AND kind = :kind ORDER BY id"
    return world.rows(query, account=world.accounts[account], kind=kind)


def refund(world: World, payment: Mapping[str, Any], amount: int) -> None:
    answer = world.post(f"/v1/payments/{payment['id']}/refunds", {"amount": amount})
    assert answer.status_code == 202, answer.text
    world.settle()


def foreign_charge(world: World, account: str = "stripe", amount: int = 7700, **more: Any) -> Any:
    """Somebody else's, through the same account, without any mark of ours."""
    charge = {"amount": amount, "currency": "usd", "payment_method": "pm_card_visa", "confirm": True, **more}
    made: Any = {**charge, "return_url": "https://shop.example/back"}
    return by_hand.client(world, account).v1.payment_intents.create(made)


def pay_at_paystack(world: World, amount: int) -> dict[str, Any]:
    payment = world.pay(
        amount=amount,
        currency="NGN",
        provider="paystack",
        payment_method={"type": "redirect"},
        customer={"email": "ada@example.com"},
    )
    page = payment["next_action"]["url"]
    answer = requests.post(page, data={"action": "pay", "card": "4084084084084081"}, allow_redirects=False, timeout=10)
    assert answer.ok
    world.settle()
    return world.payment(payment["id"])


def noon_comes(world: World) -> None:
    """Settlements are made at midnight (UTC) and arrive an hour later: tests that count days begin far from both."""
    now = world.sandboxes["paystack"].get("clock")["now"]
    world.advance((DAY / 2 - now) % DAY)


def days_pass(world: World, days: float) -> None:
    """By halves, so that what a day brings about can bring about more."""
    for _ in range(2):
        world.advance(days * DAY / 2)
    world.settle()
