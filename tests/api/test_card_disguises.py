"""Card numbers in every disguise and at every door: refused, not echoed, not logged."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from flask.testing import FlaskClient

from core.domain.card_numbers import holds_card_number
from tests.api.support import Merchant, code, payment

PAN = "4242424242424242"
GROUPS = ("4242", "4242", "4242", "4242")

DISGUISES = {
    "plain": PAN,
    "spaced": " ".join(GROUPS),
    "dashed": "-".join(GROUPS),
    "one by one": "-".join(PAN),
    "tilde": "~".join(GROUPS),
    "equals": "=".join(GROUPS),
    "backslash": "\\".join(GROUPS),
    "bullets": " • ".join(GROUPS),
    "brackets": "[4242][4242][4242][4242]",
    "quotes": '"4242" "4242" "4242" "4242"',
    "full width": PAN.translate({48 + n: 0xFF10 + n for n in range(10)}),
    "arabic-indic": PAN.translate({48 + n: 0x660 + n for n in range(10)}),
    "mathematical": PAN.translate({48 + n: 0x1D7CE + n for n in range(10)}),
    "zero width": "\u200b".join(PAN),
    "joiners": "\u2060".join(PAN),
    "soft hyphens": "\u00ad".join(PAN),
    "combining": "\u0301".join(PAN),
    "fillers": "\u3164".join(PAN),
    "braille blank": "\u2800".join(GROUPS),
    "tags": "\U000e0041".join(PAN),
    "thin spaces": "\u2009".join(GROUPS),
    "minus signs": "\u2212".join(GROUPS),
    "in words": f"card:{PAN}!",
    "escaped": "".join(f"%{ord(letter):02x}" for letter in PAN),
    "escaped twice": quote("".join(f"%{ord(letter):02x}" for letter in PAN)),
    "full width, escaped": quote(PAN.translate({48 + n: 0xFF10 + n for n in range(10)})),
}


@pytest.mark.parametrize("disguise", DISGUISES)
def test_it_is_seen_through(disguise: str) -> None:
    assert holds_card_number(DISGUISES[disguise])


@pytest.mark.parametrize("disguise", DISGUISES)
def test_at_the_doors_of_the_body(merchant: Merchant, disguise: str, capfd: pytest.CaptureFixture[str]) -> None:
    text = DISGUISES[disguise]
    answers = [
        merchant.pay(description=text),
        merchant.pay(metadata={"note": text}),
        merchant.pay(metadata={text: "x"}),
        merchant.pay(**{text: "x"}),
        merchant.pay(return_url=f"https://shop.example/{text}"),
        merchant.post("/v1/customers", {"name": text}),
        merchant.post("/v1/webhook_endpoints", {"url": f"https://shop.example/?a={text}", "events": ["*"]}),
        merchant.post("/v1/disputes/dsp_01hzzzzzzzzzzzzzzzzzzzzzzz/evidence", {"message": text}),
        merchant.post("/v1/disputes/dsp_01hzzzzzzzzzzzzzzzzzzzzzzz/evidence", {"message": {"deep": [text]}}),
    ]
    logged = capfd.readouterr().err
    for answer in answers:
        assert code(answer) == (422, "card_number_refused")
        assert text not in answer.get_data(as_text=True)
        assert PAN not in answer.get_data(as_text=True)
    assert text not in logged
    assert PAN not in logged


def test_at_the_other_doors(merchant: Merchant, client: FlaskClient, capfd: pytest.CaptureFixture[str]) -> None:
    dashed = DISGUISES["dashed"]
    answers = [
        merchant.post("/v1/payments", payment(), key=PAN),
        merchant.post("/v1/payments", payment(), key=f'"{dashed}"'),
        merchant.get(f"/v1/payments/{PAN}"),
        merchant.get(f"/v1/payments/{DISGUISES['full width']}"),
        merchant.get(f"/v1/payments?reference={PAN}"),
        merchant.get(f"/v1/payments?{PAN}=1"),
        merchant.get(f"/v1/payments?reference={DISGUISES['escaped twice']}"),
        merchant.get("/v1/payments", X_Request_Id=PAN),
        merchant.get("/v1/payments", Prefer=f"wait={PAN}"),
        client.get("/v1/payments", headers={"Authorization": f"Bearer {PAN}"}),
        client.get("/v1/payments", headers={"Authorization": f"Bearer tg_test_{PAN}_{PAN}"}),
        client.get(f"/nothing/{PAN}"),
        client.open("/v1/payments", method=PAN),
        client.post(f"/webhooks/stripe/{PAN}", data=PAN),
        merchant.post("/v1/payments", {"amount": int(PAN), "currency": "USD"}),
        merchant.post("/v1/payments", {"amount": float(PAN), "currency": "USD"}),
    ]
    logged = capfd.readouterr().err
    for place, answer in enumerate(answers):
        told = answer.get_data(as_text=True) + str(answer.headers)
        assert answer.status_code < 500, place
        assert PAN not in told, place
        assert dashed not in told, place
    assert [answer.status_code for answer in answers[:7]] == [422] * 7
    assert PAN not in logged
    assert dashed not in logged


@pytest.mark.parametrize(
    "text", ["a\u202eb", "a\u2066b", "a\u2028b", "a\u0000b", "a\u0085b", "a\uffffb", "a\x1bb"]
)  # fmt: skip
def test_what_shows_something_else_than_it_says_is_refused(merchant: Merchant, text: str) -> None:
    assert code(merchant.pay(description=text)) == (422, "validation_failed")
    assert code(merchant.pay(metadata={"note": text})) == (422, "validation_failed")
    assert code(merchant.post("/v1/customers", {"name": text})) == (422, "validation_failed")


@pytest.mark.parametrize("text", ["نام\u200cها", "שלום\u200f", "👩\u200d💻", "e\u0301", "Zoë", "李小龙"])
def test_what_languages_need_is_taken_as_it_is(merchant: Merchant, text: str) -> None:
    answer = merchant.pay(description=text)
    assert answer.status_code == 202
    assert merchant.get(f"/v1/payments/{answer.json['payment']['id']}").json["description"] == text
