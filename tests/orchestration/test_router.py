"""Payment Router: every reason against an account in words, the order of accounts, and what a merchant is told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import pytest

from core.domain.errors import CapabilityUnsupported, RequestRefused
from core.domain.identifiers import parse_id, public_id
from core.orchestration import accounts, router
from core.orchestration.router import Candidate, Wish
from core.persistence.database import Scope
from core.providers.base import Capabilities, CurrencyLimit
from core.providers.registry import PROVIDERS
from tests.support.world import World

CAN = Capabilities(
    methods=frozenset({"token", "redirect"}),
    currencies={
        "USD": CurrencyLimit(50, 99_999),
        "JPY": CurrencyLimit(50, 9_999),
        "KWD": CurrencyLimit(50, 99_990, 10),
    },
    manual_capture_methods=frozenset({"token"}),
    partial_capture=True,
    void=True,
    close_unfinished=True,
    refund=True,
    partial_refund=True,
    multiple_refunds=True,
    failure_webhooks=True,
    resend_window_seconds=None,
    not_found_lookups=1,
    unknown_review_seconds=1,
    customer_email_for=frozenset({"redirect"}),
    return_url_for=frozenset({"redirect"}),
    manual_capture_currencies=frozenset({"USD", "KWD"}),
    save_methods=frozenset({"token"}),
)
WISH = Wish(5000, "USD", "token", "automatic", None, False, False)


class TestReasons:
    @pytest.mark.parametrize(
        ("changes", "reasons"),
        [
            ({}, ()),
            ({"amount": 50}, ()),
            ({"amount": 49}, ("takes at least 50 USD (minor units)",)),
            ({"amount": 99_999}, ()),
            ({"amount": 100_000}, ("takes at most 99999 USD (minor units)",)),
            ({"currency": "JPY", "amount": 10_000}, ("takes at most 9999 JPY (minor units)",)),
            ({"currency": "KWD", "amount": 1_000}, ()),
            ({"currency": "KWD", "amount": 1_001}, ("takes KWD in steps of 10 (minor units)",)),
            ({"currency": "EUR"}, ("does not take EUR",)),
            ({"method": "saved"}, ("does not take payment method saved",)),
            ({"capture": "manual"}, ()),
            (
                {"capture": "manual", "currency": "JPY"},
                ("cannot authorize first and capture later in JPY, only in KWD, USD",),
            ),
            ({"save_method": True}, ()),
            (
                {"save_method": True, "method": "redirect", "has_email": True, "has_return_url": True},
                ("cannot save what a payment by redirect is paid with",),
            ),
            ({"off_session": True}, ("cannot charge while the customer is away",)),
            ({"method": "redirect", "has_email": True, "has_return_url": True}, ()),
            ({"method": "redirect", "has_email": True}, ("needs return_url",)),
            ({"method": "redirect", "has_return_url": True}, ("needs customer.email",)),
            (
                {"method": "redirect", "capture": "manual", "has_email": True, "has_return_url": True},
                ("cannot authorize first and capture later",),
            ),
            (
                {"method": "redirect", "capture": "manual", "currency": "EUR"},
                (
                    "does not take EUR",
                    "cannot authorize first and capture later",
                    "needs customer.email",
                    "needs return_url",
                ),
            ),
        ],
    )
    def test_are_all_told(self, changes: dict[str, Any], reasons: tuple[str, ...]) -> None:
        assert router.reasons_against(CAN, replace(WISH, **changes)) == reasons

    @pytest.mark.parametrize(
        ("currency", "method", "takers"),
        [
            ("USD", "token", {"stripe"}),
            ("USD", "redirect", {"stripe", "paystack"}),
            ("EUR", "redirect", {"stripe"}),
            ("NGN", "redirect", {"stripe", "paystack"}),
            ("JPY", "redirect", {"stripe"}),
            ("KPW", "token", set()),
        ],
    )
    def test_who_takes_what(self, currency: str, method: str, takers: set[str]) -> None:
        wish = Wish(500_000, currency, method, "automatic", None, True, True)
        found = {name for name, kind in PROVIDERS.items() if not router.reasons_against(kind.capabilities, wish)}
        assert found == takers


@pytest.mark.parametrize(
    ("currency", "amount", "step"), [("KWD", 1_001, 10), ("TND", 999, 10), ("MGA", 50_01, 100), ("MGA", 50_50, 100)]
)
def test_an_amount_stripe_cannot_say_is_refused_before_it_is_stored(currency: str, amount: int, step: int) -> None:
    able = PROVIDERS["stripe"].capabilities
    refused = router.reasons_against(able, replace(WISH, currency=currency, amount=amount))
    assert refused == (f"takes {currency} in steps of {step} (minor units)",)
    assert router.reasons_against(able, replace(WISH, currency=currency, amount=amount - amount % step + step)) == ()


def candidate(*reasons: str, provider: str = "stripe") -> Candidate:
    return Candidate(uuid4(), provider, provider, reasons)


class TestRefusal:
    def test_nothing_to_say_while_one_can(self) -> None:
        router.require_eligible([candidate("does not take USD"), candidate()], WISH)

    @pytest.mark.parametrize("pin", [None, "stripe"])
    def test_without_any_account(self, pin: str | None) -> None:
        others = [candidate("the request asks for stripe", provider="paystack")] if pin else []
        with pytest.raises(RequestRefused) as caught:
            router.require_eligible(others, replace(WISH, provider_pin=pin))
        assert caught.value.code == "no_provider_account"
        assert (pin or "any provider") in caught.value.detail

    def test_every_reason_is_told_at_the_field_it_is_about(self) -> None:
        found = [
            candidate("takes at least 50 USD (minor units)", "does not take payment method saved"),
            candidate("does not take USD", "cannot authorize first and capture later", provider="paystack"),
            candidate("takes KWD in steps of 10 (minor units)"),
            candidate("needs customer.email", "needs return_url", "the account is suspended"),
        ]
        first, second, third = (public_id("provider_account", found[number].account_id) for number in (0, 2, 3))
        with pytest.raises(CapabilityUnsupported) as caught:
            router.require_eligible(found, WISH)
        assert [(one.field, one.message) for one in caught.value.errors] == [
            ("amount", f"stripe {first}: takes at least 50 USD (minor units)"),
            ("payment_method", f"stripe {first}: does not take payment method saved"),
            ("currency", "paystack: does not take USD"),
            ("capture", "paystack: cannot authorize first and capture later"),
            ("amount", f"stripe {second}: takes KWD in steps of 10 (minor units)"),
            ("customer.email", f"stripe {third}: needs customer.email"),
            ("return_url", f"stripe {third}: needs return_url"),
            ("provider", f"stripe {third}: the account is suspended"),
        ]

    def test_only_the_pinned_provider_is_spoken_of(self) -> None:
        found = [candidate("does not take USD"), candidate("the request asks for stripe", provider="paystack")]
        with pytest.raises(CapabilityUnsupported) as caught:
            router.require_eligible(found, replace(WISH, provider_pin="stripe"))
        assert [one.message for one in caught.value.errors] == ["stripe: does not take USD"]


def test_used_accounts_are_not_tried_again() -> None:
    first, second, unable = candidate(), candidate(), candidate("does not take USD")
    assert router.eligible([first, second, unable]) == [first, second]
    assert router.eligible([first, second, unable], frozenset({first.account_id})) == [second]


class TestAccounts:
    @pytest.fixture
    def scope(self, world: World) -> Scope:
        """A merchant of its own."""
        return Scope(accounts.create_merchant(world.admin, "Shop of accounts"), "test")

    @pytest.fixture
    def add(self, world: World, scope: Scope) -> Callable[..., UUID]:
        def make(provider: str, priority: int = 100, status: str = "enabled") -> UUID:
            account = world.add_account(provider, scope, name=f"{provider}.{uuid4().hex}")
            with world.owner.begin() as connection:
                connection.exec_driver_sql(
                    "UPDATE provider_accounts SET priority = %s, status = %s WHERE id = %s",
                    (priority, status, str(account)),
                )
            return account

        return make

    def _found(self, world: World, scope: Scope, wish: Wish = WISH) -> list[Candidate]:
        with world.worker.database.unscoped() as connection:
            return router.candidates(connection, scope.merchant_id, scope.mode, wish)

    def test_by_priority_then_by_age(self, world: World, scope: Scope, add: Any) -> None:
        last, second, third, first = (add("stripe", priority) for priority in (200, 100, 100, 1))
        found = self._found(world, scope)
        assert [one.account_id for one in found] == [first, second, third, last]
        assert router.eligible(found) == found

    @pytest.mark.parametrize("status", ["draining", "suspended", "disabled"])
    def test_one_that_is_not_enabled_is_named_and_not_used(
        self, world: World, scope: Scope, add: Any, status: str
    ) -> None:
        add("stripe", status=status)
        (found,) = self._found(world, scope)
        assert found.reasons == (f"the account is {status}",)

    def test_a_pin_leaves_the_others_out_with_the_reason(self, world: World, scope: Scope, add: Any) -> None:
        add("paystack", 1)
        stripe = add("stripe", 2)
        pinned, free = replace(WISH, provider_pin="stripe"), replace(WISH, method="redirect", has_email=True)
        found = self._found(world, scope, pinned)
        assert [one.account_id for one in router.eligible(found)] == [stripe]
        assert found[0].reasons == ("the request asks for stripe",)
        assert [one.provider for one in self._found(world, scope, replace(free, has_return_url=True))] == [
            "paystack",
            "stripe",
        ]

    def test_nobody_elses_and_none_of_the_other_mode(self, world: World, scope: Scope, add: Any) -> None:
        mine = add("stripe")
        assert [one.account_id for one in self._found(world, scope)] == [mine]
        assert self._found(world, Scope(scope.merchant_id, "live")) == []

    def test_why_it_was_routed_so_is_kept_with_the_payment(self, world: World) -> None:
        payment = world.pay()
        row = world.one("SELECT route FROM payments WHERE id = :id", id=parse_id("payment", payment["id"]))
        stripe, paystack = (public_id("provider_account", world.accounts[name]) for name in ("stripe", "paystack"))
        health = [one.pop("health") for one in row["route"]["candidates"]]
        assert [one["circuit"] for one in health] == ["closed", "closed"]
        assert row["route"] == {
            "chosen": stripe,
            "candidates": [
                {"account": stripe, "provider": "stripe", "eligible": True, "reasons": []},
                {
                    "account": paystack,
                    "provider": "paystack",
                    "eligible": False,
                    "reasons": ["does not take payment method token"],
                },
            ],
        }

    def test_a_customer_without_an_address_never_comes_to_who_needs_one(
        self, world: World, scope: Scope, add: Any
    ) -> None:
        add("paystack", 1)
        add("stripe", 2)
        body = world.redirect_body(customer={"name": "Ada"})
        key = world.make_key("test", merchant_id=scope.merchant_id)
        answer = world.post("/v1/payments", body, key=key)
        assert answer.status_code == 202, answer.text
        world.work()
        payment = world.get(f"/v1/payments/{answer.json()['payment']['id']}", key=key).json()
        assert (payment["status"], payment["provider"]) == ("requires_action", "stripe")
