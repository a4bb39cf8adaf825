"""The gate: authentication, scopes, limits, validation. It decides nothing about money."""
