"""Why a row misses its goal, and what was tried: one sentence or two a row, printed beneath the table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bench.table import Row

#: By how a row's figure begins.
WHY: Mapping[str, str] = {
    "payments a second held end to end, against a bare handler": (
        "The floor writes one row in two commits; a payment here writes sixteen (key, payment, job, "
        "transaction, four audit records, two events, a sealed answer, and their changes) in two to three "
        "commits that it shares, behind a key, a rate limit and validation. 0.6 would leave about 3.3 ms of "
        "processor time for all of it beside the sandbox and the load. Tried, from 22.8 ms down: statements "
        "that travel together (16 trips to 3 at accept, 9 to 2 at settling), prepared statements, announcing "
        "and settling in common, no ORM and no SQLAlchemy on the hot path, few broker messages, sends taken "
        "ahead off the shared schedule, no foreign keys to merchants, kept connections. What is left is "
        "spread: no part of it is above a tenth."
    ),
    "payments a second held end to end, against the plain way": (
        "Both sides are measured in steps of a seventh; the tuned way varies between 125 and 155 a second here."
    ),
    "queue of each lane": (
        "Three webhooks and a delivery cost as much again as the payment does: two cores are full at about "
        "100 such payments a second, with the sandbox and the load on them too. The queues drain within "
        "seconds after it. Tried: a webhook stored in one statement, read with its body in one trip and "
        "applied in two more."
    ),
    "Tollgate's own time": (
        "A busy lane is looked at every 20 ms, and every 40 ms with many jobs under way, since a message for "
        "each payment would cost 3 ms of CPU: 10 to 20 ms of the middle payment's time are that wait. The rest is "
        "the commits and the queueing for two cores that also carry the load and the provider."
    ),
    "`POST /v1/payments` accepted": (
        "The bare handler is WSGI without routing that commits one row in 0.26 ms. Here a request is "
        "authenticated, counted in Redis, validated against the published schema and logged, and five rows "
        "are committed. Tried: three trips to Postgres in place of sixteen, ids and bodies made without a "
        "library, one write for all rows."
    ),
    "webhooks acknowledged": (
        "The bare receiver checks a signature and inserts one row. Here the body is sealed and an inbox "
        "event, the body and a job are committed, in one statement and one trip. What is left is mostly "
        "Flask, the log line and metrics."
    ),
    "webhooks processed": (
        "Each webhook is applied in a commit of its own, with its event, transaction and payment locked: four "
        "trips. Partitions kept ready went from 24 months to six, since every plan holds them all. Not tried: "
        "several webhooks in one commit."
    ),
    "growth of memory": (
        "It was not found what it is. Nothing of ours grows with the payments (accounts, endpoints and statements are "
        "bounded); the allocator's arenas of some 170 threads are suspected. Not tried: fewer arenas, a longer run."
    ),
    "the same with webhooks on": ("It is said, not promised."),
    "growth: accept a payment": (
        "A key of the caller's choice lands on a random page of the keys' index, which at five million is larger than "
        "the embedded Postgres' shared buffers (256 MB): 0.3 ms more, whatever the rest costs. The same 0.3 ms were a "
        "ratio of 1.21 when an accept cost twice as much. Larger shared buffers take it away; nothing else was tried."
    ),
    "growth:": ("See the plans in growth.md."),
}


def text(rows: Sequence[Row]) -> str:
    """Markdown; empty when nothing missed."""
    missed = [row for row in rows if row.verdict == "missed"]
    if not missed:
        return ""
    lines = ["### Rows that miss their goal, why, and what was tried", ""]
    for row in missed:
        found = next((why for begins, why in WHY.items() if row.figure.startswith(begins)), "No reason is known yet.")
        lines.append(f"- **{row.figure}**: {found}")
    return "\n".join(lines) + "\n"
