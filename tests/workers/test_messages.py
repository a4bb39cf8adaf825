"""What a worker reads from the broker, and the schedule."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from core.settings import Settings
from workers.configuration import LANES, make_app
from workers.hints import Hints
from workers.schedule import SCHEDULE, beat_schedule
from workers.tasks import MAX_IDS, NotAHint, read_hint, run_scheduled, wake
from workers.transport import is_message

GOOD: dict[str, Any] = {
    "body": "W10=",
    "headers": {},
    "properties": {"delivery_tag": "1", "delivery_info": {"routing_key": "payments"}},
}


def settings(url: str) -> Settings:
    return Settings.model_validate({"DATABASE_URL": "postgresql://nobody@127.0.0.1/none", "BROKER_URL": url})


@pytest.mark.parametrize("lane", LANES)
def test_a_hint_is_read(lane: str) -> None:
    job = uuid4()
    assert read_hint(lane, [str(job)]) == (lane, [job])


@pytest.mark.parametrize(
    ("lane", "ids"),
    [
        ("unknown", [str(uuid4())]),
        (None, [str(uuid4())]),
        (["payments"], [str(uuid4())]),
        ("payments", []),
        ("payments", "not a list"),
        ("payments", None),
        ("payments", {"id": 1}),
        ("payments", [1]),
        ("payments", [None]),
        ("payments", ["not an id"]),
        ("payments", [["nested"]]),
        ("payments", [str(uuid4())] * (MAX_IDS + 1)),
    ],
)
def test_what_is_no_hint_is_refused(lane: Any, ids: Any) -> None:
    with pytest.raises(NotAHint):
        read_hint(lane, ids)


@pytest.mark.parametrize("arguments", [(), (1, 2, 3), ("payments",), ("payments", ["x"])])
def test_tasks_never_raise(arguments: tuple[Any, ...]) -> None:
    wake(*arguments)
    wake(*arguments, surprise=True)
    run_scheduled(*arguments)
    run_scheduled(*arguments, surprise=True)


@pytest.mark.parametrize(
    "entry",
    [
        None, [], 1, "text", {}, {**GOOD, "body": None}, {**GOOD, "headers": None}, {**GOOD, "properties": []},
        {**GOOD, "properties": {"delivery_tag": "1"}}, {**GOOD, "properties": {"delivery_info": {}}},
    ],
)  # fmt: skip
def test_an_entry_that_is_no_message_is_known(entry: Any) -> None:
    assert not is_message(entry)
    assert is_message(GOOD)


def test_every_entry_of_the_schedule_is_beats_too() -> None:
    made = beat_schedule()
    assert {name: entry["args"] for name, entry in made.items()} == {name: [name] for name in SCHEDULE}
    for name, entry in SCHEDULE.items():
        assert entry.reason
        assert made[name]["schedule"].run_every.total_seconds() == entry.interval == made[name]["options"]["expires"]


@pytest.mark.parametrize(
    ("url", "guarded", "timed"),
    [
        ("redis://127.0.0.1:6379/0", True, True),
        ("rediss://broker.example:6379/0", True, True),
        ("sentinel://127.0.0.1:26379", False, True),
        ("amqp://127.0.0.1:5672//", False, False),
    ],
)
def test_the_transport_fits_the_broker(url: str, guarded: bool, timed: bool) -> None:
    conf = make_app(settings(url)).conf
    assert (conf.broker_transport == "workers.transport:Transport") is guarded
    assert ("socket_timeout" in conf.broker_transport_options) is timed
    assert conf.broker_transport_options["max_retries"] == 0
    assert [queue.name for queue in conf.task_queues] == list(LANES)
    assert all(queue.no_ack for queue in conf.task_queues)


@pytest.mark.parametrize("scheme", ["rediss", "amqps"])
def test_a_broker_with_tls_is_spoken_to_in_tls_alone(scheme: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(10)
        hints = Hints(settings(f"{scheme}://user:secret@127.0.0.1:{server.getsockname()[1]}/0"))
        hints.wake("payments", [uuid4()])
        connection, _ = server.accept()
        with connection:
            connection.settimeout(10)
            said = connection.recv(4096)
        hints.close()
    # The first record of a handshake, and no protocol of the broker.
    assert said[:2] == b"\x16\x03"
    assert b"secret" not in said


def test_the_authority_of_the_broker_is_the_named_one(tmp_path: Path) -> None:
    for scheme, key in (("rediss", "ssl_ca_certs"), ("amqps", "ca_certs")):
        named = settings(f"{scheme}://user:secret@broker.example/0").model_copy(update={"redis_ca_file": tmp_path})
        assert make_app(named).conf.broker_use_ssl[key] == str(tmp_path)
    assert make_app(settings("redis://127.0.0.1:6379/0")).conf.broker_use_ssl is False
