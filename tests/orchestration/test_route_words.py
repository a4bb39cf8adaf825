"""Why a payment was routed so, in words: also of payments made before there were routes, or before a try."""

from __future__ import annotations

from typing import Any

import pytest

from core.orchestration import route_words, routing
from core.orchestration.router import Order

ONE, TWO = "acc_1", "acc_2"
BEFORE = {
    "chosen": ONE,
    "candidates": [
        {"account": ONE, "provider": "stripe", "eligible": True, "reasons": []},
        {"account": TWO, "provider": "paystack", "eligible": False, "reasons": ["does not take USD"]},
    ],
}
DECIDED: dict[str, Any] = {
    "version": 3,
    "rule": "app",
    "tried": [{"rule": "big", "against": ["the amount of 5 is under 9 (minor units)"]}],
    "weights": {ONE: 70, TWO: 30},
    "order": [TWO, ONE],
    "on_soft_decline": "next",
}
TRIED = {
    **DECIDED,
    "chosen": TWO,
    "candidates": [
        {
            "account": TWO,
            "provider": "paystack",
            "reasons": [],
            "health": {"circuit": "half_open", "calls": 40, "success": 0.75},
        },
        {
            "account": ONE,
            "provider": "stripe",
            "reasons": [],
            "health": {"circuit": "open", "calls": 0, "success": None},
        },
    ],
}


@pytest.mark.parametrize(
    ("kept", "provider", "said"),
    [
        (BEFORE, "stripe", "Routed to stripe by the accounts' own priority; left out: paystack (does not take USD)"),
        (BEFORE, None, "No provider chosen"),
        (DECIDED, None, "To be routed by rule app of route version 3"),
        (
            TRIED,
            "paystack",
            "Routed to paystack by rule app of route version 3, which gives its account 30 of 100 payments",
        ),
        ({**DECIDED, "rule": "default"}, None, "To be routed by the default of route version 3"),
    ],
)
def test_one_sentence(kept: Any, provider: str | None, said: str) -> None:
    assert route_words.summary(kept, provider) == said


def test_everything_that_was_weighed() -> None:
    assert route_words.lines(BEFORE, {}) == [
        "No route was active: accounts are tried by their own priority.",
        "acc_1 (stripe) can carry it and was chosen.",
        "acc_2 (paystack) is left out: does not take USD.",
    ]
    assert route_words.lines(TRIED, {}) == [
        "Rule big does not apply: the amount of 5 is under 9 (minor units).",
        "Rule app of route version 3 applies.",
        "By weight (acc_1 70, acc_2 30 of 100), drawn by the payment's id: acc_2, then acc_1.",
        "After a soft decline on a page that the customer has not seen, the next account is tried.",
        "acc_2 (paystack) can carry it and was chosen; its circuit is half open, "
        "and of 40 calls 75 in 100 were answered.",
        "acc_1 (stripe) can carry it; its circuit is open.",
    ]


def test_accounts_are_called_by_their_names_and_told_apart() -> None:
    said = route_words.lines(TRIED, {ONE: "Our Stripe", TWO: "Lagos"})
    assert said[2] == "By weight (Our Stripe 70, Lagos 30 of 100), drawn by the payment's id: Lagos, then Our Stripe."
    assert said[-1] == "Our Stripe (stripe) can carry it; its circuit is open."
    said = route_words.lines(TRIED, {ONE: "Shop", TWO: "Shop"})
    assert (
        said[2]
        == "By weight (Shop acc_1 70, Shop acc_2 30 of 100), drawn by the payment's id: Shop acc_2, then Shop acc_1."
    )
    assert said[-1] == "Shop acc_1 (stripe) can carry it; its circuit is open."


@pytest.mark.parametrize(
    ("success", "said"), [(1.0, "was answered"), (0.0, "was not answered"), (None, "was not answered")]
)
def test_one_call_is_told_as_one(success: float | None, said: str) -> None:
    health = {"circuit": "closed", "calls": 1, "success": success}
    kept = {"candidates": [{"account": ONE, "provider": "stripe", "reasons": [], "health": health}]}
    assert (
        route_words.lines(kept, {})[-1]
        == f"acc_1 (stripe) can carry it; its circuit is closed, and its one call {said}."
    )


def test_a_payment_from_before_routes_keeps_the_accounts_own_order() -> None:
    assert routing.order_of(None) is None
    assert routing.order_of(BEFORE) is None
    assert routing.order_of(DECIDED) == Order((TWO, ONE), "rule app of route version 3")
