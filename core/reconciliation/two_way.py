"""Two-way: what the provider has and we do not, and the reverse, charge by charge, over a window."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, Literal
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.domain.identifiers import InvalidIdentifier, parse_id
from core.domain.outcomes import Canceled, Declined, LookUp, NotExecuted, NotExecutedReason, Succeeded, Unknown
from core.domain.statuses import OPEN_TRANSACTION
from core.orchestration import jobs, requests
from core.orchestration.context import Core
from core.orchestration.provider_manager import OpenedAccount
from core.persistence.database import Scope
from core.persistence.queries import payments as rows
from core.persistence.queries import surplus
from core.persistence.tables import payments, transactions
from core.providers.base import ChargeSeen
from core.reconciliation import charge_findings, comparing
from core.reconciliation.charge_findings import OfOurs
from core.reconciliation.pages import NotNow, ask, paced
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
    listed = paced(core, account, account.provider.list_charges(since - APART, until + APART))
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
        self._busy: NotExecuted | None = None
        self._exclusive = account.settings.get("exclusive") is True

    def compare(self, charges: Sequence[ChargeSeen], since: datetime, until: datetime) -> set[UUID]:
        """Which of our transactions they are. Those at the edges are counted by the slice they belong to."""
        doubtful: list[tuple[Row, ChargeSeen]] = []
        agreed: set[str] = set()
        with self._core.transaction(self._scope) as connection:
            known = _known(connection, self._account.account_id, charges)
            for one in charges:
                if one.created_at is not None and not since <= one.created_at < until:
                    continue
                self.result.counts["theirs"] += 1
                sent = known.get(one.provider_id)
                if sent is None:
                    self._not_ours(connection, one)
                elif comparing.agree(sent, one):
                    self.result.counts["agree"] += 1
                    agreed |= {str(sent["id"]), one.provider_id}
                elif sent["status"] in OPEN_TRANSACTION:
                    self.result.counts["open"] += 1
                    jobs.enqueue_sync(connection, self._scope, sent["payment_id"])
                else:
                    doubtful.append((sent, one))
        self._in_order(agreed)
        for sent, one in doubtful:
            self._differs(sent, one)
        return {sent["id"] for sent in known.values()}

    def _not_ours(self, connection: Connection, one: ChargeSeen) -> None:
        foreign = one.transaction_id is None
        self.result.counts["foreign" if foreign else "unknown"] += 1
        if one.status not in ("succeeded", "held") or (foreign and not self._exclusive):
            return
        self._found(one.amount, one.currency)
        about = {"account": self._account.name} if foreign else {"mark": one.transaction_id}
        kind: Literal["foreign_charge", "unknown_charge"] = "foreign_charge" if foreign else "unknown_charge"
        account_id = self._account.account_id
        charge_findings.report_stranger(connection, self._scope, kind, about, one, account_id, self._run_id)

    def _differs(self, sent: Row, one: ChargeSeen) -> None:
        """The list may be older than our books: the object itself is asked, and what it says goes its usual way."""
        sent = self._named(sent, one)
        captured = comparing.taken_of_hold(sent, one)
        answer = self._look_up(sent, captured=captured)
        if isinstance(answer, Unknown | NotExecuted):
            self.result.counts["unsure"] += 1
            return
        confirmed, taken = comparing.confirms(sent, answer, captured=captured), comparing.other_sum(sent, answer)
        if confirmed and taken is None and not comparing.refunds_differ(sent, one):
            self.result.counts["agree"] += 1
            self._in_order({str(sent["id"]), one.provider_id})
            return
        self.result.counts["differ"] += 1
        theirs = charge_findings.told(one)
        if comparing.held(sent):
            self._ask_about(sent)
        elif sent["status"] == "succeeded" and not isinstance(answer, Succeeded):
            self._open("status_differs", sent, theirs | {"says": type(answer).__name__}, sent["amount"])
        elif confirmed and taken is not None:
            stake = abs(taken - comparing.own_received(sent))
            self._open("amount_mismatch", sent, theirs | {"received": taken}, stake)
        else:
            # Late money, another amount, a dashboard's refund: the road of look-ups records it, and reports what is
            # wrong.
            self._ask_about(sent, doubted=True)

    def _ask_about(self, sent: Row, *, doubted: bool = False) -> None:
        with self._core.transaction(self._scope) as connection:
            if doubted:
                rows.doubt(connection, [sent["id"]])
            jobs.enqueue_sync(connection, self._scope, sent["payment_id"])
        self.result.counts["asked"] += 1

    def _in_order(self, keys: set[str], kinds: Sequence[str] = charge_findings.KINDS) -> None:
        """What was reported of these charges is over."""
        if keys:
            with self._core.transaction(self._scope) as connection:
                charge_findings.close(connection, self._scope, kinds, keys)

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
        found: set[str] = set()
        for sent in absent:
            self.result.counts["absent"] += 1
            answer = self._look_up(sent)
            if isinstance(answer, NotExecuted) or (isinstance(answer, Unknown) and not comparing.gone(answer)):
                self.result.counts["unsure"] += 1
            elif isinstance(answer, Succeeded) or comparing.let_go(sent, answer):
                found.add(str(sent["id"]))
            elif comparing.held(sent) and isinstance(answer, Canceled | Declined):
                self.result.counts["missing"] += 1
                self._ask_about(sent)  # let go without us: the payment's own road records it, and reports that
            else:
                self.result.counts["missing"] += 1
                self._open("missing_at_provider", sent, {"says": type(answer).__name__}, sent["amount"])
        self._in_order(found, charge_findings.OF_STATUS)

    def _look_up(self, sent: Row, *, captured: bool = False) -> LookUp:
        """What the charge says of itself, or of what was `captured` of a hold; nothing once the provider is busy."""
        if self._busy is not None:
            return self._busy
        with self._core.transaction(self._scope) as connection:
            if captured:
                request = requests.hold_look_up(rows.find_payment(connection, sent["payment_id"]), sent)
            else:
                request = requests.look_up_request(self._core, connection, self._scope, sent)
        try:
            return ask(self._core, self._account, lambda: self._account.provider.look_up(request))
        except NotNow as busy:
            # The slice would begin anew, and meet its limit in the same place for ever: the next run asks again.
            self._busy = NotExecuted(NotExecutedReason.RATE_LIMITED, "its turn was too far away", busy.seconds)
            return self._busy

    def _open(self, kind: OfOurs, sent: Row, theirs: Mapping[str, Any], stake: int) -> None:
        self._found(stake, sent["currency"])
        with self._core.transaction(self._scope) as connection:
            charge_findings.report(connection, self._scope, kind, sent, theirs, self._run_id, stake)

    def _found(self, amount: int, currency: str) -> None:
        self.result.findings += 1
        self.result.sums[f"{currency}.at_stake"] += amount


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
        if mark in by_id and comparing.may_be(by_id[mark], one):
            found[one.provider_id] = by_id[mark]
    return _with_others(connection, found)


def _with_others(connection: Connection, found: Mapping[str, Row]) -> dict[str, Row]:
    """Each with what other charges of its payment took and gave back, which stands in the payment's sums, too."""
    mixed = [row for row in found.values() if row["amount_refunded"] or row["amount_received"] > row["amount_captured"]]
    beside = surplus.beside(connection, {row["payment_id"] for row in mixed}, ("succeeded",))
    nothing = surplus.NOTHING
    return {name: {**row, "beside": beside.get(row["payment_id"], nothing)} for name, row in found.items()}


def _mark(one: ChargeSeen) -> UUID | None:
    try:
        return None if one.transaction_id is None else parse_id("transaction", one.transaction_id)
    except InvalidIdentifier:
        return None


def _ours(
    connection: Connection, scope: Scope, account_id: UUID, since: datetime, until: datetime, after: Row | None
) -> Sequence[Row]:
    """Of payments made in the slice, which an index leads to; each payment is of one slice."""
    columns, made = transactions.c, payments.c.created_at
    query = (
        sa.select(transactions, payments.c.status.label("payment_status"), made.label("made_at"))
        .join(payments, payments.c.id == columns.payment_id)
        .where(payments.c.merchant_id == scope.merchant_id, payments.c.mode == scope.mode, made >= since, made < until)
        .where(columns.provider_account_id == account_id, columns.kind.in_(_STARTS), columns.status == "succeeded")
        .where(columns.updated_at < sa.func.app_now() - SETTLES)
        .order_by(made, columns.id)
        .limit(CHUNK)
    )
    if after is not None:
        # The pair spans two tables, where no index serves: the time alone leads to where the chunk before ended.
        query = query.where(made >= after["made_at"])
        query = query.where(sa.tuple_(made, columns.id) > sa.tuple_(after["made_at"], after["id"]))
    return connection.execute(query).mappings().all()
