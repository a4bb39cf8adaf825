"""Time that jumps. Leases and dates are the database's; only signatures are held against the machine's clock."""

from __future__ import annotations

from tests.chaos.cases import forging
from tests.chaos.cases.case import Case, Ground, expect
from tests.support.waiting import wait_until

HOUR, TO_NEW_YEAR = 3600.0, "2027-01-01T00:00:00Z"


def jumps(ground: Ground) -> None:
    """An hour forth while work is under way, and once more an hour back to where it was."""
    for seconds in (HOUR, -HOUR, HOUR):
        ground.stage.fault("stripe", operation="payment_intents.create", effect="delay", ms=800, times=4)
        payments = ground.pay_many(4)
        if seconds > 0:
            ground.stage.advance(seconds)
        else:
            # What nobody has taken up is due when the clock says so; it is what is under way that must not suffer.
            wait_until(lambda all_=payments: all(ground.transactions(one) for one in all_), "all to be sent")
            # A provider's clock never goes back; ours may be set back.
            ground.stage.query("UPDATE app_clock SET shift = shift + make_interval(secs => %s)", seconds)
        ground.hurt("clock.jumped")
        for payment in payments:
            ground.paid_once(payment)
            expect(len(ground.transactions(payment)) == 1, "the jump made a second transaction")
        ground.stage.quiet(40)
        ground.stage.clear_faults()
    ground.stage.query("UPDATE app_clock SET shift = shift + make_interval(secs => %s)", HOUR)


def no_early_retry(ground: Ground) -> None:
    """A retry that is due in five seconds is not made by a clock that is set back, and not doubled by one set forth."""
    with ground.without_webhooks("stripe"):
        ground.stage.fault("stripe", operation="payment_intents.create", effect="timeout_after")
        payment = ground.stage.pay()["id"]
        wait_until(lambda: any(r["status"] == "unknown" for r in ground.transactions(payment)), "the time-out")
        ground.stage.query("UPDATE app_clock SET shift = shift - interval '1 hour'")
        ground.hurt("clock.set_back")
        ground.stage.pause(3)
        asked = ground.transactions(payment)[0]["lookup_count"]
        ground.stage.query("UPDATE app_clock SET shift = shift + interval '1 hour'")
        ground.since()
        ground.paid_once(payment)
    expect(asked <= 2, f"it was asked {asked} times in three seconds")


def year_end(ground: Ground) -> None:
    """Payments on both sides of midnight of New Year (UTC), also in the partitions of the new month."""
    left = ground.stage.query("SELECT extract(epoch FROM %s::timestamptz - app_now())::float AS s", TO_NEW_YEAR)[0]["s"]
    if left > 5:
        ground.stage.advance(left - 3)
    payments = ground.pay_many(10)
    ground.hurt("clock.advanced")
    ground.stage.advance(6)
    payments += ground.pay_many(10)
    for payment in payments:
        ground.paid_once(payment)
    years = {
        row["y"] for row in ground.stage.query("SELECT DISTINCT extract(year FROM created_at)::int AS y FROM audit_log")
    }
    expect(len(years) >= 2, f"all was written in {years}")


def skewed_signatures(ground: Ground) -> None:
    event = forging.stripe_event("payment_intent.created", {"id": "pi_of_another_time"})
    own = forging.secret(ground.stage, "stripe")
    before = forging.forged(ground.stage)
    for age in (310, 3600, -310, -3600):
        told = forging.deliver(ground.stage, event, headers=forging.stripe_signature(event, own, age)).status_code
        expect(told in (400, 401), f"a signature {age} s off was told {told}")
        ground.hurt("clock.signature")
    wait_until(lambda: forging.forged(ground.stage) == before + 4, "each to be counted, which is the alarm's figure")
    for age in (290, -290):
        told = forging.deliver(ground.stage, event, headers=forging.stripe_signature(event, own, age)).status_code
        expect(told == 200, f"a signature {age} s off was told {told}")


CASES = (
    Case("37a", "clock", "jumps of an hour, forth and back", "1 charge, leases hold", 3, jumps, "clock"),
    Case("37b", "clock", "set back during an unknown outcome", "no early retry", 1, no_early_retry, "clock"),
    Case("37c", "clock", "New Year's night", "paid on both sides of it", 1, year_end, "clock"),
    Case(
        "37d", "clock", "signatures of a clock that is off", "refused beyond 300 s, counted", 4, skewed_signatures,
        note="libfaketime is not there: a machine's own clock is not moved, the signature's time is",
    ),
)  # fmt: skip
