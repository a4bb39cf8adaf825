"""Values as people read them: money by babel, times in UTC, statuses with a tone beside their word."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from babel.dates import format_datetime
from babel.numbers import format_currency, format_decimal

from core.domain.money import digits

_LOCALE = "en"

#: Status -> tone. The word itself is always there; the tone is for those who see colours.
TONES: Mapping[str, str] = {
    "succeeded": "good",
    "applied": "good",
    "delivered": "good",
    "enabled": "good",
    "won": "good",
    "resolved": "good",
    "matched": "good",
    "closed": "good",
    "active": "good",
    "failed": "bad",
    "declined": "bad",
    "lost": "bad",
    "disabled": "bad",
    "differs": "bad",
    "suspended": "bad",
    "high": "bad",
    "critical": "bad",
    "needs_review": "warn",
    "requires_action": "warn",
    "unknown": "warn",
    "parked": "warn",
    "needs_response": "warn",
    "draining": "warn",
    "half_open": "warn",
    "medium": "warn",
    "processing": "busy",
    "running": "busy",
    "queued": "busy",
    "sent": "busy",
    "pending": "busy",
    "authorized": "busy",
    "under_review": "busy",
    "assigned": "busy",
}


def money(amount: int | None, currency: str) -> str:
    """E.g. `$50.00`; a dash where there is no sum."""
    if amount is None:
        return "–"
    try:
        places = digits(currency)
    except ValueError:
        return f"{amount} {currency}"
    return format_currency(
        Decimal(amount).scaleb(-places), currency, locale=_LOCALE, currency_digits=False,
        format=f"¤#,##0{'.' + '0' * places if places else ''}",
    )  # fmt: skip


def when(value: datetime | str | None) -> str:
    """To the second, in UTC."""
    return "–" if value is None else format_datetime(_time(value), "d MMM y, HH:mm:ss", locale=_LOCALE)


def machine_time(value: datetime | str) -> str:
    """For the attribute of `<time>`."""
    return _time(value).isoformat(timespec="milliseconds")


def _time(value: datetime | str) -> datetime:
    return (datetime.fromisoformat(value) if isinstance(value, str) else value).astimezone(UTC)


def tone(value: str | None) -> str:
    return TONES.get(value or "", "calm")


def plain(value: str | None) -> str:
    """`needs_review` as `needs review`."""
    return "–" if value is None else value.replace("_", " ")


def sentence(text: str) -> str:
    """Errors begin small, since others put words before them."""
    return text[:1].upper() + text[1:]


def number(value: int | float | None) -> str:
    return "–" if value is None else str(format_decimal(value, locale=_LOCALE))


def share(part: int, whole: int) -> str:
    """E.g. `98.4 %`."""
    return "–" if not whole else f"{100 * part / whole:.1f} %"


#: For templates.
FILTERS: Mapping[str, Callable[..., Any]] = {
    "money": money,
    "when": when,
    "machine_time": machine_time,
    "tone": tone,
    "plain": plain,
    "sentence": sentence,
    "number": number,
    "share": share,
}
