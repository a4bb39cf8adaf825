"""Every line of the Procfile, started by a shell as it stands there, on real servers."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from sqlalchemy.engine import make_url

from cli.ports import free_port
from core.orchestration import webhook_endpoints
from core.orchestration.context import Caller
from tests.shape.reading import ROOT, procfile
from tests.support.broker import Broker
from tests.support.receiver import Receiver
from tests.support.waiting import wait_until
from tests.support.worker import write_keys
from tests.support.world import World
from workers.configuration import LANES

#: Seconds from SIGTERM to the end: the drain set below, and what Python takes to leave on a busy machine.
BOUND = 15.0
DRAIN = 0.5


class Processes:
    """What a host makes of a Procfile: a shell for each line, one environment for all of them."""

    def __init__(self, world: World, directory: Path, broker: Broker) -> None:
        self.port = free_port()
        self.directory = directory
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        path = os.pathsep.join([str(Path(sys.executable).parent), os.defpath])
        self.env = {
            "PATH": path,
            "PORT": str(self.port),
            "DATABASE_URL": world.urls.api,
            "WORKER_DATABASE_URL": world.urls.worker,
            "MIGRATION_DATABASE_URL": world.urls.owner,
            "REDIS_URL": broker.url,
            "TOLLGATE_KEY_FILE": str(write_keys(world, directory / "keys.json")),
            "TOLLGATE_DATA_DIR": str(directory / "data"),
            "TOLLGATE_DRAIN": str(DRAIN),
            "TOLLGATE_ALLOW_PRIVATE_WEBHOOK_TARGETS": "true",
        }

    def start(self, name: str) -> subprocess.Popen[bytes]:
        env = {**self.env, "TOLLGATE_READY_FILE": str(self.ready_file(name))}
        command = ["/bin/sh", "-c", procfile()[name]]
        with self.log(name).open("wb") as log:
            process = subprocess.Popen(command, cwd=ROOT, env=env, stdout=log, stderr=log, start_new_session=True)
        self.running[name] = process
        return process

    def log(self, name: str) -> Path:
        return self.directory / f"{name}.log"

    def ready_file(self, name: str) -> Path:
        return self.directory / f"{name}.ready"

    def says(self, name: str, event: str) -> list[dict[str, str]]:
        lines = [line for line in self.log(name).read_text().splitlines() if line.startswith("{")]
        return [found for found in map(json.loads, lines) if found["event"] == event]

    def lives(self, name: str) -> bool:
        assert self.running[name].poll() is None, f"{name}: {self.log(name).read_text()}"
        return True

    def web_is_ready(self) -> bool:
        self.lives("web")
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", "/readyz")
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()

    def close(self) -> None:
        for process in self.running.values():
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


@pytest.fixture
def broker() -> Iterator[Broker]:
    made = Broker()
    yield made
    made.close()


@pytest.fixture
def processes(world: World, broker: Broker, tmp_path: Path) -> Iterator[Processes]:
    made = Processes(world, tmp_path, broker)
    yield made
    made.close()


def family(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    parent = psutil.Process(process.pid)
    return [parent, *parent.children(recursive=True)]


def start_all(processes: Processes, broker: Broker) -> None:
    """Release first and to its end, then all the others, each seen to be ready."""
    assert processes.start("release").wait(60) == 0, processes.log("release").read_text()
    del processes.running["release"]
    for name in set(procfile()) - {"release", "maintenance"}:
        processes.start(name)
    wait_until(processes.web_is_ready, "the web process to be ready", 60)
    # Nobody takes ticks yet, so beat's own are seen in the queue.
    wait_until(lambda: processes.lives("beat") and broker.messages("maintenance"), "beat to send a tick", 60)
    processes.start("maintenance")
    for lane in LANES:
        ready = processes.ready_file(lane)
        wait_until(lambda lane=lane, ready=ready: processes.lives(lane) and ready.exists(), f"{lane} to be ready", 60)
        assert processes.says(lane, "worker_started")[0]["lane"] == lane
    wait_until(lambda: not broker.messages("maintenance"), "the ticks to be taken", 60)


def pay(world: World, processes: Processes, receiver: Receiver) -> None:
    """A payment goes through all of them: web takes it, each lane does its part."""
    world.url = f"http://127.0.0.1:{processes.port}"
    payment = world.create()["id"]
    wait_until(lambda: world.payment(payment)["status"] == "succeeded", "the payment", 30)
    wait_until(lambda: receiver.got, "the merchant to be told", 30)
    applied = "SELECT 1 FROM inbox_events WHERE status = 'applied'"
    wait_until(lambda: world.rows(applied), "the provider's webhook to be applied", 30)


def test_every_process_starts_works_and_ends_as_its_line_says(
    world: World, processes: Processes, broker: Broker, receiver: Receiver
) -> None:
    caller = Caller(world.scope, "key:test")
    webhook_endpoints.create(world.api, caller, None, url=receiver.url, event_types=["payment.succeeded"])
    start_all(processes, broker)
    pay(world, processes, receiver)

    passwords = [make_url(text).password for name, text in processes.env.items() if name.endswith("DATABASE_URL")]
    for name, process in processes.running.items():
        for one in family(process):
            assert not [word for word in one.cmdline() if any(password in word for password in passwords)], name
            assert not {"MIGRATION_DATABASE_URL", "WORKER_DATABASE_URL"} & set(one.environ()), name

    for process in processes.running.values():
        # To the process alone, as a host does that knows no groups: the shell has made room for it.
        process.send_signal(signal.SIGTERM)
    for name, process in processes.running.items():
        assert process.wait(BOUND) == 0, f"{name}: {processes.log(name).read_text()}"
    for lane in LANES:
        assert processes.says(lane, "worker_stopped")[0]["outcome"] == "drained"
        assert not processes.ready_file(lane).exists()
