"""No record stays unsealed and none slips in: under load, with late commits, two sealers, and a sealer that dies."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg2 import errorcodes

from core import points
from core.audit import sealing, seals
from tests.audit.conftest import SHOP, Book, record

WRITERS = 6


def age(book: Book) -> float:
    with book.worker.unscoped() as connection:
        return seals.age(connection)


def test_a_record_that_commits_late_is_waited_for(book: Book) -> None:
    """Its number is lower than one that can be seen already."""
    with book.api.scoped(SHOP) as late:
        record(late)
        late.exec_driver_sql("SELECT 1")  # the number is drawn
        book.write(3)
        assert book.numbers() == [2, 3, 4]
        assert sealing.settled_number(book.worker, patience=0.1) is None
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(book.seal)
            assert book.verify(None).seals == 0
            late.exec_driver_sql("COMMIT; BEGIN")
            assert waiting.result(20).records == 4
    found = book.verify(book.head())
    assert (found.records, found.unsealed, found.tamperings) == (4, 0, [])


def test_who_writes_for_too_long_leaves_the_rest_to_the_next_run(book: Book, monkeypatch: pytest.MonkeyPatch) -> None:
    book.write(2)
    book.seal()
    monkeypatch.setattr(sealing, "PATIENCE", 0.1)
    with book.api.scoped(SHOP) as late:
        record(late)
        late.exec_driver_sql("SELECT 1")
        book.write(2)
        run = book.seal()
        assert (run.records, run.waits) == (0, True)
        assert run.head is not None
        assert run.head.number == 1
    assert book.seal().records == 3
    assert book.verify(book.head()).tamperings == []


def test_who_only_reads_or_looks_after_the_table_is_not_waited_for(book: Book) -> None:
    book.write(2)
    with book.owner.unscoped() as connection:
        connection.exec_driver_sql("SELECT count(*) FROM audit_log")
        connection.exec_driver_sql("LOCK TABLE audit_log IN SHARE UPDATE EXCLUSIVE MODE")
        assert book.seal().records == 2


def test_a_writer_of_a_partition_is_waited_for_too(book: Book) -> None:
    book.write(1)
    with book.owner.unscoped() as connection:
        part = connection.exec_driver_sql("SELECT tableoid::regclass::text FROM audit_log").scalar_one()
        connection.exec_driver_sql(f"LOCK TABLE {part} IN ROW EXCLUSIVE MODE")
        assert sealing.settled_number(book.worker, patience=0.1) is None


def _write_until(book: Book, stop: threading.Event, seed: int, written: list[int]) -> None:
    chance = random.Random(seed)
    while not stop.is_set():
        undone = chance.random() < 0.2
        count = chance.randrange(1, 4)
        with book.api.engine.connect() as connection:  # transactions of their own, begun by hand
            connection.exec_driver_sql("BEGIN")
            connection.execute(
                sa.text(
                    "SELECT set_config('tollgate.merchant_id', :m, true), set_config('tollgate.mode', 'test', true)"
                ),
                {"m": str(SHOP.merchant_id)},
            )
            for _ in range(count):
                record(connection)
                connection.execute(sa.text("SELECT pg_sleep(:s)"), {"s": chance.random() * 0.02})
            connection.exec_driver_sql("ROLLBACK" if undone else "COMMIT")
        written[seed] += 0 if undone else count


def test_under_load_no_record_stays_unsealed_and_none_is_sealed_twice(book: Book) -> None:
    stop, written = threading.Event(), [0] * WRITERS
    with ThreadPoolExecutor(WRITERS) as pool:
        running = [pool.submit(_write_until, book, stop, seed, written) for seed in range(WRITERS)]
        try:
            for most in (7, 40, sealing.MOST) * 6:
                book.seal(most)
                assert book.verify(None).tamperings == []
        finally:
            stop.set()
        for one in running:
            one.result(20)
    book.seal()
    found = book.verify(book.head())
    assert (found.records, found.unsealed, found.tamperings) == (sum(written), 0, [])
    numbers = book.numbers()
    assert len(numbers) == sum(written) > 100
    assert numbers[-1] > len(numbers), "transactions were rolled back, so there are gaps"
    assert age(book) == 0


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.integers(0, 1)),
        st.tuples(st.sampled_from(["commit", "commit", "rollback"]), st.integers(0, 1)),
        st.tuples(st.just("seal"), st.integers(1, 5)),
    ),
    min_size=8,
    max_size=24,
)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_whatever_the_order_of_writes_commits_and_seals(book: Book, steps: list[tuple[str, int]]) -> None:
    """Two transactions, open or not; a seal never covers a number that may still come."""
    open_: dict[int, Any] = {}
    with ExitStack() as stack:
        connections = [stack.enter_context(book.api.engine.connect()) for _ in range(2)]
        for step, number in steps:
            if step == "seal":
                _seal_if_settled(book, number)
            elif step == "write":
                _write_in(connections[number], open_, number)
            elif open_.pop(number, None) is not None:
                connections[number].exec_driver_sql(step.upper())
        for number in open_:
            connections[number].exec_driver_sql("COMMIT")
    book.seal()
    found = book.verify(book.head() if book.numbers() else None)
    assert (found.records, found.unsealed, found.tamperings) == (len(book.numbers()), 0, [])


def _write_in(connection: Any, open_: dict[int, Any], number: int) -> None:
    if number not in open_:
        connection.exec_driver_sql("BEGIN")
        open_[number] = connection
    connection.exec_driver_sql(
        f"SELECT set_config('tollgate.merchant_id', '{SHOP.merchant_id}', true), "
        "set_config('tollgate.mode', 'test', true)"
    )
    record(connection)


def _seal_if_settled(book: Book, most: int) -> None:
    upto = sealing.settled_number(book.worker, patience=0.0)
    if upto is not None:
        sealing._seal_next(book.worker, sealing.Keys(book.signer, frozenset({book.signer.public_key})), upto, most)


def test_of_two_sealers_at_once_one_seals_each_record(book: Book) -> None:
    book.write(60)
    together = threading.Barrier(4)

    def run(_: int) -> int:
        together.wait(10)
        return book.seal(7).records

    with ThreadPoolExecutor(4) as pool:
        done = sum(pool.map(run, range(4)))
    assert done + book.seal().records == 60
    assert book.verify(book.head()).tamperings == []


class Died(BaseException):
    """As if the process had been killed."""


@contextmanager
def dying_at(point: str) -> Iterator[None]:
    def hook(reached: str, kind: str) -> None:
        if reached == point:
            raise Died

    points.hook = hook
    try:
        with pytest.raises(Died):
            yield
    finally:
        points.hook = None


@pytest.mark.parametrize(("point", "there"), [("seal.written", 0), ("seal.committed", 1)])
def test_a_sealer_that_dies_leaves_a_whole_seal_or_none(book: Book, point: str, there: int) -> None:
    book.write(12)
    with dying_at(point):
        book.seal(5)
    assert book.verify(None).seals == there
    assert book.seal(5).records == 12 - 5 * there
    assert book.verify(book.head()).tamperings == []


def test_the_workers_login_adds_seals_and_nobody_changes_one(book: Book) -> None:
    book.write()
    book.seal()
    cases = [
        (book.api, "INSERT INTO audit_seals SELECT * FROM audit_seals"),
        *((role, "UPDATE audit_seals SET records = 2") for role in (book.api, book.worker, book.owner)),
        *((role, "DELETE FROM audit_seals") for role in (book.api, book.worker, book.owner)),
        *((role, "TRUNCATE audit_seals") for role in (book.api, book.worker, book.owner)),
    ]
    for role, statement in cases:
        with pytest.raises(sa.exc.DBAPIError) as caught, role.unscoped() as connection:
            connection.exec_driver_sql(statement)
        assert getattr(caught.value.orig, "pgcode", None) == errorcodes.INSUFFICIENT_PRIVILEGE, statement
    with pytest.raises(sa.exc.IntegrityError), book.worker.unscoped() as connection:
        connection.exec_driver_sql("INSERT INTO audit_seals SELECT * FROM audit_seals")


def test_how_long_the_oldest_unsealed_record_has_waited(book: Book) -> None:
    assert age(book) == 0
    book.write()
    book.tamper("UPDATE app_clock SET shift = interval '5 minutes'")
    assert 300 <= age(book) < 330
    with book.api.unscoped() as connection:
        assert seals.age(connection) >= 300, "the gate tells it in its metrics"
    book.seal()
    assert age(book) == 0
