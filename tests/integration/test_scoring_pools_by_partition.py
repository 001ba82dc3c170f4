"""Pools where partitions of the worker took different rates: one had met a use of the day."""

from collections import Counter
from importlib import import_module
from typing import Any

import pytest
from sqlalchemy import text

from services.scoring import state
from services.scoring.commands import pools_spreading
from services.scoring.commands.copying import staged
from services.scoring.commands.fold import fold_state
from services.scoring.commands.leaves import keep_leaves
from services.scoring.rate import Rate
from shared.events import Event, bank, encode
from shared.events.envelope import key_of
from shared.ids import partition_of
from shared.testing.space import ServiceUnderTest, Space
from shared.wire import Record
from tests.integration import scoring_room
from tests.integration.ledger_room import PARTITIONS, leaves_of, taken_by_all
from tests.integration.pools_room import JANUARY, allocated, booked, close, cost, sheet
from tests.integration.scoring_room import party, rows
from tests.ledger_bank import Bank, event_of
from tests.scored import Scored
from tests.unit.test_contribution_rules import RATES, rate
from tests.unit.test_replay_late_reference import day
from tests.workers import closed

scoring = scoring_room.scoring
# One customer of each partition
CUSTOMERS = [next(name for name in (f"K{n}" for n in range(99)) if partition_of(name, 4) == p)
             for p in range(PARTITIONS)]  # fmt: skip
MONTH = {"first": day(1), "following": day(32), "currency": "CNY"}


def use(n: int, customer: str, on: int, channel: str | None = None) -> Event[Any]:
    fact = bank.TransactionBooked(
        transaction_id=f"u{n}", customer_number=customer, account_number=f"A-{customer}",
        product_code="CA", currency="CNY", kind="card", initiated_by="customer", amount_minor=-5,
        booked_on=day(on), channel_code=channel,
    )  # fmt: skip
    return event_of(fact, f"use-{n}", day(on))


def send(space: Space, *events: Event[Any]) -> None:
    reports = [space.sender.send(type(one.data).TOPIC, key_of(one).encode(), encode(one))
               for one in events]  # fmt: skip
    space.sender.flush(10)
    for report in reports:
        report.result(10)


def observed(scoring: ServiceUnderTest) -> dict[str, int]:
    with scoring.database.transaction() as tx:
        for name, columns in (("uses", pools_spreading.USES), ("spans", pools_spreading.SPANS)):
            staged(tx, f"pool_{name}", columns)
        return pools_spreading._observe(tx, MONTH)


def test_a_pool_is_whole_where_a_partition_refused_what_others_took(
    space: Space, scoring: ServiceUnderTest
) -> None:
    first, *others = CUSTOMERS
    late = rate("cost_driver", 9, product=None, driver="card", on=day(10))
    of_all = [use(n, name, 1) for n, name in enumerate(CUSTOMERS)]
    of_day = [use(10, first, 10), use(11, first, 10), *(use(20, name, 10) for name in others[:1])]
    told = [*of_all, *(closed(day(n)) for n in range(1, 10)), of_day[0], late, *of_day[1:],
            *(closed(day(n)) for n in range(10, 41))]  # fmt: skip
    scored = Scored(Bank(rates=RATES), PARTITIONS).run(told, 1)
    assert ["uses are booked" in alarm for alarm in scored.alarms] == [True]
    uses = Counter({key[0]: -n for key, n in scored.by_origin().items() if key[2] == "abc_txn"})
    assert uses == {f"A-{first}": 3 * 7, f"A-{others[0]}": 7 + 9, f"A-{others[1]}": 7,
                    f"A-{others[2]}": 7}  # fmt: skip

    for n, name in enumerate(CUSTOMERS):
        party(space, f"P{n}", name)
    send(space, *of_all, *of_day)
    booked(space, cost("c1", "CARDS", 10_000, "card"))
    scoring.drain()
    records = [Record("scoring.state", p, n, key, value, 0)
               for p in range(PARTITIONS) for n, (key, value) in enumerate(scored._log[p])]
    with scoring.database.transaction() as tx:
        fold_state(tx, records)
        keep_leaves(tx, leaves_of(scored))
    close(scoring, JANUARY)
    charged = sum(uses.values())
    assert sheet(scoring, JANUARY)[JANUARY, "CARDS", "card"] == (
        10_000, charged, 0, 10_000 - charged, 7
    )  # fmt: skip
    assert charged - sum(allocated(scoring).values()) == 10_000


def test_a_pool_goes_to_the_uses_that_their_own_partition_charged_for_its_driver(
    space: Space, scoring: ServiceUnderTest
) -> None:
    """One partition has taken a nearer rate: of its uses another driver is charged."""
    for n, name in enumerate(CUSTOMERS[:2]):
        party(space, f"P{n}", name)
        send(space, *(use(10 * n + i, name, 1, channel="app") for i in range(n + 1)))
    booked(space, cost("c1", "CARDS", 1_000, "card"), cost("c2", "APPS", 1_000, "card/app"))
    scoring.drain()
    known = Rate("known", "cost_driver", "", "card", day(1).toordinal(), 7)
    nearer = Rate("nearer", "cost_driver", "", "card/app", day(1).toordinal(), 9)
    one = Record("scoring.state", 1, 9, *state.rate_record(1, nearer), timestamp_ms=0)
    with scoring.database.transaction() as tx:
        fold_state(tx, [*taken_by_all([known]), one])
    close(scoring, JANUARY)
    found = sheet(scoring, JANUARY)
    assert found[JANUARY, "CARDS", "card"] == (1_000, 7, 0, 993, 1)
    assert found[JANUARY, "APPS", "card/app"] == (1_000, 18, 0, 982, 2)
    assert {key[0]: -n for key, n in allocated(scoring).items()} == {
        CUSTOMERS[0]: 993, CUSTOMERS[1]: 982,
    }  # fmt: skip


@pytest.mark.parametrize("product", ["", "CA"])
def test_the_days_of_an_account_cost_what_its_own_partition_took(
    space: Space, scoring: ServiceUnderTest, product: str
) -> None:
    for n, name in enumerate(CUSTOMERS[:2]):
        fact = bank.AccountOpened(customer_number=name, account_number="1", product_code="CA",
                                  currency="CNY", opened_on=day(1))  # fmt: skip
        send(space, event_of(fact, f"o{n}", day(1)))
    scoring.drain()
    later = Rate("later", "cost_driver", product, "account_day", day(22).toordinal(), 100)
    known = Rate("known", "cost_driver", "", "account_day", day(1).toordinal(), 1)
    one = Record("scoring.state", 1, 9, *state.rate_record(1, later), timestamp_ms=0)
    with scoring.database.transaction() as tx:
        fold_state(tx, [*taken_by_all([known]), one])
    assert observed(scoring) == {"account_day": 31 + 21 + 10 * 100}


def test_what_one_partition_was_said_to_have_taken_all_have_after_the_migration(
    space: Space, scoring: ServiceUnderTest
) -> None:
    taken = Rate("taken", "cost_driver", "CA", "card", day(1).toordinal(), 7)
    contacts = bank.RateSet(kind="cost_driver", driver_code="contact/phone", from_on=day(1),
                            value=5, currency="CNY")  # fmt: skip
    space.publish(contacts)
    scoring.drain()
    with scoring.database.transaction() as tx:
        fold_state(tx, taken_by_all([taken]))
    asked = "select partition, driver_code, product_code, from_on, value from cost_rates order by 1"
    before = rows(scoring, asked)
    assert [row[0] for row in before] == [-1, *range(PARTITIONS)]
    migration = import_module("services.scoring.migrations.0036_cost_rates_by_partition")
    with scoring.database.transaction() as tx:
        for statement in (
            "delete from cost_rates where partition > 0",
            "update cost_rates set partition = -1",
            "delete from positions where topic = 'scoring.state'",
            "insert into positions (topic, topic_id, partition, start_offset, next_offset)"
            " select 'scoring.state', 'id', n, 0, 1 from generate_series(0, 3) n",
            migration.FILL, migration.REPLACED,
        ):  # fmt: skip
            tx.session.execute(text(statement))
    assert rows(scoring, asked) == before
