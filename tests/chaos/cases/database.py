"""Postgres killed, cut off at a commit, locked, read-only, full of connections."""

from __future__ import annotations

import signal
import time

import psycopg2
import requests

from core.domain.identifiers import new_id
from tests.chaos.cases import forging
from tests.chaos.cases.case import Case, Ground, expect, fresh
from tests.chaos.cases.crash import Clients
from tests.chaos.stage import TOKEN
from tests.support.waiting import wait_until

#: The bound of the case for a service that takes payments again, in seconds.
BACK_WITHIN = 60.0
#: No request may hang longer than this, in seconds, whatever Postgres does.
ANSWERED_WITHIN = 15.0
API_ROLE = "tollgate_api"


def killed_under_load(ground: Ground) -> None:
    with _Insisting(ground) as clients:
        wait_until(lambda: len(clients.accepted) > 20, "load", 30)
        ground.kill("postgres", signal.SIGQUIT)
        begun, done = time.monotonic(), len(clients.accepted)
        wait_until(lambda: len(clients.accepted) > done + 20, "payments to be taken again", BACK_WITHIN)
        took = time.monotonic() - begun
    expect(took < BACK_WITHIN, f"it took {took:.0f} s")
    lost = [one for one in clients.accepted if not ground.count("payments WHERE id = %s", _uuid(one))]
    expect(not lost, f"acknowledged and gone: {lost}")
    wrong = [one for one in clients.refused if not one.startswith(("429", "503"))]
    expect(not wrong, f"a client was told {wrong[:3]}")
    ground.stage.quiet(60)
    for payment in clients.accepted[:: max(1, len(clients.accepted) // 10)]:
        ground.paid_once(payment)


class _Insisting(Clients):
    """They are told 503, and their next payment is another one."""


def _uuid(payment_id: str) -> str:
    from tests.chaos.cases.case import uuid_of

    return uuid_of(payment_id)


def cut_at_commit(ground: Ground) -> None:
    """A commit that never arrives, and one whose answer never does: by turns, wherever the next one is sent."""
    proxy, references = ground.proxy("postgres"), []
    for number in range(12):
        order = proxy.drop_reply if number % 2 else proxy.drop_request
        order(b"COMMIT")
        references.append(fresh("case-18"))
        payment = ground.stage.pay(reference=references[-1], idempotency=references[-1])
        ground.since()
        ground.paid_once(payment["id"])
    for reference in references:
        expect(ground.count("payments WHERE reference = %s", reference) == 1, f"{reference} was not made once")


def cut_at_the_rows(ground: Ground) -> None:
    """The same at the very message that holds a request's rows."""
    proxy = ground.proxy("postgres")
    for order in (proxy.drop_request, proxy.drop_reply, proxy.drop_request, proxy.drop_reply):
        reference = fresh("case-18b")
        order(reference.encode())
        payment = ground.stage.pay(reference=reference, idempotency=reference)
        ground.paid_once(payment["id"])
        expect(ground.count("payments WHERE reference = %s", reference) == 1, "one key made two payments")


def _refused_whole(ground: Ground, payment_key: str) -> None:
    """Told to come again (as somebody else holds the row, or the database does not serve), and nothing is written."""
    begun = time.monotonic()
    answer = ground.stage.request("POST", "/v1/payments", {**TOKEN, "reference": payment_key}, idempotency=payment_key)
    took = time.monotonic() - begun
    waits = answer.status_code == 409 and "idempotency_key_in_use" in answer.text
    expect(waits or answer.status_code == 503, f"it was told {answer.status_code} {answer.text[:200]}")
    expect(answer.headers.get("Retry-After"), "no Retry-After")
    expect(took < ANSWERED_WITHIN, f"the answer took {took:.0f} s")


def locked(ground: Ground) -> None:
    key = fresh("case-19")
    with ground.held("LOCK TABLE idempotency_keys, payments IN ACCESS EXCLUSIVE MODE"):
        ground.hurt("postgres.lock")
        _refused_whole(ground, key)
    expect(ground.count("payments WHERE reference = %s", key) == 0, "a row without an answer")
    ground.paid_once(ground.stage.pay(idempotency=key, reference=key)["id"])


def read_only(ground: Ground) -> None:
    """As after a failover to a standby: every session is ended, and the next ones cannot write."""
    key = fresh("case-19b")
    body = forging.stripe_event("payment_intent.succeeded", {"id": f"pi_{new_id().hex}"})
    held = ground.pay_many(5)
    database = ground.stage.query("SELECT current_database() AS name")[0]["name"]
    ground.stage.query(f'ALTER DATABASE "{database}" SET default_transaction_read_only = on')
    try:
        _end_sessions(ground)
        ground.hurt("postgres.read_only")
        _refused_whole(ground, key)
        told = forging.deliver(ground.stage, body, timeout=20).status_code
        expect(told >= 500, f"an event was told {told} and is nowhere")
    finally:
        _writable(ground, database)
    ground.since()
    ground.paid_once(ground.stage.pay(idempotency=key, reference=key)["id"])
    expect(forging.deliver(ground.stage, body).status_code == 200, "the repetition was refused")
    for payment in held:
        ground.paid_once(payment)


def _end_sessions(ground: Ground) -> None:
    ground.stage.query(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE pid <> pg_backend_pid() AND datname = current_database()"
    )


def _writable(ground: Ground, database: str) -> None:
    from tests.support.databases import plain

    connection = psycopg2.connect(
        plain(ground.stage.service.owner_database_url), options="-c default_transaction_read_only=off"
    )
    connection.autocommit = True
    try:
        connection.cursor().execute(f'ALTER DATABASE "{database}" RESET default_transaction_read_only')
        connection.cursor().execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE pid <> pg_backend_pid() AND datname = current_database()"
        )
    finally:
        connection.close()


def sessions_ended(ground: Ground) -> None:
    """Every connection of every process ended, again and again, under load."""
    with _Insisting(ground, 3) as clients:
        for _ in range(8):
            done = len(clients.accepted)
            wait_until(lambda done=done: len(clients.accepted) > done + 5, "the load to go on", 30)  # type: ignore[misc]
            _end_sessions(ground)
            ground.hurt("postgres.terminate")
    wrong = [one for one in clients.refused if not one.startswith(("429", "503"))]
    expect(not wrong, f"a client was told {wrong[:3]}")
    ground.stage.quiet(60)


def no_connections(ground: Ground) -> None:
    """The api's login may open one connection, for all of its threads and processes."""
    ground.stage.query(f"ALTER ROLE {API_ROLE} CONNECTION LIMIT 1")
    try:
        ground.stage.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s", API_ROLE)
        ground.hurt("postgres.connection_limit")

        def ask() -> tuple[int, float]:
            begun = time.monotonic()
            try:
                status = ground.stage.request("POST", "/v1/payments", TOKEN, timeout=30).status_code
            except requests.ConnectionError:
                status = 0
            return status, time.monotonic() - begun

        answers = ground.at_once([ask] * 20)
        event = forging.stripe_event("payment_intent.created", {"id": f"pi_{new_id().hex}"})
        told = ground.at_once([lambda: forging.deliver(ground.stage, event, timeout=30).status_code] * 10)
    finally:
        ground.stage.query(f"ALTER ROLE {API_ROLE} CONNECTION LIMIT -1")
    expect({status for status, _ in answers} <= {202, 429, 503}, f"clients were told {sorted({s for s, _ in answers})}")
    expect(max(took for _, took in answers) < 20, "a request hung")
    expect(set(told) <= {200, 503}, f"the provider was told {sorted(set(told))}")
    stored = ground.count("inbox_events WHERE provider_event_id = %s", forging.event_id(event))
    expect(stored == int(200 in told), "an acknowledged event is not stored once")
    ground.since()
    ground.paid_once(ground.stage.pay()["id"])


def refused_by_code(ground: Ground) -> None:
    """Postgres gives a transaction up as a deadlock (40P01) or as not serialisable (40001), on both roads."""
    query = ground.stage.query
    for code in ("40P01", "40001"):
        query("CREATE SEQUENCE chaos_refusals")
        query("GRANT USAGE ON SEQUENCE chaos_refusals TO PUBLIC")
        query(
            "CREATE FUNCTION chaos_refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
            "IF nextval('chaos_refusals') <= 10 THEN "
            f"RAISE EXCEPTION 'made by a case' USING ERRCODE = '{code}'; END IF; RETURN NEW; END $$"
        )
        query(
            "CREATE TRIGGER chaos_refuse BEFORE INSERT OR UPDATE ON payments "
            "FOR EACH ROW EXECUTE FUNCTION chaos_refuse()"
        )
        try:
            payments = ground.pay_many(6)
            for payment in payments:
                ground.paid_once(payment)
                ground.hurt(f"postgres.{code}")
            fired = query("SELECT last_value AS n FROM chaos_refusals")[0]["n"]
        finally:
            query("DROP TRIGGER chaos_refuse ON payments")
            query("DROP FUNCTION chaos_refuse()")
            query("DROP SEQUENCE chaos_refusals")
        expect(fired >= 10, f"only {fired} transactions were refused with {code}")


CASES = (
    Case("17", "database", "Postgres stopped at once under load", "acknowledged rows stay", 1, killed_under_load),
    Case("18a", "database", "connection cut before and after COMMIT", "one row a key", 12, cut_at_commit),
    Case("18b", "database", "cut at the message with the rows", "one row a key", 4, cut_at_the_rows),
    Case("19a", "database", "tables locked past lock_timeout", "503 or 409, try again; no row", 1, locked),
    Case(
        "19b", "database", "read-only, as a standby is", "503; the event not acknowledged; exactly once after", 1,
        read_only, note="a full disk is not run: to Tollgate it is the same refusal to write",
    ),
    Case("19c", "database", "every session ended, 8 times, under load", "503 or 202", 8, sessions_ended),
    Case("19d", "database", "deadlock, serialisation failure", "tried again; 1 charge", 12, refused_by_code, "apart"),
    Case("20", "database", "one connection for the whole api", "bounded wait, 503", 1, no_connections),
)  # fmt: skip
