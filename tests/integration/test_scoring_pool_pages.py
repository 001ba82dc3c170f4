"""The allocation sheet: what is shown adds up, is what the leaves bear, and is the reader's own."""

import html
import re
from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest
from sqlalchemy import text

from services.scoring.pages.value import Profit
from services.scoring.queries import contribution
from shared.events import bank
from shared.policy import Actor, Scope
from shared.testing.space import ServiceUnderTest, Space
from tests.integration import ledger_room, pools_room, scoring_room
from tests.integration.ledger_room import figures_of
from tests.integration.pools_room import (
    FEBRUARY,
    JANUARY,
    NAMES,
    allocated,
    booked,
    close,
    cost,
    sheet,
)
from tests.integration.scoring_room import ALL

scoring, months = scoring_room.scoring, pools_room.months
made, scored = ledger_room.made, ledger_room.scored
HEAD = replace(scoring_room.HEAD, language="en")
PAGE = "/contribution/allocation"


@pytest.fixture
def spread(space: Space, months: ServiceUnderTest) -> ServiceUnderTest:
    space.publish(
        bank.CostPoolDescribed(cost_centre_code="COUNTER", names=NAMES, driver_code="cash_in")
    )
    booked(
        space, cost("c1", "HQ", 1_000_003, "transaction"), cost("c2", "COUNTER", 500_001),
        cost("c3", "IT", 400_000, "account_day"), cost("c4", "ART", 77),
        cost("c5", "YEAR", 9, "card", "2025"),
    )  # fmt: skip
    booked(space, cost("c6", "HQ", 50, "transaction"), on=date(2025, 2, 2))
    months.drain()
    close(months, JANUARY)
    return months


def own(code: str) -> Actor:
    scopes = (Scope("score.view", "own"),)
    return replace(HEAD, id=f"S-{code}", scopes=scopes, staff_codes=(code,))


def minor(cell: str) -> int:
    return int(Decimal(cell or "0") * 100)


def lines(scoring: ServiceUnderTest, actor: Actor = HEAD, period: str = JANUARY) -> list[list[str]]:
    answer = scoring.client(actor).get(f"{PAGE}.csv", params={"period": period})
    assert answer.status_code == 200
    return figures_of(answer.text)[1:]


def test_pools_products_and_entries_add_up_on_the_page_and_in_its_csv(
    spread: ServiceUnderTest,
) -> None:
    found = lines(spread)
    total = found.pop()
    assert total[0] == "Sum"
    pools = {(line[0], line[1]): line for line in found if not line[4]}
    parts = [line for line in found if line[4]]
    known = sheet(spread, JANUARY)
    assert set(pools) == {key[:2] for key in known}
    for origin, centre, driver in known:
        actual, charged, before, amount, weight = known[origin, centre, driver]
        line = pools[origin, centre]
        assert [minor(cell) for cell in line[6:11]] == [
            actual, charged, before, amount, actual - charged - before - amount,
        ]  # fmt: skip
        of_it = [one for one in parts if one[:2] == [origin, centre]]
        assert sum(minor(one[9]) for one in of_it) == amount
        assert sum(int(one[11]) for one in of_it) == weight
    assert [minor(cell) for cell in total[6:11]] == [
        sum(minor(line[at]) for line in pools.values()) for at in range(6, 11)
    ]
    assert minor(total[9]) == -sum(allocated(spread).values())
    assert minor(pools[JANUARY, "ART"][10]) == 77, "without a driver it is not spread"
    page = spread.client(HEAD).get(PAGE, params={"period": JANUARY}).text
    assert 'data-residual="0"' in page
    shown = re.findall(r'data-part="(-?\d+)"', page)
    assert [int(one) for one in shown] == [minor(one[9]) for one in parts]
    assert "Counter operations" in page
    assert spread.client(HEAD).get(PAGE).text.count(f"· {JANUARY}") == 1, "the last that is closed"


def test_every_product_opens_to_those_who_bear_it(spread: ServiceUnderTest) -> None:
    client = spread.client(HEAD)
    page = client.get(PAGE, params={"period": JANUARY}).text
    doors = re.findall(r'data-part="(-?\d+)"><td class="ps-5"><a href="/scoring([^"]*)"', page)
    assert len(doors) == 4, "two products of two pools"
    for amount, door in doors:
        opened = client.get(html.unescape(door))
        assert opened.status_code == 200
        assert 'data-residual="0"' in opened.text
        shares = re.findall(r'data-share="(-?\d+)"', opened.text)
        assert sum(map(int, shares)) == int(amount)
        csv = client.get(html.unescape(door).replace("/shares?", "/shares.csv?")).text
        heads, *lines = figures_of(csv)
        assert heads[:3] == ["Customer number", "Customer", "Account"], "the reader's words"
        assert [minor(line[4]) for line in lines] == [int(s) for s in shares]
    assert 'data-label="party:P0"' in opened.text or 'data-label="party:P1"' in opened.text


def test_a_share_that_is_lost_shows(spread: ServiceUnderTest) -> None:
    """The negative control, at each level."""
    client = spread.client(HEAD)
    page = client.get(PAGE, params={"period": JANUARY}).text
    door = html.unescape(re.findall(r'<a href="/scoring([^"]*/shares\?[^"]*)"', page)[0])
    assert 'data-residual="0"' in client.get(door).text
    with spread.database.transaction() as tx:
        tx.session.execute(text("update allocation_products set shared_minor = shared_minor - 3"))
    assert 'data-residual="3"' in client.get(door).text
    assert 'data-residual="3"' in client.get(PAGE, params={"period": JANUARY}).text
    with spread.database.transaction() as tx:
        one = """update allocation_products set amount_minor = amount_minor - 5 where ctid =
                 (select ctid from allocation_products limit 1)"""
        tx.session.execute(text(one))
    assert 'data-residual="5"' in client.get(PAGE, params={"period": JANUARY}).text


def test_an_entry_that_is_lost_shows_on_the_sheet(spread: ServiceUnderTest) -> None:
    with spread.database.transaction() as tx:
        one = """update month_totals set posted_minor = posted_minor + 7 where ctid =
                 (select ctid from month_totals where component = 'overhead' limit 1)"""
        tx.session.execute(text(one))
    page = spread.client(HEAD).get(PAGE, params={"period": JANUARY}).text
    assert 'data-residual="7"' in page


def test_a_manager_sees_what_his_own_bear_and_no_cost_of_the_bank(
    spread: ServiceUnderTest,
) -> None:
    mine = {k: v for k, v in allocated(spread).items() if k[0] == "C0"}
    found = lines(spread, own("RM1"))
    total = found.pop()
    assert minor(total[9]) == -sum(mine.values()) > 0
    assert {cell for line in [*found, total] for cell in line[6:9] + line[10:11]} == {""}
    page = spread.client(own("RM1")).get(PAGE, params={"period": JANUARY}).text
    assert "data-waiting" not in page
    assert "1,000,003" not in page and "10,000.03" not in page  # noqa: PT018
    door = html.unescape(re.findall(r'<a href="/scoring([^"]*/shares\?[^"]*)"', page)[0])
    opened = spread.client(own("RM1")).get(door).text
    assert set(re.findall(r'data-key="(C\d)/', opened)) == {"C0"}
    assert lines(spread, replace(own("RM1"), id="S-X", scopes=())) == []
    assert spread.client(replace(own("RM1"), id="S-X", scopes=())).get(door).status_code == 404


def test_what_is_heard_after_the_close_is_shown_as_waiting_and_what_no_month_spreads(
    spread: ServiceUnderTest,
) -> None:
    page = spread.client(HEAD).get(PAGE, params={"period": JANUARY}).text
    assert re.findall(r'data-waiting="([^"]*)"', page) == ["HQ"]
    assert "kept/2025/YEAR/CNY" in page
    close(spread, FEBRUARY)
    page = spread.client(HEAD).get(PAGE, params={"period": FEBRUARY}).text
    assert "data-waiting" not in page
    assert f'data-origin="{JANUARY}"' in page


def test_a_month_that_is_open_or_has_no_cost_says_so(
    space: Space, months: ServiceUnderTest
) -> None:
    client = months.client(HEAD)
    assert "The bank has not closed a day yet." in client.get(PAGE).text
    close(months, JANUARY)
    assert "Nothing was spread in this month" in client.get(f"{PAGE}?period={JANUARY}").text
    page = client.get(f"{PAGE}?period={FEBRUARY}").text
    assert 'data-closed="0"' in page
    assert "pools are spread when the last day" in page
    panel = client.get(f"{PAGE}/figures?period={JANUARY}")
    assert "<html" not in panel.text
    assert client.get(f"{PAGE}?period=2025-13").status_code == 422
    assert figures_of(client.get(f"{PAGE}.csv?period={JANUARY}").text)[1:] == []


def test_a_leaf_of_a_pool_opens_to_the_pools_it_is_made_of(spread: ServiceUnderTest) -> None:
    (key, amount) = next(
        one for one in allocated(spread).items() if one[0][3] == "overhead" and one[0][1]
    )
    asked = dict(zip(("customer_number", "account_number", "product_code", "component", "period",
                      "origin_period"), key, strict=True))  # fmt: skip
    page = spread.client(HEAD).get("/contribution/leaf", params=asked)
    assert page.status_code == 200
    assert sum(map(int, re.findall(r'data-share="(-?\d+)"', page.text))) == -amount


def test_the_levels_of_profit_take_the_spread_costs_off_the_net_only(
    spread: ServiceUnderTest,
) -> None:
    found = figures_of(spread.client(HEAD).get("/contribution/value.csv").text)[1:]
    sums = {line[0]: minor(line[2]) + minor(line[3]) for line in found}
    net = sum(v for code, v in sums.items() if code != "Sum")
    assert net == sums["Sum"]
    total = net - sum(sums[code] for code in ("el", "capital", "variance", "overhead"))
    with spread.database.read() as session:
        profit = Profit(contribution.totals(session, ALL).by_component())
    assert profit.total.both_minor == total
    assert profit.net.both_minor == net
    marginal = ("fee", "interest_paid", "interest_recv", "abc_txn")
    assert profit.marginal.both_minor == sum(sums[code] for code in marginal)
    assert sums["variance"] < 0 > sums["overhead"]
    for page in ("/contribution", "/contribution/parties/P0"):
        shown = spread.client(HEAD).get(page).text
        for name in ("Marginal profit", "Total profit", "Net profit"):
            assert name in shown
