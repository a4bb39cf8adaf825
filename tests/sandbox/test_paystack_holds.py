"""Preauthorizations: rand held by page or saved card, then captured, released or expired; once."""

from __future__ import annotations

import pytest

FAILS, LATE, STUCK = "4084080000001006", "4084080000001007", "4084080000001008"


def begin(integration, **changes):
    sent = {
        "email": "ada@shop.example",
        "amount": "150000",
        "currency": "ZAR",
        "callback_url": "https://shop.example/b",
    }
    return integration.call("POST", "/preauthorization/initialize", **{**sent, **changes})


def held(integration, card="4084084084084081", **changes):
    status, body = begin(integration, **changes)
    assert (status, body["message"]) == (200, "Authorization URL created")
    data = body["data"]
    answer = integration.submit(data["authorization_url"], action="pay", card=card)
    assert answer.headers["Location"].endswith(f"trxref={data['reference']}&reference={data['reference']}")
    return data["reference"]


def capture(integration, reference, amount=150_000, **changes):
    sent = {"reference": reference, "currency": "ZAR", "amount": str(amount), **changes}
    return integration.call("POST", "/preauthorization/capture", **sent)


def verify(integration, reference):
    return integration.call("GET", f"/preauthorization/verify/{reference}")[1]["data"]


def release(integration, reference):
    return integration.call("POST", "/preauthorization/release", reference=reference)


def test_a_part_is_captured_once(hooked_integration, receiver):
    integration = hooked_integration
    reference = held(integration, reference="hold-1", metadata={"order": "9"})
    told = receiver.take("preauthorization.reserve.success", name="event")["preauthorization.reserve.success"]["data"]
    assert (told["status"], told["amount"], told["captured_amount"], told["transaction_id"]) == (
        "authorized", 150_000, None, None,
    )  # fmt: skip
    assert verify(integration, reference)["status"] == "authorized"
    assert integration.call("GET", f"/preauthorization/{reference}")[1]["data"] == verify(integration, reference)
    assert integration.call("GET", f"/transaction/verify/{reference}")[0] == 400
    status, body = capture(integration, reference, 150_001)
    assert (status, body["message"]) == (400, "Capture amount cannot be more than authorized amount")
    status, body = capture(integration, reference, 100_000)
    assert (status, body["message"]) == (200, "Capture attempted")
    made = body["data"]
    assert (made["status"], made["channel"], made["amount"], made["reference"]) == (
        "success", "preauth", 100_000, "hold-1",
    )  # fmt: skip
    told = receiver.take("preauthorization.capture.success", name="event")["preauthorization.capture.success"]["data"]
    assert (told["status"], told["captured_amount"], told["transaction_id"]) == ("captured", "100000", str(made["id"]))
    assert (told["transaction"]["id"], told["transaction"]["channel"]) == (str(made["id"]), "preauth")
    after = verify(integration, reference)
    assert (after["status"], after["transaction_id"], after["captured_amount"]) == ("captured", made["id"], "100000")
    assert integration.verify("hold-1")["amount"] == 100_000
    for refused in (capture(integration, reference, 1), release(integration, reference)):
        assert (refused[0], refused[1]["message"]) == (400, "Preauthorization has already been captured")
    [hold] = integration.ledger()["holds"]
    assert (hold["held"], hold["amount_captured"], hold["charge"]) == (False, 100_000, str(made["id"]))
    assert integration.ledger()["summary"]["captured_by_currency"] == {"ZAR": 100_000}
    assert receiver.arrived.empty()  # no charge.success beside it


def test_a_release(hooked_integration, receiver):
    reference = held(hooked_integration)
    status, body = release(hooked_integration, reference)
    assert (status, body["message"], body["data"]["status"]) == (200, "Successfully released", "released")
    told = receiver.take("preauthorization.release.success", name="event")["preauthorization.release.success"]["data"]
    assert (told["status"], told["message"], told["captured_amount"]) == ("released", "Release success", None)
    for refused in (capture(hooked_integration, reference), release(hooked_integration, reference)):
        assert (refused[0], refused[1]["message"]) == (400, "Preauthorization has already been released")
    assert [hold["held"] for hold in hooked_integration.ledger()["holds"]] == [False]


def test_a_capture_that_fails(hooked_integration, receiver):
    reference = held(hooked_integration, card=FAILS)
    status, body = capture(hooked_integration, reference)
    assert (status, body["data"]["status"]) == (200, "failed")
    told = receiver.take("preauthorization.capture.failed", name="event")["preauthorization.capture.failed"]["data"]
    assert (told["status"], told["transaction_id"]) == ("capture_failed", str(body["data"]["id"]))
    assert verify(hooked_integration, reference)["status"] == "capture_failed"
    assert capture(hooked_integration, reference)[0] == 400
    assert hooked_integration.ledger()["summary"]["charges_succeeded"] == 0


def test_a_capture_the_bank_answers_later(hooked_integration, receiver):
    reference = held(hooked_integration, card=LATE)
    assert capture(hooked_integration, reference)[1]["data"]["status"] == "processing"
    assert verify(hooked_integration, reference)["status"] in ("ongoing", "captured")
    assert capture(hooked_integration, reference)[0] == 400
    receiver.take("preauthorization.capture.success", name="event")
    assert verify(hooked_integration, reference)["status"] == "captured"


def test_a_release_that_fails(hooked_integration, receiver):
    reference = held(hooked_integration, card=STUCK)
    status, body = release(hooked_integration, reference)
    assert (status, body["message"], body["type"]) == (400, "Release failed", "processor_error")
    told = receiver.take("preauthorization.release.failed", name="event")["preauthorization.release.failed"]["data"]
    assert told["status"] == "release_failed"
    assert [hold["held"] for hold in hooked_integration.ledger()["holds"]] == [True]


def test_holds_expire_as_they_were_told(run_sandbox, new_integration):
    sandbox = run_sandbox("paystack")
    integration = new_integration(sandbox)
    let_go, taken = held(integration), held(integration, expire_action="capture", expire_after_days=3)
    stuck = held(integration, card=STUCK)
    release(integration, stuck)
    sandbox.door("POST", "clock", advance_seconds=4 * 86400)
    assert verify(integration, taken)["status"] == "captured"
    assert integration.verify(taken)["amount"] == 150_000
    assert verify(integration, let_go)["status"] == "authorized"
    sandbox.door("POST", "clock", advance_seconds=2 * 86400)
    assert verify(integration, let_go)["status"] == verify(integration, stuck)["status"] == "released"


def test_a_saved_card_is_held_without_a_page(integration):
    code = integration.paid()["authorization"]["authorization_code"]
    sent = {"email": "ada@shop.example", "amount": 5_000, "currency": "ZAR", "authorization_code": code}
    status, body = integration.call("POST", "/preauthorization/reserve_authorization", **sent)
    assert (status, body["message"], body["data"]["status"]) == (200, "Preauthorization successful", "authorized")
    assert body["data"]["authorization"]["authorization_code"] == code
    assert body["data"]["gateway_response"]["authorizeResponse"] == "Approved"
    wrong = {**sent, "email": "eve@shop.example"}
    assert integration.call("POST", "/preauthorization/reserve_authorization", **wrong)[0] == 400
    poor = integration.paid(card="4084080000001002")["authorization"]["authorization_code"]
    status, body = integration.call(
        "POST", "/preauthorization/reserve_authorization", **sent | {"authorization_code": poor}
    )
    assert (status, body["data"]["status"]) == (200, "failed")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"currency": "NGN"}, "Currency not supported by merchant"),
        ({"currency": ""}, "currency is required"),
        ({"amount": 99}, "Invalid Amount Sent"),
        ({"expire_after_days": 31}, "expire_after_days must be between 1 and 30"),
        ({"expire_action": "keep"}, "expire_action must be one of"),
    ],
)
def test_refused_holds(integration, changes, said):
    status, body = begin(integration, **changes)
    assert status == 400
    assert said in body["message"]


def test_a_page_that_was_not_finished(integration):
    reference = begin(integration, reference="open-1")[1]["data"]["reference"]
    assert verify(integration, reference)["status"] == "abandoned"
    status, body = capture(integration, reference)
    assert (status, body["message"]) == (400, "Preauthorization has not been authorized")
    assert begin(integration, reference="open-1")[1]["code"] == "duplicate_reference"
    taken = {"email": "a@shop.example", "amount": 5_000, "reference": "open-1"}
    assert integration.call("POST", "/transaction/initialize", **taken)[1]["code"] == "duplicate_reference"
    status, body = integration.call("GET", "/preauthorization/verify/nothing")
    assert (status, body["code"], body["message"]) == (400, "not_found", "Preauthorization not found")


def test_the_hold_page_declines_and_asks_for_a_step(integration):
    data = begin(integration)[1]["data"]
    page = integration.session.get(data["authorization_url"], timeout=5).text
    assert "width=device-width" in page
    assert "ZAR 1,500.00" in page
    assert "Declined" in integration.submit(data["authorization_url"], action="decline").text
    assert verify(integration, data["reference"])["status"] == "failed"
    integration.submit(data["authorization_url"], action="pay", card="5192602720584796")
    assert verify(integration, data["reference"])["status"] == "ongoing"
    assert integration.submit(data["authorization_url"], action="authorize").status_code == 303
    assert verify(integration, data["reference"])["authorization"]["reusable"] is True
    assert "Already confirmed" in integration.submit(data["authorization_url"], action="decline").text
    wrong = data["authorization_url"] + "0"
    assert integration.session.get(wrong, timeout=5).status_code == 404


def test_the_list_of_holds(integration):
    first = held(integration)
    begin(integration, amount=7_000)
    status, body = integration.call("GET", "/preauthorization?status=authorized")
    assert (status, [one["reference"] for one in body["data"]], body["meta"]["total"]) == (200, [first], 1)
    assert integration.call("GET", "/preauthorization?amount=7000")[1]["data"][0]["status"] == "abandoned"
    assert integration.call("GET", "/preauthorization?from=2099-01-01")[1]["data"] == []
