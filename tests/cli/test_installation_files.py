"""Ports, secrets and keys that an installation keeps from one start to the next."""

from __future__ import annotations

import base64
import errno
import json
import socket
import stat
from pathlib import Path

import pytest

from cli.errors import Refused
from cli.files import write_private
from cli.ports import HIGHEST, HOST, LOWEST, Ports, obstacle
from cli.secrets_file import Secrets, key_file


def test_port_stays_the_same_until_somebody_takes_it(tmp_path: Path) -> None:
    port = Ports(tmp_path / "ports.json").get("api")
    again = Ports(tmp_path / "ports.json")
    assert LOWEST <= port < HIGHEST
    assert again.get("api") == port
    with socket.create_server((HOST, port)):
        taken = again.get("api")
    assert taken != port
    assert again.last("api") == taken
    assert again.last("other") == 0


def test_port_that_needs_rights_is_not_called_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    class Unprivileged(socket.socket):
        """What a plain user meets below 1024, whoever runs the tests."""

        def bind(self, address: object) -> None:
            raise PermissionError(errno.EACCES, "Permission denied")

    with socket.create_server((HOST, 0)) as server:
        assert "taken by another program" in obstacle(server.getsockname()[1])
    monkeypatch.setattr(socket, "socket", Unprivileged)
    assert "needs rights" in obstacle(80)


def test_names_never_share_a_port(tmp_path: Path) -> None:
    ports = Ports(tmp_path / "ports.json")
    assert len({ports.get(f"server-{number}") for number in range(50)}) == 50


def test_damaged_ports_are_chosen_again(tmp_path: Path) -> None:
    (tmp_path / "ports.json").write_text("{")
    assert Ports(tmp_path / "ports.json").get("api") >= LOWEST


def test_secrets_are_made_once(tmp_path: Path) -> None:
    password = Secrets(tmp_path).password("redis")
    assert len(password) == 48
    assert Secrets(tmp_path).password("redis") == password
    assert Secrets(tmp_path).password("other") != password
    assert stat.S_IMODE((tmp_path / "secrets.json").stat().st_mode) == 0o600


def test_damaged_secrets_are_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "secrets.json").write_text("[1")
    with pytest.raises(Refused, match="is damaged"):
        Secrets(tmp_path)
    assert (tmp_path / "secrets.json").read_text() == "[1"


def test_key_file_holds_keys_of_32_bytes_and_is_made_once(tmp_path: Path) -> None:
    path = key_file(tmp_path)
    keys = json.loads(path.read_text())
    assert keys["current"] == 1
    assert [len(base64.b64decode(key)) for key in (keys["kek"]["1"], keys["index_keys"]["1"])] == [32, 32]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert json.loads(key_file(tmp_path).read_text()) == keys


def test_private_file_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_private(path, "first")
    write_private(path, "second")
    assert path.read_text() == "second"
    assert [found.name for found in tmp_path.iterdir()] == ["file"]
