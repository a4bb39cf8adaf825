"""Words of providers that no table of ours knows: declines that merchants are told without a reason of their own."""

from __future__ import annotations

from collections.abc import Iterator

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from cli.checks import reading
from cli.checks.finding import Finding, Situation, ok, skipped, warning

SUBJECT = "Decline words"
#: As many as fit on a line or two; the table holds them all.
SHOWN = 5

_WORDS = sa.text(
    "SELECT provider, word, count, count(*) OVER () AS words FROM unknown_words ORDER BY count DESC, word LIMIT :limit"
)


def check(situation: Situation) -> Iterator[Finding]:
    if situation.target is None:
        yield skipped(SUBJECT, situation.why)
        return
    try:
        rows = reading.rows(situation.target.databases.owner, _WORDS, {"limit": SHOWN})
    except SQLAlchemyError:
        yield skipped(SUBJECT, "they could not be read; see Postgres and Start")
        return
    if not rows:
        yield ok(SUBJECT, "every one that came is known")
        return
    named = ", ".join(f"{row['provider']} “{row['word']}” {row['count']} times" for row in rows)
    advice = "tell us, or add them to core/providers/<name>/declines.py; merchants were told `generic_decline`"
    yield warning(SUBJECT, f"{rows[0]['words']} unknown: {named}", advice)
