"""A small bank whose events, leaves and actual costs are all there: months to close."""

from collections import Counter
from datetime import date, timedelta

import pytest
from sqlalchemy import text

from services.scoring.commands import pools_spreading
from services.scoring.commands.copying import staged
from services.scoring.commands.fold import fold_state
from services.scoring.commands.pools_closing import Closer
from services.scoring.rate import Rate
from shared.events import bank, encode
from shared.events.envelope import key_of
from shared.testing.space import ServiceUnderTest, Space
from tests.integration.ledger_room import (
    closes,
    manager,
    partitions_of,
    reference,
    taken_by_all,
    told,
)
from tests.integration.scoring_room import rows
from tests.ledger_bank import Bank
from tests.scored import Scored

JANUARY, FEBRUARY = "2025-01", "2025-02"
ENDS = {JANUARY: date(2025, 1, 31), FEBRUARY: date(2025, 2, 28)}
NAMES = {"zh-CN": "柜面作业", "en": "Counter operations"}


def cost(
    cost_id: str, centre: str, amount: int, driver: str | None = None, period: str = JANUARY,
    currency: str = "CNY",
) -> bank.CostBooked:  # fmt: skip
    return bank.CostBooked(cost_id=cost_id, cost_centre_code=centre, amount_minor=amount,
                           currency=currency, period=period, driver_code=driver)  # fmt: skip


def booked(space: Space, *facts: bank.CostBooked, on: date = ENDS[JANUARY], source: str = "gl"):
    space.publish(*facts, businessdate=on, source=source)


def contact(number: str, contact_id: str, channel: str = "phone") -> bank.ContactRecorded:
    return bank.ContactRecorded(customer_number=number, contact_id=contact_id,
                                channel_code=channel, direction="inbound")  # fmt: skip


def driver_rate(driver: str, value: int, from_on: date, product: str | None = None) -> bank.RateSet:
    return bank.RateSet(kind="cost_driver", driver_code=driver, from_on=from_on, value=value,
                        currency="CNY", product_code=product)  # fmt: skip


def taken(scoring: ServiceUnderTest, *facts: bank.RateSet) -> None:
    """The worker took these rates and says so."""
    rates = [
        Rate(fact.key("core"), fact.kind, fact.product_code or "", fact.driver_code or "",
             fact.from_on.toordinal(), fact.value)
        for fact in facts
    ]  # fmt: skip
    with scoring.database.transaction() as tx:
        fold_state(tx, taken_by_all(rates))


def send(space: Space, made: Bank) -> None:
    """The bank's own events and rates, each as it was made; some of them twice."""
    reports = []
    for event in [*made.rates, *(e for _, e in made.events), *(e for _, e in made.events[:20])]:
        topic = type(event.data).TOPIC
        reports.append(space.sender.send(topic, key_of(event).encode(), encode(event)))
    space.sender.flush(10)
    for report in reports:
        report.result(10)


@pytest.fixture
def months(space: Space, scoring: ServiceUnderTest, made: Bank, scored: Scored) -> ServiceUnderTest:
    """Two months of events and their leaves; nothing is closed yet."""
    return filled(space, scoring, made, scored)


def filled(space: Space, scoring: ServiceUnderTest, made: Bank, scored: Scored) -> ServiceUnderTest:
    reference(space, made)
    manager(space, "C0", "RM1", "SH01", date(2025, 1, 1))
    manager(space, "C1", "RM2", "BJ01", date(2025, 1, 1))
    send(space, made)
    scoring.drain()
    told(scoring, scored)
    return scoring


def close(scoring: ServiceUnderTest, period: str) -> int:
    """The bank closes its days through a month's last, and the job does all that follows."""
    following = (date.fromisoformat(f"{period}-01") + timedelta(days=31)).replace(day=1)
    for partition in partitions_of(scoring):
        closes(scoring, partition, following - timedelta(days=1))
    return work(scoring)


def work(scoring: ServiceUnderTest) -> int:
    """Steps of the job until there is nothing to do."""
    closer, steps = Closer(), 0
    while True:
        with scoring.database.transaction() as tx:
            if not closer.step(tx):
                return steps
        steps += 1


def allocated(scoring: ServiceUnderTest) -> dict[tuple[str, ...], int]:
    """What each account bears, by component, month of the close and of the cost: of the leaves."""
    found = rows(scoring, """
        select customer_number, account_number, product_code, component, period, origin_period,
               amount_minor
          from leaves where component in ('overhead', 'variance')""")  # fmt: skip
    return {row[:-1]: row[-1] for row in found}


def sheet(scoring: ServiceUnderTest, period: str) -> dict[tuple[str, str, str], tuple[int, ...]]:
    """Actual, charged, before, amount and weight of each pool of a close."""
    found = rows(scoring, """
        select origin_period, cost_centre_code, driver_code, actual_minor, charged_minor,
               before_minor, amount_minor, weight
          from allocations where period = :period""", period=period)  # fmt: skip
    return {row[:3]: tuple(int(v) for v in row[3:]) for row in found}


def uses(made: Bank, period: str, **only: str) -> Counter[tuple[str, str, str]]:
    """How many transactions of a month each account has, counted here one by one."""
    found: Counter[tuple[str, str, str]] = Counter()
    for _, event in made.events:
        fact = event.data
        if not isinstance(fact, bank.TransactionBooked):
            continue
        asked = all(getattr(fact, name) == value for name, value in only.items())
        if asked and f"{event.businessdate:%Y-%m}" == period:
            found[fact.customer_number, fact.account_number, fact.product_code] += 1
    return found


def forget_leaf(scoring: ServiceUnderTest, component: str) -> None:
    with scoring.database.transaction() as tx:
        one = """delete from leaves where ctid = (select ctid from leaves
                  where component = :component limit 1)"""
        assert tx.session.execute(text(one), {"component": component}).rowcount == 1


def charged_as_by(scored: Scored, months: ServiceUnderTest) -> None:
    for period, end in ENDS.items():
        first = date.fromisoformat(f"{period}-01")
        month = {"first": first, "following": end + timedelta(days=1), "currency": "CNY"}
        with months.database.transaction() as tx:
            for name, columns in (("uses", pools_spreading.USES), ("spans", pools_spreading.SPANS)):
                staged(tx, f"pool_{name}", columns)
            charged = pools_spreading._observe(tx, month)
        truth: Counter[str] = Counter()
        for (_, _, component, origin), amount in scored.by_origin().items():
            if origin == period:
                truth[component] -= amount
        assert truth["abc_txn"] > 0 < truth["abc_maint"]
        assert charged.pop("account_day") == truth["abc_maint"]
        assert sum(charged.values()) == truth["abc_txn"]
