"""Seals or verifies in a process of its own, so that its memory is nobody else's."""

from __future__ import annotations

import time
from typing import Any

from bench.books.__main__ import cpu, peak_mib
from core.audit import sealing
from core.audit.signing import Ed25519Signer
from core.audit.verifying import verify
from core.persistence.database import open_database

SIGNER = Ed25519Signer(bytes(32))


def measured(url: str, what: str, count: int, pipe: Any) -> None:
    """`what` is seal or verify; the figures go into `pipe`."""
    database = open_database(url, 2, "bench")
    began, busy, before = time.monotonic(), cpu(), peak_mib()
    if what == "seal":
        done = 0
        while done < count:
            done += sealing.seal(database, SIGNER).records
    else:
        found = verify(database, [SIGNER.public_key], None)
        assert (found.records, found.tamperings) == (count, []), found
    seconds = time.monotonic() - began
    pipe.send(
        {
            "what": what,
            "records": count,
            "seconds": round(seconds, 1),
            "cpu_seconds": round(cpu() - busy, 1),
            "records_per_second": round(count / seconds),
            "peak_mib": round(peak_mib(), 1),
            "grown_mib": round(peak_mib() - before, 1),
        }
    )
