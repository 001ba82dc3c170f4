"""The query side keeps posted leaves: once, and every way of adding them up is exact."""

from random import Random

import msgspec
import pytest

from services.scoring.commands.leaves import LeafChanged, keep_leaves
from services.scoring.leaves import encode
from services.scoring.queries import contribution
from shared.testing.space import ServiceUnderTest
from shared.wire import Record
from tests.integration import scoring_room
from tests.integration.scoring_room import ALL, HEAD, party, rows
from tests.ledger_bank import random_bank, stream
from tests.scored import Scored

scoring = scoring_room.scoring


@pytest.fixture(scope="module")
def bank() -> Scored:
    made = random_bank(3)
    return Scored(made).run(stream(made, Random(3)), 50)


def records(bank: Scored) -> list[Record]:
    return [
        Record(topic="scoring.leaves", partition=0, offset=n, key=leaf.customer_number.encode(),
               value=encode(leaf), timestamp_ms=0)
        for n, leaf in enumerate(bank.posted.values())
    ]  # fmt: skip


def test_leaves_sent_twice_are_kept_once_and_add_up_every_way(
    space, scoring: ServiceUnderTest, bank: Scored
) -> None:
    for _ in range(2):
        with scoring.database.transaction() as tx:
            keep_leaves(tx, records(bank))
    kept = rows(scoring, "select * from leaves")
    assert len(kept) == len(bank.posted) > 50
    total = sum(leaf.amount_minor for leaf in bank.posted.values())
    with scoring.database.read() as session:
        found = contribution.totals(session, ALL)
    for dimension in contribution.KEPT:
        assert found.whole(dimension).posted_minor == total
    assert max(found.by_code("month")) == max(leaf.period for leaf in bank.posted.values())
    party(space, "P0", "C0")
    scoring.drain()
    with scoring.database.read() as session:
        of_one = contribution.totals_of_party(session, ALL, "P0")
    mine = [x.amount_minor for x in bank.posted.values() if x.customer_number == "C0"]
    assert of_one.whole().posted_minor == sum(mine)
    page = scoring.client(HEAD).get("/contribution").text
    assert f'data-posted="{total}"' in page


def test_a_posted_leaf_that_comes_again_with_another_amount_stops_the_fold(
    scoring: ServiceUnderTest, bank: Scored
) -> None:
    """The negative control: a closed period that changed must not pass in silence."""
    told = records(bank)
    with scoring.database.transaction() as tx:
        keep_leaves(tx, told)
    leaf = next(iter(bank.posted.values()))
    other = msgspec.structs.replace(leaf, amount_minor=leaf.amount_minor + 1)
    forged = told[0]._replace(value=encode(other))
    with pytest.raises(LeafChanged), scoring.database.transaction() as tx:
        keep_leaves(tx, [forged])
