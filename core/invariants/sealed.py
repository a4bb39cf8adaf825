"""I6: the chain of seals over the audit log holds, and every record under it is the one that was sealed."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from core.audit.heads import Head
from core.audit.verifying import verify
from core.invariants.violation import Violation
from core.persistence.database import Database

_ADVICE = 'docs/runbook.md, "The audit log was tampered with"; `tollgate audit verify` says more'


def check(database: Database, keys: Collection[bytes], head: Head | None, since: datetime | None) -> list[Violation]:
    """`since`: records that were sealed before are not read again, but their seals are."""
    found = verify(database, keys, head, since=since)
    return [
        Violation("I6", one.what, {"kind": one.kind, "number": one.number, "count": one.count}, "seals_broken", _ADVICE)
        for one in found.tamperings
    ]
