"""A rate that is nearer to a use than another: charged from its own day on, as the worker does."""

from datetime import date, timedelta
from random import Random

import pytest

from shared.events import bank
from shared.testing.space import ServiceUnderTest, Space
from tests.integration import pools_room, scoring_room
from tests.integration.pools_room import (
    FEBRUARY,
    JANUARY,
    booked,
    charged_as_by,
    close,
    contact,
    cost,
    driver_rate,
    sheet,
    taken,
)
from tests.integration.scoring_room import party, rows
from tests.integration.test_scoring_totals import residual
from tests.ledger_bank import FIRST_DAY, KINDS, event_of, random_bank, stream
from tests.scored import Scored

scoring = scoring_room.scoring
NEW_YEAR = date(2025, 1, 1)


def card(n: int, day: int, channel: str, product: str = "CA") -> bank.TransactionBooked:
    return bank.TransactionBooked(
        transaction_id=f"{n}", customer_number="C7", account_number=f"7-{product}",
        product_code=product, amount_minor=-5, currency="CNY", kind="card",
        initiated_by="customer", channel_code=channel, booked_on=date(2025, 1, day),
    )  # fmt: skip


@pytest.mark.parametrize("is_posted", [False, True], ids=["accrued", "posted"])
def test_a_nearer_rate_of_contacts_of_a_day_to_come_touches_no_contact_before_it(
    space: Space, scoring: ServiceUnderTest, is_posted: bool
) -> None:
    party(space, "P0", "C0")
    space.publish(driver_rate("contact", 100, NEW_YEAR))
    space.publish(contact("C0", "1"), businessdate=date(2025, 1, 20))
    scoring.drain()
    if is_posted:
        close(scoring, JANUARY)
    space.publish(driver_rate("contact/phone", 150, date(2025, 2, 10)))
    space.publish(contact("C0", "2"), businessdate=date(2025, 2, 9))
    space.publish(contact("C0", "3"), businessdate=date(2025, 2, 10))
    scoring.drain()
    total = rows(scoring, "select posted_minor, accrued_minor from numbers")
    assert total == [(-100, -250) if is_posted else (0, -350)]
    close(scoring, JANUARY)
    close(scoring, FEBRUARY)
    found = rows(scoring, """select period, origin_period, amount_minor from leaves
        where component = 'contact' order by 1""")  # fmt: skip
    assert found == [(JANUARY, JANUARY, -100), (FEBRUARY, FEBRUARY, -250)]
    assert residual(scoring) == 0


def test_a_pool_is_charged_by_the_nearest_rates_in_force_on_each_day(
    space: Space, scoring: ServiceUnderTest
) -> None:
    taken(
        scoring, driver_rate("card", 1, NEW_YEAR), driver_rate("card/atm", 100, date(2025, 1, 20)),
        driver_rate("card/web", 1_000, date(2025, 2, 10)),
        driver_rate("card", 10, date(2025, 1, 25), "SA"),
    )  # fmt: skip
    of_atm = [card(1, 5, "atm"), card(2, 19, "atm"), card(3, 20, "atm")]
    others = [card(4, 25, "web"), card(5, 24, "app", "SA"), card(6, 25, "app", "SA"),
              card(7, 26, "atm", "SA")]  # the channel is nearer than the product
    for fact in (*of_atm, *others):
        space.publish(fact, businessdate=fact.booked_on)
    booked(space, *(cost(driver, driver, 10_000, driver) for driver in ("card", "card/atm")))
    booked(space, cost("w", "WEB", 10_000, "card/web"))
    scoring.drain()
    close(scoring, JANUARY)
    pools = sheet(scoring, JANUARY)
    assert pools[JANUARY, "card", "card"][1] == 1 + 1 + 1 + 1 + 10
    assert pools[JANUARY, "card", "card"][4] == 5
    assert pools[JANUARY, "card/atm", "card/atm"][1] == 100 + 100
    assert pools[JANUARY, "card/atm", "card/atm"][4] == 2
    # Its rate begins in February: a pool of January goes to whom its name means.
    assert pools[JANUARY, "WEB", "card/web"] == (10_000, 0, 0, 10_000, 1)
    components = rows(scoring, "select cost_centre_code, component from allocations order by 1")
    assert components == [("WEB", "overhead"), ("card", "variance"), ("card/atm", "variance")]


def test_from_a_products_own_upkeep_on_that_of_all_charges_no_pool_for_it(
    space: Space, scoring: ServiceUnderTest
) -> None:
    taken(
        scoring, driver_rate("account_day", 1, NEW_YEAR),
        driver_rate("account_day", 2, date(2025, 1, 11), "CA"),
        driver_rate("account_day", 5, date(2025, 1, 21)),
    )  # fmt: skip
    opened = bank.AccountOpened(customer_number="C7", account_number="7", product_code="CA",
                                currency="CNY", opened_on=NEW_YEAR)  # fmt: skip
    space.publish(opened, businessdate=NEW_YEAR)
    booked(space, cost("upkeep", "upkeep", 10_000, "account_day"))
    scoring.drain()
    close(scoring, JANUARY)
    assert sheet(scoring, JANUARY)[JANUARY, "upkeep", "account_day"][1] == 10 * 1 + 21 * 2


def test_what_nearer_rates_charged_is_what_the_leaves_charge(
    space: Space, scoring: ServiceUnderTest
) -> None:
    made = random_bank(5)
    for n, driver in enumerate((*KINDS, "account_day")):
        on = FIRST_DAY + timedelta(days=7 + 4 * n)
        fact = driver_rate(driver, 5_000 + n, on, "CA")
        made.rates.append(event_of(fact, f"nearer-{n}", FIRST_DAY))
    scored = Scored(made).run(stream(made, Random(5)), 50)
    assert scored.refused == []
    months = pools_room.filled(space, scoring, made, scored)
    charged_as_by(scored, months)
