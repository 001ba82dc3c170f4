"""The room of the query side's tests: its service, a bank that was scored, looks inside."""

from collections.abc import Iterator, Mapping
from datetime import date, timedelta

import msgspec
import pytest
from sqlalchemy import text

from services.scoring.__main__ import SERVICE
from services.scoring.commands import outflows
from services.scoring.commands.alerts_anew import AlertsAnew
from services.scoring.commands.fold import TotalsIn, keep_totals
from shared.events import customer
from shared.policy import Actor, Scope
from shared.reach import Reach
from shared.testing.space import ServiceUnderTest, Space
from shared.wire import Record
from tests.scoring_bank import FIRST_DAY, ScoredBank

ALL = Reach(everything=True)
HEAD = Actor(
    "S011",
    permissions=frozenset({"score.view", "alert.view"}),
    scopes=(Scope("score.view", "all"), Scope("alert.view", "all")),
)


def day(n: int) -> date:
    return FIRST_DAY + timedelta(days=n)


@pytest.fixture
def scoring(space: Space) -> ServiceUnderTest:
    return space.service(SERVICE)


@pytest.fixture
def scored(space: Space) -> Iterator[ScoredBank]:
    found = ScoredBank(space)
    yield found
    found.shut()


def party(space: Space, party_id: str, *numbers: str) -> None:
    """Customer says who is who; a moment of the bank's clock apart."""
    space.clock.bank += timedelta(seconds=1)
    space.publish(
        *(
            customer.PartyRecorded(
                party_id=party_id, customer_number=n, kind="person", customer_numbers=numbers
            )
            for n in numbers
        ),
        source="guanxi/customer",
    )


def rows(scoring: ServiceUnderTest, sql: str, **values: object) -> list[tuple]:
    with scoring.database.read() as session:
        return [tuple(row) for row in session.execute(text(sql), values)]


def due_now(scoring: ServiceUnderTest) -> None:
    """Whoever stands in line for a score has his turn."""
    with scoring.database.transaction() as tx:
        tx.session.execute(text("update scores_waiting set due_at = '-infinity'"))


def relayed(scoring: ServiceUnderTest) -> None:
    """All that is to be told by now is told."""
    while scoring.relay_once():
        pass


def asked(scoring: ServiceUnderTest) -> None:
    """Every party that waits for a close that has come was asked for an outflow of its sums."""
    for _ in range(100):
        with scoring.database.transaction() as tx:
            if not outflows.ask(tx):
                return
    raise AssertionError("a party is asked for ever")


def read_through(scoring: ServiceUnderTest, reached: Mapping[int, int] | None = None) -> None:
    """The worker tells how far it is, by partition; none: it has read all."""
    if reached is None:
        ends = scoring.runtime.end_offsets("bank.events")
        reached = {partition: end - 1 for partition, end in ends.items()}
    values = [msgspec.json.encode(TotalsIn(n, position, 0, {})) for n, position in reached.items()]
    with scoring.database.transaction() as tx:
        keep_totals(tx, [Record("scoring.totals", 0, 0, b"", value, 0) for value in values])


def compared(scoring: ServiceUnderTest) -> int:
    """Alerts are let go where the state is again where it was; how many steps did something."""
    job = AlertsAnew(scoring.runtime)
    for n in range(100):
        if not job.step():
            return n
    raise AssertionError("alerts are compared for ever")


FIGURES = (
    "select customer_number, account_number, product_code, currency, sum_minor from account_figures"
)


# What is kept and what the rows add up to, where they differ.
KEPT_APART = """
    select * from (select partition, product_code, currency, sum_minor, count, accounts
                     from folded_totals where accounts > 0) k
      full join (select s.partition, a.product_code, a.currency, sum(a.sum_minor) as sum_minor,
                        sum(a.count) as count, count(*) as accounts
                   from account_figures a join customer_state s using (customer_number)
                  group by 1, 2, 3) x using (partition, product_code, currency)
     where (k.sum_minor, k.count, k.accounts) is distinct from (x.sum_minor, x.count, x.accounts)
"""


def folded(scoring: ServiceUnderTest) -> dict[tuple, int]:
    assert rows(scoring, KEPT_APART) == []
    return {row[:4]: row[4] for row in rows(scoring, FIGURES)}


def whole_state(scoring: ServiceUnderTest) -> dict[str, list[tuple]]:
    """Everything that a repeat must not change."""
    tables = ("customer_state", "account_figures", "folded_totals", "signals", "alerts",
              "bank_events", "numbers")  # fmt: skip
    return {
        table: rows(scoring, f"select * from {table} order by 1, 2, 3")  # noqa: S608
        for table in tables
    }


def a_small_bank(scored: ScoredBank, space: Space) -> None:
    """Three parties: one keeps coming, one falls silent, one loses its money; and one of none."""
    scored.days("C1", day(0), day(150), 5, 300_000)
    scored.days("C2", day(0), day(60), 5, 1_000_000)
    scored.days("C3", day(0), day(90), 6, 2_000_000)
    scored.book("C3", -28_000_000, day(91))
    scored.book("C4", 12_345, day(3), product="SA-F")
    scored.book("C1", 777, day(4), account="A-C1-usd", currency="USD")
    twice = scored.book("C1", 100, day(5))
    scored.book("C1", 100, day(5), event_id=twice)
    scored.close_through(day(150))
    for n in (1, 2, 3):
        party(space, f"P{n}", f"C{n}")
