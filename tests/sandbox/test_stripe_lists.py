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
