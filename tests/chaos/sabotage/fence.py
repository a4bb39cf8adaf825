"""Takes the fence away: whoever once had a job may write and send for it for ever, whatever became of his lease."""

from __future__ import annotations


def apply() -> None:
    from core.orchestration import asking, jobs
    from core.persistence.queries import payments

    held = " AND fence = %(fence)s AND status = 'running'"
    for name in ("_FINISH", "_REQUEUE", "_KEEP_BACK"):
        statement = getattr(jobs, name)
        if held not in statement:
            raise RuntimeError(f"jobs.{name} has another fence now; this switch must learn it")
        setattr(jobs, name, statement.replace(held, ""))
    jobs.check_lease = lambda connection, job: None
    jobs.renew = lambda database, worker, held, lease: {job for job, _ in held}
    locked = payments.Locked
    payments.Locked = lambda payment, transaction, held: locked(payment, transaction, True)  # type: ignore
    # No time passes between the announcement and the call.
    asking.moment = lambda: 0.0
