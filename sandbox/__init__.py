"""A local Stripe and a local Paystack, spoken to over HTTP by the real clients."""
