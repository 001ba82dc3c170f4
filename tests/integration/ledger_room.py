"""A small random bank, scored and told to the query side: leaves, states, people."""

import csv
import io
import json
from collections.abc import Iterable
from datetime import date
from random import Random

import pytest

from services.scoring import state
from services.scoring.commands.fold import fold_state, keep_totals
from services.scoring.commands.leaves import keep_leaves
from services.scoring.leaves import encode
from services.scoring.rate import Rate
from shared.events import bank, customer, workflow
from shared.testing.space import ServiceUnderTest, Space
from shared.wire import Record
from tests.integration.scoring_room import party, rows
from tests.ledger_bank import Bank, random_bank, stream
from tests.scored import Scored

PARTITIONS = 4  # as the space has


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


def supervisors(space: Space, scoring: ServiceUnderTest, **of_code: str) -> None:
    """Who supervises the managers with these codes."""
    space.publish(
        *(
            workflow.StaffDescribed(staff_id=f"S-{code}", org_path="/head", staff_codes=(code,),
                                    supervisor_staff_id=supervisor)
            for code, supervisor in of_code.items()
        ),
        source="guanxi/workflow",
    )  # fmt: skip
    scoring.drain()
    scoring.runtime.directory._cached.read_at = -1.0  # it looks once a second


def taken_by_all(rates: Iterable[Rate]) -> list[Record]:
    """Rates as each partition of the worker says that it took them."""
    return [
        Record("scoring.state", partition, n, *state.rate_record(partition, rate), timestamp_ms=0)
        for partition in range(PARTITIONS)
        for n, rate in enumerate(rates)
    ]


def told(scoring: ServiceUnderTest, scored: Scored) -> None:
    """All was scored as one partition; the bank's events are in several."""
    rates = scored.engine.partition(0).books.rates.taken.values()
    states = [*states_of(scored), *taken_by_all(rates)]
    for handler, records in ((fold_state, states), (keep_leaves, leaves_of(scored))):
        with scoring.database.transaction() as tx:
            handler(tx, records)


def figures_of(body: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(body.removeprefix("\ufeff"))))


def closes(scoring: ServiceUnderTest, partition: int, on: date | None) -> None:
    """The worker tells until which day the bank has closed a partition."""
    told = {"partition": partition, "position": 1, "count": 0, "sum_minor": {}}
    told["watermark"] = on.toordinal() if on else 0
    record = Record(topic="scoring.totals", partition=0, offset=0, key=None,
                    value=json.dumps(told).encode(), timestamp_ms=0)  # fmt: skip
    with scoring.database.transaction() as tx:
        keep_totals(tx, [record])


def partitions_of(scoring: ServiceUnderTest) -> list[int]:
    of_bank = "select partition from positions where topic = 'bank.events' order by 1"
    return [row[0] for row in rows(scoring, of_bank)]
