"""Several accounts of one number: each has its own holders, place and events."""

import re
from dataclasses import replace
from datetime import date, timedelta
from importlib import import_module
from typing import Any

import pytest
from sqlalchemy import text

from services.scoring.commands.leaves import keep_leaves
from services.scoring.leaves import Leaf, encode
from shared.events import Event, bank
from shared.testing.space import ServiceUnderTest, Space
from shared.wire import Record
from tests.integration import pools_room, scoring_room
from tests.integration.scoring_room import rows
from tests.ledger_bank import FIRST_DAY, event_of, random_bank
from tests.scored import Scored
from tests.workers import closed

scoring = scoring_room.scoring
NUMBER = {"customer_number": "C0", "account_number": "7"}
HALVES = tuple(bank.Holder(customer_number=c, role="holder", share_ppm=500_000)
               for c in ("C0", "C1"))  # fmt: skip
# As CA.
OVERDRAWN = bank.ProductDescribed(product_code="SA", names={"zh-CN": "储蓄", "en": "Savings"},
                                  line_code="liability", overdraft_product_code="OD")  # fmt: skip
Told = tuple[int, Event[Any]]


def on_day(n: int) -> date:
    return FIRST_DAY + timedelta(days=n)


def opening(event_id: str, slot: int, product: str, currency: str = "CNY", **of: Any) -> Told:
    fact = bank.AccountOpened(**NUMBER, product_code=product, currency=currency,
                              opened_on=on_day(slot), **of)  # fmt: skip
    return slot, event_of(fact, event_id, on_day(slot))


def fee(
    event_id: str, slot: int, amount: int, product: str, currency: str = "CNY", **of: Any
) -> Told:  # fmt: skip
    fact = bank.TransactionBooked(
        **NUMBER, product_code=product, currency=currency, kind="fee", initiated_by="bank",
        transaction_id=event_id, amount_minor=-amount, booked_on=on_day(slot), **of,
    )  # fmt: skip
    return slot, event_of(fact, event_id, on_day(slot))


def lived(space: Space, scoring: ServiceUnderTest, *told: Told) -> ServiceUnderTest:
    """The small bank with these events in the order that they are given in, and their leaves."""
    made = random_bank(3)
    made.rates.append(event_of(OVERDRAWN, "product-SA", FIRST_DAY))
    made.events += told
    order: list[Event[Any]] = []
    for slot in range(made.days):
        today = [event for at, event in made.events if at == slot]
        today.sort(key=lambda event: not isinstance(event.data, bank.LoanGranted))
        order += [*today, closed(on_day(slot))]
    scored = Scored(made).run(order, 50)
    assert scored.refused == []
    return pools_room.filled(space, scoring, made, scored)


JOINT = opening("joint", 2, "CA", holders=HALVES, channel_code="app")
ALONE = opening("alone", 3, "SA", channel_code="branch")
ABROAD = opening("abroad", 4, "CA", "USD", channel_code="branch")


@pytest.mark.parametrize(
    "openings", [(JOINT, ALONE, ABROAD), (ABROAD, ALONE, JOINT)], ids=["joint first", "joint last"]
)
def test_who_holds_one_account_of_a_number_does_not_hold_the_others(
    space: Space, scoring: ServiceUnderTest, openings: tuple[Told, ...]
) -> None:
    same_day = [(4, event_of(e.data, e.id, on_day(4))) for _, e in openings]
    months = lived(space, scoring, *same_day, fee("ca", 5, 1_000, "CA"), fee("sa", 5, 3_000, "SA"))
    for table in ("leaves", "open_leaves"):
        fees = "sum(amount_minor) filter (where component = 'fee')"
        found = rows(months, f"""
            select customer_number, product_code, owner_number, min(channel_code),
                   max(channel_code){f", {fees}" if table == "leaves" else ""}
              from {table} where account_number = '7' and product_code in ('CA', 'SA')
             group by 1, 2, 3""")  # noqa: S608  # fmt: skip
        assert {row[:3]: row[3:5] for row in found} == {
            ("C0", "CA", ""): ("app", "app"), ("C1", "CA", "C0"): ("app", "app"),
            ("C0", "SA", ""): ("branch", "branch"),
        }  # fmt: skip
        if table == "leaves":
            assert {row[:2]: int(row[5]) for row in found} == {
                ("C0", "CA"): 500, ("C1", "CA"): 500, ("C0", "SA"): 3_000,
            }  # fmt: skip


def test_what_an_overdraft_costs_is_of_who_holds_the_account_that_is_overdrawn(
    space: Space, scoring: ServiceUnderTest
) -> None:
    months = lived(space, scoring, JOINT, ALONE, fee("ca", 5, 10**9, "CA"),
                   fee("sa", 5, 10**9, "SA"))  # fmt: skip
    found = rows(months, """
        select distinct account_product_code, customer_number, channel_code from leaves
         where account_number = '7' and product_code = 'OD' and component = 'ftp'""")  # fmt: skip
    assert set(found) == {("CA", "C0", "app"), ("CA", "C1", "app"), ("SA", "C0", "branch")}


def test_an_account_of_which_no_opening_was_told_is_its_owners_alone(
    space: Space, scoring: ServiceUnderTest
) -> None:
    """Without a channel. A loan's leaf says no product of an account: it goes by the number."""
    loan = bank.LoanGranted(**NUMBER, loan_number="L7", product_code="LN", currency="CNY",
                            principal_minor=10**9, granted_on=on_day(4))  # fmt: skip
    months = lived(space, scoring, JOINT, (4, event_of(loan, "event-loan", on_day(4))),
                   fee("ca", 5, 1_000, "CA"), fee("sa", 5, 3_000, "SA"))  # fmt: skip
    found = rows(months, """
        select product_code, customer_number, channel_code, sum(amount_minor) from leaves
         where account_number = '7' and component = 'fee' group by 1, 2, 3""")
    assert {row[:3]: int(row[3]) for row in found} == {
        ("CA", "C0", "app"): 500, ("CA", "C1", "app"): 500, ("SA", "C0", ""): 3_000,
    }  # fmt: skip
    for table in ("leaves", "open_leaves"):
        found = rows(months, f"""
            select distinct product_code, customer_number, channel_code from {table}
             where account_number = '7' and product_code <> 'OD'""")  # noqa: S608
        assert set(found) == {
            ("CA", "C0", "app"), ("CA", "C1", "app"), ("SA", "C0", ""),
            ("LN", "C0", "app"), ("LN", "C1", "app"),
        }  # fmt: skip


def test_a_leaf_of_an_overdraft_that_does_not_name_its_account_is_of_one_overdrawn_so(
    space: Space, scoring: ServiceUnderTest
) -> None:
    """As it was posted before leaves named it. Of a product without an overdraft it is not."""
    months = lived(space, scoring, opening("first", 1, "SA", channel_code="branch"), JOINT)
    told = [Leaf("C0", "7", product, "ftp", "2024-12", "2024-12", -1_000)
            for product in ("OD", "XX")]  # fmt: skip
    with months.database.transaction() as tx:
        tx.session.execute(text("delete from overdrafts where product_code = 'SA'"))
        keep_leaves(tx, [Record("scoring.leaves", 0, 10**6 + n, b"C0", encode(leaf), 0)
                         for n, leaf in enumerate(told)])  # fmt: skip
    found = rows(months, """
        select product_code, customer_number, channel_code, amount_minor from leaves
         where account_number = '7' and period = '2024-12'""")
    assert set(found) == {
        ("OD", "C0", "app", -500), ("OD", "C1", "app", -500), ("XX", "C0", "", -1_000),
    }  # fmt: skip


def test_openings_of_before_products_were_kept_are_those_of_now(
    space: Space, scoring: ServiceUnderTest
) -> None:
    months = lived(space, scoring, JOINT, ALONE, ABROAD)
    asked = "select * from account_openings order by customer_number, event_offset"
    before = rows(months, asked)
    migration = import_module("services.scoring.migrations.0032_accounts_of_one_number")
    as_it_was = """
        insert into account_openings (customer_number, account_number, event_offset, on_date)
        select customer_number, account_number, event_offset, businessdate from bank_events
         where event_id = 'abroad'"""
    with months.database.transaction() as tx:
        tx.session.execute(text("update account_openings set product_code = ''"))
        assert tx.session.execute(text(as_it_was)).rowcount == 1
        tx.session.execute(text(migration.PRODUCTS))
        tx.session.execute(text(migration.FOREIGN), {"home": "CNY"})
    assert rows(months, asked) == before


def shown(months: ServiceUnderTest, product: str, component: str, period: str) -> set[str]:
    """The events that the page of a leaf names."""
    client = months.client(replace(scoring_room.HEAD, language="en"))
    page = client.get("/contribution/leaf", params={
        **NUMBER, "product_code": product, "component": component, "period": period,
        "origin_period": period, "account_product_code": "CA" if product == "OD" else "",
    })  # fmt: skip
    assert page.status_code == 200
    found = set(re.findall(r">(event-[a-z]+)</td>", page.text))
    assert len(found) == page.text.count("data-row")
    return found


def test_a_leaf_opens_to_the_events_of_its_own_account(
    space: Space, scoring: ServiceUnderTest
) -> None:
    """Of its product and currency; what an overdraft costs to those of the account."""
    months = lived(
        space, scoring, opening("event-oca", 2, "CA"), opening("event-osa", 2, "SA"),
        opening("event-ousd", 2, "CA", "USD"), fee("event-ca", 5, 10**9, "CA"),
        fee("event-sa", 5, 3_000, "SA"), fee("event-usd", 5, 50, "CA", "USD"),
    )  # fmt: skip
    assert shown(months, "CA", "fee", "2025-01") == {"event-ca"}
    assert shown(months, "SA", "fee", "2025-01") == {"event-sa"}
    assert shown(months, "OD", "ftp", "2025-01") == {"event-oca", "event-ca"}


def test_a_leaf_opens_to_what_counts_in_its_month_and_not_to_what_is_booked_in_it(
    space: Space, scoring: ServiceUnderTest
) -> None:
    """But a use costs when it is booked."""
    months = lived(
        space, scoring, opening("event-o", 2, "CA"), fee("event-jan", 21, 500, "CA"),
        fee("event-ahead", 20, 1_000, "CA", value_on=date(2025, 2, 10)),
        fee("event-back", 32, 2_000, "CA", value_on=date(2025, 1, 30)),
        fee("event-feb", 33, 4_000, "CA"),
    )  # fmt: skip
    assert shown(months, "CA", "fee", "2025-01") == {"event-jan"}
    assert shown(months, "CA", "fee", "2025-02") == {"event-ahead", "event-feb"}
    assert shown(months, "CA", "abc_txn", "2025-01") == {"event-jan", "event-ahead"}
    assert shown(months, "CA", "abc_txn", "2025-02") == {"event-back", "event-feb"}
