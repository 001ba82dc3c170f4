"""Live totals of the contribution: every way of adding up gives the same, after every batch."""

from collections import defaultdict
from datetime import date
from random import Random

import pytest
from sqlalchemy import text

from services.scoring.commands.fold import fold_state
from services.scoring.commands.leaves import keep_leaves
from services.scoring.leaves import encode
from services.scoring.queries import contribution
from services.scoring.queries.contribution import Sum, residual_minor
from shared.events import bank, customer
from shared.testing.space import ServiceUnderTest, Space
from shared.wire import Record
from tests.integration import scoring_room
from tests.integration.scoring_room import ALL, party, rows
from tests.ledger_bank import Bank, Scored, random_bank, stream

scoring = scoring_room.scoring
BATCH = 7


@pytest.fixture(scope="module")
def made() -> Bank:
    return random_bank(3)


@pytest.fixture(scope="module")
def scored(made: Bank) -> Scored:
    return Scored(made).run(stream(made, Random(3)), 50)


def leaves_of(scored: Scored) -> list[Record]:
    return [
        Record(topic="scoring.leaves", partition=0, offset=n, key=leaf.customer_number.encode(),
               value=encode(leaf), timestamp_ms=0)
        for n, leaf in enumerate(scored.posted.values())
    ]  # fmt: skip


def states_of(scored: Scored) -> list[Record]:
    return [
        Record(topic="scoring.state", partition=0, offset=n, key=key, value=value, timestamp_ms=0)
        for n, (key, value) in enumerate(scored._log[0])
    ]


def batches(records: list[Record], size: int = BATCH) -> list[list[Record]]:
    return [records[n : n + size] for n in range(0, len(records), size)]


def reference(space: Space, made: Bank) -> None:
    """The bank says what its products are, where its branches lie, who its customers are."""
    products = [e.data for e in made.rates if isinstance(e.data, bank.ProductDescribed)]
    space.publish(
        *products,
        bank.ProductDescribed(product_code="LN", names={"zh-CN": "贷款", "en": "Loan"},
                              line_code="asset"),
        bank.BranchDescribed(branch_code="SH01", region_code="east"),
        bank.BranchDescribed(branch_code="BJ01", region_code="north"),
    )  # fmt: skip
    for n in range(3):
        party(space, f"P{n}", f"C{n}")


def manager(space: Space, number: str, code: str, branch: str, on: date) -> None:
    space.publish(
        customer.ManagerChanged(
            party_id="P" + number[1:], customer_number=number, staff_id=f"S-{code}",
            manager_code=code, branch_code=branch, effective_on=on,
        ),
        source="guanxi/customer",
    )  # fmt: skip


def residual(scoring: ServiceUnderTest) -> int:
    """Of all ways and of the leaves themselves, in one snapshot."""
    with scoring.database.read() as session:
        found = contribution.ways(session) | {"leaves": contribution.of_leaves(session)}
        in_slices = sum(one.sum_minor for one in contribution.slices(session, ALL))
    (parties,) = rows(
        scoring, "select coalesce(sum(posted_minor + accrued_minor), 0) from party_figures"
    )
    assert in_slices == parties[0]
    return residual_minor(found)


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


@pytest.mark.parametrize("dimension", ["bank", "product", "region", "branch", "manager", "month"])
def test_a_leaf_withheld_from_one_dimension_shows(
    space: Space, scoring: ServiceUnderTest, made: Bank, scored: Scored, dimension: str
) -> None:
    """The negative control."""
    with scoring.database.transaction() as tx:
        keep_leaves(tx, leaves_of(scored))
    assert residual(scoring) == 0
    amount = next(leaf.amount_minor for leaf in scored.posted.values())
    with scoring.database.transaction() as tx:
        tx.session.execute(
            text(
                """
                update contribution_totals set posted_minor = posted_minor - :amount
                 where (dimension, code, component) in (
                   select dimension, code, component from contribution_totals
                    where dimension = :dimension limit 1)
                """
            ),
            {"amount": amount, "dimension": dimension},
        )
    assert residual(scoring) == abs(amount)


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
    assert first and later
    found = by_code(scoring, "manager")
    assert found["RM1"] == Sum(first, 0), "as it was"
    assert found["RM2"] == Sum(later, all_of_it.accrued_minor)
    assert by_code(scoring, "region")["east"].posted_minor == first
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
