"""Statement lines: each finds its transaction by mark or id, is kept once, and what finds nothing is told."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from core.domain.errors import StateConflict
from core.domain.identifiers import parse_id, public_id
from core.domain.outcomes import Unknown
from core.orchestration.review import Person
from core.providers.base import ListingBroken, StatementLine
from core.reconciliation import statements
from core.reconciliation.findings import resolve
from tests.orchestration.test_refund_lists import refund_on_dashboard
from tests.reconciliation import reading
from tests.reconciliation.reading import findings, foreign_charge, lines, now, read
from tests.support.world import World


def line(world: World, **changes: Any) -> StatementLine:
    told = StatementLine(
        line_id="txn_x",
        kind="charge",
        amount=5000,
        fee=175,
        net=4825,
        currency="USD",
        source="ch_x",
        transaction_id=None,
        payout=None,
        created_at=now(world),
    )
    return replace(told, **changes)


def mark(world: World, payment: dict[str, Any]) -> str:
    return public_id("transaction", world.transactions(payment["id"])[0]["id"])


@pytest.fixture
def fresh(world: World) -> str:
    """An account at Stripe whose statement is empty."""
    name = f"stripe {now(world).timestamp()}"
    world.add_account("stripe", name=name)
    return name


def paid(world: World, account: str) -> dict[str, Any]:
    """A payment through that account alone: every other is taken out of routing meanwhile."""
    others = f"UPDATE provider_accounts SET priority = CASE WHEN id = '{world.accounts[account]}' THEN 0 ELSE 100 END"
    with world.owner.begin() as connection:
        connection.exec_driver_sql(others)
    with reading.at(world, account):
        payment = world.pay(provider="stripe")
    assert payment["status"] == "succeeded"
    assert world.transactions(payment["id"])[0]["provider_account_id"] == world.accounts[account]
    return payment


def test_charges_and_two_equal_refunds_each_find_their_own(world: World, fresh: str) -> None:
    first, second = paid(world, fresh), paid(world, fresh)
    for _ in range(2):
        reading.refund(world, first, 1000)
    refund_on_dashboard_of(world, fresh, second, 1000)
    foreign_charge(world, fresh)
    world.advance(5)
    result = read(world, fresh)
    assert result.counts == {"lines": 6, "matched": 5, "foreign": 1}
    assert result.findings == 0
    assert (result.sums["USD.charge"], result.sums["USD.refund"]) == (5000 + 5000 + 7700, -3000)
    charges = {row["payment_id"]: row for row in lines(world, fresh, kind="charge", matched="matched")}
    for payment in (first, second):
        (sent, *_) = world.transactions(payment["id"])
        row = charges[parse_id("payment", payment["id"])]
        assert (row["transaction_id"], row["amount"], row["fee"]) == (sent["id"], 5000, sent["fee"])
    backs = [row for row in lines(world, fresh, kind="refund") if row["payment_id"] == parse_id("payment", first["id"])]
    known = {row["provider_id"]: row["refund_id"] for row in world.transactions(first["id"]) if row["kind"] == "refund"}
    assert len(known) == 2
    assert {row["source"]: row["refund_id"] for row in backs} == known


def refund_on_dashboard_of(world: World, account: str, payment: dict[str, Any], amount: int) -> None:
    with reading.at(world, account):
        refund_on_dashboard(world, "stripe", payment, amount)
        world.settle()


def test_reading_again_changes_nothing_and_counts_the_same(world: World, fresh: str) -> None:
    paid(world, fresh)
    foreign_charge(world, fresh)
    world.advance(5)
    first = read(world, fresh)
    before = lines(world, fresh)
    for _ in range(2):
        assert read(world, fresh) == first
    keep = ("run_id", "read_for", "updated_at")
    assert [{k: v for k, v in row.items() if k not in keep} for row in lines(world, fresh)] == [
        {k: v for k, v in row.items() if k not in keep} for row in before
    ]


def test_a_slice_that_broke_off_is_read_again_and_counted_once(world: World, fresh: str, monkeypatch: Any) -> None:
    monkeypatch.setattr(statements, "CHUNK", 2)
    told = [line(world, line_id=f"txn_{number}", source=f"ch_{number}") for number in range(5)]
    since, until = now(world) - timedelta(days=1), now(world)
    run_id = reading.begin(world, fresh, since, until)

    def breaks() -> Any:
        yield from told[:3]
        yield told[3]
        raise ListingBroken(Unknown({"cause": "cut"}))

    with pytest.raises(ListingBroken):
        reading.read_window(world, fresh, since, until, run_id=run_id, lines=breaks())
    assert len(lines(world, fresh)) == 4
    again = reading.read_window(world, fresh, since, until, run_id=run_id, lines=[*told, told[0]])
    assert again.counts == {"lines": 5, "foreign": 5}
    # The next slice of the same run tells two of them again: the run has counted those.
    later = reading.read_window(world, fresh, until, until + timedelta(days=1), run_id=run_id, lines=told[3:])
    assert later.counts == {}
    assert len(lines(world, fresh)) == 5


def test_fees_are_put_down_where_they_were_unknown(world: World, fresh: str) -> None:
    payment = paid(world, fresh)
    assert world.transactions(payment["id"])[0]["fee"] is None
    read(world, fresh)
    assert world.transactions(payment["id"])[0]["fee"] == 175
    shown = world.get(f"/v1/payments/{payment['id']}/timeline").json()["data"]
    (told,) = [entry for entry in shown if entry["kind"].startswith("statement.")]
    assert told["details"]["fee"] == 175
    assert told["details"]["net"] == 4825
    assert "50.00 USD" in told["summary"]


def test_a_mark_that_names_nothing_is_a_finding_once(world: World, fresh: str) -> None:
    stray = line(world, transaction_id="txn_01k00000000000000000000001")
    for _ in range(2):
        result = read(world, fresh, lines=[stray])
        assert (result.counts["unmatched"], result.findings) == (1, 1)
    (found,) = findings(world, fresh, "statement_unmatched")
    assert (found["amount"], found["currency"], found["evidence"]["theirs"]["source"]) == (5000, "USD", "ch_x")


def test_what_a_person_has_ended_is_not_opened_again(world: World, fresh: str) -> None:
    stray = line(world, transaction_id="txn_01k00000000000000000000000")
    read(world, fresh, lines=[stray])
    with world.owner.begin() as connection:
        connection.exec_driver_sql("UPDATE findings SET status = 'resolved', resolution = 'seen'")
    read(world, fresh, lines=[stray])
    assert len(findings(world, fresh, "statement_unmatched")) == 1
    read(world, fresh, lines=[replace(stray, amount=6000, net=5825)])
    assert [row["amount"] for row in findings(world, fresh, "statement_unmatched")] == [5000, 6000]


def test_foreign_lines_of_an_exclusive_account_are_findings(world: World) -> None:
    world.add_account("stripe", name="stripe exclusive", exclusive=True)
    read(world, "stripe exclusive", lines=[line(world)])
    assert len(findings(world, "stripe exclusive", "statement_unmatched")) == 1


def test_another_sum_than_ours_is_a_finding_until_it_is_right(world: World, fresh: str) -> None:
    payment = paid(world, fresh)
    (sent,) = world.transactions(payment["id"])
    wrong = line(world, amount=4900, fee=0, net=4900, transaction_id=mark(world, payment), source=sent["provider_id"])
    read(world, fresh, lines=[wrong])
    (found,) = findings(world, fresh, "statement_amount_differs")
    assert (found["status"], found["amount"], found["currency"]) == ("open", 100, "USD")
    ours, theirs = found["evidence"]["ours"], found["evidence"]["theirs"]
    assert (ours["received"], ours["payment_status"], theirs["amount"]) == (5000, "succeeded", 4900)
    read(world, fresh, lines=[replace(wrong, amount=5000, net=5000)])
    (found,) = findings(world, fresh, "statement_amount_differs")
    assert (found["status"], found["resolved_by"]) == ("resolved", "reconciliation")


def test_a_copied_mark_makes_no_second_charge_ours(world: World, fresh: str) -> None:
    payment = paid(world, fresh)
    read(world, fresh, lines=[line(world, transaction_id=mark(world, payment), source="ch_other")])
    (row,) = lines(world, fresh)
    assert (row["matched"], row["transaction_id"]) == ("unmatched", None)


def test_money_in_another_currency_is_compared_in_the_charges_own(world: World, fresh: str) -> None:
    payment = paid(world, fresh)
    (sent,) = world.transactions(payment["id"])
    more = {"transaction_id": mark(world, payment), "source": sent["provider_id"], "currency": "EUR"}
    told = line(world, amount=4600, fee=160, net=4440, original_amount=5000, original_currency="USD", **more)
    assert read(world, fresh, lines=[replace(told, exchange_rate="0.92")]).findings == 0
    assert world.transactions(payment["id"])[0]["fee"] is None  # a fee in euros is none of a charge in dollars
    assert read(world, fresh, lines=[replace(told, original_amount=5001)]).findings == 1


def test_a_refund_we_never_heard_of_is_asked_about_and_then_found(world: World, fresh: str) -> None:
    payment = paid(world, fresh)
    world.sandboxes["stripe"].post("accounts", secret_key=world.secrets[fresh])  # it knows no webhook address now
    refund_on_dashboard_of(world, fresh, payment, 1200)
    first = read(world, fresh)
    assert (first.counts["unmatched"], first.findings) == (1, 0)
    world.settle()
    assert read(world, fresh).counts["matched"] == 2
    assert findings(world, fresh, "statement_unmatched") == []
    assert world.payment(payment["id"])["amount_refunded"] == 1200


def test_a_refund_nobody_can_explain_is_a_finding_at_the_second_reading(world: World, fresh: str) -> None:
    payment = paid(world, fresh)
    (sent,) = world.transactions(payment["id"])
    told = line(world, kind="refund", amount=-300, fee=0, net=-300, source="re_x", charge_ids=(sent["provider_id"],))
    assert read(world, fresh, lines=[told]).findings == 0
    assert read(world, fresh, lines=[told]).findings == 1
    (found,) = findings(world, fresh, "statement_unmatched")
    assert found["payment_id"] == parse_id("payment", payment["id"])
    reading.refund(world, payment, 100)
    with pytest.raises(StateConflict, match="its amount refunded was 0 and is 100"):
        resolve(world.admin, world.scope, found["id"], "take_over", Person("cli:ada", "ticket 7"))


def test_disputes_are_matched_there_and_back(world: World, fresh: str) -> None:
    payment = paid_disputed(world, fresh)
    result = read(world, fresh)
    (row,) = lines(world, fresh, kind="dispute")
    (known,) = world.rows("SELECT * FROM disputes WHERE payment_id = :id", id=parse_id("payment", payment["id"]))
    assert (row["dispute_id"], row["matched"], result.findings) == (known["id"], "matched", 0)


def paid_disputed(world: World, account: str) -> dict[str, Any]:
    paid(world, account)
    payment = world.pay(provider="stripe", payment_method={"type": "token", "token": "pm_card_createDispute"})
    with reading.at(world, account):
        world.advance(5)
        world.settle()
    return payment
