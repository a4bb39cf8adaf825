"""Which of several attempts at one payment a look-up follows, status by status."""

from __future__ import annotations

import pytest

from core.providers.stripe.look_up import first_to_matter

ENDED = ("canceled", "expired", "requires_payment_method")
TAKES_MONEY = (
    "succeeded",
    "processing",
    "requires_capture",
    "requires_action",
    "requires_confirmation",
    "open",
    "complete",
)


@pytest.mark.parametrize("ended", ENDED)
@pytest.mark.parametrize("other", TAKES_MONEY)
def test_an_ended_attempt_never_hides_one_that_may_take_money(ended: str, other: str) -> None:
    attempts = [{"id": "pi_ended", "status": ended}, {"id": "pi_other", "status": other}]
    assert first_to_matter(attempts) == "pi_other"
    assert first_to_matter(attempts[::-1]) == "pi_other"


def test_an_ended_attempt_is_found_where_there_is_no_other() -> None:
    assert first_to_matter([{"id": "pi_1", "status": "canceled"}]) == "pi_1"
    assert first_to_matter([]) is None
