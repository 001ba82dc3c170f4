"""A customer who has only opened accounts, or has only a grade, is folded like any other."""

from random import Random

import pytest

from services.scoring.commands.fold import fold_state
from shared.testing.space import ServiceUnderTest
from tests.integration import ledger_room, scoring_room
from tests.integration.scoring_room import rows
from tests.ledger_bank import random_bank, stream
from tests.scored import Scored

scoring = scoring_room.scoring


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
