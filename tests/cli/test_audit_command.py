"""`tollgate audit`: exit codes and words, over a log of a test's own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from cli.main import tollgate
from core.audit.signing import PURPOSE, Ed25519Signer
from core.persistence.vault import Vault, new_keys, parse_keys
from tests.audit.conftest import Book, book

__all__ = ["book"]


class Command:
    def __init__(self, book: Book, folder: Path) -> None:
        self.book, self.folder = book, folder
        keys = folder / "keys.json"
        keys.write_text(new_keys())
        keys.chmod(0o600)
        self.signer = Ed25519Signer(next(Vault(parse_keys(keys.read_text())).derived_keys(PURPOSE)))
        book.signer = self.signer
        self.env = {
            "DATABASE_URL": book.urls.api,
            "WORKER_DATABASE_URL": book.urls.worker,
            "MIGRATION_DATABASE_URL": book.urls.owner,
            "REDIS_URL": "redis://127.0.0.1:1/0",
            "TOLLGATE_KEY_FILE": str(keys),
        }

    def run(self, *arguments: str) -> Result:
        given = [*arguments, "--data-dir", str(self.folder)] if arguments[0] != "check" else list(arguments)
        return CliRunner().invoke(tollgate, ["audit", *given], env=self.env)

    def json(self, *arguments: str) -> Any:
        return json.loads(self.run(*arguments, "--json").stdout)


@pytest.fixture
def command(book: Book, tmp_path: Path) -> Command:
    made = Command(book, tmp_path)
    book.write(10)
    book.seal()
    return made


def test_a_whole_log_is_said_to_be_one(command: Command) -> None:
    command.book.write(2)
    done = command.run("verify")
    assert done.exit_code == 0, done.output
    assert "10 records under 1 seals were read." in done.output
    assert "2 records wait for a seal" in done.output
    assert "no anchor is at hand" in done.output
    assert "All that was sealed is as it was sealed." in done.output


def test_what_was_done_to_the_log_is_said_with_exit_code_1(command: Command) -> None:
    command.book.tamper("UPDATE audit_log SET actor = 'x' WHERE number = 3", "DELETE FROM audit_log WHERE number = 5")
    done = command.run("verify")
    assert done.exit_code == 1
    assert "changed: record 3 was changed after it was sealed" in done.output
    assert "removed: record 5 was taken out after it was sealed" in done.output
    assert [one["kind"] for one in command.json("verify")["tamperings"]] == ["changed", "removed"]


def test_a_seal_is_checked_with_the_keys_of_the_file_or_those_given(command: Command) -> None:
    assert command.run("public-key").output.strip() == command.signer.public_key.hex()
    stranger = Ed25519Signer(b"s" * 32)
    command.book.signer = stranger
    command.book.tamper("TRUNCATE audit_seals")
    command.book.seal()
    assert command.run("verify").exit_code == 1
    assert command.run("verify", "--public-key", stranger.public_key.hex()).exit_code == 0
    refused = command.run("verify", "--public-key", "abc")
    assert "64 hexadecimal digits" in str(refused.exception)


def test_records_are_listed_by_what_is_asked_for(command: Command) -> None:
    command.book.write(1, "test.rare")
    assert [one["number"] for one in command.json("list", "--limit", "3")] == [11, 10, 9]
    [rare] = command.json("list", "--action", "test.rare")
    assert (rare["number"], rare["actor"], rare["sealed"]) == (11, "key:abc", False)
    assert [one["number"] for one in command.json("list", "--subject", rare["subject"])] == [11]
    assert command.json("list", "--merchant", rare["merchant"], "--mode", "live") == []
    assert "No such records." in command.run("list", "--until", "2020-01-01").output
    assert "mer_" in str(command.run("list", "--merchant", "x").exception)


def test_an_export_is_checked_without_an_installation_and_is_itself_recorded(command: Command) -> None:
    file = command.folder / "export.jsonl"
    file.write_text(command.run("export", "--first", "2").output)
    key = command.run("public-key").output.strip()
    done = command.run("check", str(file), "--public-key", key)
    assert done.exit_code == 0, done.output
    assert "9 records under 1 seals, numbers 2 to 10: every record of it is there." in done.output
    [told] = command.json("list", "--action", "audit_log.exported")
    assert told["merchant"] is None
    assert told["actor"].startswith("cli:")
    file.write_text(file.read_text().replace("key:abc", "key:abd", 1))
    assert command.run("check", str(file), "--public-key", key).exit_code == 1
    file.write_text("nothing of ours")
    assert "cannot be read" in str(command.run("check", str(file), "--public-key", key).exception)
