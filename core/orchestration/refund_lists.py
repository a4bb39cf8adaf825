"""The provider's own list of a payment's refunds: what its dashboard gave back, and what no event named."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import UUID

from sqlalchemy.engine import Connection

from core.domain.identifiers import InvalidIdentifier, parse_id
from core.domain.outcomes import Canceled, Declined, NotExecuted, Succeeded, Unknown
from core.domain.statuses import OPEN_TRANSACTION
from core.orchestration import announce, asking, jobs, provider_manager, requests, stakes, status_manager
from core.orchestration.context import Cause, Core
from core.orchestration.jobs import Job
from core.orchestration.provider_manager import OpenedAccount
from core.persistence.queries import payments as rows
from core.persistence.queries.findings import open_finding
from core.providers.base import ChargeRef, News

Row = Mapping[Any, Any]


@dataclass(frozen=True, slots=True)
class Charge:
    """A charge that has taken money, at the account that took it."""

    account: OpenedAccount
    ref: ChargeRef


def charges_with_money(core: Core, job: Job) -> list[Charge]:
    """The payment's charges that have taken something that could be given back, surplus ones too."""
    with core.transaction(job.scope) as connection:
        if rows.find_payment(connection, job.payment)["amount_received"] == 0:
            return []
        sent = rows.transactions_of(connection, job.payment)
        return [
            Charge(
                provider_manager.open_account(core, connection, job.scope, row["provider_account_id"]),
                requests.charge_ref(row, None if row["surplus"] else announce.captured(sent)),
            )
            for row in sent
            if status_manager.is_start(row) and row["status"] == "succeeded" and row["provider_id"] is not None
        ]


def look(core: Core, job: Job, charge: Charge, asked: frozenset[UUID]) -> None:
    """Ask for the refunds of a charge, and heed what we do not know. `asked` are transactions just looked up."""
    account = charge.account
    call = partial(account.provider.list_refunds, charge.ref)
    found: Sequence[News] | NotExecuted | Unknown | float = asking.ask(core, job, account, "list_refunds", call)
    cause = Cause("look_up", "worker", job.arguments.get("request_id"), job.reference, job_id=job.id)
    with core.transaction(job.scope) as connection:
        provider_manager.heed(core, connection, job.scope, account, found, cause)
        if isinstance(found, float | NotExecuted | Unknown) or not found:
            return  # nothing learned; the next look asks again
        payment: Row = rows.lock_payment(connection, job.payment)
        jobs.check_lease(connection, job)
        sent = [row for row in rows.transactions_of(connection, payment["id"]) if row["kind"] == "refund"]
        for news in found:
            own = _ours(sent, news)
            if own is not None:
                _doubt(connection, job, own, news, asked)
            elif _may_be_ours(sent, news):
                _report(connection, job, payment, news)
            else:
                status_manager.adopt_refund(core, connection, payment, news, cause)
                payment = rows.lock_payment(connection, payment["id"])


def _ours(sent: Sequence[Row], news: News) -> Row | None:
    """By the provider's id, else by our mark."""
    if news.provider_id is not None:
        named = next((row for row in sent if row["provider_id"] == news.provider_id), None)
        if named is not None:
            return named
    if news.transaction_id is None:
        return None
    try:
        marked = parse_id("transaction", news.transaction_id)
    except InvalidIdentifier:
        return None
    return next((row for row in sent if row["id"] == marked), None)


def _doubt(connection: Connection, job: Job, own: Row, news: News, asked: frozenset[UUID]) -> None:
    """The list says otherwise than our row: then its own look-up is asked, once, and decides."""
    ended, told = own["status"] not in OPEN_TRANSACTION, news.outcome
    otherwise = isinstance(told, Declined | Canceled) if own["status"] == "succeeded" else isinstance(told, Succeeded)
    if ended and otherwise and own["id"] not in asked:
        rows.doubt(connection, [own["id"]])
        jobs.enqueue_sync(connection, job.scope, own["payment_id"])


def _may_be_ours(sent: Sequence[Row], news: News) -> bool:
    """Without a mark, of the amount of one of ours whose answer was lost: counted twice it would be a lie."""
    facts = getattr(news.outcome, "facts", None)
    lost = [row["amount"] for row in sent if row["status"] in ("sent", "unknown") and row["provider_id"] is None]
    return news.transaction_id is None and facts is not None and facts.amount in lost


def _report(connection: Connection, job: Job, payment: Row, news: News) -> None:
    facts = getattr(news.outcome, "facts", None)
    details = {"refund": news.provider_id, "amount": None if facts is None else facts.amount}
    key = f"{payment['id']}:{news.provider_id}"
    told = {"refund": news.provider_id} | ({} if facts is None else stakes.said(facts))
    at_stake = stakes.of_payment(payment, told.get("amount", 0), told)
    open_finding(connection, job.scope, "refund_unmarked", key, details, payment_id=payment["id"], **at_stake)
