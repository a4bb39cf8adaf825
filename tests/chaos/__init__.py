"""Faults against the whole service, real processes and real servers: `python -m tests.chaos`."""
