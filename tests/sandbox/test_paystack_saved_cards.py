"""Saved cards at Paystack: charged again without a page, declined, paused for the customer, deactivated."""

from __future__ import annotations

import pytest

CHALLENGED, DECLINED_LATER, NOT_REUSABLE = "4084080000001001", "4084080000001002", "4084080000001003"


def charge(integration, code, **changes):
    sent = {"email": "ada@shop.example", "amount": 20_000, "authorization_code": code, **changes}
    return integration.call("POST", "/transaction/charge_authorization", **sent)


def code_of(paid):
    return paid["authorization"]["authorization_code"]


def test_a_saved_card_pays(hooked_integration, receiver):
    first = hooked_integration.paid()
    receiver.take("charge.success", name="event")
    status, body = charge(hooked_integration, code_of(first), reference="again-1", queue=True, metadata='{"a": 1}')
    assert (status, body["status"], body["message"]) == (200, True, "Charge attempted")
    data = body["data"]
    assert (data["status"], data["reference"], data["amount"], data["metadata"]) == (
        "success", "again-1", 20_000, {"a": 1},
    )  # fmt: skip
    assert data["authorization"] == first["authorization"]
    assert set(data["authorization"]) >= {
        "authorization_code", "bin", "last4", "exp_month", "exp_year", "channel", "card_type", "bank", "country_code",
        "brand", "reusable", "signature", "account_name",
    }  # fmt: skip
    assert receiver.take("charge.success", name="event")["charge.success"]["data"]["reference"] == "again-1"
    assert hooked_integration.verify("again-1")["status"] == "success"


def test_the_same_card_has_one_signature_and_a_code_a_payment(integration):
    first, second = integration.paid()["authorization"], integration.paid(email="eve@shop.example")["authorization"]
    assert first["signature"] == second["signature"]
    assert first["authorization_code"] != second["authorization_code"]


def test_a_decline_is_an_answer_of_200(integration):
    paid = integration.paid(card=DECLINED_LATER)
    status, body = charge(integration, code_of(paid), reference="no-1")
    assert (status, body["status"], body["data"]["status"]) == (200, True, "failed")
    assert body["data"]["gateway_response"] == "Insufficient Funds"
    assert integration.verify("no-1")["status"] == "failed"
    assert charge(integration, code_of(paid), reference="no-1")[1]["code"] == "duplicate_reference"


@pytest.mark.parametrize(("action", "ends"), [("authorize", "success"), ("fail", "failed")])
def test_a_charge_that_asks_the_customer(paystack_sandbox, new_integration, action, ends):
    integration = new_integration(paystack_sandbox, callback_url="https://shop.example/back")
    paid = integration.paid(card=CHALLENGED)
    status, body = charge(integration, code_of(paid), reference="ask-1")
    data = body["data"]
    assert (status, data["paused"], data["reference"]) == (200, True, "ask-1")
    assert data["authorization_url"].endswith(data["access_code"])
    assert integration.verify("ask-1")["status"] == "abandoned"  # nobody has come yet
    page = integration.session.get(data["authorization_url"], timeout=5).text
    assert "Confirm with your bank" in page
    assert integration.verify("ask-1")["status"] == "ongoing"
    answer = integration.submit(data["authorization_url"], action=action)
    assert answer.status_code == (303 if ends == "success" else 200)
    after = integration.verify("ask-1")
    assert after["status"] == ends
    # A refused charge is over: the page offers no other card.
    integration.submit(data["authorization_url"], action="pay", card="4084084084084081")
    assert integration.verify("ask-1")["status"] == ends


@pytest.mark.parametrize("why", ["other email", "deactivated", "not reusable"])
def test_one_sentence_for_three_causes(integration, why):
    code = code_of(integration.paid(card=NOT_REUSABLE if why == "not reusable" else "4084084084084081"))
    if why == "deactivated":
        integration.call("POST", "/customer/authorization/deactivate", authorization_code=code)
    integration.call("POST", "/customer", email="eve@shop.example")
    changes = {"email": "eve@shop.example"} if why == "other email" else {}
    status, body = charge(integration, code, reference="free-1", **changes)
    assert (status, body["status"]) == (400, False)
    assert body["message"].startswith("Email does not match Authorization code.")
    # Nothing was made: the reference is free.
    assert integration.call("GET", "/transaction/verify/free-1")[0] == 400
    assert charge(integration, code_of(integration.paid()), reference="free-1")[1]["data"]["status"] == "success"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"authorization_code": "AUTH_nothing0"}, "Authorization code is invalid"),
        ({"authorization_code": "card_1"}, "fails to match the required pattern"),
        ({"authorization_code": ""}, "authorization_code is required"),
        ({"amount": ""}, "amount is required"),
        ({"currency": "EUR"}, "Currency not supported by merchant"),
    ],
)
def test_refused_charges(integration, changes, said):
    code = code_of(integration.paid())
    status, body = charge(integration, **{"code": code, **changes} if "authorization_code" not in changes else
                          {"code": changes["authorization_code"]})  # fmt: skip
    assert status == 400
    assert said in body["message"]


def test_a_customer_lists_what_is_active(integration):
    code = code_of(integration.paid())
    customer = integration.call("GET", "/customer/ada@shop.example")[1]["data"]
    assert [one["authorization_code"] for one in customer["authorizations"]] == [code]
    status, body = integration.call("POST", "/customer/authorization/deactivate", authorization_code=code)
    assert (status, body) == (200, {"status": True, "message": "Authorization has been deactivated"})
    assert integration.call("GET", "/customer/ada@shop.example")[1]["data"]["authorizations"] == []
    assert [(one["id"], one["active"]) for one in integration.ledger()["authorizations"]] == [(code, False)]
    assert integration.call("POST", "/customer/authorization/deactivate", authorization_code="AUTH_x1")[0] == 400


def test_a_customer_is_updated_and_never_doubled(integration):
    first = integration.call("POST", "/customer", email="Eve@shop.example", first_name="Eve")[1]["data"]
    again = integration.call("POST", "/customer", email="eve@shop.example")[1]["data"]
    assert again["customer_code"] == first["customer_code"]
    code = first["customer_code"]
    status, body = integration.call("PUT", f"/customer/{code}", last_name="Ito", metadata='{"ours": "7"}')
    assert (status, body["message"]) == (200, "Customer updated")
    kept = integration.call("GET", f"/customer/{code}")[1]["data"]
    assert (kept["first_name"], kept["last_name"], kept["metadata"]) == ("Eve", "Ito", {"ours": "7"})
    assert integration.call("PUT", "/customer/CUS_none", last_name="Ito")[0] == 404
    integration.call("POST", "/customer", email="third@shop.example")
    body = integration.call("GET", "/customer?perPage=1&page=2")[1]
    assert (len(body["data"]), body["meta"]["total"], body["meta"]["pageCount"]) == (1, 2, 2)
