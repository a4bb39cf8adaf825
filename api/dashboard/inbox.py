"""What providers told us: listed, one with what became of it, and having one or a range read again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from flask import Response

from api.answers import optional_id, row_id
from api.dashboard import acting, forms
from api.dashboard.acting import NOT_YET, Refused, attempt
from api.dashboard.frame import Entry, Here, act, back, page, render
from api.errors import InvalidFields
from api.state import gate
from core.domain.errors import FieldError
from core.orchestration import replay
from core.persistence.queries.replays import Wanted
from core.providers.registry import PROVIDERS

_PAGE = 50
#: Events that one press of the button has read again: somebody waits for the answer. The rest by pressing again.
AT_ONCE = 500
_LONGEST_KIND = 100
#: Word of the filter -> seconds before now.
_AGES: Mapping[str, float] = {"1h": 3600.0, "24h": 86400.0, "7d": 7 * 86400.0, "30d": 30 * 86400.0}
_PROVIDERS = tuple(sorted(PROVIDERS))


@page("/inbox", menu=Entry("Inbox", 30))
def list_inbox(here: Here) -> Response:
    chosen = _asked()
    wanted = _wanted(here, chosen, optional_id("inbox_event", forms.asked("after")))
    found = replay.page(gate().core, wanted, _PAGE)
    return render("inbox.html", here, title="Inbox", found=found, **_filters(chosen))


@page("/inbox/range", "admin:inbox")
def show_range(here: Here) -> Response:
    """What a replay of all that the filters choose would do; nothing is changed."""
    return _range(here, _asked(), NOT_YET)


@act("/inbox/range", "admin:inbox")
def replay_range(here: Here) -> Response:
    chosen = {name: forms.field(name) for name in ("provider", "status", "kind", "since")}
    chosen = _checked(chosen)

    def do() -> Response:
        if not chosen["status"] and not chosen["since"]:
            raise InvalidFields("choose a status or an age first", errors=[FieldError("status", "choose one")])
        acting.confirmed("they are all read again")
        done = replay.replay_all(gate().core, _wanted(here, chosen, None), here.because(), most=AT_ONCE)
        left = f" {len(done.left)} were left as they are: {done.left[0][1]}." if done.left else ""
        notice = f"{done.replayed} events will be read again.{left}"
        return back(here, "list_inbox", notice, **{name: value for name, value in chosen.items() if value})

    return attempt("range", do, lambda refused: _range(here, chosen, refused))


def _range(here: Here, chosen: Mapping[str, str], refused: Refused) -> Response:
    ready = bool(chosen["status"] or chosen["since"])
    count = replay.count(gate().core, _wanted(here, chosen, None)) if ready else None
    return render(
        "inbox_range.html", here, refused.status, title="Replay a range", count=count, most=AT_ONCE,
        refused=refused, **_filters(chosen),
    )  # fmt: skip


@page("/inbox/<event>")
def show_inbox_event(here: Here, event: str) -> Response:
    return _shown(here, event, NOT_YET)


def _shown(here: Here, event: str, refused: Refused) -> Response:
    found = replay.show(gate().core, row_id("inbox_event", event), here.scope)
    return render("inbox_event.html", here, refused.status, title=found["kind"], event=found, refused=refused)


@act("/inbox/<event>/replay", "admin:inbox")
def replay_event(here: Here, event: str) -> Response:
    number = row_id("inbox_event", event)

    def do() -> Response:
        replay.replay(gate().core, number, here.because(), here.scope)
        return back(here, "show_inbox_event", "It will be read again; load this page in a moment.", event=event)

    return attempt("replay", do, lambda refused: _shown(here, event, refused))


def _asked() -> dict[str, str]:
    return _checked({name: forms.asked(name) or "" for name in ("provider", "status", "kind", "since")})


def _checked(given: Mapping[str, str]) -> dict[str, str]:
    """What is on no list chooses nothing."""
    lists = {"provider": _PROVIDERS, "status": replay.STATUSES, "since": tuple(_AGES)}
    found = {name: value if value in lists.get(name, (value,)) else "" for name, value in given.items()}
    return {**found, "kind": found["kind"][:_LONGEST_KIND]}


def _wanted(here: Here, chosen: Mapping[str, str], after: UUID | None) -> Wanted:
    return Wanted(
        provider=chosen["provider"] or None,
        status=chosen["status"] or None,
        kind=chosen["kind"] or None,
        since=_AGES.get(chosen["since"]),
        scope=here.scope,
        after=after,
    )


def _filters(chosen: Mapping[str, str]) -> dict[str, Any]:
    return {
        "chosen_values": {name: value for name, value in chosen.items() if value},
        "providers": _PROVIDERS,
        "statuses": replay.STATUSES,
        "ages": tuple(_AGES),
    }
