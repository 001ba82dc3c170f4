"""A bank whose accounts have been idle for weeks, folded and rolled step by step."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from itertools import pairwise
from random import Random
from typing import Any

import pytest
from sqlalchemy import text

from services.scoring import roller, state
from services.scoring.commands.fold import fold_state
from services.scoring.leaf_sql import open_values
from services.scoring.replay import Line
from services.scoring.roller import Roller
from shared.events import Event
from shared.events.bank import RateSet, TransactionBooked
from shared.events.envelope import encode
from shared.testing.space import ServiceUnderTest
from shared.wire import Record
from tests.integration.ledger_room import states_of
from tests.integration.scoring_room import rows
from tests.ledger_bank import CURRENCY, FIRST_DAY, Bank, event_of, random_bank, stream
from tests.scored import Scored, Sums

BUSY, IDLE = 50, 45  # days: an event may come on any of the first, on none of the others
DAYS = BUSY + IDLE
LAST = FIRST_DAY + timedelta(days=DAYS - 1)


def idle_bank(seed: int) -> Bank:
    """Overdrafts, loans, grades and costs; prices change once more while nothing happens."""
    bank = random_bank(seed, days=BUSY, events=60)
    bank.days = DAYS
    on = FIRST_DAY + timedelta(days=BUSY + 20)
    for kind, product in (("transfer_price", "CA"), ("pd", "OD"), ("margin", "LN"),
                          ("risk_weight", "OD")):  # fmt: skip
        fact = RateSet(kind=kind, product_code=product, from_on=on, value=120_000)  # type: ignore[arg-type]
        bank.rates.append(event_of(fact, f"rate-{fact.entry}", FIRST_DAY))
    return bank


def after_the_close(number: str, account: str, n: int) -> Event[Any]:
    """An event of the day that is open: its record tells the other accounts as they were."""
    on = LAST + timedelta(days=1)
    fact = TransactionBooked(
        transaction_id=f"late-{n}", account_number=account, customer_number=number,
        product_code="CA", amount_minor=1_000 + n, currency=CURRENCY, kind="card",
        initiated_by="customer", booked_on=on,
    )  # fmt: skip
    return event_of(fact, f"late-{n}", on)


def scored_bank(bank: Bank, seed: int, *, later: bool = True, walks: bool = True) -> Scored:
    """`later`: with one event of each customer after the last close, in a batch of its own.
    `walks`: months are posted at their end."""
    events = stream(bank, Random(seed))
    scored = Scored(bank)
    scored.walks = walks
    scored.run(events, 20)
    if later:
        told = [after_the_close(f"C{n}", f"{10 * n}", n) for n in range(3)]
        scored.feed(0, [Line(len(events) + n, e.subject.encode(), encode(e))
                        for n, e in enumerate(told)])  # fmt: skip
    return scored


class Log:
    """`scoring.state` as it is read again and as it is folded; one partition."""

    def __init__(
        self, scoring: ServiceUnderTest, scored: Scored, patch: pytest.MonkeyPatch
    ) -> None:
        self.scoring = scoring
        self.records = states_of(scored)
        self.folded = 0
        patch.setattr(roller, "read_span", self._read)
        patch.setattr(roller, "CUSTOMERS", 1)
        patch.setattr(scoring.runtime, "end_offsets", lambda topic: {0: len(self.records)})

    def _read(
        self, settings: Any, topic: str, partition: int, end: int, *, begin: int
    ) -> list[list[Record]]:
        return [self.records[begin:end]]

    def fold(self, upto: int) -> None:
        """The next records, in one transaction with their position."""
        self.fold_again(self.folded, upto)
        self.folded = upto

    def fold_again(self, begin: int, upto: int) -> None:
        with self.scoring.database.transaction() as tx:
            fold_state(tx, self.records[begin:upto])
            tx.session.execute(
                text(
                    """
                    insert into positions (topic, partition, topic_id, start_offset, next_offset)
                    values ('scoring.state', 0, '', 0, :next) on conflict (topic, partition)
                    do update set next_offset = greatest(positions.next_offset, :next)
                    """
                ),
                {"next": upto},
            )

    def close_of(self, day: date) -> int:
        """The place behind the record that says this day is closed."""
        for n, record in enumerate(self.records):
            if record.key == b"\x00partition/0":
                told = state.unpack(record.key, record.value or b"")
                assert isinstance(told, state.PartitionState)
                if told.watermark >= day.toordinal():
                    return n + 1
        raise AssertionError(f"{day} is not closed")

    def walked(self, closed: int) -> int:
        """The place behind what a walk wrote after this place: no event moved it."""
        places = [state.place_of(record.value or b"")[0] if record.key[:1] != b"\x00" else -1
                  for record in self.records if record.key]  # fmt: skip
        moved = (n for n in range(closed, len(places)) if places[n] > max(places[:closed]))
        return next(moved, len(places))

    def roll(self) -> None:
        """Until nothing is left, with a roller that has just started."""
        one = Roller(self.scoring.runtime)
        while one.step():
            pass


def open_sums(scoring: ServiceUnderTest) -> Sums:
    """What is open, by account, product and component."""
    found = rows(
        scoring,
        f"""select o.account_number, v.product_code, v.component, sum(v.amount_minor)
              from open_leaves o {open_values("o.{name}")} group by 1, 2, 3""",  # noqa: S608
    )
    return {row[:3]: int(row[3]) for row in found if row[3]}  # type: ignore[misc]


def all_sums(scoring: ServiceUnderTest) -> Sums:
    """Posted and open."""
    posted = rows(scoring, "select account_number, product_code, component, sum(amount_minor)"
                           " from leaves group by 1, 2, 3")  # fmt: skip
    return added({row[:3]: int(row[3]) for row in posted}, open_sums(scoring))


def added(*parts: Mapping[Any, int]) -> dict[Any, int]:
    found: Counter[Any] = Counter()
    for part in parts:
        found.update(part)
    return {key: amount for key, amount in found.items() if amount}


def through(scoring: ServiceUnderTest) -> list[tuple[Any, ...]]:
    said = "select partition, closed_on, through_on, rolling_on from rolls order by 1"
    return rows(scoring, said)


def cuts(rng: Random, size: int) -> Sequence[tuple[int, int]]:
    """Batches of any size that make up the log."""
    inner = sorted(rng.sample(range(1, size), min(size - 1, 12)))
    return list(pairwise([0, *inner, size]))


def stream_until(bank: Bank, seed: int, day: date) -> list[Event[Any]]:
    """The same stream, cut off behind the close of a day."""
    events = stream(bank, Random(seed))
    for n, event in enumerate(events):
        if getattr(event.data, "day", None) == day:
            return events[: n + 1]
    raise AssertionError(f"{day} is not closed")


@pytest.fixture(scope="module")
def made() -> Bank:
    return idle_bank(5)


@pytest.fixture(scope="module")
def scored(made: Bank) -> Scored:
    return scored_bank(made, 5)
