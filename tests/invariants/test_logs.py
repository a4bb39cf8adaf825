"""What must never stand in a log is found, told by kind and place, and never repeated."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.invariants import scan_logs

CLEAN = (
    '{"time": "2026-11-23T22:58:43.123456Z", "job": "job_01kb2v3c4d5e6f7g8h9jamkqrs", "ms": 12.5}\n'
    "7f3b0c1e-4c1d-7abc-8def-0123456789ab GET /v1/payments 200\n"
)
SECRETS = ("ada@example.com", "48hexdigits48hexdigits48hexdigits")
TOLD = {
    "a provider's key": "using sk_test_4eC39HqLyjWDarjtT1zdp7dc",
    "an API key of ours": "Authorization: tg_test_0123456789abcdef_abcdefghijklmnopqrstuvwx0123456789",
    "a webhook secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    "a password in an address": "postgresql://tollgate_api:hunter22@127.0.0.1:5432/tollgate",
    "a secret or a person of this installation": "sent to ada@example.com",
    "a card number": "card 4242 4242 4242 4242 refused",
}


def test_a_clean_log_is_clean(tmp_path: Path) -> None:
    file = tmp_path / "api.log"
    file.write_text(CLEAN * 100)
    assert scan_logs([file, tmp_path / "absent.log", tmp_path], SECRETS) == []


@pytest.mark.parametrize("kind", TOLD)
def test_each_kind_is_seen_and_not_repeated(tmp_path: Path, kind: str) -> None:
    file = tmp_path / "worker.log"
    file.write_text(f"{CLEAN}{TOLD[kind]}\n{CLEAN}")
    (found,) = scan_logs([file], SECRETS)
    assert (found.invariant, found.details) == ("I7", {"file": str(file), "line": 3, "holds": kind})
    assert TOLD[kind].split()[-1] not in str(found)


def test_a_secret_in_a_line_without_end_is_seen(tmp_path: Path) -> None:
    file = tmp_path / "worker.log"
    file.write_text("x" * 65_530 + SECRETS[1] + "x" * 200_000)
    assert {one.details["line"] for one in scan_logs([file], SECRETS)} == {1}
