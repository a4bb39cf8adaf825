"""Bad input, named: each has its status and code, names its field, and leaves no row behind."""

from __future__ import annotations

import json
import random
import secrets
import sys
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest

from core.domain.card_numbers import holds_card_number
from core.domain.identifiers import public_id
from core.orchestration.context import Core
from tests.api.support import Merchant, add_account, code, fields, payment

Count = Callable[..., dict[str, int]]

CARD = "4242424242424242"
EMPTY = {
    **dict.fromkeys(("payments", "jobs", "idempotency_keys", "refunds", "customers", "events", "inbox_events"), 0),
    "audit_log": 1,  # of the merchant's own making
}


def send(merchant: Merchant, raw: bytes, content_type: str = "application/json", key: str | None = None) -> Any:
    headers = merchant.headers(Idempotency_Key=key or secrets.token_hex(8))
    length = {"CONTENT_LENGTH": str(len(raw))}
    return merchant.client.post(
        "/v1/payments", data=raw, content_type=content_type, headers=headers, environ_overrides=length
    )


RAW: list[tuple[str, bytes, str, int, str]] = [
    ("malformed", b'{"amount": ', "application/json", 400, "malformed_json"),
    ("not UTF-8", b'{"reference": "\xff"}', "application/json", 400, "malformed_json"),
    ("UTF-16", '{"amount": 1}'.encode("utf-16"), "application/json", 400, "malformed_json"),
    ("NaN", b'{"amount": NaN}', "application/json", 400, "malformed_json"),
    ("trailing text", b"{} {}", "application/json", 400, "malformed_json"),
    ("empty", b"", "application/json", 400, "malformed_json"),
    ("blank", b"   ", "application/json", 400, "malformed_json"),
    ("list", b"[]", "application/json", 400, "body_not_object"),
    ("text", b'"{}"', "application/json", 400, "body_not_object"),
    ("null", b"null", "application/json", 400, "body_not_object"),
    ("doubled key", b'{"amount": 1, "amount": 5000}', "application/json", 400, "duplicate_json_key"),
    ("doubled key inside", b'{"metadata": {"a": "1", "a": "2"}}', "application/json", 400, "duplicate_json_key"),
    ("deep", b'{"a":' * 21 + b"1" + b"}" * 21, "application/json", 400, "json_too_deep"),
    ("very deep", b'{"a":' + b"[" * 50_000 + b"]" * 50_000 + b"}", "application/json", 400, "json_too_deep"),
    ("many values", b'{"a":[' + b"1," * 6000 + b"1]}", "application/json", 400, "json_too_deep"),
    ("form", b"amount=5000", "application/x-www-form-urlencoded", 415, "unsupported_media_type"),
    ("plain text", b"{}", "text/plain", 415, "unsupported_media_type"),
    ("no content type", b"{}", "", 415, "unsupported_media_type"),
    ("too large", b'{"description": "' + b"a" * 256 * 1024 + b'"}', "application/json", 413, "body_too_large"),
]


@pytest.mark.parametrize(
    ("raw", "content_type", "status", "expected"), [row[1:] for row in RAW], ids=[r[0] for r in RAW]
)
def test_unreadable_bodies(
    merchant: Merchant, count: Count, raw: bytes, content_type: str, status: int, expected: str
) -> None:
    assert code(send(merchant, raw, content_type)) == (status, expected)
    assert count(merchant.scope) == EMPTY


FIELDS: list[tuple[str, dict[str, Any], str]] = [
    ("amount 0", {"amount": 0}, "amount"),
    ("amount negative", {"amount": -1}, "amount"),
    ("amount fraction", {"amount": 50.5}, "amount"),
    ("amount whole fraction", {"amount": 5000.0}, "amount"),
    ("amount text", {"amount": "5000"}, "amount"),
    ("amount true", {"amount": True}, "amount"),
    ("amount null", {"amount": None}, "amount"),
    ("amount missing", {"amount": ...}, "amount"),
    ("amount over our limit", {"amount": 1_000_000_000_000}, "amount"),
    ("amount over 2^53", {"amount": 2**53 + 1}, "amount"),
    ("amount of 400 digits", {"amount": 10**400}, "amount"),
    ("amount infinite", {"amount": 1e308}, "amount"),
    ("currency missing", {"currency": ...}, "currency"),
    ("currency unknown", {"currency": "XXZ"}, "currency"),
    ("currency too long", {"currency": "USDD"}, "currency"),
    ("currency number", {"currency": 840}, "currency"),
    ("unknown field", {"colour": "red"}, "colour"),
    ("unknown field in method", {"payment_method": {"type": "redirect", "token": "x"}}, "payment_method.token"),
    ("method missing", {"payment_method": ...}, "payment_method"),
    ("method a text", {"payment_method": "token"}, "payment_method"),
    ("method without type", {"payment_method": {"token": "x"}}, "payment_method"),
    ("method unknown", {"payment_method": {"type": "cash"}}, "payment_method"),
    ("token missing", {"payment_method": {"type": "token"}}, "payment_method.token"),
    ("token empty", {"payment_method": {"type": "token", "token": ""}}, "payment_method.token"),
    ("capture unknown", {"capture": "later"}, "capture"),
    ("provider unknown", {"provider": "acme"}, "provider"),
    ("email wrong", {"customer": {"email": "ada@"}}, "customer.email"),
    ("email long", {"customer": {"email": "a@" + "b" * 250 + ".com"}}, "customer.email"),
    ("customer a list", {"customer": []}, "customer"),
    ("customer unknown field", {"customer": {"iban": "x"}}, "customer.iban"),
    ("customer id malformed", {"customer": "cus_1"}, "customer"),
    ("return_url relative", {"return_url": "/back"}, "return_url"),
    ("return_url script", {"return_url": "javascript:alert(1)"}, "return_url"),
    ("return_url password", {"return_url": "https://a:b@shop.example"}, "return_url"),
    ("return_url long", {"return_url": "https://shop.example/" + "a" * 2000}, "return_url"),
    ("reference empty", {"reference": ""}, "reference"),
    ("reference long", {"reference": "a" * 201}, "reference"),
    ("description long", {"description": "a" * 501}, "description"),
    ("metadata list", {"metadata": []}, "metadata"),
    ("metadata value number", {"metadata": {"a": 1}}, "metadata.a"),
    ("metadata value long", {"metadata": {"a": "x" * 501}}, "metadata.a"),
    ("metadata name with space", {"metadata": {"a b": "x"}}, "metadata"),
    ("metadata too many", {"metadata": {f"k{n}": "x" for n in range(51)}}, "metadata"),
    ("null byte", {"reference": "a\x00b"}, "reference"),
    ("null byte in metadata", {"metadata": {"a": "\x00"}}, "metadata.a"),
    ("null byte in a name", {"metadata": {"a\x00": "x"}}, "metadata.(name)"),
    ("line break", {"description": "a\nb"}, "description"),
    ("half a surrogate", {"description": "\ud800"}, "description"),
]


@pytest.mark.parametrize(("changes", "field"), [row[1:] for row in FIELDS], ids=[row[0] for row in FIELDS])
def test_invalid_fields_are_named(merchant: Merchant, count: Count, changes: dict[str, Any], field: str) -> None:
    answer = merchant.pay(**changes)
    assert code(answer) == (422, "validation_failed")
    assert fields(answer)[0] == field
    assert count(merchant.scope) == EMPTY


def test_several_wrong_fields_are_named_at_once(merchant: Merchant) -> None:
    answer = merchant.pay(amount=0, currency="XXZ", colour="red")
    assert sorted(fields(answer)) == ["amount", "colour", "currency"]


def test_values_are_not_echoed(merchant: Merchant) -> None:
    for changes in ({"currency": "QQQ"}, {"payment_method": {"type": "QQQ"}}, {"capture": "QQQ"}, {"provider": "QQQ"}):
        assert "QQQ" not in merchant.pay(**changes).get_data(as_text=True)


LIMITS: list[tuple[str, dict[str, Any], str]] = [
    ("above the provider's limit", {"amount": 999_999_999_999}, "amount"),
    ("below the provider's limit", {"amount": 1}, "amount"),
    ("yen below the limit", {"amount": 49, "currency": "JPY"}, "amount"),
    ("no account takes the currency", {"currency": "KPW"}, "currency"),
    ("method the pinned provider lacks", {"provider": "paystack", "currency": "NGN"}, "payment_method"),
]


@pytest.mark.parametrize(("changes", "field"), [row[1:] for row in LIMITS], ids=[row[0] for row in LIMITS])
def test_what_no_provider_can_do_is_refused_before_it_is_stored(
    merchant: Merchant, count: Count, changes: dict[str, Any], field: str
) -> None:
    answer = merchant.pay(**changes)
    assert code(answer) == (422, "capability_unsupported")
    assert field in fields(answer)
    assert count(merchant.scope) == EMPTY


def test_a_reason_two_accounts_share_is_told_once(merchant: Merchant, owner: Core) -> None:
    add_account(owner, merchant.scope, "stripe", "acct_second")
    found = merchant.pay(amount=1).json["errors"]
    assert found
    assert len({(one["field"], one["message"]) for one in found}) == len(found)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"payment_method": {"type": "saved", "id": "pm_01hzzzzzzzzzzzzzzzzzzzzzzz"}}, "payment_method.id"),
        ({"customer": "cus_01hzzzzzzzzzzzzzzzzzzzzzzz"}, "customer"),
        ({"save_payment_method": True}, "save_payment_method"),
        ({"off_session": True}, "off_session"),
    ],
)
def test_wishes_that_lack_something_are_refused_in_a_sentence(
    merchant: Merchant, count: Count, changes: dict[str, Any], field: str
) -> None:
    answer = merchant.pay(**changes)
    assert code(answer) == (422, "validation_failed")
    assert fields(answer) == [field]
    assert count(merchant.scope) == EMPTY


def test_zero_decimal_currency_is_taken_as_it_is(merchant: Merchant) -> None:
    made = merchant.pay(amount=500, currency="jpy").json["payment"]
    assert (made["amount"], made["currency"]) == (500, "JPY")


CARDS: list[tuple[str, dict[str, Any]]] = [
    ("reference", {"reference": CARD}),
    ("spaced", {"description": "4242 4242 4242 4242"}),
    ("dashed", {"description": "4242-4242-4242-4242"}),
    ("inside a sentence", {"description": f"my card is {CARD}, thanks"}),
    ("full-width digits", {"description": "".join(chr(0xFF10 + int(digit)) for digit in CARD)}),
    ("dotted", {"description": "4242.4242.4242.4242"}),
    ("underscores", {"description": "4242_4242_4242_4242"}),
    ("slashes", {"description": "4242/4242/4242/4242"}),
    ("commas", {"description": "4242, 4242, 4242, 4242"}),
    ("colons", {"description": "4242:4242:4242:4242"}),
    ("brackets", {"customer": {"phone": "4242(4242)4242-4242"}}),
    ("mixed separators in a sentence", {"description": "pay 12 with 4242-4242 4242.4242 please"}),
    ("digit by digit", {"description": " ".join(CARD)}),
    ("zero-width characters", {"description": "4242\u200b4242\u200d4242\ufeff4242"}),
    ("Arabic digits", {"description": "".join(chr(0x0660 + int(digit)) for digit in CARD)}),
    ("mathematical digits", {"description": "".join(chr(0x1D7D8 + int(digit)) for digit in CARD)}),
    ("letters glued on", {"reference": f"x{CARD}y"}),
    ("plus and 16 digits", {"reference": "+4111 1111 1111 1111"}),
    ("phone of 16 digits", {"customer": {"phone": f"+{CARD}"}}),
    ("escaped spaces", {"return_url": "https://shop.example/?pan=4242%204242%204242%204242"}),
    ("metadata value", {"metadata": {"note": CARD}}),
    ("metadata name", {"metadata": {CARD: "x"}}),
    ("token", {"payment_method": {"type": "token", "token": CARD}}),
    ("amount", {"amount": int(CARD)}),
    ("19 digits as a number", {"amount": 6212345678901234569}),
    ("unknown field", {"card": CARD}),
    ("field name", {CARD: 1}),
    ("customer name", {"customer": {"name": "378282246310005"}}),
    ("address", {"return_url": f"https://shop.example/?pan={CARD}"}),
    ("list in an unknown field", {"cards": [{"number": [CARD]}]}),
]


@pytest.mark.parametrize("changes", [row[1] for row in CARDS], ids=[row[0] for row in CARDS])
def test_card_numbers_are_refused_and_not_echoed(
    merchant: Merchant, count: Count, changes: dict[str, Any], capfd: pytest.CaptureFixture[str]
) -> None:
    answer = merchant.pay(**changes)
    assert code(answer) == (422, "card_number_refused")
    logged = "".join(capfd.readouterr())
    assert answer.headers["X-Request-Id"] in logged
    seen = answer.get_data(as_text=True) + str(answer.headers) + logged
    assert CARD not in seen
    assert "6212345678901234569" not in seen
    assert count(merchant.scope) == EMPTY


def test_card_numbers_are_refused_outside_the_body(merchant: Merchant) -> None:
    assert code(merchant.get(f"/v1/payments/{CARD}")) == (422, "card_number_refused")
    assert code(merchant.get(f"/v1/payments?reference={CARD}")) == (422, "card_number_refused")
    keyed = merchant.post("/v1/payments", payment(), key=CARD)
    assert code(keyed) == (422, "card_number_refused")
    named = merchant.get("/v1/payments", X_Request_Id=CARD)
    assert CARD not in named.headers["X-Request-Id"]


@pytest.mark.parametrize(
    "harmless",
    [
        "4242424242424241",
        "1234567890123",
        "20261123140500",
        "order-4242-4242",
        "0" * 16,
        "+378282246310005",
        "+49 151 12345678",
        "42424242-4242-4242-8242-424242424242",
        "30.04.2026 - 07.05.2026",
    ],
)
def test_other_long_numbers_pass(merchant: Merchant, harmless: str) -> None:
    assert merchant.pay(reference=harmless).status_code == 202


def test_ids_and_tokens_pass() -> None:
    """Drawn with a seed: of some thousands of each kind none, or one by chance, has the digits of a card."""
    draw = random.Random(2)
    ids = [public_id("payment", UUID(int=draw.getrandbits(127))) for _ in range(5000)]
    assert not any(holds_card_number(name) for name in ids)
    assert not any(holds_card_number(str(UUID(int=draw.getrandbits(128), version=4))) for _ in range(5000))
    # The key that merchants' libraries make most often has no dashes.
    assert not any(holds_card_number(UUID(int=draw.getrandbits(128), version=4).hex) for _ in range(20000))
    assert sum(holds_card_number(draw.randbytes(16).hex()) for _ in range(5000)) <= 5
    digits = "4242424242424242"
    assert holds_card_number(f"pay_01k{digits}abc")
    assert not holds_card_number(f"pay_01k{digits[:-1]}1abc")


@pytest.mark.parametrize("part", ["4 ", "+4242424242422 ", "%34", "\u0664 ", "4"])
def test_long_texts_are_searched_in_linear_time(part: str) -> None:
    """Counted, not timed: twice the text is about twice the steps."""

    def steps(text: str) -> int:
        taken = 0

        def count(frame: object, event: str, argument: object) -> None:
            nonlocal taken
            taken += 1

        sys.setprofile(count)
        try:
            holds_card_number(text)
        finally:
            sys.setprofile(None)
        return taken

    assert steps(part * 2000) <= 2.2 * steps(part * 1000) + 100


KEYS: list[tuple[str, str | None, str]] = [
    ("missing", None, "idempotency_key_missing"),
    ("empty", "", "idempotency_key_missing"),
    ("quoted empty", '""', "idempotency_key_missing"),
    ("256 characters", "k" * 256, "idempotency_key_invalid"),
    ("256 quoted", '"' + "k" * 256 + '"', "idempotency_key_invalid"),
    ("not ASCII", "cl\u00e9", "idempotency_key_invalid"),
    ("a quotation that does not end", '"order-42', "idempotency_key_invalid"),
]


@pytest.mark.parametrize(("key", "expected"), [row[1:] for row in KEYS], ids=[row[0] for row in KEYS])
def test_bad_idempotency_keys(merchant: Merchant, count: Count, key: str | None, expected: str) -> None:
    headers = merchant.headers(**({} if key is None else {"Idempotency_Key": key}))
    answer = merchant.client.post("/v1/payments", json=payment(), headers=headers)
    assert code(answer) == (400, expected)
    assert count(merchant.scope) == EMPTY


def test_key_of_255_characters_is_taken(merchant: Merchant) -> None:
    assert merchant.post("/v1/payments", payment(), key="k" * 255).status_code == 202


@pytest.mark.parametrize(
    "environ",
    [{"HTTP_TRANSFER_ENCODING": "chunked", "CONTENT_LENGTH": ""}, {"CONTENT_LENGTH": ""}],
    ids=["chunked", "no length"],
)
def test_bodies_without_a_length_are_refused(merchant: Merchant, count: Count, environ: dict[str, str]) -> None:
    answer = merchant.client.post(
        "/v1/payments",
        data=json.dumps(payment()),
        content_type="application/json",
        headers=merchant.headers(Idempotency_Key="a"),
        environ_overrides=environ,
    )
    assert code(answer) == (411, "length_required")
    assert count(merchant.scope) == EMPTY


@pytest.mark.parametrize("verb", ["capture", "refunds", "cancel"])
def test_chunks_are_refused_where_a_body_may_be_left_out(merchant: Merchant, verb: str) -> None:
    """A partial capture whose body nobody read would take the whole sum."""
    made = merchant.pay().json["payment"]["id"]
    answer = merchant.client.post(
        f"/v1/payments/{made}/{verb}",
        headers=merchant.headers(Idempotency_Key="a"),
        environ_overrides={"HTTP_TRANSFER_ENCODING": "chunked", "CONTENT_LENGTH": ""},
    )
    assert code(answer) == (411, "length_required")


def test_webhook_without_a_length_is_refused(merchant: Merchant) -> None:
    answer = merchant.client.post(
        "/webhooks/stripe/acc_01hzzzzzzzzzzzzzzzzzzzzzzz", data=b"{}", environ_overrides={"CONTENT_LENGTH": ""}
    )
    assert code(answer) == (411, "length_required")


def test_body_where_none_is_taken_is_refused(merchant: Merchant) -> None:
    made = merchant.pay().json["payment"]["id"]
    assert code(merchant.post(f"/v1/payments/{made}/cancel", {"amount": 1})) == (422, "validation_failed")
    assert merchant.post(f"/v1/payments/{made}/cancel", {}).status_code == 202


QUERIES = [
    "colour=red", "limit=0", "limit=101", "limit=ten", "limit=1_0", "limit=5.0", "status=done", "currency=XXZ",
    "after=pay_1", "after=ref_01hzzzzzzzzzzzzzzzzzzzzzzz", "created_after=yesterday", "created_after=1700000000",
    "created_after=2026-11-23T10:00:00", "status=failed&status=failed", "reference=a%00b", "provider=acme",
    "customer=cus_1",
]  # fmt: skip


@pytest.mark.parametrize("query", QUERIES)
def test_bad_queries(merchant: Merchant, query: str) -> None:
    assert code(merchant.get(f"/v1/payments?{query}")) == (422, "validation_failed")


@pytest.mark.parametrize("wait", ["-1", "31", "soon", "1.5", ""])
def test_bad_waits(merchant: Merchant, wait: str) -> None:
    job = merchant.pay().json["job"]["url"]
    assert code(merchant.get(f"{job}?wait={wait}")) == (422, "validation_failed")


def test_unknown_ids_look_alike(merchant: Merchant, make_merchant: Callable[..., Merchant]) -> None:
    """Unknown, malformed, of another kind, of another merchant, of the other mode: one answer."""
    other = make_merchant().pay().json["payment"]["id"]
    names = ["pay_01hzzzzzzzzzzzzzzzzzzzzzzz", "pay_", "nothing", "ref_01hzzzzzzzzzzzzzzzzzzzzzzz", "%00", other]
    doors: list[Callable[[str], Any]] = [
        lambda name: merchant.get(f"/v1/payments/{name}"),
        lambda name: merchant.get(f"/v1/payments/{name}/timeline"),
        lambda name: merchant.get(f"/v1/payments/{name}/refunds"),
        *(
            lambda name, verb=verb: merchant.post(f"/v1/payments/{name}/{verb}")
            for verb in ("capture", "cancel", "refunds", "sync")
        ),
    ]
    answers = [door(name) for door in doors for name in names]
    assert {code(answer) for answer in answers} == {(404, "not_found")}
    assert len({answer.json["detail"] for answer in answers}) == 1


def test_unknown_addresses_and_methods_are_problems(merchant: Merchant) -> None:
    assert code(merchant.get("/v1/nothing")) == (404, "not_found")
    assert code(merchant.get("/")) == (404, "not_found")
    answer = merchant.client.put("/v1/payments", headers=merchant.headers())
    assert code(answer) == (405, "method_not_allowed")
    assert {"GET", "POST"} <= set(answer.headers["Allow"].split(", "))
    assert code(merchant.client.options("/v1/payments", headers=merchant.headers()))[0] == 405
