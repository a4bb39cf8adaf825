"""A statement against a million payments, and reports over them."""
