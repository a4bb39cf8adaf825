"""Sealing keys are rotated while all is read and written, killed half-way, and carried on by whoever comes next."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from structlog.testing import CapturingLogger

from cli.checks import sealing as checks
from cli.embedded import Embedded
from core.domain.errors import StateConflict
from core.domain.identifiers import new_id, parse_id, public_id
from core.orchestration import people, rotation
from core.orchestration.context import Core
from core.orchestration.customers import Filters, list_customers
from core.persistence import key_sources
from core.persistence.key_sources import FileKeys, KeyUnavailable, Kind, StoredKeys, Versions
from core.persistence.queries import customers as rows
from core.persistence.vault import Vault
from core.providers.base import Person
from core.startup import sealing
from tests.support.restoring import Restorable
from tests.support.waiting import wait_until
from tests.support.world import World

TOLLGATE = Path(sys.executable).with_name("tollgate")
MANY = 450


class Rotating:
    """A world on a key file, with people in it."""

    def __init__(self, world: World, embedded: Embedded, folder: Path) -> None:
        self.world, self.file = world, folder / "keys.json"
        self.file.touch(0o600)
        self.file.write_text(key_sources.write_keys(world.keys))
        world.vault._keys = FileKeys(self.file)  # what a process opens instead of fixed keys
        self.env = {
            "PATH": os.defpath,
            "DATABASE_URL": world.urls.api,
            "WORKER_DATABASE_URL": world.urls.worker,
            "MIGRATION_DATABASE_URL": world.urls.owner,
            "REDIS_URL": embedded.redis_url,
            "TOLLGATE_KEY_FILE": str(self.file),
            "TOLLGATE_DATA_DIR": str(folder / "data"),
            "TOLLGATE_ROTATION_SETTLE": "0",
        }

    def command(self, *words: str, code: int = 0) -> str:
        done = subprocess.run([TOLLGATE, "sealing", *words], env=self.env, capture_output=True, text=True, timeout=120)
        assert done.returncode == code, (words, done.stdout, done.stderr)
        return done.stdout + done.stderr

    def start(self, *words: str) -> subprocess.Popen[str]:
        return subprocess.Popen([TOLLGATE, "sealing", *words], env=self.env, stdout=subprocess.DEVNULL, text=True)

    def fill(self, many: int) -> list[UUID]:
        """People by the vault's own means, as the API makes them."""
        core, scope, made = self.world.admin, self.world.scope, []
        with core.database.scoped(scope) as connection:
            for number in range(many):
                customer_id, email = new_id(), f"person-{number}@example.com"
                key = core.vault.make_customer_key(connection, scope, customer_id)
                sealed = people.seal_person(key, customer_id, Person(email))
                values = {"id": customer_id, "sealed": sealed, **people.email_columns(core, email)}
                rows.insert_customer(connection, scope, values)
                made.append(customer_id)
        return made

    def versions(self, table: str, column: str) -> dict[int, int]:
        found = self.world.rows(f"SELECT {column} AS version, count(*) AS n FROM {table} GROUP BY 1")
        return {row["version"]: row["n"] for row in found}

    def found(self, email: str) -> list[str]:
        return [one["id"] for one in list_customers(self.world.api, self.world.scope, Filters(email=email))["data"]]

    def readable(self, customer_id: UUID) -> str | None:
        answer = self.world.post(f"/v1/customers/{public_id('customer', customer_id)}/reveal", key=self.key)
        assert answer.status_code == 200, answer.text
        email: str | None = answer.json()["email"]
        return email

    @property
    def key(self) -> str:
        if not hasattr(self, "_key"):
            self._key = self.world.make_key("test", scopes=["customers:*", "payments:*"])
        return self._key


@pytest.fixture
def rotating(place: Restorable, tmp_path: Path) -> Rotating:
    return Rotating(place.world, place.embedded, tmp_path)


def hold(world: World, table: str, row_id: UUID) -> Any:
    """A connection that keeps the walk from going past this row."""
    connection = world.owner.connect()
    connection.execute(sa.text(f"SELECT 1 FROM {table} WHERE id = :id FOR UPDATE"), {"id": row_id})
    return connection


#: Kind of key, the table that is walked for it, and the column with the version.
WALKS = [("kek", "data_keys", "kek_version"), ("index", "customers", "index_key_version")]


@pytest.mark.parametrize(("kind", "table", "column"), WALKS)
def test_killed_half_way_it_is_carried_on_and_nothing_is_unreadable_meanwhile(
    rotating: Rotating, kind: Kind, table: str, column: str
) -> None:
    world = rotating.world
    made = rotating.fill(MANY)
    ids = [row["id"] for row in world.rows(f"SELECT id FROM {table} ORDER BY id")]
    before = world.rows("SELECT id, sealed FROM customers ORDER BY id")
    rotating.command("add", kind)
    held = hold(world, table, ids[300])
    process = rotating.start("rotate", kind)
    wait_until(lambda: rotating.versions(table, column).get(2, 0) >= 200, "the walk to be under way", 60)
    process.send_signal(signal.SIGKILL)
    process.wait(10)
    held.close()

    half = rotating.versions(table, column)
    assert 0 < half[1] < len(ids), half
    # Both halves are read and found, and what is written now is of the new version.
    for number in (0, 100, 400, MANY - 1):
        assert rotating.readable(made[number]) == f"person-{number}@example.com"
        assert rotating.found(f"Person-{number}@example.com") == [public_id("customer", made[number])]
    late = world.post("/v1/customers", {"email": "late@example.com"}, key=rotating.key).json()["id"]
    assert rotating.found("late@example.com") == [late]
    state = rotation.status(world.admin)["rotations"][0]
    assert (state["status"], state["version"]) == ("running", 2)
    assert 200 <= state["done"] < state["total"]

    # Any worker takes it up, in slices, however often it is interrupted.
    world.settings.__dict__["rotation_settle"] = 0.0
    for _ in range(100):
        rotation.carry_on(world.worker, 1)
        if rotation.status(world.worker)["rotations"][0]["status"] == "finished":
            break

    assert set(rotating.versions(table, column)) == {2}
    after = "SELECT id, sealed FROM customers WHERE id <> :late ORDER BY id"
    assert world.rows(after, late=parse_id("customer", late)) == before, "what was sealed is not touched"
    assert "not needed any more" in rotating.command("status")
    rotating.command("drop", kind, "1")
    world.vault._keys = FileKeys(rotating.file)
    for number in (0, 100, 400, MANY - 1):
        assert rotating.readable(made[number]) == f"person-{number}@example.com"
        assert rotating.found(f"person-{number}@example.com") == [public_id("customer", made[number])]
    events = [row["action"] for row in world.rows("SELECT action FROM audit_log WHERE subject_kind = 'key_rotation'")]
    assert events == ["key_rotation.begun", "key_rotation.finished"]


@pytest.mark.parametrize("kind", ["kek", "index"])
def test_written_and_looked_up_throughout(rotating: Rotating, kind: Kind) -> None:
    """People are made, changed, found, revealed and erased while every row is walked, two rotations in a row."""
    world, stop = rotating.world, threading.Event()
    # A process may believe its key file for a second: the second look comes after that.
    rotating.env["TOLLGATE_ROTATION_SETTLE"] = "3"
    rotating.fill(200)
    made: dict[str, str] = {}
    wrong: list[str] = []

    def shop(name: str) -> None:
        number = 0
        while not stop.is_set():
            number += 1
            email = f"{name}-{number}@example.com"
            answer = world.post("/v1/customers", {"email": f"old-{email}"}, key=rotating.key)
            if answer.status_code != 201:
                wrong.append(answer.text)
                continue
            customer = answer.json()["id"]
            world.request("PATCH", f"/v1/customers/{customer}", json={"email": email}, key=rotating.key)
            shown = world.post(f"/v1/customers/{customer}/reveal", key=rotating.key).json()
            listed = world.get(f"/v1/customers?email={email}", key=rotating.key).json()["data"]
            if shown.get("email") != email or [one["id"] for one in listed] != [customer]:
                wrong.append(f"{email}: {shown} {listed}")
            if number % 3 == 0:
                world.request("DELETE", f"/v1/customers/{customer}", key=rotating.key)
            else:
                made[email] = customer

    threads = [threading.Thread(target=shop, args=(name,)) for name in ("ada", "bob")]
    for thread in threads:
        thread.start()
    try:
        for _ in range(2):
            rotating.command("add", kind)
            rotating.command("rotate", kind)
    finally:
        stop.set()
        for thread in threads:
            thread.join(30)
    assert wrong == []
    assert len(made) > 10
    for email, customer in made.items():
        assert rotating.found(email) == [customer]
    table, column = next((table, column) for one, table, column in WALKS if one == kind)
    assert set(rotating.versions(table, column)) == {3}


def test_saved_methods_are_found_under_either_key(rotating: Rotating) -> None:
    """A card that was saved before the rotation is the same card after it, half-way and at the end."""
    world = rotating.world
    customer = world.post("/v1/customers", {"email": "grace@example.com"}, key=rotating.key).json()["id"]

    def save() -> UUID:
        payment = world.pay(customer=customer, save_payment_method=True)
        return parse_id("payment_method", payment["payment_method"]["id"])

    first = save()
    rotating.command("add", "index")
    keys = key_sources.read_key_file(rotating.file)
    rotating.file.write_text(key_sources.write_keys(key_sources.with_current(keys, "index", 2)))
    world.vault._keys = FileKeys(rotating.file)
    assert save() == first
    [row] = world.rows("SELECT index_key_version FROM payment_methods WHERE status = 'active'")
    assert row["index_key_version"] == 2
    forgotten = world.request("DELETE", f"/v1/payment_methods/{public_id('payment_method', first)}", key=rotating.key)
    assert forgotten.status_code in (202, 403), forgotten.text
    rotating.command("rotate", "index")
    rotating.command("drop", "index", "1")
    world.vault._keys = FileKeys(rotating.file)
    assert save() == first or forgotten.status_code == 202
    assert set(rotating.versions("payment_methods", "index_key_version")) == {2}


def test_a_repeat_of_before_the_rotation_is_still_a_repeat(rotating: Rotating) -> None:
    world, body = rotating.world, {"email": "once@example.com"}
    first = world.post("/v1/customers", body, idempotency="once", key=rotating.key).json()["id"]
    for kind in ("kek", "index"):
        rotating.command("add", kind)
        rotating.command("rotate", kind)
        rotating.command("drop", kind, "1")
    world.vault._keys = FileKeys(rotating.file)
    again = world.post("/v1/customers", body, idempotency="once", key=rotating.key)
    assert (again.status_code, again.json()["id"]) == (201, first)
    assert again.headers["Idempotent-Replayed"] == "true"


def test_what_is_needed_is_not_dropped_and_one_at_a_time_is_rotated(rotating: Rotating) -> None:
    world = rotating.world
    rotating.fill(5)
    assert "everything is under version 1" in rotating.command("rotate", "kek", code=1)
    rotating.command("add", "kek")
    rotating.command("rotate", "kek", "--detach")
    assert "rows need version 1" in rotating.command("drop", "kek", "1", code=1)
    rotating.command("add", "kek")
    assert "is under way" in rotating.command("rotate", "kek", code=1)
    assert "is under way" in rotating.command("drop", "kek", "3", code=1)
    keys = key_sources.read_key_file(rotating.file)
    assert keys.current_version == 2, "what is refused leaves the file as it was"
    with pytest.raises(StateConflict, match="under way"):
        rotation.begin(Core(world.settings, world.admin.database, Vault(key_sources.with_current(keys, "kek", 3))),
                       "kek", "ada")  # fmt: skip


def test_a_row_written_under_the_old_key_at_the_last_moment_is_walked_again(rotating: Rotating) -> None:
    """By a process that had not heard: the last look finds it."""
    world = rotating.world
    rotating.fill(5)
    deaf = Core(world.settings, world.admin.database, Vault(world.keys))
    rotating.command("add", "kek")
    rotating.command("rotate", "kek", "--detach")
    world.settings.__dict__["rotation_settle"] = 0.0
    while rotation.status(world.worker)["rotations"][0]["at"] != "verify":
        rotation.carry_on(world.worker, 1)
    with deaf.database.scoped(world.scope) as connection:
        deaf.vault.make_customer_key(connection, world.scope, new_id())
    assert rotating.versions("data_keys", "kek_version")[1] == 1
    for _ in range(10):
        rotation.carry_on(world.worker, 1)
    assert rotation.status(world.worker)["rotations"][0]["status"] == "finished"
    assert set(rotating.versions("data_keys", "kek_version")) == {2}


class TestTheFile:
    def test_gives_a_running_process_what_it_does_not_know_yet(self, rotating: Rotating) -> None:
        running = FileKeys(rotating.file)
        assert running.versions().keks == {1}
        keys, version = key_sources.with_version(key_sources.read_key_file(rotating.file), "kek")
        rotating.file.write_text(key_sources.write_keys(keys))
        wrapped = keys.wrap(version, UUID(int=7), b"k" * 32)
        assert running.unwrap(version, UUID(int=7), wrapped) == b"k" * 32, "at once: a row of it has been met"

    def test_becomes_current_everywhere_within_a_second(self, rotating: Rotating) -> None:
        running = FileKeys(rotating.file)
        keys, version = key_sources.with_version(key_sources.read_key_file(rotating.file), "index")
        rotating.file.write_text(key_sources.write_keys(key_sources.with_current(keys, "index", version)))
        wait_until(lambda: running.versions().index == 2, "the file to be read again", 2 * key_sources.BELIEVED)

    def test_that_is_damaged_meanwhile_changes_nothing(self, rotating: Rotating) -> None:
        running = FileKeys(rotating.file)
        rotating.file.write_text("{")
        with pytest.raises(KeyUnavailable, match="version 2"):
            running.wrap(2, UUID(int=7), b"k" * 32)
        assert running.versions().keks == {1}


class Kms:
    """A service that wraps, unwraps and hashes: the keys are in there and never come out."""

    __slots__ = ("_ask",)

    def __init__(self) -> None:
        inside = StoredKeys({1: os.urandom(32)}, 1, {1: os.urandom(32)}, 1)
        kept = [inside]

        def ask(what: str, *given: Any) -> Any:
            if what == "next":
                kept[0] = key_sources.with_current(key_sources.with_version(kept[0], "kek")[0], "kek", 2)
                return None
            return getattr(kept[0], what)(*given)

        self._ask = ask

    def make_next(self) -> None:
        self._ask("next")

    def versions(self) -> Versions:
        found: Versions = self._ask("versions")
        return found

    def wrap(self, version: int, key_id: UUID, key: bytes) -> bytes:
        return bytes(self._ask("wrap", version, key_id, key))

    def unwrap(self, version: int, key_id: UUID, wrapped: bytes) -> bytes:
        return bytes(self._ask("unwrap", version, key_id, wrapped))

    def index(self, version: int, text: bytes) -> bytes:
        return bytes(self._ask("index", version, text))

    def derive(self, version: int, purpose: str) -> bytes:
        return bytes(self._ask("derive", version, purpose))


class TestAKms:
    @pytest.fixture
    def on_kms(self, place: Restorable) -> tuple[World, Kms]:
        """Begun anew under a KMS: nothing of this database was sealed before."""
        world, kms = place.world, Kms()
        with world.owner.begin() as connection:
            connection.execute(sa.text("DELETE FROM data_keys"))
        world.vault._keys, world.vault._merchant_keys = kms, {}
        return world, kms

    def test_serves_every_road_and_is_rotated(self, on_kms: tuple[World, Kms]) -> None:
        world, kms = on_kms
        key = world.make_key("test", scopes=["customers:*"])
        made = world.post("/v1/customers", {"email": "ada@example.com"}, key=key).json()["id"]
        kms.make_next()
        world.settings.__dict__["rotation_settle"] = 0.0
        rotation.follow(world.admin, rotation.begin(world.admin, "kek", "ada"), lambda _: None, lambda _: None)
        world.vault._merchant_keys = {}
        assert world.post(f"/v1/customers/{made}/reveal", key=key).json()["email"] == "ada@example.com"
        assert [one["id"] for one in world.get("/v1/customers?email=ada@example.com", key=key).json()["data"]] == [made]
        versions = {row["kek_version"] for row in world.rows("SELECT kek_version FROM data_keys")}
        assert versions == {2}


def test_who_asks_is_written_down(rotating: Rotating) -> None:
    rotating.fill(3)
    rotating.command("add", "kek")
    rotating.command("rotate", "kek", "--actor", "grace")
    [row] = rotating.world.rows("SELECT actor, details FROM audit_log WHERE action = 'key_rotation.begun'")
    assert row["actor"] == "person:grace"
    assert row["details"]["version"] == 2


def test_a_version_that_comes_or_goes_is_told(rotating: Rotating) -> None:
    rotating.command("add", "index")
    rotating.command("drop", "index", "2")
    assert "version 7 is not there" in rotating.command("drop", "index", "7", code=1)
    told = rotating.world.rows("SELECT * FROM audit_log WHERE starts_with(action, 'sealing_key.') ORDER BY number")
    assert [row["action"] for row in told] == ["sealing_key.added", "sealing_key.dropped"]
    assert all(row["details"] == {"kind": "index", "version": 2} for row in told)
    assert all(row["actor"].startswith("cli:") for row in told)


def test_a_version_that_was_never_current_leaves_no_trace_at_the_start(rotating: Rotating) -> None:
    """A worker that started meanwhile has noted it; it may be dropped, and its number is given again."""

    def refused() -> list[str]:
        with rotating.world.worker.database.unscoped() as connection:
            return [one.text for one in sealing.look(connection, FileKeys(rotating.file), "worker") if one.refuses]

    for _ in range(2):
        rotating.command("add", "kek")
        assert refused() == []
        rotating.command("drop", "kek", "2")
        assert refused() == []


@pytest.mark.parametrize("words", [("add", "kek"), ("drop", "kek", "2")])
def test_a_change_that_no_record_can_tell_of_is_not_made(rotating: Rotating, words: tuple[str, ...]) -> None:
    rotating.command("add", "kek")
    before = rotating.file.read_text()
    with rotating.world.owner.begin() as connection:
        refuse = (
            "CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS "
            "$$BEGIN IF starts_with(NEW.action, 'sealing_key.') THEN RAISE 'no room'; END IF; RETURN NEW; END$$; "
            "CREATE TRIGGER full_disk BEFORE INSERT ON audit_log FOR EACH ROW EXECUTE FUNCTION full_disk()"
        )
        connection.exec_driver_sql(refuse)
    assert "no room" in rotating.command(*words, code=1)
    assert rotating.file.read_text() == before


def test_says_that_other_machines_need_the_file_again(rotating: Rotating) -> None:
    rotating.fill(1)
    rotating.command("add", "kek")
    said = rotating.command("rotate", "kek", "--detach")
    assert f"Version 2 is current in {rotating.file}, on this machine alone" in said
    assert "bring it to every one of them now" in said


def test_a_machine_that_has_not_got_the_file_again_is_told(rotating: Rotating, monkeypatch: pytest.MonkeyPatch) -> None:
    world = rotating.world
    rotating.fill(1)
    rotating.command("add", "kek")
    copy = rotating.file.read_text()
    rotating.command("rotate", "kek", "--detach")
    rotating.file.write_text(copy)
    wait_until(lambda: world.vault.keys.versions().kek == 1, "the file to be read again")
    logged = CapturingLogger()
    monkeypatch.setattr(rotation, "log", logged)
    rotation.carry_on(world.worker, 1)
    assert ("warning", ("sealing_keys_behind",), {"kind": "kek", "revision": 2}) in logged.calls
    warnings = [one.detail for one in checks._compare(world.admin) if one.verdict == "warning"]
    assert any("the rotation does not end" in text for text in warnings), warnings


def test_a_walk_that_could_not_begin_is_begun_by_the_same_command(rotating: Rotating) -> None:
    """The version is current in the file by then."""
    rotating.fill(3)
    rotating.command("add", "kek")
    with rotating.world.owner.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE key_rotations ADD CONSTRAINT away CHECK (false) NOT VALID")
    assert "away" in rotating.command("rotate", "kek", code=1)
    assert key_sources.read_key_file(rotating.file).current_version == 2
    with rotating.world.owner.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE key_rotations DROP CONSTRAINT away")
    assert "Everything is under version 2" in rotating.command("rotate", "kek")
    assert set(rotating.versions("data_keys", "kek_version")) == {2}


class TestManyRows:
    """Where reading all rows takes longer than any statement may: here a lock takes the time that they would."""

    @contextmanager
    def slow(self, world: World, *tables: str) -> Iterator[None]:
        """No statement may take a third of a second, and the tables are not to be read for one and a half."""

        def hurry(driver: Any, record: Any) -> None:
            with driver.cursor() as cursor:
                cursor.execute("SET statement_timeout = '300ms'")
            driver.commit()

        engines = [core.database.engine for core in (world.admin, world.worker)]
        for engine in engines:
            engine.dispose()
            sa.event.listen(engine, "connect", hurry)
        holder = sa.create_engine(world.owner.url).connect()
        holder.exec_driver_sql(f"LOCK TABLE {', '.join(tables)} IN ACCESS EXCLUSIVE MODE")
        free = threading.Timer(1.5, holder.close)
        free.start()
        try:
            yield
        finally:
            free.join()
            for engine in engines:
                sa.event.remove(engine, "connect", hurry)
                engine.dispose()

    def test_begins_and_is_counted(self, rotating: Rotating) -> None:
        world = rotating.world
        rotating.fill(2)
        rotating.command("add", "kek")
        rotating.command("rotate", "kek", "--detach")
        with self.slow(world, "data_keys"):
            assert rotation.status(world.admin, counted=True)["rows"]["data_keys"]
        world.settings.__dict__["rotation_settle"] = 0.0
        rotation.follow(world.admin, rotation.begin(world.admin, "kek", "ada"), lambda _: None, lambda _: None)
        rotating.command("add", "kek")
        keys = key_sources.read_key_file(rotating.file)
        rotating.file.write_text(key_sources.write_keys(key_sources.with_current(keys, "kek", 3)))
        wait_until(lambda: world.vault.keys.versions().kek == 3, "the file to be read again")
        with self.slow(world, "data_keys"):
            rotation.begin(world.admin, "kek", "ada")

    def test_is_walked_and_ends(self, rotating: Rotating) -> None:
        world = rotating.world
        rotating.fill(2)
        rotating.command("add", "index")
        rotating.command("rotate", "index", "--detach")
        world.settings.__dict__["rotation_settle"] = 0.0
        with self.slow(world, "customers"):
            assert rotation.carry_on(world.worker, 1)
        while rotation.status(world.worker)["rotations"][0]["at"] != "verify":
            rotation.carry_on(world.worker, 1)
        with self.slow(world, "payment_methods"):
            rotation.carry_on(world.worker, 1)
        assert rotation.status(world.worker)["rotations"][0]["status"] == "finished"
