"""One interface over every payment provider; their words stop inside their packages."""
