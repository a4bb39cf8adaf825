"""Figures for finance: volume, success, declines, refunds, disputes, fees, net and latency, and what was paid out."""
