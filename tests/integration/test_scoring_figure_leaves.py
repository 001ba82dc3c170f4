"""Every figure of the month's report and of plans opens to the leaves that it is made of."""

import html
import re
from collections import Counter
from dataclasses import replace
from datetime import date
from decimal import Decimal
from itertools import product

import pytest

from services.scoring.queries import earned, reported
from shared.policy import Actor, Scope
from shared.testing.space import ServiceUnderTest, Space
from tests.integration import ledger_room, scoring_room, test_scoring_totals
from tests.integration.ledger_room import closes, manager, partitions_of, reference, told
from tests.integration.scoring_room import rows
from tests.integration.test_scoring_totals import all_leaves
from tests.ledger_bank import Bank
from tests.scored import Scored

scoring = scoring_room.scoring
made, scored = ledger_room.made, ledger_room.scored
HEAD = replace(scoring_room.HEAD, language="en")
MONTH, YEAR = "2025-02", "2025"
PERIOD, AMOUNT = 6, 16  # columns of the CSV
DOOR = r'href="/scoring(/contribution/leaves\?[^"]*)"'


@pytest.fixture
def closed(
    space: Space, scoring: ServiceUnderTest, made: Bank, scored: Scored
) -> ServiceUnderTest:
    """February is closed; two customers have managers, of two branches, one has none."""
    reference(space, made)
    manager(space, "C0", "RM1", "SH01", date(2025, 1, 1))
    manager(space, "C1", "RM2", "BJ01", date(2025, 1, 1))
    ledger_room.supervisors(space, scoring, RM1="S1", RM2="S1")
    scoring.drain()
    told(scoring, scored)
    for partition in partitions_of(scoring):
        closes(scoring, partition, date(2025, 2, 28))
    return scoring


def sum_of(leaves: list[list[str]]) -> int:
    return sum(int(Decimal(row[AMOUNT]) * 100) for row in leaves)


def asked(door: str) -> dict[str, str]:
    """The parameters of a link."""
    return dict(re.findall(r"(\w+)=([^&]*)", html.unescape(door).partition("?")[2]))


def of_report(scoring: ServiceUnderTest, actor: Actor = HEAD) -> list[tuple[int, dict[str, str]]]:
    """What stands in each row of the month's report that has a door, and the door."""
    page = scoring.client(actor).get("/contribution/month", params={"period": MONTH}).text
    found = re.findall(rf'data-(?:posted|supervisor)="(-?\d+)"><td[^>]*><a {DOOR}', page)
    return [(int(figure), asked(door)) for figure, door in found]


def of_plans(
    scoring: ServiceUnderTest, kind: str, by: str, period: str, actor: Actor = HEAD
) -> list[tuple[int, dict[str, str]]]:
    page = scoring.client(actor).get(
        "/contribution/plans", params={"kind": kind, "by": by, "period": period}
    )
    found = re.findall(rf'data-actual="(-?\d+)"><td><a {DOOR}', page.text)
    return [(int(figure), asked(door)) for figure, door in found]


def test_every_line_of_the_report_opens_to_its_leaves(closed: ServiceUnderTest) -> None:
    figures = of_report(closed)
    by = Counter(door["by"] for _, door in figures)
    assert by["component"] > 3
    assert by["product"] > by["component"]
    assert by["supervisor"] == 2
    client = closed.client(HEAD)
    for figure, door in figures:
        leaves = all_leaves(client, door)
        assert sum_of(leaves) == figure, door
        assert {row[PERIOD] for row in leaves} <= {MONTH}
        page = client.get("/contribution/leaves", params=door).text
        assert f'data-posted="{figure}"' in page, "the page says the figure that it opens"
    whole = sum(figure for figure, door in figures if door["by"] == "component")
    of_month = "select sum(amount_minor) from leaves where period = :period"
    assert rows(closed, of_month, period=MONTH) == [(whole,)]


def test_every_actual_of_plans_opens_to_its_leaves(closed: ServiceUnderTest) -> None:
    client = closed.client(HEAD)
    for kind, by, period in product(
        ("plan", "budget"), ("branch", "supervisor", "manager", "line", "bank"), (MONTH, YEAR)
    ):
        figures, months = of_plans(closed, kind, by, period), set[str]()
        for figure, door in figures:
            leaves = all_leaves(client, door)
            months |= {row[PERIOD] for row in leaves}
            assert sum_of(leaves) == (-figure if kind == "budget" else figure), door
        assert any(figure for figure, _ in figures), (kind, by, period)
        assert months == {MONTH} if period == MONTH else len(months) > 1, (kind, by, period)


@pytest.mark.parametrize("many", [0, 500])
def test_the_pages_of_a_figure_go_on_where_the_one_before_ended(
    closed: ServiceUnderTest, monkeypatch: pytest.MonkeyPatch, many: int
) -> None:
    """Also where there are so many codes that the leaves are gone through in their own order."""
    monkeypatch.setattr(reported, "MANY", many)
    for module in (earned, reported, test_scoring_totals):
        monkeypatch.setattr(module, "PAGE_ROWS", 3)
    for by in ("branch", "supervisor", "line", "bank", "report"):
        figures = of_report(closed) if by == "report" else of_plans(closed, "plan", by, YEAR)
        pages = 0
        for figure, door in figures:
            leaves = test_scoring_totals.all_leaves(closed.client(HEAD), door)
            assert sum_of(leaves) == figure, door
            pages = max(pages, len(leaves) // 3)
        assert pages > 1, by


def test_a_head_finds_his_customers_of_today_and_is_told_of_the_others(
    space: Space, closed: ServiceUnderTest
) -> None:
    head = replace(HEAD, id="S-RM1", scopes=(Scope("score.view", "own"),), staff_codes=("RM1",))
    mine = of_report(closed, head)
    assert mine
    note = "Of customers whom others answer for today"
    for figure, door in mine:
        assert sum_of(all_leaves(closed.client(head), door)) == figure
    assert note in closed.client(head).get("/contribution/leaves", params=mine[0][1]).text
    assert note not in closed.client(HEAD).get("/contribution/leaves", params=mine[0][1]).text
    # C0 goes, C1 comes: February stays with who answered then, and nobody sees another's leaves.
    manager(space, "C0", "RM2", "BJ01", date(2025, 4, 1))
    manager(space, "C1", "RM1", "SH01", date(2025, 4, 1))
    closed.drain()
    assert {figure for figure, _ in of_report(closed, head)} == {figure for figure, _ in mine}
    for _, door in mine:
        assert all_leaves(closed.client(head), door) == []


@pytest.mark.parametrize(
    "wrong",
    [{"by": "bank"}, {"by": "component", "code": "fee", "figure": "result"},
     {"by": "region", "code": "east", "figure": "result", "month": MONTH},
     {"by": "product", "code": "CA", "component": "fee"},
     {"by": "component", "code": "fee", "figure": "result", "month": YEAR},
     {"by": "branch", "code": "SH01", "component": "fee", "figure": "result", "month": MONTH}],
)  # fmt: skip
def test_what_is_no_figure_is_refused(scoring: ServiceUnderTest, wrong: dict[str, str]) -> None:
    assert scoring.client(HEAD).get("/contribution/leaves", params=wrong).status_code == 422
