"""Takes the unique index on open charges away, and with it the look at what was sent that would hide its absence."""

from __future__ import annotations

from typing import Any

#: Run by the owner before the first payment.
SQL = "DROP INDEX transactions_one_charge"


def apply() -> None:
    from core.orchestration import execute, starting
    from core.persistence.queries import payments

    def whatever_was_sent(core: Any, connection: Any, job: Any, payment: Any) -> Any:
        if payment["status"] != "processing":
            return checked(core, connection, job, payment)
        return starting._start_anew(core, connection, job, payment, payments.transactions_of(connection, payment["id"]))

    checked = starting.start
    execute.MONEY = {**execute.MONEY, "create_payment": whatever_was_sent}
