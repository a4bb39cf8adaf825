"""Lists and the event log: pages, cursors, windows, snapshots."""

from __future__ import annotations

import pytest
import stripe


def test_pages_in_both_directions(shop):
    intents = shop.client.v1.payment_intents
    ids = [intents.create({"amount": 100 + n, "currency": "usd"}).id for n in range(5)][::-1]
    page = intents.list({"limit": 2})
    assert ([intent.id for intent in page.data], page.has_more) == (ids[:2], True)
    after = intents.list({"limit": 10, "starting_after": ids[1]})
    assert ([intent.id for intent in after.data], after.has_more) == (ids[2:], False)
    before = intents.list({"limit": 2, "ending_before": ids[3]})
    assert ([intent.id for intent in before.data], before.has_more) == (ids[1:3], True)
    assert [intent.id for intent in intents.list({"limit": 2}).auto_paging_iter()] == ids


def test_a_window_of_creation(shop):
    intents = shop.client.v1.payment_intents
    created = intents.create({"amount": 100, "currency": "usd"}).created
    assert len(intents.list({"created": {"gte": created}}).data) == 1
    assert intents.list({"created": {"gt": created}}).data == []
    assert len(intents.list({"created": {"gte": created - 5, "lte": created + 5}}).data) == 1


@pytest.mark.parametrize("sent", [{"limit": 101}, {"limit": 0}, {"starting_after": "pi_x"}, {"colour": "red"}])
def test_refused_lists(shop, sent):
    with pytest.raises(stripe.InvalidRequestError):
        shop.client.v1.payment_intents.list(sent)


def test_expansion_inside_a_list(shop):
    shop.pay()
    [intent] = shop.client.v1.payment_intents.list({"expand": ["data.latest_charge"]}).data
    assert intent.latest_charge.object == "charge"


def test_events_are_snapshots_of_their_moment(shop):
    intent = shop.pay(capture_method="manual")
    shop.client.v1.payment_intents.capture(intent.id)
    assert shop.event_types() == [
        "payment_intent.created",
        "charge.succeeded",
        "payment_intent.amount_capturable_updated",
        "charge.captured",
        "payment_intent.succeeded",
    ]
    events = shop.client.v1.events.list({"types": ["charge.succeeded", "charge.captured"]}).data
    assert [event.data.object.captured for event in events] == [True, False]
    event = shop.client.v1.events.retrieve(events[0].id)
    assert (event.livemode, event.api_version) == (False, "2026-10-28.endive")
    assert event.request.id.startswith("req_")
    assert shop.event_types(type="charge.*") == ["charge.succeeded", "charge.captured"]


def test_charges_of_an_intent(shop):
    intent = shop.pay()
    shop.pay()
    [charge] = shop.client.v1.charges.list({"payment_intent": intent.id}).data
    assert charge.id == intent.latest_charge


def test_events_by_types_and_time_in_both_directions(shop):
    for _ in range(2):
        shop.pay(capture_method="manual")
    wanted = {"types": ["payment_intent.created", "charge.succeeded"]}
    events = shop.client.v1.events
    newest = events.list({**wanted, "limit": 1})
    assert newest.has_more is True
    older = events.list({**wanted, "starting_after": newest.data[0].id}).data
    assert [event.type for event in older] == ["payment_intent.created", "charge.succeeded", "payment_intent.created"]
    newer = events.list({**wanted, "ending_before": older[0].id}).data
    assert [event.id for event in newer] == [newest.data[0].id]
    assert len(events.list({**wanted, "created": {"gte": older[-1].created}}).data) == 4
    assert events.list({"created": {"gt": newest.data[0].created}}).data == []
    for name in ("types[]", "types[0]"):
        listed = shop.raw("GET", f"/v1/events?{name}=charge.succeeded").json()
        assert [event["type"] for event in listed["data"]] == ["charge.succeeded"] * 2
    with pytest.raises(stripe.InvalidRequestError, match="not both"):
        events.list({**wanted, "type": "charge.succeeded"})


def test_events_that_no_merchant_took(stripe_sandbox, new_shop, receiver, eventually):
    shop = new_shop(stripe_sandbox, webhook_url=receiver.url, webhook_events=["payment_intent.created"])
    receiver.answers += [500] * 4
    lost = shop.client.v1.payment_intents.create({"amount": 500, "currency": "usd"})
    eventually(lambda: receiver.arrived.qsize() == 4)
    taken = shop.client.v1.payment_intents.create({"amount": 600, "currency": "usd"})
    for success, intent in ((False, lost), (True, taken)):
        listed = eventually(lambda s=success: shop.client.v1.events.list({"delivery_success": s}).data)
        assert intent.id in [event.data.object.id for event in listed]


def test_events_are_kept_for_thirty_days(run_sandbox, new_shop):
    shop = new_shop(run_sandbox("stripe"))
    shop.client.v1.payment_intents.create({"amount": 500, "currency": "usd"})
    [event] = shop.client.v1.events.list().data
    shop.sandbox.door("POST", "clock", advance_seconds=29 * 86400)
    assert shop.client.v1.events.retrieve(event.id).id == event.id
    shop.sandbox.door("POST", "clock", advance_seconds=2 * 86400)
    assert shop.client.v1.events.list().data == []
    with pytest.raises(stripe.InvalidRequestError, match="No such event"):
        shop.client.v1.events.retrieve(event.id)


def test_charges_refunds_and_sessions_by_whose_they_are(shop):
    customer = shop.client.v1.customers.create({"email": "ada@shop.example"})
    paid = shop.pay(customer=customer.id)
    shop.pay()
    assert [one.id for one in shop.client.v1.charges.list({"customer": customer.id}).data] == [paid.latest_charge]
    refund = shop.client.v1.refunds.create({"payment_intent": paid.id, "amount": 1})
    listed = shop.raw("GET", f"/v1/charges/{paid.latest_charge}/refunds").json()
    assert [one["id"] for one in listed["data"]] == [refund.id]
    wanted = {
        "mode": "payment", "success_url": "https://shop.example/done", "customer": customer.id,
        "line_items": [
            {"price_data": {"currency": "usd", "unit_amount": 700, "product_data": {"name": "Tea"}}, "quantity": 1}
        ],
    }  # fmt: skip
    sessions = shop.client.v1.checkout.sessions
    session = sessions.create(wanted)
    assert [one.id for one in sessions.list({"customer": customer.id}).data] == [session.id]
    assert sessions.list({"customer_details": {"email": "ada@shop.example"}}).data == []
    shop.submit(session.url, action="pay", card="4242424242424242")
    assert len(sessions.list({"customer_details": {"email": "ada@shop.example"}}).data) == 1
