"""I1 to I8: what must hold at any moment, checked over our books, the providers' and the logs. Writes nothing."""

from core.invariants.books import INVARIANTS, Examined, check, examine
from core.invariants.ledger import compare_ledger
from core.invariants.logs import scan_logs
from core.invariants.violation import Check, Violation

__all__ = ["INVARIANTS", "Check", "Examined", "Violation", "check", "compare_ledger", "examine", "scan_logs"]
