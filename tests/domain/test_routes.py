"""The rules of a route: which one applies, in what order its accounts come, and what they draw by weight."""

from __future__ import annotations

from collections import Counter
from uuid import UUID, uuid4

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from core.domain.identifiers import new_id
from core.domain.routes import Between, Choice, Condition, Facts, OneOf, Route, Rule, Tagged, choose, order, shares

A, B, C, D = (uuid4() for _ in range(4))

CURRENCIES, METHODS, COUNTRIES = ("USD", "NGN", "GHS"), ("token", "redirect", "saved"), (None, "NG", "US", "GH")
TAGS = st.dictionaries(st.sampled_from("ab"), st.sampled_from("xyz"))
facts = st.builds(
    Facts,
    amount=st.integers(1, 20),
    currency=st.sampled_from(CURRENCIES),
    method=st.sampled_from(METHODS),
    country=st.sampled_from(COUNTRIES),
    customer=st.sampled_from((None, "cus_1", "cus_2")),
    metadata=TAGS,
    customer_metadata=TAGS,
)
BOUND = st.none() | st.integers(1, 20)


def among(fact: str, values: tuple[str | None, ...]) -> st.SearchStrategy[Condition]:
    named = [one for one in values if one is not None]
    return st.builds(OneOf, st.just(fact), st.frozensets(st.sampled_from(named), min_size=1))


conditions: st.SearchStrategy[Condition] = st.one_of(
    among("currency", CURRENCIES),
    among("method", METHODS),
    among("country", COUNTRIES),
    among("customer", ("cus_1", "cus_2")),
    st.builds(Between, BOUND, BOUND),
    st.builds(
        Tagged,
        st.sampled_from(("metadata", "customer_metadata")),
        st.sampled_from("ab"),
        st.frozensets(st.sampled_from("xyz"), min_size=1),
    ),
)
rules = st.builds(Rule, st.text("abc", min_size=1), st.lists(conditions, max_size=3).map(tuple), st.just((A,)))
payments = st.uuids()


def weighted(**weights: int) -> Rule:
    accounts = {"a": A, "b": B, "c": C, "d": D}
    pairs = sorted((accounts[name], weight) for name, weight in weights.items())
    return Rule("w", (), tuple(one for one, _ in pairs), tuple(weight for _, weight in pairs))


class TestMatching:
    @pytest.mark.parametrize(
        ("condition", "fact", "against"),
        [
            (OneOf("currency", frozenset({"NGN"})), {"currency": "NGN"}, None),
            (OneOf("currency", frozenset({"NGN"})), {}, "the currency is USD, not NGN"),
            (OneOf("currency", frozenset({"NGN", "GHS"})), {}, "the currency is USD, not one of GHS, NGN"),
            (OneOf("currency", frozenset("ABCDEFG")), {}, "the currency is USD, not one of A, B, C, D, E or 2 more"),
            (OneOf("country", frozenset({"NG"})), {}, "the payment names no country"),
            (OneOf("country", frozenset({"NG"})), {"country": "NG"}, None),
            (OneOf("customer", frozenset({"cus_1"})), {"customer": "cus_2"}, "the customer is cus_2, not cus_1"),
            (Between(100, 200), {"amount": 100}, None),
            (Between(100, 200), {"amount": 200}, None),
            (Between(100, 200), {"amount": 99}, "the amount of 99 is under 100 (minor units)"),
            (Between(100, 200), {"amount": 201}, "the amount of 201 is over 200 (minor units)"),
            (Between(None, 200), {"amount": 1}, None),
            (Between(100, None), {"amount": 10**9}, None),
            (Tagged("metadata", "plan", frozenset({"pro"})), {"metadata": {"plan": "pro"}}, None),
            (Tagged("metadata", "plan", frozenset({"pro"})), {}, "there is no metadata.plan"),
            (
                Tagged("customer_metadata", "tier", frozenset({"gold"})),
                {"customer_metadata": {"tier": "a person's secret"}},
                "customer_metadata.tier is not gold",
            ),
        ],
    )
    def test_each_condition_and_why_it_does_not_hold(
        self, condition: Condition, fact: dict[str, object], against: str | None
    ) -> None:
        asked = Facts(**{"amount": 5000, "currency": "USD", "method": "redirect", **fact})  # type: ignore[arg-type]
        assert Rule("r", (condition,), (A,)).against(asked) == (() if against is None else (against,))

    def test_the_first_that_applies_decides_and_those_before_it_say_why_they_do_not(self) -> None:
        naira = Rule("naira", (OneOf("currency", frozenset({"NGN"})),), (A,))
        big, rest = Rule("big", (Between(1000, None),), (B,)), Rule("rest", (), (C,))
        found = choose(Route((naira, big, rest)), Facts(999, "USD", "token"))
        assert (found.name, found.rule) == ("rest", rest)
        assert found.tried == (
            ("naira", ("the currency is USD, not NGN",)),
            ("big", ("the amount of 999 is under 1000 (minor units)",)),
        )
        assert choose(Route((naira, rest, big)), Facts(5000, "USD", "token")).rule is rest

    def test_none_applies(self) -> None:
        naira, other = Rule("naira", (OneOf("currency", frozenset({"NGN"})),), (A,)), Rule("default", (), (B,))
        dollars = Facts(1, "USD", "token")
        assert choose(Route((naira,), other), dollars).rule is other
        assert choose(Route(()), dollars) == Choice("default", None, ())

    @given(st.lists(rules, max_size=5), facts)
    def test_it_is_the_first_whose_conditions_all_hold(self, listed: list[Rule], asked: Facts) -> None:
        first = next((one for one in listed if all(each.holds(asked) for each in one.when)), None)
        assert choose(Route(tuple(listed)), asked).rule is first

    @given(rules, rules, facts)
    def test_what_is_said_to_cover_a_rule_applies_wherever_it_does(
        self, wide: Rule, narrow: Rule, asked: Facts
    ) -> None:
        assume(wide.covers(narrow) and not narrow.against(asked))
        assert not wide.against(asked)


class TestOrder:
    def test_without_weights_as_written(self) -> None:
        assert order(Rule("r", (), (C, A, B)), new_id()) == (C, A, B)

    @given(payments)
    def test_the_same_payment_always_draws_the_same(self, payment: UUID) -> None:
        rule = weighted(a=50, b=30, c=20)
        assert order(rule, payment) == order(rule, payment)
        assert sorted(order(rule, payment)) == sorted(rule.accounts)

    @given(payments)
    def test_leaving_an_account_out_moves_no_payment_of_the_others(self, payment: UUID) -> None:
        whole, without = order(weighted(a=50, b=30, c=20), payment), order(weighted(a=50, b=30), payment)
        assert tuple(one for one in whole if one != C) == without

    @given(payments)
    def test_a_greater_weight_takes_no_payment_away(self, payment: UUID) -> None:
        if order(weighted(a=50, b=50), payment)[0] == A:
            assert order(weighted(a=70, b=50), payment)[0] == A

    def test_payments_are_shared_by_weight_also_among_those_that_are_left(self) -> None:
        many = 20_000
        ids = [UUID(int=number * 2**64 + number) for number in range(many)]
        rule = weighted(a=60, b=30, c=10)
        drawn = [order(rule, one) for one in ids]
        first = Counter(one[0] for one in drawn)
        for account, weight in ((A, 0.6), (B, 0.3), (C, 0.1)):
            assert abs(first[account] / many - weight) < 0.015
        left = Counter(next(account for account in one if account != A) for one in drawn)
        assert abs(left[B] / many - 0.75) < 0.015

    def test_neighbours_in_time_are_shared_as_well(self) -> None:
        ids = [new_id() for _ in range(4000)]
        first = Counter(order(weighted(a=50, b=50), one)[0] for one in ids)
        assert abs(first[A] / 4000 - 0.5) < 0.05


def test_shares_of_those_that_are_able() -> None:
    rule = weighted(a=60, b=30, c=10)
    assert shares(rule, [A, B, C]) == {A: 0.6, B: 0.3, C: 0.1}
    assert shares(rule, [B, C]) == {B: 0.75, C: 0.25}
    assert shares(Rule("r", (), (A, B)), [B]) == {B: 1.0}
    assert shares(rule, []) == {}
