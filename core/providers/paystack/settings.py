"""What an operator enters for Paystack, and Paystack's own address."""

from __future__ import annotations

from core.providers.settings import ProviderSettings, Secret

SETTINGS = ProviderSettings(
    address="https://api.paystack.co",
    secrets=(
        Secret("secret_key", "Secret key (sk_…)"),
        Secret("publishable_key", "Public key (pk_…)", optional=True),
    ),
    signs_with_key=True,
)
