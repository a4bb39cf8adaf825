"""`tollgate resume`: a person lets a paused installation go on, and it asks before it sends."""

from __future__ import annotations

from pathlib import Path

import click

from cli.commands import options
from cli.errors import Refused
from cli.login import login
from cli.target import anchor_file, core_session, find, with_anchor
from core.orchestration import copies, heads, installation, withdrawn
from core.orchestration.withdrawn import Access
from core.startup.anchor import Anchor, AnchorUnusable, read, write

LONGEST_REASON = 500  # characters


@click.command()
@options.data_dir
@click.option("--reason", required=True, help="Why it is safe, for the audit log.")
@click.option("--actor", help="Who decides; the name you are logged in under if not given.")
@click.option("--yes", is_flag=True, help="Do not ask again.")
def resume(data_dir: Path, reason: str, actor: str | None, yes: bool) -> None:
    """Let an installation go on that was paused because its database is an older copy.

    Everything open is asked about at the providers before anything is sent. No worker of before may still run on the
    lost database.
    """
    reason = reason.strip()
    if not reason or len(reason) > LONGEST_REASON:
        raise Refused(f"--reason must have 1 to {LONGEST_REASON} characters")
    person = actor or login()
    target = find(data_dir)
    path = anchor_file(target)
    with core_session(target.databases.owner, target.redis_url, target.key_file) as core:
        core = with_anchor(core, path)
        # Whoever is asked is shown what is left, and what was ended once is no question.
        withdrawn.apply_again(core)
        found = installation.examine(core)
        if found.because is None:
            raise Refused("the installation is not paused")
        for line in (*told(found, _known(path)), *told_access(found.access)):
            click.echo(line)
        if not yes:
            click.confirm("Let it go on, asking about all of these first?", abort=True)
        standing = installation.resume(core, person, reason, heads.known(path))
        adopted = installation.anchor_of(standing, copies.seen(core))
    _adopt(path, adopted)
    click.echo("It goes on: what is open is looked up first. `tollgate doctor` shows how it stands.")


def told(found: installation.Found, anchor: Anchor | None) -> list[str]:
    """What the pause is about, and what going on means."""
    lines = [f"Paused since {found.since}: {found.because}."]
    if anchor is not None and anchor.audit_number > found.audit_number:
        lost = anchor.audit_number - found.audit_number
        lines.append(f"About {lost} audit records are missing; this machine saw the last at {anchor.written_at}.")
    counted = found.open
    lines.append(
        f"Open here: {counted['jobs']} jobs, {counted['transactions']} sends and {counted['payments']} payments. "
        "Each is asked about at its provider before anything is sent."
    )
    lines.append(
        "Payments and idempotency keys accepted after the backup are not here: their money is found at the provider "
        "only."
    )
    return lines


def told_access(access: Access) -> list[str]:
    """Whom the database lets in, and what was ended since the backup and was ended again."""
    lines = []
    if access.keys:
        lines.append(f"Ended again, as this machine's file knows them: the keys {', '.join(access.keys)}.")
    if access.administrators:
        lines.append(f"Disabled again, as that file knows them: {', '.join(access.administrators)}.")
    good = access.good
    lines.append(
        f"Let in here: {good['admin_keys']} keys of administrators, {good['administrators']} administrators and "
        f"{good['merchant_keys']} keys of merchants. Look through `tollgate keys list` and `tollgate admin list`: "
        "roles, passwords and codes changed since the backup are back. Everybody is logged out of the dashboard."
    )
    return lines


def _known(path: Path | None) -> Anchor | None:
    try:
        return None if path is None else read(path)
    except AnchorUnusable as error:
        click.echo(f"{error}", err=True)
        return None


def _adopt(path: Path | None, adopted: Anchor) -> None:
    if path is None:
        return
    try:
        write(path, adopted, adopt=True)
    except AnchorUnusable as error:
        # The workers take the database over as well: it was let go on after the file was written.
        click.echo(f"{error}", err=True)
