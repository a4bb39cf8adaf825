"""I7: reads logs line by line for what must never stand in one."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from core.domain.card_numbers import holds_card_number
from core.invariants.violation import Violation

ADVICE = "delete the line from the log and its copies, replace what was told, and report which line wrote it"
MEANING = "a log holds what must never be written down"

#: What a secret looks like, by what it is.
PATTERNS = {
    "a provider's key": re.compile(r"\b[sr]k_(?:test|live)_[0-9A-Za-z]{8,}"),
    "an API key of ours": re.compile(r"\btg_(?:test|live|admin)_[0-9a-z]{4,}_?[0-9A-Za-z]{16,}"),
    "a webhook secret": re.compile(r"\bwhsec_[0-9A-Za-z+/=]{8,}"),
    "a password in an address": re.compile(r"\b(?:postgres(?:ql)?(?:\+\w+)?|rediss?)://[^\s:/@]*:[^\s@*]{3,}@"),
}
#: Long runs of digits that a machine writes: moments, durations, counters. Cards are looked for outside of them.
_MACHINE = re.compile(
    r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d[.,]?\d*|\b\d+\.\d+\b|\b(?:[a-z]{2,3}|req|job)_[0-9a-z]{20,}\b|\b[0-9a-f]{24,}\b"
)
#: Characters of one line; a longer one is read in pieces that overlap.
_PIECE, _OVERLAP = 65536, 512
#: Lines told of a file; a log that is full of secrets needs no longer list.
MOST = 20


def scan_logs(paths: Iterable[Path], secrets: Sequence[str]) -> list[Violation]:
    """Card numbers, keys, and every text of `secrets` (passwords, people's addresses and names); never echoes one.

    A file that is not there, or is no text, is no violation.
    """
    wanted = [one for one in secrets if len(one) >= 3]
    return [found for path in paths for found in _scan(Path(path), wanted)]


def _scan(path: Path, secrets: Sequence[str]) -> Iterator[Violation]:
    told = 0
    try:
        with path.open(encoding="utf-8", errors="replace") as lines:
            for number, text in _pieces(lines):
                for kind in _kinds(text, secrets):
                    details = {"file": str(path), "line": number, "holds": kind}
                    yield Violation("I7", MEANING, details, "told_in_log", ADVICE)
                    told += 1
                    if told >= MOST:
                        return
    except (FileNotFoundError, IsADirectoryError):
        return


def _pieces(lines: Iterable[str]) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(lines, 1):
        for start in range(0, max(len(line), 1), _PIECE):
            yield number, line[max(0, start - _OVERLAP) : start + _PIECE]


def _kinds(text: str, secrets: Sequence[str]) -> Iterator[str]:
    for kind, pattern in PATTERNS.items():
        if pattern.search(text):
            yield kind
    if any(secret in text for secret in secrets):
        yield "a secret or a person of this installation"
    if holds_card_number(_MACHINE.sub("x", text)):
        yield "a card number"
