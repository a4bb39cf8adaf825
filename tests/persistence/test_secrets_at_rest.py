"""Nothing secret and nobody's name in any column of the database or any line of the log."""

from __future__ import annotations

import base64
import logging
import secrets
from collections.abc import Iterator
from string import ascii_lowercase
from typing import Any

import pytest
import requests
import sqlalchemy as sa
import structlog

from core.domain.identifiers import parse_id
from core.observability import configure_logging
from core.orchestration import execute, starting
from tests.support.world import World

_TABLES = (
    "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') "
    "AND NOT relispartition ORDER BY 1"
)


@pytest.fixture
def logs(capfd: pytest.CaptureFixture[str]) -> Iterator[pytest.CaptureFixture[str]]:
    """As a process of ours writes them, at their most talkative."""
    root = logging.getLogger()
    before, level, kept = structlog.get_config(), root.level, list(root.handlers)
    configure_logging("DEBUG", "tests")
    yield capfd
    structlog.configure(**before)
    root.setLevel(level)
    root.handlers[:] = kept


def spellings(secret: str) -> list[bytes]:
    """The text itself, in hex, and in base64 wherever it may start."""
    raw = secret.encode()
    inner = [base64.b64encode(b"\0" * shift + raw)[4:-4] for shift in range(3)]
    return [raw, raw.hex().encode(), *inner]


def found_in(haystack: bytes, canaries: dict[str, str]) -> set[str]:
    lower = haystack.lower()
    return {
        name
        for name, secret in canaries.items()
        if any(spelling in haystack for spelling in spellings(secret)) or secret.lower().encode() in lower
    }


def as_bytes(value: Any) -> bytes:
    return bytes(value) if isinstance(value, (bytes, memoryview)) else str(value).encode()


def leaks(connection: sa.Connection, canaries: dict[str, str]) -> set[tuple[str, str, str]]:
    """(table, column, canary) of everything that can be read without a key."""
    bad = set()
    for table in connection.exec_driver_sql(_TABLES).scalars().all():
        for row in connection.exec_driver_sql(f"SELECT * FROM {table}").mappings():
            for column, value in row.items():
                bad |= {(table, column, name) for name in found_in(as_bytes(value), canaries)}
    return bad


def canary(prefix: str = "") -> str:
    """Of letters alone: digits might look like a card's."""
    return f"{prefix}canary" + "".join(secrets.choice(ascii_lowercase) for _ in range(16))


@pytest.fixture
def canaries(world: World) -> dict[str, str]:
    return {
        "e-mail": f"{canary()}@example.com",
        "name": canary("Ada "),
        "phone": f"+23480{secrets.randbelow(10**8):08}",
        "refused token": canary("pm_"),
        "API key": world.test_key,
        "API key's secret": world.test_key.rpartition("_")[2],
        "Stripe secret key": world.secrets["stripe"],
        "Stripe webhook secret": world.secrets["stripe.webhook"],
        "Paystack secret key": world.secrets["paystack"],
    }


def pay_in_every_way(world: World, canaries: dict[str, str]) -> dict[str, str]:
    """Payments by token and redirect, one that fails, one that waits; returns the secrets that came back."""
    person = {"email": canaries["e-mail"], "name": canaries["name"], "phone": canaries["phone"]}
    endpoint = world.post("/v1/webhook_endpoints", {"url": "http://127.0.0.1:9/hook", "event_types": ["*"]})
    assert endpoint.status_code == 201, endpoint.text
    world.pay(customer=person)
    world.pay(customer=person, payment_method={"type": "token", "token": canaries["refused token"]})
    waiting = world.pay(customer=person, payment_method={"type": "token", "token": "pm_card_authenticationRequired"})
    for changes in ({"provider": "stripe"}, {"provider": "paystack", "currency": "NGN", "amount": 500000}):
        answer = world.post("/v1/payments", world.redirect_body(customer=person, **changes))
        assert answer.status_code == 202, answer.text
    world.settle()
    page = world.payment(answer.json()["payment"]["id"])["next_action"]["url"]
    requests.post(page, data={"action": "pay", "card": "4084084084084081"}, allow_redirects=False, timeout=10)
    world.settle()
    return {
        "client secret": waiting["next_action"]["client_secret"],
        "page of the waiting payment": waiting["next_action"]["url"],
        "webhook endpoint's secret": endpoint.json()["secret"],
    }


def test_no_plain_secret_rests_in_the_database_or_the_log(
    world: World, canaries: dict[str, str], logs: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    came_back = pay_in_every_way(world, canaries)
    everything = {**canaries, **came_back}
    _crash_a_job(world, canaries, monkeypatch)
    with world.fault("stripe", operation="payment_intents.create", effect="cut_body"):
        world.pay(customer={"email": canaries["e-mail"]})
    with world.owner.connect() as connection:
        assert leaks(connection, everything) == set()
        bodies = connection.exec_driver_sql("SELECT count(*) FROM bodies").scalar_one()
    assert bodies > 5, "what providers said was kept, sealed"
    written = "".join(logs.readouterr())
    assert "provider_call" in written, "the log was listened to"
    assert "job_crashed" in written
    assert found_in(written.encode(), everything) == set()


def _crash_a_job(world: World, canaries: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A handler that dies with secrets in its message, its arguments and its frames."""

    def die(core: Any, connection: Any, job: Any, payment: Any) -> None:
        held = dict(canaries)
        raise ValueError(f"cannot take {held}")

    with monkeypatch.context() as patch:
        patch.setattr(starting, "start_new", die)  # together with others
        patch.setitem(execute.MONEY, "create_payment", die)  # type: ignore[arg-type]
        world.create(customer={"email": canaries["e-mail"]})
        world.work()


def test_the_search_itself_finds_what_is_there(world: World) -> None:
    secret = canary()
    hidden = base64.b64encode(f"x{secret}".encode()).decode()
    planted = {"reference": secret.upper(), "description": hidden, "return_url": f"https://{secret}/"}
    payment = world.create()
    with world.owner.connect() as connection:
        for column, text in planted.items():
            change = sa.text(f"UPDATE payments SET {column} = :text WHERE id = :id")
            connection.execute(change, {"text": text, "id": parse_id("payment", payment["id"])})
        assert leaks(connection, {"it": secret}) == {("payments", column, "it") for column in planted}
        connection.rollback()
