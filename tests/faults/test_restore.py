"""The database's folder is put back as it was before: the whole service starts paused, and nobody is charged again."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg2
import requests

from cli.placement import place
from cli.service import Service
from tests.support.databases import plain
from tests.support.waiting import wait_until

TOLLGATE = Path(sys.executable).with_name("tollgate")


def copy(folder: Path, to: Path) -> None:
    """With owners and rights: the server may run as somebody else."""
    subprocess.run(["cp", "-a", str(folder), str(to)], check=True)


def query(service: Service, sql: str) -> Any:
    connection = psycopg2.connect(plain(service.owner_database_url))
    try:
        with connection.cursor() as cursor:
            cursor.execute(sql)
            return cursor.fetchone()
    finally:
        connection.close()


def post(service: Service) -> requests.Response:
    body = {
        "amount": 5000,
        "currency": "USD",
        "payment_method": {"type": "token", "token": "pm_card_visa"},
        "return_url": "https://shop.example/back",
    }
    headers = {"Authorization": f"Bearer {service.test_key}", "Idempotency-Key": str(uuid4())}
    return requests.post(f"{service.api_url}/v1/payments", json=body, headers=headers, timeout=20)


def status(service: Service, payment: str) -> str:
    headers = {"Authorization": f"Bearer {service.test_key}"}
    found = requests.get(f"{service.api_url}/v1/payments/{payment}", headers=headers, timeout=20)
    return str(found.json()["status"])


def charges(service: Service, payment: str) -> int:
    ledger = requests.get(f"{service.sandbox_urls['stripe']}/_sandbox/ledger", timeout=30).json()["charges"]
    own = [one for one in ledger if (one["metadata"] or {}).get("tollgate_payment") == payment]
    return sum(1 for one in own if one["status"] == "succeeded")


def command(data: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    env = {"PATH": os.defpath, "TOLLGATE_DATA_DIR": str(data)}
    return subprocess.run([TOLLGATE, *arguments], env=env, capture_output=True, text=True, timeout=120)


def verdict(data: Path) -> str:
    rows = json.loads(command(data, "doctor", "--json").stdout)
    return str(next(row["verdict"] for row in rows if row["subject"] == "Paused"))


def test_a_database_put_back_starts_paused_and_charges_nobody_again(tmp_path: Path) -> None:
    data, kept = tmp_path / "data", tmp_path / "kept"
    with Service(data, workers=1) as service:
        service.stop_child("worker-1")
        payment = post(service).json()["payment"]["id"]
    folder = place(data).data / "postgres"
    copy(folder, kept)
    with Service(data, workers=1) as service:
        wait_until(lambda: status(service, payment) == "succeeded", "the payment to be made", 30)
        newest = query(service, "SELECT max(number) FROM audit_log")[0]
        file = data / "anchor.json"
        wait_until(lambda: json.loads(file.read_text())["audit_number"] >= newest, "the anchor", 40)
    shutil.rmtree(folder)
    copy(kept, folder)
    with Service(data, workers=1) as service:
        wait_until(lambda: post(service).status_code == 503, "the gate to be paused", 20)
        assert post(service).json()["code"] == "paused"
        assert status(service, payment) == "processing"
        assert verdict(data) == "failed"
        resumed = command(data, "resume", "--reason", "the disk was lost", "--yes")
        assert resumed.returncode == 0, resumed.stderr
        assert "audit records are missing" in resumed.stdout
        wait_until(lambda: status(service, payment) == "succeeded", "the charge to be found", 30)
        assert charges(service, payment) == 1
        wait_until(lambda: post(service).status_code == 202, "the gate to take payments again", 10)
        assert verdict(data) == "ok"


def test_a_standby_that_took_over_starts_paused_although_the_file_is_not_ahead(tmp_path: Path) -> None:
    """Recovery from an archive ends as a promotion does: on another timeline of the same server."""
    data = tmp_path / "data"
    with Service(data, workers=1) as service:
        payment = post(service).json()["payment"]["id"]
        wait_until(lambda: status(service, payment) == "succeeded", "the payment to be made", 30)
        wait_until(lambda: "copy" in json.loads((data / "anchor.json").read_text()), "the anchor", 40)
    folder = place(data).data / "postgres"
    with Service(data, workers=1) as service:
        assert post(service).status_code == 202, "a mere restart is nothing to be told"
    with (folder / "postgresql.auto.conf").open("a") as settings:
        settings.write("restore_command = 'false'\n")
    copy(folder / "PG_VERSION", folder / "recovery.signal")
    with Service(data, workers=1) as service:
        wait_until(lambda: post(service).status_code == 503, "the gate to be paused", 20)
        headers = {"Authorization": f"Bearer {service.test_key}"}
        told = requests.get(f"{service.api_url}/readyz", headers=headers, timeout=20).json()
        assert "a standby that took over" in told["dependencies"]["installation"]["reason"]
        resumed = command(data, "resume", "--reason", "the standby took over", "--yes")
        assert resumed.returncode == 0, resumed.stderr
        wait_until(lambda: post(service).status_code == 202, "the gate to take payments again", 10)
        assert charges(service, payment) == 1
