"""What an operator enters for Stripe, and Stripe's own address."""

from __future__ import annotations

from core.providers.settings import ProviderSettings, Secret

SETTINGS = ProviderSettings(
    address="https://api.stripe.com",
    secrets=(
        Secret("secret_key", "Secret key (sk_…)"),
        Secret("publishable_key", "Publishable key (pk_…)", optional=True),
        Secret("webhook_secret", "Signing secret of the webhook endpoint (whsec_…)", optional=True),
    ),
)
