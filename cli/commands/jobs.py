"""`tollgate jobs`: what waits for a person, and what that person decides."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

import click
from rich.text import Text

from cli.commands import options, output
from cli.errors import Refused
from cli.login import login
from cli.target import owner_core
from core.domain.durations import waits
from core.domain.identifiers import InvalidIdentifier, parse_id
from core.domain.statuses import JOB
from core.orchestration import job_cancel, review, review_reading
from core.orchestration.context import Core
from core.orchestration.jobs import LANES
from core.orchestration.review_outcomes import Told
from core.persistence.queries.review import Wanted

#: Seconds a job may be due before `--stuck` lists it: workers poll every second.
OVERDUE = 60.0
COLUMNS = ("id", "kind", "status", "mode", "payment", "reason", "waits", "message")
#: As the command line has them, to what core calls them.
VERDICTS: dict[str, review.Verdict] = {
    "succeeded": "succeeded",
    "failed": "failed",
    "executed": "executed",
    "not-executed": "not_executed",
}

Command = TypeVar("Command", bound=Callable[..., Any])


@click.group()
def jobs() -> None:
    """List the jobs that wait for a person, and decide them."""


def deciding(command: Command) -> Command:
    """The options of every command that decides something."""
    for option in (
        options.data_dir,
        click.argument("job_id"),
        click.option(
            "--reason", required=True, help="Why, in a sentence. Kept for ever, and the merchant may read it."
        ),
        click.option("--actor", help="Who decides; the name you are logged in under if not given."),
        click.option("--json", "as_json", is_flag=True, help="Print one line of JSON."),
    ):
        command = option(command)
    return command


@jobs.command(name="list")
@options.data_dir
@click.option(
    "--status",
    type=click.Choice(sorted(status for status in JOB if status is not None)),
    default="needs_review",
    show_default=True,
)
@click.option("--kind", type=click.Choice(sorted(LANES)), help="Only jobs of this kind.")
@click.option("--lane", type=click.Choice(sorted(set(LANES.values()))), help="Only jobs of this lane.")
@click.option("--merchant", help="Only jobs of this merchant (mer_…).")
@click.option("--limit", type=click.IntRange(1, 1000), default=100, show_default=True, help="The newest so many.")
@click.option("--stuck", is_flag=True, help="Also what has been due for over a minute, or was left by a dead worker.")
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON.")
def list_(
    data_dir: Path,
    status: str,
    kind: str | None,
    lane: str | None,
    merchant: str | None,
    limit: int,
    stuck: bool,
    as_json: bool,
) -> None:
    """List jobs, those that wait for a person if not told otherwise; the newest last."""
    try:
        merchant_id = None if merchant is None else parse_id("merchant", merchant)
    except InvalidIdentifier:
        raise Refused("--merchant must be an id that begins with mer_") from None
    wanted = Wanted(status, kind, merchant_id, OVERDUE if stuck else None, limit + 1, lane)
    with owner_core(data_dir) as core:
        found = review_reading.list_jobs(core, wanted)
    if len(found) > limit:
        found = found[-limit:]
        click.echo("There are more: --limit shows them.", err=True)
    if as_json:
        click.echo(json.dumps(found))
    elif not found:
        click.echo("No such jobs.")
    else:
        shown = ({**row, "waits": waits(row["waits_seconds"])} for row in found)
        output.print_table(COLUMNS, ([row[column] for column in COLUMNS] for row in shown))


@jobs.command()
@options.data_dir
@click.argument("job_id")
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON.")
def show(data_dir: Path, job_id: str, as_json: bool) -> None:
    """Print a job, what it has sent, and what a person can do about it. JOB_ID begins with job_."""
    with owner_core(data_dir) as core:
        found = review_reading.show(core, _number(job_id))
    if as_json:
        click.echo(json.dumps(found))
        return
    output.console().print(Text.assemble((found["id"], "bold"), f"  {found['status']}"))
    plain = {name: value for name, value in found.items() if not isinstance(value, dict | list)}
    output.print_table(("", ""), [(name.replace("_", " "), value) for name, value in plain.items() if value])
    for name in ("transactions", "findings", "decided"):
        for row in found[name]:
            click.echo(f"\n{name}:")
            output.print_table(("", ""), [(key.replace("_", " "), _flat(value)) for key, value in row.items() if value])
    for line in found["what_to_do"]:
        click.echo(f"\n{line}")


def _flat(value: Any) -> str:
    return json.dumps(value) if isinstance(value, dict | list) else str(value)


@jobs.command()
@deciding
def requeue(data_dir: Path, job_id: str, reason: str, actor: str | None, as_json: bool) -> None:
    """Have a job in review tried again; what may have been sent is looked up first. JOB_ID begins with job_."""
    person = person_of(actor, reason)
    done = _decided(data_dir, job_id, lambda core, number: review.requeue(core, number, person))
    _tell(done, as_json)


@jobs.command()
@deciding
@click.option(
    "--as", "verdict", type=click.Choice(list(VERDICTS)), required=True, help="How it ends, or what was done."
)
@click.option("--provider-id", help="With executed: the id under which the provider shows it.")
@click.option("--amount", type=click.IntRange(1), help="With executed: the amount it shows, in minor units.")
@click.option("--yes-i-checked", is_flag=True, help="With not-executed: you looked at the provider; asks nothing.")
def resolve(
    data_dir: Path,
    job_id: str,
    reason: str,
    actor: str | None,
    as_json: bool,
    verdict: str,
    provider_id: str | None,
    amount: int | None,
    yes_i_checked: bool,
) -> None:
    """End a job in review. JOB_ID begins with job_.

    While its operation has no known outcome, look at the provider and say what became of it: executed or
    not-executed. Payment, refund and merchant follow.
    """
    person = person_of(actor, reason)
    if verdict == "not-executed" and not yes_i_checked:
        _confirm(job_id)
    told = Told(provider_id, amount)
    _tell(
        _decided(data_dir, job_id, lambda core, number: review.resolve(core, number, VERDICTS[verdict], person, told)),
        as_json,
    )


@jobs.command()
@deciding
def cancel(data_dir: Path, job_id: str, reason: str, actor: str | None, as_json: bool) -> None:
    """End a waiting job undone. JOB_ID begins with job_.

    The delivery of an event, or the start of a payment of which nothing was sent; that payment is canceled.
    """
    person = person_of(actor, reason)
    _tell(_decided(data_dir, job_id, lambda core, number: job_cancel.cancel(core, number, person)), as_json)


def _confirm(job_id: str) -> None:
    """What is called not executed fails, and may be charged anew: what is there in spite of it is then double."""
    if not sys.stdin.isatty():
        raise Refused("look at the provider first; if it shows nothing of this operation, add --yes-i-checked")
    question = (
        f"The merchant will be told that {job_id} did nothing. Did you look at the provider, and is nothing there?"
    )
    click.confirm(question, abort=True, err=True)


def person_of(actor: str | None, reason: str) -> review.Person:
    """Raises Refused."""
    from core.domain.errors import TollgateError

    try:
        return review.Person(f"cli:{actor or login()}", reason.strip())
    except TollgateError as error:
        raise Refused(str(error)) from None


def _number(job_id: str) -> UUID:
    try:
        return parse_id("job", job_id)
    except InvalidIdentifier:
        raise Refused("a job id begins with job_ and has 26 letters after that") from None


def _decided(data_dir: Path, job_id: str, decide: Callable[[Core, UUID], dict[str, Any]]) -> dict[str, Any]:
    number = _number(job_id)
    with owner_core(data_dir) as core:
        return decide(core, number)


def _tell(done: dict[str, Any], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(done))
        return
    closed = f" Closed with it: {', '.join(done['findings'])}." if done["findings"] else ""
    click.echo(f"Job {done['id']} is {done['status']}.{closed}")
