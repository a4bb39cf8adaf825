"""A route's definition: what is read from it, and every mistake with its place."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from core.domain import route_reading
from core.domain.errors import RequestRefused
from core.domain.identifiers import public_id
from core.domain.routes import Between, OneOf, Route, Rule, Tagged

FIRST, SECOND = sorted((uuid4(), uuid4()))
ONE, TWO = (public_id("provider_account", each) for each in (FIRST, SECOND))
CUSTOMER = public_id("customer", uuid4())
THEN = {"accounts": [ONE]}


def rule(**changes: Any) -> dict[str, Any]:
    return {"name": "r", "then": THEN, **changes}


def when(**conditions: Any) -> dict[str, Any]:
    return {"rules": [rule(when=conditions)]}


def mistakes(definition: Any) -> list[tuple[str, str]]:
    with pytest.raises(RequestRefused) as caught:
        route_reading.read(definition)
    return [(one.field, one.message) for one in caught.value.errors]


def test_a_whole_one() -> None:
    conditions = {
        "currency": ["NGN", "GHS"],
        "country": ["NG"],
        "amount": {"min": 100, "max": 5000},
        "method": ["redirect"],
        "customer": [CUSTOMER],
        "metadata": {"plan": ["pro", "team"]},
        "customer_metadata": {"tier": ["gold"]},
    }
    shared = {"weights": {TWO: 30, ONE: 70}}
    found = route_reading.read(
        {
            "rules": [rule(when=conditions, on_soft_decline="next"), {"name": "all", "then": shared}],
            "default": {"then": {"accounts": [TWO, ONE]}},
        }
    )
    expected = (
        OneOf("currency", frozenset({"NGN", "GHS"})),
        OneOf("country", frozenset({"NG"})),
        Between(100, 5000),
        OneOf("method", frozenset({"redirect"})),
        OneOf("customer", frozenset({CUSTOMER})),
        Tagged("metadata", "plan", frozenset({"pro", "team"})),
        Tagged("customer_metadata", "tier", frozenset({"gold"})),
    )
    assert found == Route(
        (
            Rule("r", expected, (FIRST,), (), True),
            Rule("all", (), (FIRST, SECOND), (70, 30)),
        ),
        Rule("default", (), (SECOND, FIRST)),
    )


def test_the_example_of_the_documents_is_one() -> None:
    text = (Path(__file__).resolve().parents[2] / "docs" / "operations.md").read_text()
    shown = text.partition("<!-- route -->")[2].partition("<!-- /route -->")[0]
    route = route_reading.read(json.loads(shown.partition("```json")[2].partition("```")[0]))
    assert [one.name for one in route.rules] == ["nigeria", "pages"]
    assert all(f"`{name}`" in text for name in route_reading._READERS)


@pytest.mark.parametrize(
    ("definition", "field", "words"),
    [
        (None, "(definition)", "must be an object"),
        ([], "(definition)", "must be an object"),
        ({}, "(definition)", "rules, a default, or both"),
        ({"rules": []}, "(definition)", "rules, a default, or both"),
        ({"rules": {}}, "rules", "must be a list"),
        ({"rules": [rule()] * 51}, "rules", "at most 50"),
        ({"rule": [rule()]}, "rule", "is not known here; there is rules, default"),
        ({"rules": [1]}, "rules[0]", "must be an object"),
        ({"rules": [{"then": THEN}]}, "rules[0].name", "is required"),
        ({"rules": [{"name": "r"}]}, "rules[0].then", "is required"),
        ({"rules": [rule(name="Default")]}, "rules[0].name", "small letters"),
        ({"rules": [rule(name="default")]}, "rules[0].name", "not be 'default'"),
        ({"rules": [rule(name="")]}, "rules[0].name", "1 to 40"),
        ({"rules": [rule(name="a" * 41)]}, "rules[0].name", "1 to 40"),
        ({"rules": [rule(name=7)]}, "rules[0].name", "1 to 40"),
        ({"rules": [rule(), rule()]}, "rules[1].name", "name of a rule before it"),
        ({"rules": [rule(if_={})]}, "rules[0].if_", "is not known"),
        ({"rules": [rule(on_soft_decline="maybe")]}, "rules[0].on_soft_decline", "stop or next"),
        ({"rules": [rule(then={})]}, "rules[0].then", "either accounts"),
        ({"rules": [rule(then={"accounts": [ONE], "weights": {ONE: 100}})]}, "rules[0].then", "either accounts"),
        ({"rules": [rule(then={"accounts": []})]}, "rules[0].then.accounts", "1 to 20"),
        ({"rules": [rule(then={"accounts": ["stripe"]})]}, "rules[0].then.accounts", "begin with acc_"),
        ({"rules": [rule(then={"accounts": [ONE, ONE]})]}, "rules[0].then.accounts", "twice"),
        ({"rules": [rule(then={"weights": []})]}, "rules[0].then.weights", "must be an object"),
        ({"rules": [rule(then={"weights": {}})]}, "rules[0].then.weights", "1 to 20"),
        ({"rules": [rule(then={"weights": {ONE: 60, TWO: 30}})]}, "rules[0].then.weights", "add up to 90"),
        ({"rules": [rule(then={"weights": {ONE: 60, TWO: 60}})]}, "rules[0].then.weights", "add up to 120"),
        ({"rules": [rule(then={"weights": {ONE: 100, TWO: 0}})]}, "rules[0].then.weights", "from 1 to 100"),
        ({"rules": [rule(then={"weights": {ONE: 50.0, TWO: 50}})]}, "rules[0].then.weights", "whole number"),
        ({"rules": [rule(then={"weights": {ONE: True, TWO: 99}})]}, "rules[0].then.weights", "whole number"),
        ({"rules": [rule(then={"weights": {"acme": 100}})]}, "rules[0].then.weights", "begin with acc_"),
        ({"default": {"then": {"accounts": [ONE]}, "when": {}}}, "default.when", "is not known"),
        ({"default": {}}, "default.then", "is required"),
        (when(currency=["US"]), "rules[0].when.currency", "'US' is not a currency of ISO 4217"),
        (when(currency=["usd"]), "rules[0].when.currency", "in capitals"),
        (when(currency=["ZZZ", "USD"]), "rules[0].when.currency", "'ZZZ' is not"),
        (when(currency=[]), "rules[0].when.currency", "could never hold"),
        (when(currency="USD"), "rules[0].when.currency", "must be a list"),
        (when(country=["UK"]), "rules[0].when.country", "'UK' is not a country"),
        (when(method=["cash"]), "rules[0].when.method", "token or redirect"),
        (when(method=["saved"]), "rules[0].when.method", "no rule can change"),
        (when(customer=["ada"]), "rules[0].when.customer", "begin with cus_"),
        (when(amount={"min": 100}), "rules[0].when.amount", "name the currency as well"),
        (when(amount={"min": 1}, currency=["USD", "JPY"]), "rules[0].when.amount", "a rule for each"),
        (when(amount={"min": 9, "max": 8}, currency=["USD"]), "rules[0].when.amount", "no amount lies between"),
        (when(amount={}, currency=["USD"]), "rules[0].when.amount", "min, max, or both"),
        (when(amount={"min": 0}, currency=["USD"]), "rules[0].when.amount.min", "whole number from 1"),
        (when(amount={"max": 1.5}, currency=["USD"]), "rules[0].when.amount.max", "whole number from 1"),
        (when(amount={"max": True}, currency=["USD"]), "rules[0].when.amount.max", "whole number from 1"),
        (when(amount={"more": 1}, currency=["USD"]), "rules[0].when.amount.more", "is not known"),
        (when(metadata={}), "rules[0].when.metadata", "1 to 10 fields"),
        (when(metadata={"plan": "pro"}), "rules[0].when.metadata.plan", "must be a list"),
        (when(metadata={"a b": ["x"]}), "rules[0].when.metadata", "a field's name"),
        (when(customer_metadata={"tier": []}), "rules[0].when.customer_metadata.tier", "could never hold"),
        (when(metadata={"card": ["4242424242424242"]}), "rules[0].when.metadata.card", "card number"),
        (when(metadata={"plan": ["x" * 501]}), "rules[0].when.metadata.plan", "500 characters"),
        (when(weather=["fine"]), "rules[0].when.weather", "is not known"),
    ],
)
def test_every_mistake_is_told_at_its_place(definition: Any, field: str, words: str) -> None:
    found = mistakes(definition)
    assert any(place == field and words in message for place, message in found), found
    assert "4242424242424242" not in str(found)


def test_all_of_them_are_told_at_once() -> None:
    wrong = {"rules": [rule(name="?", when={"currency": ["XXX"]}, then={"weights": {ONE: 5}}), 7]}
    assert [place for place, _ in mistakes(wrong)] == [
        "rules[0].name",
        "rules[0].when.currency",
        "rules[0].then.weights",
        "rules[1]",
    ]
