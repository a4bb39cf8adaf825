"""The providers Tollgate knows: one line each."""

from __future__ import annotations

from collections.abc import Mapping

from core.providers.base import Account, CallLimits, PaymentProvider
from core.providers.paystack import PaystackProvider
from core.providers.stripe import StripeProvider

PROVIDERS: Mapping[str, type[PaymentProvider]] = {
    StripeProvider.name: StripeProvider,
    PaystackProvider.name: PaystackProvider,
}


def build(name: str, account: Account, limits: CallLimits) -> PaymentProvider:
    """The provider's client for one account. Raises KeyError for a name that is not registered."""
    return PROVIDERS[name](account, limits)
