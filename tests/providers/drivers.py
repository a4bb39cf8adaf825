"""One driver a provider, which also names its double: what is registered and not here fails the contract."""

from __future__ import annotations

from tests.providers.bank_transfer.driver import BankDriver
from tests.providers.driver import Driver
from tests.providers.paystack_contract import PaystackDriver
from tests.providers.stripe_driver import StripeDriver

DRIVERS: dict[str, type[Driver]] = {
    "stripe": StripeDriver,
    "paystack": PaystackDriver,
    "bank_transfer": BankDriver,
}
