"""A close waits for every log that belongs to it, and puts what is late under who answered then."""

from collections import Counter
from datetime import date

from services.scoring import state
from services.scoring.rate import Rate
from shared.events import bank
from shared.testing.space import ServiceUnderTest, Space
from tests.integration import ledger_room, pools_room, scoring_room
from tests.integration.ledger_room import manager
from tests.integration.pools_room import (
    ENDS,
    FEBRUARY,
    JANUARY,
    allocated,
    booked,
    close,
    contact,
    cost,
    driver_rate,
    sheet,
    work,
)
from tests.integration.scoring_room import rows
from tests.integration.test_scoring_taxes import expected, posted, tax_rate
from tests.integration.test_scoring_totals import residual
from tests.ledger_bank import Bank

scoring, months = scoring_room.scoring, pools_room.months
made, scored = ledger_room.made, ledger_room.scored
NEW_MANAGER_ON = date(2025, 2, 10)
Place = tuple[str, str, str]


def _places(scoring: ServiceUnderTest, component: str) -> Counter[tuple[str, str, Place]]:
    """What C0 bears of a component: by month of the close and of the origin, and by place."""
    found: Counter[tuple[str, str, Place]] = Counter()
    for period, origin, *place, amount in rows(scoring, """
        select period, origin_period, manager_code, branch_code, region_code, amount_minor
          from leaves where customer_number = 'C0' and component = :component""",
        component=component):  # fmt: skip
        found[period, origin, (place[0], place[1], place[2])] += amount
    return found


def _at(found: Counter[tuple[str, str, Place]]) -> set[tuple[str, str, Place]]:
    return {key for key, amount in found.items() if amount}


BEFORE, AFTER = ("RM1", "SH01", "east"), ("RM2", "BJ01", "north")
AS_ANSWERED = {(JANUARY, JANUARY, BEFORE), (FEBRUARY, JANUARY, BEFORE), (FEBRUARY, FEBRUARY, AFTER)}


def test_what_is_late_stands_under_who_answered_at_the_end_of_its_own_month(
    space: Space, months: ServiceUnderTest
) -> None:
    """Overhead, contacts and tax alike: who came in February pays nothing of January."""
    contacts = driver_rate("contact", 700, date(2025, 1, 1))
    space.publish(contacts, tax_rate(250_000, date(2025, 1, 1)))
    space.publish(contact("C0", "k1"), businessdate=date(2025, 1, 9))
    booked(space, cost("c1", "HQ", 50_000, "transaction"))
    months.drain()
    close(months, JANUARY)
    manager(space, "C0", "RM2", "BJ01", NEW_MANAGER_ON)
    booked(space, cost("late", "HQ", 1_000_003, "transaction"))
    booked(space, cost("c2", "HQ", 40_000, "transaction", FEBRUARY), on=ENDS[FEBRUARY])
    space.publish(contact("C0", "k2"), businessdate=date(2025, 1, 30))
    space.publish(contact("C0", "k3"), businessdate=date(2025, 2, 3))
    months.drain()
    close(months, FEBRUARY)
    assert residual(months) == 0
    for component in ("overhead", "contact", "tax"):
        assert _at(_places(months, component)) == AS_ANSWERED, component


def test_a_customer_who_changes_hands_within_a_month_is_his_who_has_him_at_its_end(
    space: Space, months: ServiceUnderTest
) -> None:
    manager(space, "C0", "RM2", "BJ01", date(2025, 1, 31))
    booked(space, cost("c1", "HQ", 50_000, "transaction"))
    months.drain()
    close(months, JANUARY)
    assert _at(_places(months, "overhead")) == {(JANUARY, JANUARY, AFTER)}


def test_the_rate_of_tax_of_a_month_is_that_of_its_last_day(
    space: Space, months: ServiceUnderTest
) -> None:
    space.publish(tax_rate(250_000, date(2025, 1, 1)), tax_rate(200_000, date(2025, 1, 31)))
    space.publish(tax_rate(100_000, date(2025, 2, 15)), tax_rate(900_000, date(2025, 3, 1)))
    months.drain()
    close(months, FEBRUARY)
    assert residual(months) == 0
    found = {key: amount for key, amount in posted(months).items() if key[1] <= FEBRUARY}
    assert {origin for _, origin in found} == {JANUARY, FEBRUARY}
    assert found == expected(months, {JANUARY: 200_000, FEBRUARY: 100_000})


def _closes(scoring: ServiceUnderTest, period: str) -> None:
    for partition in pools_room.partitions_of(scoring):
        pools_room.closes(scoring, partition, ENDS[period])


def test_a_month_waits_for_the_transactions_that_stand_in_the_log(
    space: Space, months: ServiceUnderTest, made: Bank
) -> None:
    booked(space, cost("c1", "HQ", 1_000, "transaction"))
    months.drain()
    used = next(e.data for _, e in made.events if isinstance(e.data, bank.TransactionBooked)
                and e.data.customer_number == "C2")  # fmt: skip
    unread = [
        bank.TransactionBooked(
            transaction_id=f"unread-{n}", customer_number="C2", account_number=used.account_number,
            product_code=used.product_code, amount_minor=1, currency="CNY", kind="cash_in",
            initiated_by="customer", booked_on=ENDS[JANUARY],
        ) for n in range(1_000)
    ]  # fmt: skip
    space.publish(*unread, businessdate=ENDS[JANUARY])
    _closes(months, JANUARY)
    assert work(months) == 0, "they stand in the log and are not read yet"
    months.drain()
    assert work(months) > 0
    own = pools_room.uses(made, JANUARY)
    assert sheet(months, JANUARY)[JANUARY, "HQ", "transaction"][4] == own.total() + len(unread)
    borne = -sum(amount for key, amount in allocated(months).items() if key[0] == "C2")
    assert borne > 900, "who used most bears most"


def test_a_month_waits_for_the_rates_that_the_worker_has_taken(
    space: Space, months: ServiceUnderTest, made: Bank
) -> None:
    booked(space, cost("c1", "CARDS", 900_001, "card"))
    months.drain()
    fact = driver_rate("card", 3, date(2025, 1, 1))
    taken_by_worker = Rate(fact.key("core"), fact.kind, "", "card", fact.from_on.toordinal(), 3)
    for partition in pools_room.partitions_of(months):
        key, value = state.rate_record(partition, taken_by_worker)
        space.sender.send("scoring.state", key, value, partition).result(10)
    _closes(months, JANUARY)
    assert work(months) == 0, "what the rate charged is not known yet"
    months.drain()
    assert work(months) > 0
    actual, charged, _, amount, _ = sheet(months, JANUARY)[JANUARY, "CARDS", "card"]
    assert (actual, amount) == (900_001, 900_001 - charged)
    assert charged == 3 * pools_room.uses(made, JANUARY, kind="card").total()
