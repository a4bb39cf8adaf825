"""`python -m tests.providers.bank_transfer bank_transfer --port 0 --data-dir DIR`: the bank as a process of its own."""

from __future__ import annotations

from typing import Any

from sandbox import __main__ as sandbox
from tests.providers.bank_transfer.sandbox import Bank

providers: dict[str, Any] = sandbox.PROVIDERS
providers[Bank.name] = Bank
sandbox.RATE_LIMITS[Bank.name] = 0
sandbox.main()
