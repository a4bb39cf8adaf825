"""The local Paystack: one module a noun, and `api.py` that puts them behind their addresses."""
