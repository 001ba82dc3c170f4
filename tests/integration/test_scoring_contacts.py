"""What contacts cost: a leaf of the customer himself, exact, dated, once, in all totals."""

import html
import re
from collections import Counter
from dataclasses import replace
from datetime import date, timedelta

import pytest

from services.scoring.commands import store
from shared.events import bank
from shared.testing.space import ServiceUnderTest, Space
from tests.integration import ledger_room, pools_room, scoring_room
from tests.integration.ledger_room import manager
from tests.integration.pools_room import (
    FEBRUARY,
    JANUARY,
    booked,
    close,
    contact,
    cost,
    driver_rate,
    sheet,
)
from tests.integration.scoring_room import party, rows
from tests.integration.test_scoring_totals import residual

scoring, months = scoring_room.scoring, pools_room.months
made, scored = ledger_room.made, ledger_room.scored
HEAD = replace(scoring_room.HEAD, language="en")
NEW_YEAR, FIRST = date(2025, 1, 1), date(2025, 1, 7)


def happened(space: Space, *facts: bank.ContactRecorded, on: date, event_id: str = "") -> None:
    for fact in facts:
        name = event_id or f"contact-{fact.contact_id}"
        space.publish(fact, businessdate=on, event_id=name, source="crm")


@pytest.fixture
def called(space: Space, scoring: ServiceUnderTest) -> ServiceUnderTest:
    """C0 is called twice and visits once, C1 is called once, C2 writes by a way without a rate."""
    party(space, "P0", "C0")
    party(space, "P1", "C1")
    manager(space, "C0", "RM1", "SH01", NEW_YEAR)
    space.publish(
        driver_rate("contact/phone", 600, NEW_YEAR),
        driver_rate("contact/phone", 700, date(2025, 1, 20)),
        driver_rate("contact/branch", 2_500, NEW_YEAR),
    )
    happened(space, contact("C0", "1"), contact("C1", "2"), on=FIRST)
    happened(space, contact("C0", "3", "branch"), on=FIRST)
    happened(space, contact("C0", "4"), on=date(2025, 1, 20))
    happened(space, contact("C2", "5", "letter"), on=FIRST)
    scoring.drain()
    return scoring


def of(scoring: ServiceUnderTest) -> dict[str, tuple[int, int]]:
    """Posted and accrued by customer: of the leaves and of the open ones."""
    found: dict[str, list[int]] = {}
    for number, amount in rows(scoring, "select customer_number, amount_minor from leaves"
                                        " where component = 'contact'"):  # fmt: skip
        found.setdefault(number, [0, 0])[0] += amount
    for number, amount in rows(scoring, "select customer_number, contact from open_leaves"):
        found.setdefault(number, [0, 0])[1] += amount
    return {number: (a, b) for number, (a, b) in found.items() if a or b}


def test_a_contact_costs_the_rate_of_its_channel_on_its_day(called: ServiceUnderTest) -> None:
    assert of(called) == {"C0": (0, -600 - 2_500 - 700), "C1": (0, -600)}
    assert residual(called) == 0
    total = rows(called, """select posted_minor, accrued_minor from contribution_totals
                             where dimension = 'bank' and component = 'contact'""")  # fmt: skip
    assert total == [(0, -4_400)]
    place = rows(called, """select manager_code, account_number, product_code from open_leaves
                             where customer_number = 'C0'""")  # fmt: skip
    assert place == [("RM1", "", "")], "of the customer, not of one of his accounts"


def test_at_the_months_close_it_is_posted_and_nothing_stays_open(
    space: Space, called: ServiceUnderTest
) -> None:
    happened(space, contact("C0", "9"), on=date(2025, 2, 3))
    called.drain()
    close(called, JANUARY)
    assert of(called) == {"C0": (-3_800, -700), "C1": (-600, 0)}
    assert residual(called) == 0
    leaves = rows(called, """select period, origin_period, manager_code, sum(amount_minor)
        from leaves where component = 'contact' group by 1, 2, 3 order by 3""")  # fmt: skip
    assert [tuple(row) for row in leaves] == [
        (JANUARY, JANUARY, "", -600), (JANUARY, JANUARY, "RM1", -3_800),
    ]  # fmt: skip
    close(called, FEBRUARY)
    assert of(called) == {"C0": (-4_500, 0), "C1": (-600, 0)}


def test_what_comes_twice_costs_once(space: Space, called: ServiceUnderTest) -> None:
    happened(space, contact("C0", "1"), on=FIRST)
    called.drain()
    assert of(called)["C0"] == (0, -3_800)
    close(called, JANUARY)
    happened(space, contact("C0", "1"), on=FIRST)
    called.drain()
    close(called, FEBRUARY)
    assert of(called)["C0"] == (-3_800, 0)
    assert residual(called) == 0


def test_a_late_contact_is_a_leaf_of_the_open_month_that_names_its_own(
    space: Space, called: ServiceUnderTest
) -> None:
    close(called, JANUARY)
    happened(space, contact("C1", "8"), on=date(2025, 1, 3))
    called.drain()
    assert of(called)["C1"] == (-600, -600)
    close(called, FEBRUARY)
    found = rows(called, """select period, origin_period, amount_minor from leaves
        where component = 'contact' and customer_number = 'C1' order by 1""")  # fmt: skip
    assert found == [(JANUARY, JANUARY, -600), (FEBRUARY, JANUARY, -600)]
    assert residual(called) == 0


def test_a_contact_without_a_rate_waits_and_a_rate_of_before_corrects(
    space: Space, called: ServiceUnderTest
) -> None:
    close(called, JANUARY)
    assert "C2" not in of(called)
    page = called.client(HEAD).get(f"/contribution/allocation?period={JANUARY}").text
    assert "1 contact of this month waits for a rate" in page
    space.publish(
        driver_rate("contact", 30, NEW_YEAR),  # of any channel that has none of its own
        driver_rate("contact/phone", 650, NEW_YEAR),  # a correction of what was posted
    )
    called.drain()
    assert of(called) == {"C0": (-3_800, -50), "C1": (-600, -50), "C2": (0, -30)}
    assert residual(called) == 0
    close(called, FEBRUARY)
    assert of(called) == {"C0": (-3_850, 0), "C1": (-650, 0), "C2": (-30, 0)}
    origins = rows(called, """select distinct period, origin_period from leaves
                               where component = 'contact' order by 1""")  # fmt: skip
    assert origins == [(JANUARY, JANUARY), (FEBRUARY, JANUARY)]


def test_a_contact_that_is_refused_after_all_costs_nothing(
    space: Space, called: ServiceUnderTest
) -> None:
    place = rows(called, """select partition, event_offset from bank_events
                             where event_id = 'contact-3'""")[0]  # fmt: skip
    with called.database.transaction() as tx:
        store.forget_events(tx, [(int(place[0]), int(place[1]))])
    assert of(called)["C0"] == (0, -1_300)
    assert residual(called) == 0


def test_the_pool_of_contacts_goes_to_those_who_were_in_contact(
    space: Space, called: ServiceUnderTest
) -> None:
    booked(space, cost("c1", "CALLS", 10_000, "contact/phone"), cost("c2", "DESK", 900, "contact"))
    called.drain()
    close(called, JANUARY)
    pools = sheet(called, JANUARY)
    assert pools[JANUARY, "CALLS", "contact/phone"] == (10_000, 1_900, 0, 8_100, 3)
    assert pools[JANUARY, "DESK", "contact"] == (900, 0, 0, 900, 5)
    found: Counter[tuple[str, str]] = Counter()
    for number, component, amount in rows(called, """select customer_number, component,
        amount_minor from leaves where component in ('variance', 'overhead')"""):  # fmt: skip
        found[number, component] += amount
    assert found == {
        ("C0", "variance"): -5_400, ("C1", "variance"): -2_700, ("C0", "overhead"): -540,
        ("C1", "overhead"): -180, ("C2", "overhead"): -180,
    }  # fmt: skip
    assert residual(called) == 0


def test_a_leaf_of_contacts_opens_to_them(called: ServiceUnderTest) -> None:
    client = called.client(HEAD)
    page = client.get("/contribution/leaves?by=component&code=contact&state=accrued").text
    door = next(d for d in re.findall(r'href="/scoring(/contribution/leaf\?[^"]*)"', page)
                if "C0" in d)  # fmt: skip
    opened = client.get(html.unescape(door))
    assert opened.status_code == 200
    assert "Contacts in this time" in opened.text
    assert set(re.findall(r"contact-(\d)", opened.text)) == {"1", "3", "4"}
    assert "No product" in client.get("/contribution/value?by=product").text
    report = client.get("/contribution/parties/P0").text
    assert "Cost of contacts" in report


def test_a_manager_who_takes_over_takes_the_costs_along(
    space: Space, called: ServiceUnderTest
) -> None:
    manager(space, "C0", "RM9", "BJ01", FIRST + timedelta(days=1))
    called.drain()
    assert residual(called) == 0
    place = rows(called, "select manager_code from open_leaves where customer_number = 'C0'")
    assert place == [("RM9",)]
