"""What the page of the contribution shows, against the leaves: charts, movers, supervisors."""

import html
import json
import re
from collections import Counter
from datetime import date, datetime, time, timedelta
from decimal import Decimal

from msgspec.structs import replace
from sqlalchemy import text

from services.scoring.commands.leaves import keep_leaves
from services.scoring.leaves import encode
from services.scoring.queries import earned
from shared.events import workflow
from shared.reach import Reach
from shared.testing.space import ServiceUnderTest, Space
from shared.wire import Record
from tests.integration import ledger_room, scoring_room
from tests.integration.ledger_room import figures_of, manager, reference, told
from tests.integration.scoring_room import ALL, HEAD, rows
from tests.integration.test_scoring_totals import all_leaves
from tests.ledger_bank import Bank
from tests.scored import Scored

scoring = scoring_room.scoring
made, scored = ledger_room.made, ledger_room.scored
TODAY = date(2025, 3, 10)
NUMBERS = 300  # more than the candidates of a day
FILL = """
    insert into numbers (customer_number, party_id, branch_code)
    select 'C' || n, 'P' || n, 'B' || n % 2 from generate_series(1, :count) n
"""
FILL_MOVED = """
    insert into moved (on_date, customer_number, moved_minor)
    select :today, 'C' || n, case when n % 3 = 0 then -n else n end
      from generate_series(1, :count) n
"""
MOVE = """
    insert into moved (on_date, customer_number, moved_minor) values (:on_date, :number, :minor)
    on conflict (on_date, customer_number) do update set moved_minor = excluded.moved_minor
"""
JOIN = "update numbers set party_id = :party where customer_number = any(:numbers)"


def _movers(scoring: ServiceUnderTest, reach: Reach, on: date = TODAY) -> list[tuple[str, int]]:
    with scoring.database.read() as session:
        found = earned.moved_most(session, reach, on)
    return [(row.party_id, int(row.moved_minor)) for row in found]


def _fill_moved(scoring: ServiceUnderTest) -> None:
    """Each number moved by its own count; then some of them by much."""
    by_hand = [("C1", 50_000), ("C2", -70_000), ("C3", 9_000), ("C4", 9_000), ("C5", 60_000),
               ("C6", 80_000), ("C7", -80_000), ("C8", 99_000)]  # fmt: skip
    with scoring.database.transaction() as tx:
        tx.session.execute(text(FILL), {"count": NUMBERS})
        tx.session.execute(text(FILL_MOVED), {"count": NUMBERS, "today": TODAY})
        for number, minor in by_hand:
            tx.session.execute(text(MOVE), {"on_date": TODAY, "number": number, "minor": minor})
        yesterday = {"on_date": TODAY - timedelta(days=1), "number": "C9", "minor": 10**6}
        tx.session.execute(text(MOVE), yesterday)
        one_party = {"party": "P5", "numbers": ["C3", "C5"]}
        tx.session.execute(text(JOIN), one_party)
        tx.session.execute(text(JOIN), {"party": "P6", "numbers": ["C6", "C7"]})
        tx.session.execute(text(JOIN), {"party": None, "numbers": ["C8"]})


def test_who_moved_most_comes_first_up_or_down(space: Space, scoring: ServiceUnderTest) -> None:
    """Of a party all its numbers together; who went up and down by as much, not at all."""
    _fill_moved(scoring)
    greatest = [(f"P{n}", -n if n % 3 == 0 else n) for n in range(NUMBERS, NUMBERS - 6, -1)]
    assert _movers(scoring, ALL) == [
        ("P2", -70_000), ("P5", 69_000), ("P1", 50_000), ("P4", 9_000), *greatest,
    ]  # fmt: skip
    assert _movers(scoring, ALL, TODAY - timedelta(days=1)) == [("P9", 10**6)]


def test_a_branch_has_its_own_who_moved_most(space: Space, scoring: ServiceUnderTest) -> None:
    _fill_moved(scoring)
    of_even = [(f"P{n}", -n if n % 3 == 0 else n) for n in range(NUMBERS, NUMBERS - 14, -2)]
    assert _movers(scoring, Reach(branch_codes=frozenset({"B0"}))) == [
        ("P6", 80_000), ("P2", -70_000), ("P4", 9_000), *of_even,
    ]  # fmt: skip
    assert _movers(scoring, Reach()) == []


def _chart(page: str, name: str) -> list:
    (found,) = re.findall(rf'data-{name}="([^"]*)"', page)
    return json.loads(html.unescape(found))


def _earn(scoring: ServiceUnderTest, scored: Scored, **much: int) -> None:
    """A fee more of these customers, of a loan that nobody else has."""
    some = next(iter(scored.posted.values()))
    records = [
        Record("scoring.leaves", 0, 10**6 + n, number.encode(), encode(replace(
            some, customer_number=number, loan_number="more", component="fee", amount_minor=minor,
        )), 0) for n, (number, minor) in enumerate(much.items())
    ]  # fmt: skip
    with scoring.database.transaction() as tx:
        keep_leaves(tx, records)


def test_the_charts_are_of_the_leaves(
    space: Space, scoring: ServiceUnderTest, made: Bank, scored: Scored
) -> None:
    reference(space, made)
    scoring.drain()
    told(scoring, scored)
    _earn(scoring, scored, C0=10**13, C1=3 * 10**13)
    page = scoring.client(HEAD).get("/contribution/value?by=component").text
    bars = _chart(page, "waterfall")
    _, *lines, total = figures_of(
        scoring.client(HEAD).get("/contribution/value.csv?by=component").text
    )
    of_component = {line[0]: (Decimal(line[2]) + Decimal(line[3])) * 100 for line in lines}
    assert len(of_component) > 4
    assert {
        bar["code"]: round(bar["to"] * 100) - round(bar["from"] * 100) for bar in bars[:-1]
    } == {code: minor for code, minor in of_component.items() if minor}
    assert [bar["from"] for bar in bars] == [0, *(bar["to"] for bar in bars[:-2]), 0]
    assert round(Decimal(bars[-1]["to"]), 2) == Decimal(total[2]) + Decimal(total[3])
    parties = sorted((int(minor) for (minor,) in rows(
        scoring, "select posted_minor + accrued_minor from party_figures"
    )), reverse=True)  # fmt: skip
    assert parties[1] > 0 > parties[2], f"two earn, one costs: {parties}"
    positive = parties[0] + parties[1]
    by_hand, so_far = [[0.0, 0.0]], 0
    for n, minor in enumerate(parties, 1):
        so_far += minor
        shares = (n * 10**6 // len(parties), so_far * 10**6 // positive)
        by_hand.append([shares[0] / 10_000, shares[1] / 10_000])
    assert len(by_hand) == 4
    assert _chart(page, "curve") == by_hand
    of_first_third = parties[0] * 10**6 // positive
    measured = Decimal(of_first_third * 200_000 // 333_333) / 10_000
    assert f"{measured.normalize():f}%" in page


def _organisation(space: Space, scoring: ServiceUnderTest) -> None:
    """RM1 has a supervisor of his own beside the head of his department, RM2 the head only."""
    space.publish(
        workflow.DepartmentDescribed(
            department_id="D1", names={"zh-CN": "上海", "en": "Shanghai"},
            org_path="/head/D1", head_staff_id="S-BOSS",
        ),
        workflow.StaffDescribed(staff_id="S-LEADER", org_path="/head/D1", name="林悦"),
        workflow.StaffDescribed(staff_id="S-RM1", org_path="/head/D1", staff_codes=("RM1",),
                                department_id="D1", supervisor_staff_id="S-LEADER"),
        workflow.StaffDescribed(staff_id="S-RM2", org_path="/head/D1", staff_codes=("RM2",),
                                department_id="D1"),
        source="guanxi/workflow",
    )  # fmt: skip
    scoring.drain()
    scoring.runtime.directory._cached.read_at = -1.0  # it looks once a second


def test_by_supervisor_his_own_comes_before_the_head_of_the_department(
    space: Space, scoring: ServiceUnderTest, made: Bank, scored: Scored
) -> None:
    reference(space, made)
    manager(space, "C0", "RM1", "SH01", date(2025, 1, 1))
    manager(space, "C1", "RM2", "BJ01", date(2025, 1, 1))
    _organisation(space, scoring)
    space.clock.bank = datetime.combine(TODAY, time(9), space.clock.zone)
    told(scoring, scored)
    posted: Counter[str] = Counter()
    for leaf in scored.posted.values():
        posted[leaf.customer_number] += leaf.amount_minor
    client = scoring.client(HEAD)
    _, *lines, _ = figures_of(client.get("/contribution/value.csv?by=supervisor").text)
    assert {line[0]: int(Decimal(line[2]) * 100) for line in lines} == {
        "S-LEADER": posted["C0"], "S-BOSS": posted["C1"], "": posted["C2"],
    }  # fmt: skip
    names = {line[0]: line[1] for line in lines}
    assert names["S-LEADER"] == "林悦", "as the page names him"
    assert names["S-BOSS"] == "S-BOSS", "the directory has no name of him"
    assert '<code>S-LEADER</code>' in client.get("/contribution?by=supervisor").text
    for supervisor, number in (("S-LEADER", "C0"), ("S-BOSS", "C1")):
        found = all_leaves(client, {"by": "supervisor", "code": supervisor, "state": "posted"})
        assert {row[0] for row in found} == {number}
