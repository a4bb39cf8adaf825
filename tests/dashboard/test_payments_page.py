"""Payments on the pages: found by whatever id one has, filtered, and one of them whole, with what may be done."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from core.domain.identifiers import parse_id
from tests.dashboard.people import Browser, browser_for, home
from tests.support.world import World


@pytest.fixture(scope="module")
def paid(world: World) -> dict[str, str]:
    """A payment with a refund, and the ids that lead to it."""
    person = {"email": "ada@example.com", "name": "Ada Lovelace", "phone": "+44 20 7946 0958"}
    made = world.pay(reference="order-77", customer=person, metadata={"shelf": "b<4>"})
    world.post(f"/v1/payments/{made['id']}/refunds", {"amount": 1200})
    world.settle()
    with world.owner.connect() as connection:
        row = connection.exec_driver_sql(
            "SELECT provider_id FROM transactions WHERE payment_id = %s AND kind = 'charge'",
            (parse_id("payment", made["id"]),),
        ).one()
    refund = world.get(f"/v1/payments/{made['id']}/refunds").json()["data"][0]["id"]
    return {"payment": made["id"], "provider": row.provider_id, "refund": refund, "reference": "order-77"}


@pytest.fixture
def browser(world: World) -> Iterator[Browser]:
    made = browser_for(world, "support")
    yield made
    made.http.close()


@pytest.mark.parametrize("kind", ["payment", "provider", "refund"])
def test_any_id_leads_to_the_payment(world: World, browser: Browser, paid: dict[str, str], kind: str) -> None:
    browser.get(f"{home(world)}/payments?q={paid[kind]}")
    assert browser.page is not None
    assert browser.page.url.endswith(f"/payments/{paid['payment']}")


def test_a_reference_is_searched_and_what_is_not_there_said(
    world: World, browser: Browser, paid: dict[str, str]
) -> None:
    assert paid["payment"] in browser.get(f"{home(world)}/payments?q=order-77").text
    assert paid["payment"] not in browser.get(f"{home(world)}/payments?q=order-7").text
    assert "No payment fits" in browser.text()
    browser.get(f"{home(world, 'live')}/payments?q={paid['payment']}")
    assert "No payment fits" in browser.text()


def test_filters_are_kept_in_the_form_and_over_pages(world: World, browser: Browser, paid: dict[str, str]) -> None:
    for number in range(52):
        world.create(reference=f"many-{number}")
    browser.get(f"{home(world)}/payments?status=processing&currency=usd&from=2020-01-01&until=2100-01-01&provider=")
    form = browser.form("/payments")
    assert form.fields == {
        "q": "", "status": "processing", "currency": "usd", "from": "2020-01-01", "until": "2100-01-01",
    }  # fmt: skip
    assert browser.page is not None
    assert browser.page.text.count('scope="row"') == 50
    (onward,) = re.findall(r'<a href="([^"]+)" rel="next"', browser.page.text)
    first = set(re.findall(r"pay_\w+", browser.page.text))
    second = set(re.findall(r"payments/(pay_\w+)", browser.get(onward.replace("&amp;", "&")).text))
    assert len(second) >= 2
    assert not first & second
    assert paid["payment"] not in first | second, "it has succeeded"
    for query, status in (("currency=XYZ", 422), ("from=yesterday", 422), ("customer=cus_x", 404), ("after=x", 404)):
        assert browser.get(f"{home(world)}/payments?{query}").status_code == status


def test_why_it_went_there_calls_accounts_by_their_names(world: World, browser: Browser, paid: dict[str, str]) -> None:
    page = browser.get(f"{home(world)}/payments/{paid['payment']}").text
    why = page[page.index("Why it went there") : page.index("Sent to providers")]
    name = world.one("SELECT name FROM provider_accounts WHERE id = :id", id=world.accounts["stripe"])["name"]
    assert f"{name} (stripe) can carry it and was chosen" in why
    assert "acc_" not in why


def test_one_payment_whole(world: World, browser: Browser, paid: dict[str, str]) -> None:
    page = browser.get(f"{home(world)}/payments/{paid['payment']}").text
    text = browser.text()
    for said in (
        "$50.00", "Received", "-$12.00", "$38.00", "order-77", "Routed to", "charge", "refund",
        "Asked for the payment", "The payment went from processing to succeeded", paid["provider"], "b<4>",
    ):  # fmt: skip
        assert said in text, said
    assert "b&lt;4&gt;" in page
    for hidden in ("ada@example.com", "Lovelace", "7946"):
        assert hidden not in page
    times = re.findall(r'<time datetime="([^"]+)"', page[page.index('class="timeline"') :])
    assert times == sorted(times)
    assert len(times) > 8


def test_another_merchants_payment_is_not_there(world: World, browser: Browser, paid: dict[str, str]) -> None:
    assert browser.get(f"{home(world, 'live')}/payments/{paid['payment']}").status_code == 404
    assert browser.get(f"{home(world)}/payments/pay_00000000000000000000000000").status_code == 404


def test_the_provider_is_asked(world: World, browser: Browser) -> None:
    payment = world.create(reference="asked")["id"]
    browser.get(f"{home(world)}/payments/{payment}")
    browser.submit(f"{payment}/sync")
    assert "will be asked" in browser.text()
    assert "Job sync payment" in browser.text()
    browser.get(f"{home(world)}/payments/{payment}")
    assert "will be asked in a moment" not in browser.text(), "said once"
    world.settle()
    assert "person:adm_" in browser.get(f"{home(world)}/payments/{payment}").text


def test_a_customer_is_shown_once_with_a_reason_and_a_record(
    world: World, browser: Browser, paid: dict[str, str]
) -> None:
    address = f"{home(world)}/payments/{paid['payment']}"
    browser.get(address)
    browser.submit("/reveal", reason="")
    assert "reason is missing" in browser.text()
    browser.get(address)
    page = browser.submit("/reveal", reason="ticket 4711: customer rang").text
    for shown in ("ada@example.com", "Ada Lovelace", "+44 20 7946 0958", "the audit log says so"):
        assert shown in page
    assert "ada@example.com" not in browser.get(address).text
    with world.owner.connect() as connection:
        row = connection.exec_driver_sql(
            "SELECT actor, action, details, from_address FROM audit_log WHERE action LIKE 'customer.%%' "
            "ORDER BY number DESC LIMIT 1"
        ).one()
    assert row.actor.startswith("person:adm_")
    assert (row.action, row.details, row.from_address) == (
        "customer.revealed", {"reason": "ticket 4711: customer rang"}, "127.0.0.1",
    )  # fmt: skip
    world.advance(world.settings.session_confirm + 60)
    browser.get(address)
    browser.submit("/reveal", reason="once more")
    assert browser.title() == "Say again who you are"
