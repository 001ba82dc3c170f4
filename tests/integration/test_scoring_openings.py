"""A customer who has only opened accounts, or has only a grade, is folded like any other."""

from datetime import UTC, date, datetime, timedelta
from itertools import count
from random import Random
from typing import Any

import pytest

from services.scoring.commands.fold import fold_state
from shared.events.bank import AccountOpened, CustomerPlaced, Holder
from shared.ids import partition_of
from shared.testing.space import ServiceUnderTest, Space
from tests.integration import ledger_room, scoring_room
from tests.integration.scoring_room import rows
from tests.ledger_bank import random_bank, stream
from tests.scored import Scored

scoring = scoring_room.scoring
DAY = date(2025, 1, 2)


@pytest.mark.parametrize("size", [1, 1000])
def test_a_poll_without_any_transaction_is_folded(scoring: ServiceUnderTest, size: int) -> None:
    """Alone in a quiet second as well as together: their accounts cost their upkeep."""
    bank = random_bank(3, events=0)
    scored = Scored(bank).run(stream(bank, Random(3), repeats=0.0), 1)
    told = ledger_room.states_of(scored)
    for begin in range(0, len(told), size):
        with scoring.database.transaction() as tx:
            fold_state(tx, told[begin : begin + size])
    partition = scored.engine.partition(0)
    keys = map(partition.key_of, range(len(partition.account_keys)))
    accounts = {(number, account) for number, account, *_ in keys}
    found = rows(scoring, "select distinct customer_number, account_number from open_leaves")
    assert {(number, account) for number, account in found} == accounts != set()
    assert rows(scoring, "select count(*) from customer_state") == [(0,)]


def test_a_repeat_hides_nothing_that_another_partition_has_at_its_offset(
    space: Space, scoring: ServiceUnderTest
) -> None:
    """A poll holds several partitions. The second copy of one's first event stands where another's
    joint account is opened, or a customer is placed, for the first time."""
    home = space.partitions["bank.events"]
    numbers = (f"C{n}" for n in count())
    first, second = (next(n for n in numbers if partition_of(n, home) == p) for p in (0, 1))
    last = next(n for n in numbers if partition_of(n, home) == 2)
    told: Any = {"businessdate": DAY, "at": datetime(2025, 1, 2, 2, tzinfo=UTC)}

    def opened(number: str, *holders: Holder) -> None:
        fact = AccountOpened(account_number=f"A{number}", customer_number=number, opened_on=DAY,
                             product_code="CA-P", currency="CNY", holders=holders)  # fmt: skip
        space.publish(fact, event_id=f"acct-{number}", **told)

    def placed(number: str, branch: str, event_id: str) -> None:
        fact = CustomerPlaced(customer_number=number, region_code="east", home_branch_code=branch)
        space.publish(fact, event_id=event_id, **told)

    for _ in range(2):
        opened(first)
    placed(second, "SH01", "place-1")
    opened(second, Holder(customer_number=second, role="owner", share_ppm=400_000),
           Holder(customer_number=last, role="holder", share_ppm=600_000))  # fmt: skip
    opened(last)
    placed(last, "BJ01", "place-2")
    scoring.drain()
    at = "select event_offset from bank_events where event_id = :name order by event_offset"
    repeat = rows(scoring, at, name=f"acct-{first}")[1]
    assert [repeat] == rows(scoring, at, name=f"acct-{second}") == rows(scoring, at, name="place-2")
    known = rows(scoring, "select distinct customer_number from account_openings")
    assert {number for (number,) in known} == {first, second, last}
    shares = rows(scoring, "select holder_number, weight from account_holders")
    assert sorted(shares) == sorted([(second, 400_000), (last, 600_000)])
    branches = rows(scoring, "select customer_number, branch_code from placements")
    assert sorted(branches) == sorted([(second, "SH01"), (last, "BJ01")])


def test_an_event_of_another_customer_with_its_id_is_no_repeat(
    space: Space, scoring: ServiceUnderTest
) -> None:
    """Ids are told apart by customer: each is in a partition of its own."""
    home = space.partitions["bank.events"]
    numbers = (f"C{n}" for n in count())
    first, second = (next(n for n in numbers if partition_of(n, home) == p) for p in (0, 1))
    for number, branch, event_id, day in (
        (first, "SH01", "same", DAY), (second, "SH01", "other", DAY),
        (second, "BJ01", "same", DAY + timedelta(days=1)),
    ):  # fmt: skip
        fact = CustomerPlaced(customer_number=number, region_code="east", home_branch_code=branch)
        space.publish(fact, event_id=event_id, businessdate=day,
                      at=datetime(2025, 1, 3, 2, tzinfo=UTC))  # fmt: skip
    scoring.drain()
    branches = rows(scoring, "select customer_number, branch_code from placements")
    assert sorted(branches) == sorted([(first, "SH01"), (second, "SH01"), (second, "BJ01")])
