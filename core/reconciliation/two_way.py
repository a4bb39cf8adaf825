"""Two-way: what the provider has and we do not, and the reverse, charge by charge, over a window."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import islice
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.domain.identifiers import InvalidIdentifier, parse_id, public_id
from core.domain.outcomes import LookUp, NotExecuted, Succeeded, Unknown
from core.domain.statuses import OPEN_TRANSACTION
from core.orchestration import jobs, requests
from core.orchestration.context import Core
from core.orchestration.provider_manager import OpenedAccount
from core.persistence.database import Scope
from core.persistence.queries import payments as rows
from core.persistence.queries.findings import open_finding
from core.persistence.tables import payments, transactions
from core.providers.base import ChargeSeen
from core.reconciliation.pages import ask, paced
from core.reconciliation.slices import SliceResult

Row = Mapping[Any, Any]

#: What was begun so lately may be on its way: its own job cares for it.
SETTLES = timedelta(minutes=15)
#: How far the provider's clock and ours may be apart, and a page be opened after it was asked for.
APART = timedelta(minutes=5)
#: Charges compared in one transaction.
CHUNK = 200

_STARTS = ("charge", "authorize")
_OF_PAYMENT = (
    payments.c.status.label("payment_status"),
    payments.c.method,
    payments.c.amount_captured,
    payments.c.amount_received,
    payments.c.amount_refunded,
)


def read_slice(
    core: Core, scope: Scope, account: OpenedAccount, run_id: UUID, since: datetime, until: datetime
) -> SliceResult:
    """Counts: `theirs` charges seen, of them `agree`, `foreign`, `open`, `unknown`, `differ`; `ours` that took money,
    of them `absent` from the list, `missing` when asked for by name. What can be put right by asking is `asked`.

    Sums: money at stake by currency. Raises ListingBroken.
    """
    work = _Work(core, scope, account, run_id)
    seen: set[UUID] = set()
    listed = paced(core, scope, account, account.provider.list_charges(since - APART, until + APART))
    while chunk := list(islice(listed, CHUNK)):
        seen |= work.compare(chunk, since, until)
    for chunk_of_ours in work.ours(since, until, seen):
        work.look_for(chunk_of_ours)
    return work.result


class _Work:
    """One slice under comparison."""

    def __init__(self, core: Core, scope: Scope, account: OpenedAccount, run_id: UUID) -> None:
        self.result = SliceResult()
        self._core, self._scope, self._account, self._run_id = core, scope, account, run_id
        self._exclusive = account.settings.get("exclusive") is True

    def compare(self, charges: Sequence[ChargeSeen], since: datetime, until: datetime) -> set[UUID]:
        """Which of our transactions they are. Those at the edges are counted by the slice they belong to."""
        doubtful: list[tuple[Row, ChargeSeen]] = []
        with self._core.transaction(self._scope) as connection:
            known = _known(connection, self._account.account_id, charges)
            for one in charges:
                if one.created_at is not None and not since <= one.created_at < until:
                    continue
                self.result.counts["theirs"] += 1
                sent = known.get(one.provider_id)
                if sent is None:
                    self._not_ours(connection, one)
                elif _agree(sent, one):
                    self.result.counts["agree"] += 1
                elif sent["status"] in OPEN_TRANSACTION:
                    self.result.counts["open"] += 1
                    jobs.enqueue_sync(connection, self._scope, sent["payment_id"])
                else:
                    doubtful.append((sent, one))
        for sent, one in doubtful:
            self._differs(sent, one)
        return {sent["id"] for sent in known.values()}

    def _not_ours(self, connection: Connection, one: ChargeSeen) -> None:
        took = one.status in ("succeeded", "held")
        theirs = _theirs(one)
        if one.transaction_id is None:
            self.result.counts["foreign"] += 1
            if self._exclusive and took:
                self._found(connection, one.amount, one.currency)
                open_finding(
                    connection, self._scope, "foreign_charge", one.provider_id, {"account": self._account.name},
                    account_id=self._account.account_id, run_id=self._run_id, amount=one.amount,
                    currency=one.currency, theirs=theirs,
                )  # fmt: skip
            return
        self.result.counts["unknown"] += 1
        if took:
            self._found(connection, one.amount, one.currency)
            open_finding(
                connection, self._scope, "unknown_charge", one.provider_id, {"mark": one.transaction_id},
                account_id=self._account.account_id, run_id=self._run_id, amount=one.amount, currency=one.currency,
                theirs=theirs,
            )  # fmt: skip

    def _differs(self, sent: Row, one: ChargeSeen) -> None:
        """The list may be older than our books: the object itself is asked, and what it says goes its usual way."""
        sent = self._named(sent, one)
        answer = self._look_up(sent)
        if isinstance(answer, Unknown | NotExecuted):
            self.result.counts["unsure"] += 1
            return
        if _confirms(sent, answer) and not _refunds_differ(sent, one):
            self.result.counts["agree"] += 1
            return
        self.result.counts["differ"] += 1
        if sent["status"] == "succeeded" and not isinstance(answer, Succeeded):
            self._open("status_differs", sent, _theirs(one) | {"says": type(answer).__name__})
            return
        # Late money, another sum, a dashboard's refund: the road of look-ups records it, and reports what is wrong.
        with self._core.transaction(self._scope) as connection:
            rows.doubt(connection, [sent["id"]])
            jobs.enqueue_sync(connection, self._scope, sent["payment_id"])
        self.result.counts["asked"] += 1

    def _named(self, sent: Row, one: ChargeSeen) -> Row:
        """Made later than a look-up that goes by the time of sending would search: it is asked about by its name."""
        if sent["provider_id"] is not None or sent["method"] == "redirect":
            return sent
        with self._core.transaction(self._scope) as connection:
            rows.lock_payment(connection, sent["payment_id"])
            values = {"provider_id": one.provider_id}
            connection.execute(transactions.update().where(transactions.c.id == sent["id"]).values(**values))
        return {**sent, **values}

    def ours(self, since: datetime, until: datetime, seen: set[UUID]) -> Iterator[list[Row]]:
        """Chunks of our charges of the slice that took money and were not in the list."""
        after: Row | None = None
        while True:
            with self._core.database.scoped(self._scope) as connection:
                found = _ours(connection, self._scope, self._account.account_id, since, until, after)
            if not found:
                return
            after = found[-1]
            self.result.counts["ours"] += len(found)
            yield [row for row in found if row["id"] not in seen]

    def look_for(self, absent: Sequence[Row]) -> None:
        """A page may be paid long after it was made, so that its charge is in another window: it is asked by name."""
        for sent in absent:
            self.result.counts["absent"] += 1
            answer = self._look_up(sent)
            if isinstance(answer, NotExecuted) or (isinstance(answer, Unknown) and not _gone(answer)):
                self.result.counts["unsure"] += 1
            elif not isinstance(answer, Succeeded):
                self.result.counts["missing"] += 1
                self._open("missing_at_provider", sent, {"says": type(answer).__name__})

    def _look_up(self, sent: Row) -> LookUp:
        with self._core.transaction(self._scope) as connection:
            request = requests.look_up_request(self._core, connection, self._scope, sent)
        return ask(self._core, self._scope, self._account, lambda: self._account.provider.look_up(request))

    def _open(self, kind: str, sent: Row, theirs: Mapping[str, Any]) -> None:
        with self._core.transaction(self._scope) as connection:
            payment = rows.lock_payment(connection, sent["payment_id"])
            ours = {
                "transaction": public_id("transaction", sent["id"]),
                "status": sent["status"],
                "amount": sent["amount"],
                "payment_status": payment["status"],
                "payment_amount_received": payment["amount_received"],
            }
            self._found(connection, sent["amount"], sent["currency"])
            about = {
                "account_id": self._account.account_id,
                "run_id": self._run_id,
                "payment_id": sent["payment_id"],
                "transaction_id": sent["id"],
                "amount": sent["amount"],
                "currency": sent["currency"],
            }
            key = str(sent["id"])
            if kind == "status_differs":
                open_finding(connection, self._scope, "status_differs", key, {}, ours=ours, theirs=theirs, **about)
            else:
                open_finding(connection, self._scope, "missing_at_provider", key, {}, ours=ours, theirs=theirs, **about)

    def _found(self, connection: Connection, amount: int, currency: str) -> None:
        self.result.findings += 1
        self.result.sums[f"{currency}.at_stake"] += amount


def _theirs(one: ChargeSeen) -> dict[str, Any]:
    return {
        "provider_id": one.provider_id,
        "charge_id": one.charge_id,
        "status": one.status,
        "amount": one.amount,
        "currency": one.currency,
        "received": one.received,
        "refunded": one.refunded,
    }


def _known(connection: Connection, account_id: UUID, charges: Sequence[ChargeSeen]) -> dict[str, Row]:
    """Our transaction behind each charge: by the provider's ids, else by our mark."""
    names = {name: one.provider_id for one in charges for name in (one.provider_id, one.charge_id) if name is not None}
    columns = transactions.c
    query = (
        sa.select(transactions, *_OF_PAYMENT)
        .join(payments, payments.c.id == columns.payment_id)
        .where(columns.provider_account_id == account_id, columns.kind.in_(_STARTS))
    )
    named = sa.or_(columns.provider_id.in_(names), columns.provider_charge_id.in_(names))
    found: dict[str, Row] = {}
    for row in connection.execute(query.where(named)).mappings():
        provider_id = names.get(row["provider_id"]) or names[row["provider_charge_id"]]
        if provider_id not in found or row["status"] == "succeeded":
            found[provider_id] = row
    marked = [(mark, one) for one in charges if (mark := _mark(one)) is not None and one.provider_id not in found]
    rows_ = connection.execute(query.where(columns.id.in_({mark for mark, _ in marked}))).mappings()
    by_id = {row["id"]: row for row in rows_}
    for mark, one in marked:
        if mark in by_id and _may_be(by_id[mark], one):
            found[one.provider_id] = by_id[mark]
    return found


def _mark(one: ChargeSeen) -> UUID | None:
    try:
        return None if one.transaction_id is None else parse_id("transaction", one.transaction_id)
    except InvalidIdentifier:
        return None


def _may_be(sent: Row, one: ChargeSeen) -> bool:
    """A mark can be copied, and a charge be made twice: where we know another object as this transaction's, it proves
    nothing. The object behind a page is known once it is paid."""
    known = {sent["provider_id"], sent["provider_charge_id"]} - {None}
    if sent["method"] == "redirect" and sent["provider_charge_id"] is None:
        return True
    return not known or not known.isdisjoint({one.provider_id, one.charge_id})


def _agree(sent: Row, one: ChargeSeen) -> bool:
    took = one.status == "succeeded"
    if sent["status"] == "succeeded":
        held = sent["payment_status"] == "authorized"
        if held or (sent["kind"] == "authorize" and sent["payment_status"] in ("canceled", "failed")):
            return not took if not held else one.status == "held"
        if sent["surplus"]:
            return took
        received = one.received is None or one.received in (sent["amount_received"], sent["amount_captured"])
        return took and received and not _refunds_differ(sent, one)
    if sent["status"] in OPEN_TRANSACTION:
        return one.status == "open"
    # A declined try on a page may be tried again, and what we ended may be told as open for a while.
    return one.status in ("open", "ended")


def _refunds_differ(sent: Row, one: ChargeSeen) -> bool:
    return one.refunded is not None and not sent["surplus"] and one.refunded != sent["amount_refunded"]


def _confirms(sent: Row, answer: LookUp) -> bool:
    if isinstance(answer, Succeeded):
        same = answer.facts.amount in (None, sent["amount"])
        return bool(sent["status"] == "succeeded" and same)
    return bool(sent["status"] != "succeeded")


def _gone(answer: Unknown) -> bool:
    """By name, and the provider has no such object: a look-up calls that unknown, since it must not charge again."""
    return answer.evidence.get("http_status") == 404


def _ours(
    connection: Connection, scope: Scope, account_id: UUID, since: datetime, until: datetime, after: Row | None
) -> Sequence[Row]:
    """Of payments made in the slice, which an index leads to; each payment is of one slice."""
    columns, made = transactions.c, payments.c.created_at
    query = (
        sa.select(transactions, made.label("made_at"))
        .join(payments, payments.c.id == columns.payment_id)
        .where(payments.c.merchant_id == scope.merchant_id, payments.c.mode == scope.mode, made >= since, made < until)
        .where(columns.provider_account_id == account_id, columns.kind.in_(_STARTS), columns.status == "succeeded")
        .where(columns.updated_at < sa.func.app_now() - SETTLES)
        .order_by(made, columns.id)
        .limit(CHUNK)
    )
    if after is not None:
        query = query.where(sa.tuple_(made, columns.id) > sa.tuple_(after["made_at"], after["id"]))
    return connection.execute(query).mappings().all()
