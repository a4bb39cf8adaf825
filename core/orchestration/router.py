"""Payment Router: which provider accounts could carry a payment, in what order, and why the others cannot."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.domain.errors import CapabilityUnsupported, FieldError, RequestRefused
from core.domain.identifiers import public_id
from core.orchestration.breaker import State
from core.orchestration.health import Standing
from core.persistence.queries import opening
from core.persistence.tables import provider_accounts
from core.providers.base import Capabilities
from core.providers.registry import PROVIDERS


@dataclass(frozen=True, slots=True)
class Wish:
    """What the router needs to know of a payment."""

    amount: int
    currency: str
    method: str
    capture: str
    provider_pin: str | None
    has_email: bool
    has_return_url: bool
    save_method: bool = False
    off_session: bool = False
    account_id: UUID | None = None  # of the saved method: no other account can charge it


@dataclass(frozen=True, slots=True)
class Order:
    """The accounts a route names for a payment, first to last, by their public ids; `by` says which rule did."""

    accounts: tuple[str, ...]
    by: str


@dataclass(frozen=True, slots=True)
class Candidate:
    """One account and, if it cannot carry the payment, the reasons in words a person can act on.

    `health` is that of its charges, where it was looked at.
    """

    account_id: UUID
    provider: str
    name: str
    reasons: tuple[str, ...]
    health: Standing | None = None

    @property
    def label(self) -> str:
        """Where a provider's name alone would not tell accounts apart."""
        return f"{self.provider} {public_id('provider_account', self.account_id)}"

    @property
    def is_down(self) -> bool:
        return self.health is not None and self.health.state is State.OPEN

    def as_dict(self) -> dict[str, Any]:
        shown = {
            "account": public_id("provider_account", self.account_id),
            "provider": self.provider,
            "eligible": not self.reasons,
            "reasons": list(self.reasons),
        }
        if self.health is None:
            return shown
        health = self.health
        return {
            **shown,
            "health": {"circuit": health.state.value, "calls": health.calls, "success": health.success},
        }


def reasons_against(capabilities: Capabilities, wish: Wish) -> tuple[str, ...]:
    """Every declared reason why a provider cannot carry the payment; empty means it can."""
    found = []
    if wish.method not in capabilities.methods:
        found.append(f"does not take payment method {wish.method}")
    found += _against_amount(capabilities, wish)
    if wish.capture == "manual":
        found += _against_manual_capture(capabilities, wish)
    if wish.save_method and wish.method not in capabilities.save_methods:
        found.append(f"cannot save what a payment by {wish.method} is paid with")
    if wish.off_session and not capabilities.off_session:
        found.append("cannot charge while the customer is away")
    if wish.method in capabilities.customer_email_for and not wish.has_email:
        found.append("needs customer.email")
    if wish.method in capabilities.return_url_for and not wish.has_return_url:
        found.append("needs return_url")
    return tuple(found)


def _against_amount(capabilities: Capabilities, wish: Wish) -> list[str]:
    limit = capabilities.currencies.get(wish.currency)
    if limit is None:
        return [f"does not take {wish.currency}"]
    if wish.amount < limit.minimum:
        return [f"takes at least {limit.minimum} {wish.currency} (minor units)"]
    if wish.amount > limit.maximum:
        return [f"takes at most {limit.maximum} {wish.currency} (minor units)"]
    if wish.amount % limit.step:
        return [f"takes {wish.currency} in steps of {limit.step} (minor units)"]
    return []


def _against_manual_capture(capabilities: Capabilities, wish: Wish) -> list[str]:
    if wish.method not in capabilities.manual_capture_methods:
        return ["cannot authorize first and capture later"]
    currencies = capabilities.manual_capture_currencies
    if currencies is not None and wish.currency not in currencies:
        return [f"cannot authorize first and capture later in {wish.currency}, only in {', '.join(sorted(currencies))}"]
    return []


#: The provider refused the account's credentials.
SUSPENDED = "the account is suspended"

_ACCOUNTS = (
    sa.select(
        provider_accounts.c.id,
        provider_accounts.c.provider,
        provider_accounts.c.name,
        provider_accounts.c.status,
    )
    # Not left to row-level security alone: the worker's wall is open until a scope is set.
    .where(
        provider_accounts.c.merchant_id == sa.bindparam("merchant"),
        provider_accounts.c.mode == sa.bindparam("mode"),
    )
    .order_by(provider_accounts.c.priority, provider_accounts.c.id)
)


def candidates(
    connection: Connection, merchant_id: UUID, mode: str, wish: Wish, order: Order | None = None
) -> list[Candidate]:
    """Every account of the merchant and mode in the order in which they are tried, with what speaks against each.

    The order is that of a route, else that of their priority. A saved method goes to the account that keeps it, and a
    provider that was asked for is heeded also where the route names none of its accounts.
    """
    accounts = list(_accounts(connection, merchant_id, mode))
    ranks = _ranks(accounts, wish, order)
    found = []
    for account_id, provider, name, status in accounts:
        if wish.provider_pin is not None and provider != wish.provider_pin:
            reasons: tuple[str, ...] = (f"the request asks for {wish.provider_pin}",)
        elif wish.account_id not in (None, account_id):
            reasons = ("the saved payment method belongs to another account",)
        elif order is not None and ranks is not None and account_id not in ranks:
            reasons = (f"{order.by} does not name it",)
        elif status != "enabled":
            reasons = (f"the account is {status}",)
        else:
            reasons = reasons_against(PROVIDERS[provider].capabilities, wish)
        found.append(Candidate(account_id, provider, name, reasons))
    return found if ranks is None else sorted(found, key=lambda one: ranks.get(one.account_id, len(ranks)))


def _ranks(accounts: Sequence[tuple[UUID, str, str, str]], wish: Wish, order: Order | None) -> dict[UUID, int] | None:
    """Which of the accounts the route names, and in what order; None where it has no say."""
    if order is None or wish.account_id is not None:
        return None
    places = {name: place for place, name in enumerate(order.accounts)}
    named = [(account_id, provider, public_id("provider_account", account_id)) for account_id, provider, *_ in accounts]
    ranks = {account_id: places[shown] for account_id, _, shown in named if shown in places}
    if wish.provider_pin is not None and not any(
        account_id in ranks for account_id, provider, _ in named if provider == wish.provider_pin
    ):
        return None
    return ranks


def _accounts(connection: Connection, merchant_id: UUID, mode: str) -> Iterable[tuple[UUID, str, str, str]]:
    known = opening.known_accounts(connection)
    if known is not None:
        return known
    return [tuple(row) for row in connection.execute(_ACCOUNTS, {"merchant": merchant_id, "mode": mode})]


def eligible(found: Sequence[Candidate], used: frozenset[UUID] = frozenset()) -> list[Candidate]:
    return [one for one in found if not one.reasons and one.account_id not in used]


def with_health(found: Sequence[Candidate], standings: Mapping[UUID, Standing]) -> list[Candidate]:
    return [replace(one, health=standings.get(one.account_id)) for one in found]


def down_last(found: Sequence[Candidate]) -> list[Candidate]:
    """In the same order, but those whose circuit is open behind the others."""
    return sorted(found, key=lambda one: one.is_down)


def require_eligible(found: Sequence[Candidate], wish: Wish) -> None:
    """Refuse a payment nobody could carry before anything is stored (422 with the reason per account)."""
    if eligible(found):
        return
    if wish.account_id is not None:
        relevant = [one for one in found if one.account_id == wish.account_id]
    else:
        relevant = [one for one in found if wish.provider_pin in (None, one.provider)]
    if not relevant:
        who = wish.provider_pin or "any provider"
        raise RequestRefused(
            f"no account at {who} is set up for this merchant and mode; add one with `tollgate accounts add`",
            code="no_provider_account",
        )
    several = {one.provider for one in relevant if sum(each.provider == one.provider for each in relevant) > 1}
    errors = [
        FieldError(_field(reason), f"{one.label if one.provider in several else one.provider}: {reason}")
        for one in relevant
        for reason in one.reasons
    ]
    if any(one.reasons == (SUSPENDED,) for one in relevant):
        what = "the provider refuses our credentials; whoever runs Tollgate replaces them with `tollgate accounts add`"
        raise RequestRefused(what, code="provider_misconfigured", errors=errors)
    raise CapabilityUnsupported("no provider account can carry this payment", errors=errors)


#: Which field of the request a reason speaks about, by its first words.
_FIELDS = (
    ("does not take payment method", "payment_method"),
    ("does not take", "currency"),
    ("takes ", "amount"),
    ("cannot authorize", "capture"),
    ("needs customer.email", "customer.email"),
    ("needs return_url", "return_url"),
    ("cannot save", "save_payment_method"),
    ("cannot charge while", "off_session"),
)


def _field(reason: str) -> str:
    return next((field for words, field in _FIELDS if reason.startswith(words)), "provider")
