"""What the clock does, with a few rows due each time: the scheduled functions of the product as they are measured."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from uuid import uuid4

from bench.growth import shape
from bench.growth.site import DUE, QUEUE, Road, Site, expect, once, queue
from core.orchestration import jobs, scheduled
from core.orchestration.context import Core


def ticks(site: Site) -> list[Road]:
    def overdue() -> None:
        queue(site)
        site.run(
            "UPDATE jobs SET run_after = app_now() + interval '1 hour' WHERE id = ANY(%s::uuid[])",
            [str(one) for one in site.job_ids(QUEUE)[DUE:]],
        )

    def sweep() -> None:
        expect(scheduled.sweep(site.worker), DUE)

    return [
        Road(f"sweep, {DUE} overdue", "sweep", sweep, overdue),
        Road(f"resolve unknown, {DUE} open", None, lambda: scheduled.resolve_unknown(site.worker), once(_open(site))),
        Road(f"synchronise open, {DUE} due", None, _scheduled(site, scheduled.synchronise_open), _open_due(site)),
        Road(f"close abandoned, {DUE} due", None, _scheduled(site, scheduled.close_abandoned), _abandoned(site)),
        Road(f"deliver events, {DUE} due", None, _scheduled(site, scheduled.deliver_events), once(_undelivered(site))),
    ]


def _scheduled(site: Site, tick: Callable[[Core], int]) -> Callable[[], object]:
    return lambda: expect(tick(site.worker), DUE)


def _numbers(site: Site, status: str, count: int) -> list[str]:
    """Filled payments of the large merchant that ended in `status`, spread over the whole time."""
    found: set[int] = set()
    while len(found) < count:
        number = site.number()
        if shape.status_of(number) == status:
            found.add(number)
    return [str(site.ground.span.id_of("payment", number)) for number in found]


def _open(site: Site) -> Callable[[], None]:
    """Charges long on their way, each with a job that sees to it."""

    def act() -> None:
        ids = _numbers(site, "succeeded", DUE)
        site.run(
            "UPDATE transactions SET status = 'unknown', last_sent_at = app_now() - interval '1 hour' "
            "WHERE payment_id = ANY(%s::uuid[]) AND kind = 'charge'",
            ids,
        )
        site.run(
            "UPDATE jobs SET status = 'running', lease_until = app_now() + interval '1 hour' "
            "WHERE payment_id = ANY(%s::uuid[]) AND kind = 'create_payment'",
            ids,
        )

    return act


def _fresh_jobs(site: Site, kind: str, ids: Sequence[str]) -> None:
    site.run("DELETE FROM jobs WHERE payment_id = ANY(%s::uuid[]) AND kind = %s", list(ids), kind)


def _open_due(site: Site) -> Callable[[], None]:
    ids = _numbers(site, "succeeded", DUE)

    def before() -> None:
        _fresh_jobs(site, "sync_payment", ids)
        site.run("UPDATE payments SET next_sync_at = app_now() - interval '1 s' WHERE id = ANY(%s::uuid[])", ids)

    return before


def _abandoned(site: Site) -> Callable[[], None]:
    ids = _numbers(site, "canceled", DUE)

    def before() -> None:
        _fresh_jobs(site, "expire_payment", ids)
        site.run(
            "UPDATE payments SET status = 'requires_action', expires_at = app_now() - interval '1 s', "
            "next_sync_at = NULL WHERE id = ANY(%s::uuid[]) AND status <> 'requires_action'",
            ids,
        )

    return before


def _undelivered(site: Site) -> Callable[[], None]:
    def act() -> None:
        with site.worker.transaction(site.scope) as connection:
            for _ in range(DUE):
                jobs.enqueue(connection, site.scope, "deliver_event", payment_id=site.payment(), target_id=uuid4())

    return act
