"""The local Stripe: one module a noun, and `api.py` that puts them behind their addresses."""
