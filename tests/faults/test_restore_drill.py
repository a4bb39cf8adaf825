"""The drill of docs/operations.md, line by line: dump, lose, restore, verify, resume, catch up with the providers."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from cli.embedded import Embedded
from cli.service import Service
from tests.faults.test_restore import TOLLGATE, charges, post, query, status
from tests.support.databases import Urls, urls
from tests.support.drill import type_all
from tests.support.waiting import wait_until


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Embedded]:
    """A Postgres that is not Tollgate's own, with a database `tollgate` of `tollgate_owner`."""
    made = Embedded(tmp_path / "server", temporary=True)
    made.start()
    yield made
    made.stop()


class Drill:
    def __init__(self, server: Embedded, directory: Path) -> None:
        self.directory, self._server = directory, server
        self.addresses: Urls = urls(server, "tollgate")
        self.data = directory / "data"

    def service(self) -> Service:
        # No run of the schedule may find what the drill itself is to find.
        return Service(self.data, workers=1, environ={**os.environ, **self._named()})

    def _named(self) -> dict[str, str]:
        one = self.addresses
        return {"DATABASE_URL": one.api, "MIGRATION_DATABASE_URL": one.owner, "WORKER_DATABASE_URL": one.worker}

    def type(self, marker: str) -> None:
        type_all(marker, self._server.superuser_url, self.directory)

    def tollgate(self, *arguments: str) -> tuple[int, str]:
        env = {"PATH": os.defpath, "TOLLGATE_DATA_DIR": str(self.data), **self._named()}
        ended = subprocess.run([TOLLGATE, *arguments], env=env, capture_output=True, text=True, timeout=200)
        return ended.returncode, ended.stdout + ended.stderr


def findings(service: Service) -> set[Any]:
    found = query(service, "SELECT coalesce(json_agg(kind), '[]') FROM findings WHERE status = 'open'")
    return set(found[0])


def opens(service: Service, admin_key: str) -> bool:
    headers = {"Authorization": f"Bearer {admin_key}"}
    found = requests.get(f"{service.api_url}/admin/v1/merchants", headers=headers, timeout=20)
    assert found.status_code in (200, 401), found.text
    return found.status_code == 200


def test_the_drill(server: Embedded, tmp_path: Path) -> None:
    drill = Drill(server, tmp_path)
    with drill.service() as service:
        service.stop_child("worker-1")
        kept = post(service).json()["payment"]["id"]
        leaked = json.loads(drill.tollgate("keys", "create", "--kind", "admin", "--name", "leaked", "--json")[1])
        assert opens(service, leaked["key"])
        drill.type("backup")
        code, said = drill.tollgate("keys", "revoke", leaked["id"], "--reason", "it leaked")
        assert code == 0, said
        service.start_child("worker-1")
        lost = post(service).json()["payment"]["id"]
        for payment in (kept, lost):
            wait_until(lambda one=payment: status(service, one) == "succeeded", "the payment to be made", 60)
        newest = query(service, "SELECT max(number) FROM audit_log")[0]
        anchor = drill.data / "anchor.json"
        wait_until(lambda: json.loads(anchor.read_text())["audit_number"] >= newest, "the anchor", 60)
        assert drill.tollgate("audit", "verify")[0] == 0
    drill.type("restore")
    assert drill.tollgate("migrate")[0] == 0
    with drill.service() as service:
        wait_until(lambda: post(service).status_code == 503, "the gate to be paused", 60)
        assert status(service, kept) == "processing"
        assert not opens(service, leaked["key"]), "revoked after the backup"
        _code, said = drill.tollgate("audit", "verify")
        assert not re.search(r"(changed|removed|inserted|reordered|forged)", said), said
        code, said = drill.tollgate("resume", "--reason", "the drill", "--yes")
        assert code == 0, said
        assert leaked["id"] in said
        listed = json.loads(drill.tollgate("keys", "list", "--json")[1])
        assert [one["state"] for one in listed if one["id"] == leaked["id"]] == ["revoked"]
        assert not opens(service, leaked["key"])
        wait_until(lambda: status(service, kept) == "succeeded", "the charge to be found", 60)
        assert charges(service, kept) == 1
        assert requests.get(f"{service.api_url}/readyz", timeout=10).json()["status"] == "ok"
        code, said = drill.tollgate("reconcile", "run", "--kind", "two_way")
        assert code == 0, said
        assert "unknown_charge" in findings(service)
        assert charges(service, lost) == 1
        code, said = drill.tollgate("audit", "verify")
        assert code == 0, said
