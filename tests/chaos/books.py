"""Compares our books with the providers' after a case: all invariants over one stage."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from core.invariants import Violation, check, compare_ledger, scan_logs
from core.persistence.database import Database, create_engine

if TYPE_CHECKING:
    from tests.chaos.stage import Stage

#: What a run of ours leaves unfinished for longer than this is not on its way any more.
GRACE = 60.0


#: A tick of the clock may have begun to ask about something in this moment; that is over in this many seconds.
ASKING = 20.0


def broken(stage: Stage, *, settled: bool) -> list[Violation]:
    """Looks again while all that is wrong may be a question under way."""
    until = time.monotonic() + ASKING
    while True:
        found = _look(stage, settled=settled)
        if not any(one.check == "job_under_way" for one in found) or time.monotonic() > until:
            return found
        stage.pause(0.5)


def _look(stage: Stage, *, settled: bool) -> list[Violation]:
    engine = create_engine(stage.service.worker_database_url, 2)
    try:
        database = Database(engine)
        found = check(database, settled=settled, grace=GRACE)
        for provider in stage.service.sandbox_urls:
            webhooks = stage.sandbox(provider, "webhooks?limit=999999")
            found += compare_ledger(database, provider, stage.ledger(provider), webhooks, settled=settled)
    finally:
        engine.dispose()
    logs = (stage.service.data_dir / "logs").glob("*.log")
    return found + scan_logs(logs, list(_secrets(stage)))


def _secrets(stage: Stage) -> Iterator[str]:
    """What must not stand in any log: passwords and keys of this installation."""

    def texts(value: Any) -> Iterator[str]:
        if isinstance(value, dict):
            for one in value.values():
                yield from texts(one)
        elif isinstance(value, str) and len(value) >= 20:
            yield value

    for file in (stage.service.data_dir / "secrets.json", stage.service.key_file):
        for text in texts(json.loads(file.read_text(encoding="utf-8"))):
            # Ids of accounts are kept there too, and logs may name those.
            if not text.startswith("acc_"):
                yield text
