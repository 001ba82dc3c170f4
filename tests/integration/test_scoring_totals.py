"""Live totals of the contribution: every way of adding up gives the same, after every batch."""

import html
import re
from collections import defaultdict
from datetime import date, timedelta
from decimal import Decimal
from importlib import import_module
from random import Random
from typing import get_args
from urllib.parse import parse_qs, urlsplit

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import text
from sqlalchemy.event import listen

from services.scoring.commands.fold import fold_state
from services.scoring.commands.leaves import keep_leaves
from services.scoring.pages.contribution import Way
from services.scoring.queries import contribution
from services.scoring.queries.contribution import Sum, residual_minor
from services.scoring.queries.earned import PAGE_ROWS
from shared import timers
from shared.events import bank
from shared.policy import Actor, Scope
from shared.testing.space import ServiceUnderTest, Space
from shared.wire import Record
from tests.integration import ledger_room, scoring_room
from tests.integration.ledger_room import (
    figures_of,
    leaves_of,
    manager,
    reference,
    states_of,
    told,
)
from tests.integration.scoring_room import ALL, HEAD, party, rows
from tests.ledger_bank import Bank
from tests.scored import Scored

scoring = scoring_room.scoring
made, scored = ledger_room.made, ledger_room.scored


def batches(records: list[Record]) -> list[list[Record]]:
    return [records[n : n + 7] for n in range(0, len(records), 7)]


def residual(scoring: ServiceUnderTest) -> int:
    """Of all ways and of the leaves themselves, in one snapshot."""
    with scoring.database.read() as session:
        found = contribution.ways(session) | {"leaves": contribution.of_leaves(session)}
        in_slices = sum(one.sum_minor for one in contribution.slices(session, ALL))
    (parties,) = rows(
        scoring, "select coalesce(sum(posted_minor + accrued_minor), 0) from party_figures"
    )
    assert in_slices == parties[0]
    by_month = rows(scoring, """
        select sum(posted) from (
          select period, posted_minor as posted from customer_months
          union all
          select code, -posted_minor from contribution_totals where dimension = 'month') x
         group by period""")  # fmt: skip
    by_component = rows(scoring, """
        select sum(posted) from (
          select customer_number, component, posted_minor as posted from customer_components
          union all
          select customer_number, component, -amount_minor from leaves) x
         group by customer_number, component""")  # fmt: skip
    differences = [abs(int(row[0])) for row in (*by_month, *by_component)]
    return max(residual_minor(found), *differences, 0)


def by_code(scoring: ServiceUnderTest, dimension: str) -> dict[str, Sum]:
    with scoring.database.read() as session:
        found = contribution.totals(session, ALL).by_code(dimension)
    return {code: value for code, value in found.items() if value != Sum()}


def test_residual_is_0_after_every_batch_and_the_sum_is_the_workers(
    space: Space, scoring: ServiceUnderTest, made: Bank, scored: Scored
) -> None:
    reference(space, made)
    manager(space, "C0", "RM1", "SH01", date(2025, 1, 1))
    manager(space, "C1", "RM2", "BJ01", date(2025, 1, 1))
    scoring.drain()
    told = [(fold_state, batch) for batch in batches(states_of(scored))]
    told += [(keep_leaves, batch) for batch in batches(leaves_of(scored))]
    Random(1).shuffle(told)
    for handler, batch in told + told[:5]:
        with scoring.database.transaction() as tx:
            handler(tx, batch)
        assert residual(scoring) == 0
    posted = sum(leaf.amount_minor for leaf in scored.posted.values())
    with scoring.database.read() as session:
        whole = contribution.totals(session, ALL).whole()
    assert whole.posted_minor == posted
    assert whole.accrued_minor != 0
    products = defaultdict(int)
    for leaf in scored.posted.values():
        products[leaf.product_code] += leaf.amount_minor
    found = {code: s.posted_minor for code, s in by_code(scoring, "product").items()}
    assert {c: v for c, v in found.items() if v} == {c: v for c, v in products.items() if v}
    of_managers = by_code(scoring, "manager")
    assert set(of_managers) == {"RM1", "RM2", ""}, "C2 has nobody: his figures stand under nobody"
    assert set(by_code(scoring, "region")) == {"east", "north", ""}


@pytest.mark.parametrize("table", ["contribution_totals", "owner_totals"])
@pytest.mark.parametrize(
    "dimension", ["bank", "product", "region", "branch", "manager", "channel", "month"]
)
def test_a_leaf_withheld_from_one_dimension_shows(
    space: Space, scoring: ServiceUnderTest, scored: Scored, table: str, dimension: str
) -> None:
    """The negative control."""
    with scoring.database.transaction() as tx:
        keep_leaves(tx, leaves_of(scored))
    assert residual(scoring) == 0
    amount = next(leaf.amount_minor for leaf in scored.posted.values())
    with scoring.database.transaction() as tx:
        tx.session.execute(
            text(
                f"""
                update {table} set posted_minor = posted_minor - :amount
                 where (dimension, code, component) in (
                   select dimension, code, component from {table}
                    where dimension = :dimension limit 1)
                """  # noqa: S608 - one of two names of ours
            ),
            {"amount": amount, "dimension": dimension},
        )
    assert residual(scoring) == abs(amount)


@pytest.mark.parametrize("table", ["month_totals", "customer_months", "customer_components"])
def test_a_leaf_withheld_from_a_month_shows(
    space: Space, scoring: ServiceUnderTest, scored: Scored, table: str
) -> None:
    """The negative control."""
    with scoring.database.transaction() as tx:
        keep_leaves(tx, leaves_of(scored))
    assert residual(scoring) == 0
    with scoring.database.transaction() as tx:
        tx.session.execute(
            text(
                f"""
                update {table} set posted_minor = posted_minor - 7
                 where ctid = (select ctid from {table} limit 1)
                """  # noqa: S608 - one of three names of ours
            )
        )
    assert residual(scoring) == 7


def test_a_bank_that_ran_before_the_months_were_kept_counts_them_the_same(
    space: Space, scoring: ServiceUnderTest, made: Bank, scored: Scored
) -> None:
    reference(space, made)
    manager(space, "C0", "RM1", "SH01", date(2025, 1, 1))
    scoring.drain()
    told(scoring, scored)
    kept = [  # capital came later, in a column that the migration does not know
        ("month_totals", "MONTHS",
         "(posted_minor, accrued_minor) <> (0, 0) and component <> 'capital'"),
        ("customer_months", "CUSTOMER_MONTHS", "posted_minor <> 0")]  # fmt: skip
    months = import_module("services.scoring.migrations.0010_months")
    for table, statement, some in kept:
        asked = f"select * from {table} where {some} order by 1, 2, 3, 4, 5"  # noqa: S608
        asked = asked.replace(", 4, 5", "") if table == "customer_months" else asked
        before = rows(scoring, asked)
        assert before
        with scoring.database.transaction() as tx:
            tx.session.execute(text(f"delete from {table}"))  # noqa: S608
            tx.session.execute(text(getattr(months, statement)))
        assert rows(scoring, asked) == before


def test_a_leaf_belongs_to_who_answered_at_the_end_of_its_month_however_late_it_is_said(
    space: Space, scoring: ServiceUnderTest, made: Bank, scored: Scored
) -> None:
    reference(space, made)
    manager(space, "C0", "RM1", "SH01", date(2025, 1, 1))
    scoring.drain()
    with scoring.database.transaction() as tx:
        keep_leaves(tx, leaves_of(scored))
    with scoring.database.transaction() as tx:
        fold_state(tx, states_of(scored))
    mine = [leaf for leaf in scored.posted.values() if leaf.customer_number == "C0"]
    all_of_it = by_code(scoring, "manager")["RM1"]
    assert all_of_it.posted_minor == sum(leaf.amount_minor for leaf in mine)
    manager(space, "C0", "RM2", "BJ01", date(2025, 2, 10))
    scoring.drain()
    first = sum(leaf.amount_minor for leaf in mine if leaf.origin_period == "2025-01")
    later = sum(leaf.amount_minor for leaf in mine if leaf.origin_period > "2025-01")
    assert first
    assert later
    found = by_code(scoring, "manager")
    assert found["RM1"] == Sum(first, 0), "as it was"
    assert found["RM2"] == Sum(later, all_of_it.accrued_minor)
    assert by_code(scoring, "region")["east"].posted_minor == first
    assert by_code(scoring, "manager_now")["RM2"] == all_of_it, "as it is: all of it goes along"
    assert "RM1" not in by_code(scoring, "manager_now")
    assert residual(scoring) == 0
    space.publish(bank.BranchDescribed(branch_code="BJ01", region_code="centre"))
    space.publish(bank.CustomerPlaced(customer_number="C2", region_code="west"))
    scoring.drain()
    regions = by_code(scoring, "region")
    assert regions["centre"].posted_minor == later
    assert "north" not in regions
    of_two = sum(x.amount_minor for x in scored.posted.values() if x.customer_number == "C2")
    assert regions["west"].posted_minor == of_two
    assert residual(scoring) == 0


def test_a_future_manager_gets_what_is_open_and_the_customer_on_his_day(
    space: Space, scoring: ServiceUnderTest, made: Bank, scored: Scored
) -> None:
    reference(space, made)
    manager(space, "C0", "RM1", "SH01", date(2025, 1, 1))
    scoring.drain()
    told(scoring, scored)
    before = by_code(scoring, "manager")
    day = space.clock.bank.astimezone(space.clock.zone).date() + timedelta(days=10)
    manager(space, "C0", "RM2", "BJ01", day)
    scoring.drain()
    assert by_code(scoring, "manager") == before
    assert "RM2" not in by_code(scoring, "manager_now")
    space.clock.bank += timedelta(days=10)
    assert timers.fire_due(scoring.database, scoring.runtime.service.timers)
    after = by_code(scoring, "manager")
    assert after["RM1"] == Sum(before["RM1"].posted_minor, 0), "what is posted stays his"
    assert after["RM2"] == Sum(0, before["RM1"].accrued_minor)
    assert by_code(scoring, "manager_now")["RM2"] == before["RM1"]
    assert residual(scoring) == 0


def test_every_way_of_adding_up_is_a_page_whose_rows_add_up_and_open(
    space: Space, scoring: ServiceUnderTest, made: Bank, scored: Scored
) -> None:
    reference(space, made)
    manager(space, "C0", "RM1", "SH01", date(2025, 1, 1))
    manager(space, "C1", "RM2", "BJ01", date(2025, 2, 1))
    scoring.drain()
    told(scoring, scored)
    posted = sum(leaf.amount_minor for leaf in scored.posted.values())
    for way in get_args(Way):
        _adds_up_and_opens(scoring.client(HEAD), way, posted)


def _adds_up_and_opens(client: TestClient, way: str, posted: int) -> None:
    page = client.get(f"/contribution?by={way}").text
    assert 'data-residual="0"' in page, way
    assert f'data-posted="{posted}"' in page, way
    _, *lines, total = figures_of(client.get(f"/contribution/value.csv?by={way}").text)
    assert lines, way
    for column in (2, 3):
        assert sum(Decimal(line[column]) for line in lines) == Decimal(total[column]), way
    assert Decimal(total[2]) * 100 == posted, way
    for code, _, told_posted, told_accrued, _ in lines:
        for state, amount in (("posted", told_posted), ("accrued", told_accrued)):
            found = all_leaves(client, {"by": way, "code": code, "state": state})
            assert sum(Decimal(row[-2]) for row in found) == Decimal(amount), (way, code, state)
            shown = client.get("/contribution/leaves", params={"by": way, "code": code}).text
            assert f'data-posted="{int(Decimal(told_posted) * 100)}"' in shown


def all_leaves(client: TestClient, asked: dict[str, str]) -> list[list[str]]:
    """All pages of the CSV; each goes on where the page's own link says."""
    found: list[list[str]] = []
    after = ""
    while True:
        query = {**asked, **({"after": after} if after else {})}
        _, *lines = figures_of(client.get("/contribution/leaves.csv", params=query).text)
        found += lines
        if len(lines) < PAGE_ROWS:
            return found
        page = client.get("/contribution/leaves", params=query).text
        (link,) = re.findall(r'rel="next" href="([^"]*)"', page)
        after = parse_qs(urlsplit(html.unescape(link)).query)["after"][0]


def test_from_a_leaf_one_comes_to_its_events(
    space: Space, scoring: ServiceUnderTest, made: Bank, scored: Scored
) -> None:
    reference(space, made)
    for _, event in made.events:
        space.publish(event.data, source=event.source, event_id=event.id,
                      businessdate=event.businessdate, at=event.time)  # fmt: skip
    scoring.drain()
    told(scoring, scored)
    leaf = next(
        x for x in scored.posted.values()
        if x.component == "fee" and x.period == x.origin_period and not x.loan_number
    )  # fmt: skip
    client = scoring.client(HEAD)
    page = client.get("/contribution/leaves", params={"by": "component", "code": "fee"}).text
    door = re.search(rf'href="/scoring(/contribution/leaf\?[^"]*account_number='
                     rf'{leaf.account_number}&[^"]*period={leaf.period}[^"]*)"', page)  # fmt: skip
    assert door is not None
    shown = client.get(html.unescape(door.group(1))).text
    fees = [
        e for _, e in made.events
        if getattr(e.data, "kind", "") == "fee" and e.data.account_number == leaf.account_number
        and f"{e.businessdate:%Y-%m}" == f"{e.data.value_on:%Y-%m}" == leaf.period
    ]  # fmt: skip
    assert fees
    assert all(event.id in shown for event in fees)
    assert shown.count("data-row") == len(fees)
    lost = client.get(html.unescape(door.group(1)).replace("=fee", "=nothing"))
    assert lost.status_code == 404


def test_a_manager_sees_his_own_customers_leaves_only(
    space: Space, scoring: ServiceUnderTest, made: Bank, scored: Scored
) -> None:
    reference(space, made)
    manager(space, "C0", "RM1", "SH01", date(2025, 1, 1))
    manager(space, "C1", "RM2", "BJ01", date(2025, 1, 1))
    scoring.drain()
    told(scoring, scored)
    manager(space, "C2", "RM1", "SH01", date(2025, 1, 1))
    manager(space, "C2", "RM2", "BJ01", date(2025, 1, 2))
    scoring.drain()
    own = Actor("S-RM1", permissions=HEAD.permissions, scopes=(Scope("score.view", "own"),))
    client = scoring.client(own)
    mine = sum(x.amount_minor for x in scored.posted.values() if x.customer_number == "C0")
    for way in get_args(Way):
        page = client.get(f"/contribution?by={way}").text
        assert f'data-posted="{mine}"' in page, way
        assert 'data-residual="0"' in page, way
        assert "party:P1" not in page, way
    leaves = all_leaves(client, {"by": "component", "code": "fee"})
    assert {row[0] for row in leaves} == {"C0"}
    assert all_leaves(client, {"by": "party", "code": "P1"}) == []
    assert all_leaves(client, {"by": "manager", "code": "RM2"}) == []
    head = {"by": "party", "code": "P1"}
    page = scoring.client(HEAD).get("/contribution/leaves", params=head).text
    link = html.unescape(re.findall(r'href="/scoring(/contribution/leaf\?[^"]*)"', page)[0])
    assert scoring.client(HEAD).get(link).status_code == 200
    client = scoring.client(own)
    assert client.get(link).status_code == 404
    nobody = Actor("S-X", permissions=frozenset({"score.view"}), scopes=())
    empty = scoring.client(nobody).get("/contribution").text
    assert "data-posted" not in empty


def test_an_older_state_record_changes_nothing(
    space: Space, scoring: ServiceUnderTest, made: Bank, scored: Scored
) -> None:
    with scoring.database.transaction() as tx:
        fold_state(tx, states_of(scored))
    before = rows(scoring, "select * from open_leaves order by 1, 2, 3, 4")
    assert any(row[9:17] != (0,) * 8 for row in before)
    with scoring.database.transaction() as tx:
        fold_state(tx, states_of(scored)[: len(before) * 3])
    assert rows(scoring, "select * from open_leaves order by 1, 2, 3, 4") == before
    assert residual(scoring) == 0


def test_a_merge_moves_the_partys_sum_and_an_unmerge_takes_it_back(
    space: Space, scoring: ServiceUnderTest, made: Bank, scored: Scored
) -> None:
    reference(space, made)
    scoring.drain()
    with scoring.database.transaction() as tx:
        keep_leaves(tx, leaves_of(scored))
    apart = rows(scoring, "select party_id, posted_minor from party_figures order by 1")
    party(space, "P0", "C0", "C1")
    scoring.drain()
    assert residual(scoring) == 0
    (merged,) = rows(scoring, "select posted_minor from party_figures where party_id = 'P0'")
    assert merged[0] == apart[0][1] + apart[1][1]
    party(space, "P0", "C0")
    party(space, "P1", "C1")
    scoring.drain()
    assert rows(scoring, "select party_id, posted_minor from party_figures order by 1") == apart
    assert residual(scoring) == 0


def test_what_many_facts_say_of_owners_is_one_move(
    space: Space, scoring: ServiceUnderTest, made: Bank, scored: Scored
) -> None:
    reference(space, made)
    with scoring.database.transaction() as tx:
        fold_state(tx, states_of(scored))
        keep_leaves(tx, leaves_of(scored))
    sent: list[str] = []
    listen(scoring.database.engine, "before_cursor_execute", lambda *args: sent.append(args[2]))
    for n in range(60):
        manager(space, f"C{n % 3}", f"RM{n}", "SH01", date(2024, 1, 1) + timedelta(days=n))
    scoring.drain()
    assert residual(scoring) == 0
    assert 0 < sum("insert into owner_totals" in one for one in sent) < 12
    assert "RM59" in by_code(scoring, "manager")
