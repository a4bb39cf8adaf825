"""What is left of a text or a body once the person it names is erased: ids, sums, times and codes, and no names."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from typing import Any

#: Stands where a text was. No value of any provider or merchant looks like it.
ERASED = "[erased]"

#: Fields of providers' bodies whose text is a code, an id or a time; every other text goes. A field that is new
#: at a provider is therefore redacted until somebody has looked at it.
_KEPT = frozenset(
    "id object event type status kind mode currency created created_at paid_at createdat paidat updated_at "
    "transaction_date settled_at code decline_code failure_code network_status risk_level payment_intent charge "
    "latest_charge balance_transaction refund dispute transaction domain channel reason cancellation_reason "
    "capture_method confirmation_method payment_status refund_status api_version livemode outcome category resolution "
    "transaction_reference plan split subaccount".split()
)
#: Ours, in a provider's metadata: they lead back to our rows.
_MARK = "tollgate_"
#: Sums, times and counts are numbers; other numbers (a phone, a house, the end of a card) go.
_NUMBERS = re.compile(
    r"^(?:id|.*_id|.*amount.*|.*fee.*|net|balance.*|.*created.*|.*_at|.*_by|.*date|count|.*_count|attempt.*|exchange_rate)$"
)
_CODE = re.compile(r"^[A-Za-z0-9_.:+\-]{1,255}$")
#: Whatever stands below these is about a person.
_PERSONAL = frozenset(
    "billing_details customer customer_details customer_details_email shipping shipping_details shipping_address "
    "payment_method_details payment_method authorization evidence receipt_email receipt_url receipt_number "
    "history log customer_email ip_address card".split()
)


def redact_body(value: Any) -> Any:
    """A provider's body without anything that could name a person."""
    return _redacted("", value)


def _redacted(name: str, value: Any) -> Any:
    if isinstance(value, Mapping):
        if name == "metadata":
            return {key: text for key, text in value.items() if str(key).startswith(_MARK) and _is_code(text)}
        return {str(key): _redacted(str(key).lower(), one) for key, one in value.items() if _is_code(str(key))}
    if name in _PERSONAL:
        return None
    if isinstance(value, list):
        return [_redacted(name, one) for one in value]
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return value if name in _KEPT and _is_code(value) else ERASED
    return value if _NUMBERS.match(name) else None


def _is_code(text: object) -> bool:
    return isinstance(text, str) and _CODE.match(text) is not None


class Particulars:
    """Everything a person is known to have been called, to find it in what a merchant wrote about a payment."""

    def __init__(self) -> None:
        self._texts: set[str] = set()
        self._words: set[str] = set()
        self._numbers: set[str] = set()

    def add(self, *, email: str | None = None, name: str | None = None, phone: str | None = None) -> None:
        if email:
            self._texts.add(_plain(email))
            local = _plain(email).partition("@")[0]
            self._texts |= {local} if len(local) > 5 else set()
        if name:
            self._texts.add(_plain(name))
            # A first name alone may be all that a description says.
            self._words |= {word for word in re.findall(r"\w+", _plain(name)) if len(word) > 2}
        if phone and len(digits := _digits(phone)) > 5:
            self._numbers.add(digits[-8:])

    def named_in(self, text: str) -> bool:
        plain = _plain(text)
        if any(known in plain for known in self._texts) or self._words & set(re.findall(r"\w+", plain)):
            return True
        digits = _digits(text)
        return any(number in digits for number in self._numbers)

    def redact(self, value: Any) -> Any:
        """The same value with every text that names the person replaced."""
        if isinstance(value, str):
            return ERASED if self.named_in(value) else value
        if isinstance(value, Mapping):
            return {key: self.redact(one) for key, one in value.items() if not self.named_in(str(key))}
        return [self.redact(one) for one in value] if isinstance(value, list) else value


def _plain(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold().strip()


def _digits(text: str) -> str:
    return "".join(letter for letter in text if letter.isdecimal())


def masked(*, email: str | None, name: str | None, phone: str | None) -> dict[str, str | None]:
    """Enough to recognise somebody one knows, too little to find out who it is."""
    return {
        "email": None if email is None else f"{email[:1]}***@{email.rpartition('@')[2]}",
        "name": None if name is None else " ".join(f"{word[:1]}***" for word in name.split()),
        "phone": None if phone is None else f"***{_digits(phone)[-2:]}",
    }
