"""Jobs: those that wait for a person and all others, one with its evidence, and what a person decides about it."""

from __future__ import annotations

from flask import Response

from api.answers import optional_id, row_id
from api.dashboard import acting, forms, job_words
from api.dashboard.acting import NOT_YET, Refused, attempt
from api.dashboard.frame import Entry, Here, act, back, page, render
from api.errors import InvalidFields
from api.state import gate
from core.domain.durations import waits
from core.domain.errors import FieldError
from core.domain.statuses import JOB
from core.orchestration import job_cancel, review, review_reading
from core.orchestration.jobs import LANES
from core.orchestration.review_outcomes import Told
from core.persistence.queries.review import Wanted

_PAGE = 50
#: Seconds a job may be due before it counts as stuck: workers poll every second.
OVERDUE = 60.0
_STATUSES = ("needs_review", "queued", "running", "succeeded", "failed", "canceled")
_SHOWN = ("needs_review", "stuck", *_STATUSES[1:], "any")
assert set(_STATUSES) == {status for status in JOB if status is not None}  # noqa: S101
_LANES = tuple(sorted(set(LANES.values())))
_LONGEST_NUMBER = 12


@page("/jobs", menu=Entry("Jobs", 20))
def list_jobs(here: Here) -> Response:
    show = acting.filtered("status", _SHOWN) or "needs_review"
    kind, lane = acting.filtered("kind", LANES), acting.filtered("lane", _LANES)
    wanted = Wanted(
        status=show if show in _STATUSES else None,
        kind=kind,
        lane=lane,
        stuck=OVERDUE if show == "stuck" else None,
        limit=_PAGE,
        after=optional_id("job", forms.asked("after")),
    )
    found = review_reading.page(gate().core, here.scope, wanted)
    values = {"status": show, "kind": kind, "lane": lane}
    return render(
        "jobs.html", here, title="Jobs", found=found, chosen_values=values, statuses=_SHOWN, kinds=sorted(LANES),
        lanes=_LANES, words=job_words, waits=waits,
    )  # fmt: skip


@page("/jobs/<job>")
def show_job(here: Here, job: str) -> Response:
    return _shown(here, job, NOT_YET)


def _shown(here: Here, job: str, refused: Refused) -> Response:
    found = review_reading.show(gate().core, row_id("job", job), here.scope)
    choices = found["choices"]
    cancelable = found["status"] == "queued" and found["kind"] in job_words.CANCEL and not found["transactions"]
    return render(
        "job.html", here, refused.status, title=job_words.DOES.get(found["kind"], found["kind"]), job=found,
        choices=choices, cancelable=cancelable, words=job_words, refused=refused,
    )  # fmt: skip


@act("/jobs/<job>/requeue", "admin:jobs")
def requeue_job(here: Here, job: str) -> Response:
    number = row_id("job", job)

    def do() -> Response:
        review.requeue(gate().core, number, here.because(), here.scope)
        return back(here, "show_job", "The job is queued again, with all its tries.", job=job)

    return attempt("requeue", do, lambda refused: _shown(here, job, refused))


@act("/jobs/<job>/resolve", "admin:jobs")
def resolve_job(here: Here, job: str) -> Response:
    number = row_id("job", job)
    chosen = forms.field("verdict")

    def do() -> Response:
        verdict = acting.choice("verdict", job_words.VERDICTS, "what happened")
        acting.confirmed(job_words.VERDICTS[verdict][2].lower())
        done = review.resolve(gate().core, number, verdict, here.because(), _told(verdict), here.scope)  # type: ignore[arg-type]
        closed = f" Closed with it: {', '.join(done['findings'])}." if done["findings"] else ""
        return back(here, "show_job", f"The job is {done['status']}.{closed}", job=job)

    name = f"resolve-{chosen}" if chosen in job_words.VERDICTS else "resolve"
    return attempt(name, do, lambda refused: _shown(here, job, refused))


def _told(verdict: str) -> Told | None:
    """What the provider shows. Raises InvalidFields."""
    if verdict != "executed":
        return None
    amount = forms.field("amount")
    if amount and not (amount.isascii() and amount.isdigit() and len(amount) <= _LONGEST_NUMBER and int(amount)):
        message = "write it in minor units without points or letters: 50.00 USD is 5000"
        raise InvalidFields("the amount cannot be read", errors=[FieldError("amount", message)])
    return Told(forms.field("provider_id") or None, int(amount) if amount else None)


@act("/jobs/<job>/cancel", "admin:jobs")
def cancel_job(here: Here, job: str) -> Response:
    number = row_id("job", job)

    def do() -> Response:
        acting.confirmed("it is not done")
        job_cancel.cancel(gate().core, number, here.because(), here.scope)
        return back(here, "show_job", "The job is canceled; nothing was sent for it.", job=job)

    return attempt("cancel", do, lambda refused: _shown(here, job, refused))
