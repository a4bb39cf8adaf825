"""The provider's own list of a payment's refunds: what its dashboard gave back, and what no event named."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from sqlalchemy.engine import Connection

from core.domain.identifiers import InvalidIdentifier, parse_id
from core.domain.outcomes import NotExecuted, Unknown
from core.orchestration import announce, asking, jobs, provider_manager, requests, status_manager
from core.orchestration.context import Cause, Core
from core.orchestration.jobs import Job
from core.orchestration.provider_manager import OpenedAccount
from core.persistence.queries import payments as rows
from core.providers.base import ChargeRef, News

Row = Mapping[Any, Any]


@dataclass(frozen=True, slots=True)
class Charge:
    """A charge that has taken money, at the account that took it."""

    account: OpenedAccount
    ref: ChargeRef


def look(core: Core, job: Job, charge: Charge) -> None:
    """Ask for the refunds of a charge, and take over those that are not ours."""
    account = charge.account
    call = partial(account.provider.list_refunds, charge.ref)
    found: Sequence[News] | NotExecuted | Unknown | float = asking.ask(core, job, account, "list_refunds", call)
    if isinstance(found, float | NotExecuted | Unknown) or not found:
        return  # nothing learned; the next look asks again
    with core.transaction(job.scope) as connection:
        payment: Row = rows.lock_payment(connection, job.payment)
        jobs.check_lease(connection, job)
        for news in found:
            payment = _take_over(core, connection, job, payment, news)


def charge_with_money(core: Core, job: Job) -> Charge | None:
    """The payment's charge, once it has taken something that could be given back."""
    with core.transaction(job.scope) as connection:
        sent = rows.transactions_of(connection, job.payment)
        charged = announce.charge_of(sent)
        payment = rows.find_payment(connection, job.payment)
        if charged is None or charged["provider_id"] is None or payment["amount_received"] == 0:
            return None
        account = provider_manager.open_account(core, connection, job.scope, charged["provider_account_id"])
        return Charge(account, requests.charge_ref(charged, announce.captured(sent)))


def _take_over(core: Core, connection: Connection, job: Job, payment: Row, news: News) -> Row:
    """Ours are known by their mark or id and have look-ups of their own; the others are kept as the dashboard's."""
    sent = rows.transactions_of(connection, payment["id"])
    if not _is_ours(sent, news):
        cause = Cause("look_up", "worker", job.arguments.get("request_id"), job.reference)
        status_manager.adopt_refund(core, connection, payment, news, cause)
        return rows.lock_payment(connection, payment["id"])
    return payment


def _is_ours(sent: Sequence[Row], news: News) -> bool:
    refunds = [row for row in sent if row["kind"] == "refund"]
    if news.provider_id is not None and any(row["provider_id"] == news.provider_id for row in refunds):
        return True
    if news.transaction_id is None:
        return False
    try:
        marked = parse_id("transaction", news.transaction_id)
    except InvalidIdentifier:
        return False
    return any(row["id"] == marked for row in refunds)
