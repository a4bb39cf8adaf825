"""A restore forgets that a payment had gone on to another account: that one is asked before anything is sent."""

from __future__ import annotations

import requests

from core.orchestration import installation, provider_manager
from tests.orchestration.test_unknown_outcomes import TestNeverSent
from tests.support.restoring import Restorable

CARD = "4084084084084081"


def test_the_page_at_the_other_provider_is_found(place: Restorable) -> None:
    world = place.world
    TestNeverSent()._move(world, "stripe", "http://127.0.0.1:9")
    payment = world.post("/v1/payments", world.redirect_body(currency="USD", amount=5000)).json()["payment"]
    kept = place.backup()
    world.work()
    page = world.payment(payment["id"])["next_action"]["url"]
    requests.post(page, data={"action": "pay", "card": CARD}, allow_redirects=False, timeout=10)
    world.settle()
    assert world.payment(payment["id"])["status"] == "succeeded"
    installation.keep_anchor(world.worker)
    place.restore(kept)
    base, account = world.sandboxes["stripe"].url, world.accounts["stripe"]
    with world.owner.begin() as connection:
        connection.exec_driver_sql("UPDATE provider_accounts SET api_base = %s WHERE id = %s", (base, str(account)))
    for core in (world.worker, world.api):
        provider_manager.forget(core, account)
    assert installation.look(world.worker)
    installation.resume(world.admin, "ada", "the disk was replaced")
    place.settle_slowly(8)
    found = world.payment(payment["id"])
    assert (found["status"], found["provider"], found["amount_received"]) == ("succeeded", "paystack", 5000)
    assert world.ledger("stripe")["charges"] == []
    assert [one["status"] for one in world.charges("paystack", payment["id"])] == ["succeeded"]
