"""Every outcome after every history of up to three transactions, against rules written a second time.

The second writing shares nothing with the first: it counts what may have been charged, and reads the table of the
design as the words it is made of.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import combinations_with_replacement, permutations, product
from typing import Any

import pytest

from core.domain.outcomes import (
    CANCEL_AFTER_DECLINE,
    FAILOVER,
    ActionRequired,
    Canceled,
    Decline,
    DeclineCategory,
    Declined,
    Facts,
    NotExecuted,
    NotExecutedReason,
    Outcome,
    Pending,
    Succeeded,
    Unknown,
    failover_key,
)
from core.orchestration.failover import Decision, Fate, Sent, decide

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def declined(category: DeclineCategory, **extra: str) -> Declined:
    return Declined(Facts(extra=extra), Decline("generic_decline", category, "No."))


OUTCOMES: dict[str, Outcome] = {
    "succeeded": Succeeded(Facts()),
    "pending": Pending(Facts()),
    "action_required": ActionRequired(Facts(), None),
    "canceled": Canceled(Facts()),
    "unknown": Unknown({}),
    **{f"declined {category}": declined(category) for category in DeclineCategory},
    "declined soft, payable": declined(DeclineCategory.SOFT, **{CANCEL_AFTER_DECLINE: "pi_1"}),
    **{f"not executed {reason}": NotExecuted(reason, "detail") for reason in NotExecutedReason},
}

#: What a transaction of the history may be -> how many charges it may have made, or may yet make.
KINDS: dict[Sent, int] = {
    Sent(Fate.ABSENT, own=True): 0,
    Sent(Fate.OPEN, own=True): 1,
    Sent(Fate.ABSENT): 0,
    Sent(Fate.ABSENT, reason="misconfigured"): 0,
    Sent(Fate.ENDED): 0,
    Sent(Fate.ENDED, soft=True): 0,
    Sent(Fate.PAYABLE): 1,
    Sent(Fate.OPEN): 1,
    Sent(Fate.CHARGED): 1,
}
HISTORIES = [one for length in range(4) for one in combinations_with_replacement(KINDS, length)]
CIRCUMSTANCES = list(product(("redirect", "token", "saved"), *[(False, True)] * 5))

SAME_KEY = {"connection", "breaker_open", "rate_limited", "lock_timeout", "not_found"}
ANOTHER = {"connection", "breaker_open", "rate_limited", "not_found"}


def charges(sent: Sequence[Sent]) -> int:
    return sum(KINDS[replace(one, at=None)] for one in sent)


def expected(name: str, history: Sequence[Sent], circumstances: tuple[Any, ...]) -> Decision:
    """The design's table, with the promise before it: nobody is asked for money twice."""
    method, next_, sent_away, off_session, others, sends_left = circumstances
    if name == "unknown":
        return Decision.LOOK_UP
    kind, _, word = name.partition(" ")
    if kind == "not" and charges([one for one in history if one.own]):
        return Decision.LOOK_UP
    if kind not in ("not", "declined"):
        return Decision.DONE
    if any(one.fate is Fate.OPEN for one in history if not one.own):
        return Decision.REVIEW
    if charges([one for one in history if not one.own]):
        return Decision.GIVE_UP
    may_cross = method == "redirect" and not sent_away and others
    if kind == "declined":
        if not word.startswith("soft"):
            return Decision.GIVE_UP
        if off_session and not sent_away and method != "redirect":
            return Decision.RETRY_NEW if sum(1 for one in history if one.soft) < 2 else Decision.GIVE_UP
        return Decision.ELSEWHERE if may_cross and next_ and word == "soft" else Decision.GIVE_UP
    reason = word.removeprefix("executed ")
    first_time = not any(one.reason == "misconfigured" for one in history)
    if may_cross and (reason in ANOTHER or (reason == "misconfigured" and first_time)):
        return Decision.ELSEWHERE
    return Decision.SAME_KEY if reason in SAME_KEY and sends_left else Decision.GIVE_UP


def made(outcome: Outcome, history: Sequence[Sent], circumstances: tuple[Any, ...], now: datetime = NOW) -> Decision:
    method, next_, sent_away, off_session, others, sends_left = circumstances
    return decide(
        outcome,
        history,
        method=method,
        route_says_next=next_,
        customer_authenticated=sent_away,
        off_session=off_session,
        now=now,
        others=others,
        sends_left=sends_left,
    )


def test_every_row_of_the_table_is_among_the_outcomes() -> None:
    assert {failover_key(outcome) for outcome in OUTCOMES.values()} == set(FAILOVER)


@pytest.mark.parametrize("name", OUTCOMES)
def test_every_history(name: str) -> None:
    outcome, wrong = OUTCOMES[name], []
    for history in HISTORIES:
        for circumstances in CIRCUMSTANCES:
            found = made(outcome, history, circumstances)
            if found is not expected(name, history, circumstances):
                wrong.append((history, circumstances, found))
            anew = found in (Decision.ELSEWHERE, Decision.RETRY_NEW)
            assert not (anew and charges([one for one in history if one.own is False])), (history, circumstances)
            own = 1 if name in ("succeeded", "pending", "action_required", "unknown", "declined soft, payable") else 0
            if found is Decision.ELSEWHERE:
                assert own == 0, "what may still charge here sends nobody elsewhere"
                assert isinstance(outcome, Declined) or charges(history) == 0
    assert wrong == []


@pytest.mark.parametrize("name", ["not executed connection", "not executed misconfigured", "declined soft"])
def test_the_order_of_a_history_decides_nothing(name: str) -> None:
    circumstances = ("redirect", True, False, False, True, True)
    for history in HISTORIES:
        found = {made(OUTCOMES[name], order, circumstances) for order in permutations(history)}
        assert len(found) == 1, history


class TestOffSession:
    ALONE = ("saved", False, False, True, False, True)
    SOFT = declined(DeclineCategory.SOFT)

    @pytest.mark.parametrize(("hours", "decision"), [(0, "retry_new"), (47.9, "retry_new"), (48.1, "give_up")])
    def test_no_try_begins_after_72_hours(self, hours: float, decision: str) -> None:
        begun = Sent(Fate.ABSENT, own=True, at=NOW - timedelta(hours=hours))
        assert made(self.SOFT, [begun], self.ALONE) == decision

    def test_the_first_of_them_counts(self) -> None:
        before = Sent(Fate.ENDED, soft=True, at=NOW - timedelta(hours=39))
        own = Sent(Fate.ABSENT, own=True, at=NOW)
        assert made(self.SOFT, [before, own], self.ALONE) == "give_up"
        before = replace(before, at=NOW - timedelta(hours=37))
        assert made(self.SOFT, [before, own], self.ALONE) == "retry_new"
