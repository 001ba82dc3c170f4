"""Customers by contribution: the sum of the leaves of the last twelve months, kept and indexed."""

from datetime import date, datetime, time
from random import Random
from typing import Any

import pytest
from sqlalchemy import text

from services.scoring.commands.fold import fold_state
from services.scoring.commands.last_months import move_on
from services.scoring.commands.leaves import keep_leaves
from services.scoring.queries import earned, figures, months
from services.scoring.queries.reach import parameters_of
from shared.reach import Reach
from shared.testing.space import ServiceUnderTest, Space
from tests.integration import ledger_room, scoring_room
from tests.integration.ledger_room import leaves_of, reference, states_of, told
from tests.integration.scoring_room import ALL, HEAD, due_now, party, rows
from tests.ledger_bank import Bank
from tests.scored import Scored

scoring = scoring_room.scoring
made, scored = ledger_room.made, ledger_room.scored


def stand_in(space: Space, period: str, months_later: int) -> date:
    """The bank's today: a month so many later."""
    month = 12 * int(period[:4]) + int(period[5:]) - 1 + months_later
    today = date(month // 12, month % 12 + 1, 10)
    space.clock.bank = datetime.combine(today, time(9), space.clock.zone)
    return today


def kept(scoring: ServiceUnderTest) -> dict[str, int]:
    found = rows(scoring, "select party_id, last_12_months_minor from party_figures")
    return {party_id: int(minor) for party_id, minor in found}


def defined(scoring: ServiceUnderTest, today: date) -> dict[str, int]:
    """What the kept sums must be, added up from the leaves themselves."""
    found = dict.fromkeys(kept(scoring), 0)
    leaves = """select n.party_id, l.period, sum(l.amount_minor) from leaves l
                  join numbers n using (customer_number) where n.party_id is not null
                 group by 1, 2"""
    for party_id, period, minor in rows(scoring, leaves):
        found[party_id] += int(minor) if period in months.last_twelve(today) else 0
    return found


def periods_of(scored: Scored) -> list[str]:
    return sorted({leaf.period for leaf in scored.posted.values()})


@pytest.fixture
def known(space: Space, scoring: ServiceUnderTest, made: Bank) -> ServiceUnderTest:
    reference(space, made)
    scoring.drain()
    return scoring


def test_the_sum_follows_every_leaf_and_every_month(
    space: Space, known: ServiceUnderTest, scored: Scored
) -> None:
    first = periods_of(scored)[0]
    batches = [(keep_leaves, leaves_of(scored)[n::5]) for n in range(5)]
    batches += [(fold_state, states_of(scored)[n::5]) for n in range(5)]
    Random(1).shuffle(batches)
    moved = set()
    for at, (handler, batch) in enumerate(batches):
        today = stand_in(space, first, at // 2 + 8)  # months begin between the batches
        with known.database.transaction() as tx:
            handler(tx, batch)
        while True:
            with known.database.transaction() as tx:
                if not move_on(tx):
                    break
        assert kept(known) == defined(known, today)
        moved.add(tuple(sorted(kept(known).items())))
    assert len(moved) > 3
    party(space, "P9", "C0", "C1")  # two customers turn out to be one
    known.drain()
    assert kept(known) == defined(known, today)


def test_a_month_that_begins_takes_the_oldest_out_and_is_told(
    space: Space, known: ServiceUnderTest, scored: Scored
) -> None:
    first = periods_of(scored)[0]
    before = stand_in(space, first, 11)
    told(known, scored)
    assert kept(known) == defined(known, before)
    today = stand_in(space, first, 12)
    assert kept(known) != defined(known, today), "the control: nobody has moved on yet"
    with known.database.transaction() as tx:
        assert move_on(tx) == 3
    with known.database.transaction() as tx:
        assert move_on(tx) == 0
    assert kept(known) == defined(known, today)
    due_now(known)
    known.drain()
    facts = {e.data.party_id: e.data for e in space.read("score.updates")}
    page = known.client(HEAD).get("/ranking").json()
    assert {one["party_id"]: one["last_12_months_minor"] for one in page["items"]} == {
        party_id: fact.contribution.last_12_months_minor for party_id, fact in facts.items()
    }


def test_customers_are_ranked_by_it_page_by_page(
    space: Space, known: ServiceUnderTest, scored: Scored
) -> None:
    stand_in(space, periods_of(scored)[-1], 0)
    told(known, scored)
    client, seen, after = known.client(HEAD), [], ""
    while True:
        page = client.get(f"/ranking?limit=1{after}").json()
        seen += [(one["last_12_months_minor"], one["party_id"]) for one in page["items"]]
        if page["next"] is None:
            break
        after = f"&after={page['next']}"
    assert seen == sorted(((v, p) for p, v in kept(known).items()), reverse=True)
    assert len({v for v, _ in seen}) == 3
    whole = client.get("/ranking").json()["items"]
    assert seen != sorted(((one["net_transactions_minor"], one["party_id"]) for one in whole),
                          reverse=True)  # fmt: skip
    assert client.get("/ranking?by=chance").status_code == 422


FILL = """
    insert into party_figures (party_id, numbers, last_12_months_minor)
    select 'P' || lpad(n::text, 7, '0'), 1, (n * 7919::bigint) % 1000003 - 400000
      from generate_series(1, :count) n
"""
FILL_NUMBERS = """
    insert into numbers (customer_number, party_id, branch_code)
    select 'C' || lpad(n::text, 7, '0'), 'P' || lpad(n::text, 7, '0'), 'B' || n % 400
      from generate_series(1, :count) n
"""


def plan_of(
    scoring: ServiceUnderTest, reach: Reach, after: tuple[int, str] | None,
    by: figures.By = "contribution",
) -> Any:  # fmt: skip
    asked = {
        **parameters_of(reach), "branch": None, "manager": None, "limit": 50,
        "after_value": after and after[0], "after_party": after and after[1],
    }  # fmt: skip
    statement = figures.RANKING[by][reach.everything].text
    with scoring.database.read() as session:
        found = session.scalars(
            text(f"explain (analyze, buffers, format json) {statement}"), asked
        ).one()
    return found[0]["Plan"]


def test_the_ranking_runs_by_its_index(space: Space, scoring: ServiceUnderTest) -> None:
    with scoring.database.transaction() as tx:
        for sql in (FILL, FILL_NUMBERS):
            tx.session.execute(text(sql), {"count": 20_000})
    with scoring.database.transaction() as tx:
        tx.session.execute(text("analyze party_figures"))
        tx.session.execute(text("analyze numbers"))
    for after in (None, (100_000, "P0009999"), (-399_000, "P0000001")):
        plan = plan_of(scoring, ALL, after)
        assert "party_figures_last_months" in str(plan)
        assert "Seq Scan" not in str(plan)
        assert plan["Shared Hit Blocks"] + plan["Shared Read Blocks"] <= 600
    mine = plan_of(scoring, Reach(branch_codes=frozenset({"B7"})), None)
    assert "ix_numbers_branch_code" in str(mine)
    assert "Seq Scan" not in str(mine)


# Figures as customers have them: few have very much, most have some, some owe.
FILL_SUMS = """
    insert into party_figures (party_id, numbers, sum_minor, accrued_minor)
    select 'P' || lpad(n::text, 7, '0'), 1, minor, minor / 100 from (
      select n, round(case when n % 10 = 0 then -1 else 1 end
                      * exp(13 + 4 * sin(n * 0.7) + 2 * sin(n * 1.3))) as minor
        from generate_series(1, :count) n) x
"""


def test_figures_that_every_event_changes_are_ranked_by_their_bands(
    space: Space, scoring: ServiceUnderTest
) -> None:
    with scoring.database.transaction() as tx:
        for sql in (FILL_SUMS, FILL_NUMBERS):
            tx.session.execute(text(sql), {"count": 20_000})
    with scoring.database.transaction() as tx:
        tx.session.execute(text("analyze party_figures"))
        tx.session.execute(text("analyze numbers"))
    for what, column in (("transactions", "sum_minor"), ("earned", "accrued_minor")):
        in_order = f"select {column}, party_id from party_figures order by 1 desc, 2 desc"  # noqa: S608
        ranked = rows(scoring, in_order)
        for start in (0, 9_990, 18_500, 19_900):  # also among those who owe
            after = ranked[start - 1] if start else None
            following = [(int(minor), party_id) for minor, party_id in ranked[start : start + 50]]
            assert _page(scoring, what, after) == following, start
    plan = plan_of(scoring, ALL, None, "transactions")
    assert "party_figures_sum_band" in str(plan)
    assert "Seq Scan" not in str(plan)
    # Of 20,000: those of the first band are sorted.
    assert plan["Shared Hit Blocks"] + plan["Shared Read Blocks"] <= 700


def _page(
    scoring: ServiceUnderTest, what: str, after: tuple[int, str] | None
) -> list[tuple[int, str]]:
    """Fifty in the order of the page, with their figure."""
    with scoring.database.read() as session:
        if what == "transactions":
            found = figures.ranking(session, ALL, "transactions", "CNY", after=after)
            return [(one.sum_minor, one.party_id) for one in found]
        asked = {
            **parameters_of(ALL), "limit": 50,
            "after_value": after and after[0], "after_party": after and after[1],
        }  # fmt: skip
        rows_ = session.execute(earned.RANKING[True], asked)
        return [(int(r.posted_minor + r.accrued_minor), r.party_id) for r in rows_]


def test_no_figure_that_every_event_changes_is_in_an_index(scoring: ServiceUnderTest) -> None:
    """Else each party costs an entry in every index, and the query side does not keep up."""
    indexed = rows(
        scoring,
        """select a.attname from pg_index i join pg_attribute a on a.attrelid = i.indrelid
            and a.attnum = any(i.indkey) where i.indrelid = 'party_figures'::regclass""",
    )
    assert {name for (name,) in indexed} == {
        "party_id", "sum_band", "earned_band", "last_12_months_minor", "margin_at_risk_minor",
    }  # fmt: skip
