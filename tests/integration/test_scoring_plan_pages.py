"""Plan against actual: what a page shows is the leaves of the month, for whoever may see them."""

import html
import re
from collections import defaultdict
from dataclasses import replace
from datetime import date
from decimal import Decimal
from itertools import product

import msgspec
import pytest

from services.scoring.commands.leaves import keep_leaves
from services.scoring.leaves import Leaf, encode
from shared.events import bank
from shared.policy import Actor, Scope
from shared.testing.space import ServiceUnderTest, Space
from shared.wire import Record
from tests.integration import ledger_room, scoring_room
from tests.integration.ledger_room import (
    closes,
    figures_of,
    manager,
    partitions_of,
    reference,
    supervisors,
    told,
)
from tests.integration.scoring_room import party, rows
from tests.ledger_bank import Bank
from tests.scored import Scored

scoring = scoring_room.scoring
made, scored = ledger_room.made, ledger_room.scored
HEAD = replace(scoring_room.HEAD, language="en")
MONTH = "2025-02"
COSTS = ("abc_txn", "abc_maint", "el")
BRANCH_OF = {"C0": "SH01", "C1": "BJ01"}


def own(code: str) -> Actor:
    scopes = (Scope("score.view", "own"),)
    return replace(HEAD, id=f"S-{code}", scopes=scopes, staff_codes=(code,))


def plan(who: str, amount: int, dimension: str = "branch", period: str = MONTH) -> bank.PlanSet:
    return bank.PlanSet(
        plan_id=f"{dimension}/{who}/{period}", what="contribution", who=who, period=period,
        amount_minor=amount, currency="CNY", dimension=dimension,
    )  # fmt: skip


@pytest.fixture
def planned(
    space: Space, scoring: ServiceUnderTest, made: Bank, scored: Scored
) -> ServiceUnderTest:
    reference(space, made)
    manager(space, "C0", "RM1", "SH01", date(2025, 1, 1))
    manager(space, "C1", "RM2", "BJ01", date(2025, 1, 1))
    space.publish(
        plan("SH01", 10_000), plan("HZ01", 500), plan("RM1", 10_000, "manager"),
        plan("RM2", 20_000, "manager"), plan("asset", 3_000, "line"), plan("HEAD", 70_000, "bank"),
        bank.BudgetSet(budget_id="b1", what="cost", who="BJ01", period=MONTH, amount_minor=4_000,
                       currency="CNY"),
    )  # fmt: skip
    scoring.drain()
    told(scoring, scored)
    return scoring


def posted(scored: Scored, components: tuple[str, ...] = ()) -> dict[str, int]:
    """The month's leaves by branch, counted here one by one."""
    found: defaultdict[str, int] = defaultdict(int)
    leaf: Leaf
    for leaf in scored.posted.values():
        if leaf.period == MONTH and (not components or leaf.component in components):
            found[BRANCH_OF.get(leaf.customer_number, "")] += leaf.amount_minor
    return found


def table(scoring: ServiceUnderTest, actor: Actor = HEAD, **asked: str) -> dict[str, list[str]]:
    client = scoring.client(actor)
    body = client.get("/contribution/plans.csv", params={"period": MONTH, **asked}).text
    return {line[0]: line[1:] for line in figures_of(body)[1:]}


def test_actual_is_the_leaves_of_the_month_and_rows_add_up(
    planned: ServiceUnderTest, scored: Scored
) -> None:
    lines = table(planned)
    truth = posted(scored)
    assert len(truth) == 3
    total = lines.pop("Sum")
    assert {code: int(Decimal(line[2]) * 100) for code, line in lines.items()} == (
        {**truth, "HZ01": 0}
    )
    for column in (2, 3):
        assert sum(Decimal(line[column]) for line in lines.values()) == Decimal(total[column])
    shanghai = truth["SH01"]
    assert lines["SH01"][1] == "100.00"
    assert Decimal(lines["SH01"][4]) * 100 == shanghai - 10_000
    ppm = shanghai * 1_000_000 // 10_000
    assert Decimal(lines["SH01"][5]) * 10_000 == ppm
    assert lines["BJ01"][1] == "No plan"
    assert lines["BJ01"][4:] == ["", ""]
    assert total[1] == "105.00"
    assert Decimal(total[4]) * 100 == shanghai - 10_500, "of those with a plan"
    open_sum = rows(planned, "select accrued_minor from contribution_totals where dimension='bank'")
    assert Decimal(total[3]) * 100 == sum(row[0] for row in open_sum) != 0


def test_a_supervisors_plan_is_what_his_managers_plans_add_up_to(
    space: Space, planned: ServiceUnderTest, scored: Scored
) -> None:
    managers = table(planned, by="manager")
    supervisors(space, planned, RM1="S1", RM2="S1")
    lines = table(planned, by="supervisor")
    assert set(lines) == {"S1", "", "Sum"}
    assert lines["Sum"] == table(planned, by="manager")["Sum"]
    for column in range(1, 5):
        assert Decimal(lines["S1"][column]) == sum(
            Decimal(managers[code][column]) for code in ("RM1", "RM2")
        )
    assert lines["S1"][1] == "300.00"
    assert lines[""][1] == "No plan"
    supervisors(space, planned, RM2="S2")
    apart = table(planned, by="supervisor")
    assert [apart[code][1:] for code in ("S1", "S2")] == [managers[code][1:] for code in
                                                         ("RM1", "RM2")]  # fmt: skip
    assert apart["Sum"] == lines["Sum"]
    page = planned.client(own("RM1")).get("/contribution/plans", params={"period": MONTH}).text
    assert "by=supervisor" in page
    mine = table(planned, own("RM1"), by="supervisor")
    assert mine.keys() == {"S1", "Sum"}, "only of who answers to him what he may see"


def test_costs_are_held_against_the_budget_as_positive_figures(
    planned: ServiceUnderTest, scored: Scored
) -> None:
    lines = table(planned, kind="budget")
    truth = posted(scored, COSTS)
    spent = {c: -v for c, v in truth.items() if v}
    found = {c: int(Decimal(line[2]) * 100) for c, line in lines.items() if c != "Sum"}
    assert {c: v for c, v in found.items() if v} == spent
    assert Decimal(lines["BJ01"][4]) * 100 == spent["BJ01"] - 4_000


def test_every_way_gives_the_banks_actual_and_the_page_shows_its_csv(
    planned: ServiceUnderTest, scored: Scored
) -> None:
    for way, kind in product(("branch", "manager", "line", "bank"), ("plan", "budget")):
        _gives_the_banks_actual(planned, scored, way, kind)


def _gives_the_banks_actual(
    planned: ServiceUnderTest, scored: Scored, way: str, kind: str
) -> None:
    client = planned.client(HEAD)
    page = client.get("/contribution/plans", params={"by": way, "kind": kind, "period": MONTH})
    assert page.status_code == 200
    lines = table(planned, by=way, kind=kind)
    total = int(Decimal(lines.pop("Sum")[2]) * 100)
    truth = sum(posted(scored, COSTS if kind == "budget" else ()).values())
    assert total == (-truth if kind == "budget" else truth), (way, kind)
    shown = dict(re.findall(r'data-key="([^"]*)" data-plan="[^"]*" data-actual="(-?\d+)"',
                            page.text))  # fmt: skip
    assert shown == {code: str(int(Decimal(line[2]) * 100)) for code, line in lines.items()}
    for door in set(re.findall(r'href="/scoring(/contribution/leaves\?[^"]*)"', page.text)):
        assert client.get(html.unescape(door)).status_code == 200


def test_a_manager_sees_himself_a_head_his_branch_and_each_the_figure_the_bank_sees(
    space: Space, planned: ServiceUnderTest, scored: Scored
) -> None:
    whole = table(planned, by="manager")
    mine = table(planned, own("RM1"), by="manager")
    assert set(mine) == {"RM1", "Sum"}
    assert mine["RM1"] == whole["RM1"]
    manager(space, "C0", "RM2", "BJ01", date(2025, 6, 1))  # given away after the month
    planned.drain()
    assert table(planned, own("RM1"), by="manager")["RM1"][:3] == whole["RM1"][:3]
    assert table(planned, own("RM2"), by="manager")["RM2"][:3] == whole["RM2"][:3]
    for way in ("branch", "line", "bank"):
        assert set(table(planned, own("RM1"), by=way)) == {"Sum"}, way
        page = planned.client(own("RM1")).get("/contribution/plans", params={"by": way}).text
        assert "data-row" not in page
        assert "Not within what you may see" in page
    nobody = replace(HEAD, id="S-X", scopes=())
    assert set(table(planned, nobody, by="manager")) == {"Sum"}


def test_a_month_is_complete_when_every_partition_has_closed_its_last_day(
    space: Space, planned: ServiceUnderTest
) -> None:
    def complete() -> bool:
        page = planned.client(HEAD).get("/contribution/plans", params={"period": MONTH}).text
        return 'data-complete="1"' in page

    assert not complete()
    partitions = partitions_of(planned)
    assert len(partitions) > 1
    for partition in partitions:
        assert not complete(), "a partition has told nothing yet"
        closes(planned, partition, date(2025, 2, 28))
    assert complete()
    closes(planned, 1, None)
    assert not complete(), "one partition has closed nothing yet"
    closes(planned, 1, date(2025, 2, 27))
    assert not complete(), "the last day is missing"
    closes(planned, 1, date(2025, 3, 1))
    assert complete()


def test_a_plan_of_a_year_stands_beside_the_year_to_date(
    space: Space, planned: ServiceUnderTest, scored: Scored
) -> None:
    """The leaves of its months, of no other year; on the page as in its CSV."""
    year = MONTH[:4]
    space.publish(
        plan("SH01", 900_000, period=year), plan("BJ01", 7, period="2031"),
        plan("HEAD", 2_000_000, "bank", period=year),
    )  # fmt: skip
    planned.drain()
    truth: defaultdict[str, int] = defaultdict(int)
    for leaf in scored.posted.values():
        if leaf.period[:4] == year:
            truth[BRANCH_OF.get(leaf.customer_number, "")] += leaf.amount_minor
    assert truth != posted(scored), "more than one month"
    earlier = msgspec.structs.replace(
        next(iter(scored.posted.values())), period="2024-12", origin_period="2024-12"
    )
    with planned.database.transaction() as tx:  # of another year: it counts in none of this
        keep_leaves(tx, [Record("scoring.leaves", 0, 10**6, earlier.customer_number.encode(),
                                encode(earlier), 0)])  # fmt: skip
    lines = table(planned, period=year)
    found = {c: int(Decimal(line[2]) * 100) for c, line in lines.items() if c != "Sum"}
    assert found == truth
    assert lines["SH01"][1] == "9000.00"
    assert Decimal(lines["SH01"][4]) * 100 == truth["SH01"] - 900_000
    assert Decimal(lines["SH01"][5]) * 10_000 == truth["SH01"] * 1_000_000 // 900_000
    assert lines["BJ01"][1] == "No plan", "the month's budget and the other year's plan are not his"
    assert Decimal(table(planned, period=year, by="bank")["Sum"][2]) * 100 == sum(truth.values())
    before = table(planned, period="2024")["Sum"]
    assert Decimal(before[2]) * 100 == earlier.amount_minor != 0
    client = planned.client(HEAD)
    page = client.get("/contribution/plans", params={"period": year}).text
    shown = dict(re.findall(r'data-key="([^"]*)" data-plan="[^"]*" data-actual="(-?\d+)"', page))
    assert shown == {code: str(amount) for code, amount in found.items()}
    assert "Year 2025</a>" in page
    assert "Year 2031</a>" in page
    assert "/contribution/month?" not in page, "a year has no month's report"
    for on, complete in ((date(2025, 12, 30), 0), (date(2025, 12, 31), 1)):
        for partition in partitions_of(planned):
            closes(planned, partition, on)
        page = client.get("/contribution/plans", params={"period": year}).text
        assert f'data-complete="{complete}"' in page


def test_more_managers_than_a_page_holds_stand_in_one_row_that_adds_up(
    space: Space, planned: ServiceUnderTest, scored: Scored
) -> None:
    space.publish(*(plan(f"X{n:03d}", 100 + n, "manager") for n in range(60)))
    planned.drain()
    lines = table(planned, by="manager")
    assert len(lines) == 52
    total = lines.pop("Sum")
    for column in (2, 3):
        assert sum(Decimal(line[column]) for line in lines.values()) == Decimal(total[column])
    planned_minor = 30_000 + sum(100 + n for n in range(60))
    assert Decimal(total[1]) * 100 == planned_minor
    assert sum(Decimal(line[1]) for line in lines.values() if line[1] != "No plan") == (
        Decimal(planned_minor) / 100
    )


def test_empty_page_says_what_will_appear_and_a_bad_month_is_refused(
    space: Space, scoring: ServiceUnderTest
) -> None:
    party(space, "P1", "C1")
    scoring.drain()
    client = scoring.client(HEAD)
    assert "Nothing is planned for this month" in client.get("/contribution/plans").text
    assert "Nothing is planned for this year" in client.get("/contribution/plans?period=2025").text
    for period in ("2025-13", "202", "x", "0000-01", "0000"):
        assert client.get("/contribution/plans", params={"period": period}).status_code == 422
