"""Pools of account days where accounts close and open again."""

from datetime import timedelta
from random import Random

from shared.events import bank
from shared.testing.space import ServiceUnderTest, Space
from tests.integration import pools_room, scoring_room
from tests.integration.pools_room import JANUARY, booked, charged_as_by, close, cost
from tests.integration.scoring_room import rows
from tests.ledger_bank import FIRST_DAY, Bank, event_of, random_bank, stream
from tests.scored import Scored

scoring = scoring_room.scoring


def _tell_turns(made: Bank) -> None:
    """Two accounts that close and open again; some of it is said twice."""
    told = [(bank.AccountOpened, 3), (bank.AccountOpened, 8), (bank.AccountClosed, 14),
            (bank.AccountClosed, 14), (bank.AccountOpened, 20),
            (bank.AccountClosed, 45)]  # fmt: skip
    for account, product in (("81", "CA"), ("82", "SA")):
        for n, (kind, slot) in enumerate(told):
            on = FIRST_DAY + timedelta(days=slot)
            names = {"customer_number": "C0", "account_number": account}
            fact = (
                bank.AccountOpened(**names, product_code=product, currency="CNY", opened_on=on)
                if kind is bank.AccountOpened
                else bank.AccountClosed(**names, closed_on=on)
            )
            made.events.append((slot, event_of(fact, f"turn-{account}-{n}", on)))


def test_an_account_that_opens_again_is_charged_for_its_days_only(
    space: Space, scoring: ServiceUnderTest
) -> None:
    made = random_bank(3)
    _tell_turns(made)
    scored = Scored(made).run(stream(made, Random(3)), 50)
    assert scored.refused == []
    months = pools_room.filled(space, scoring, made, scored)
    charged_as_by(scored, months)
    booked(space, cost("c1", "IT", 10**9, "account_day"), cost("c2", "HQ", 5_000, "account"))
    months.drain()
    close(months, JANUARY)
    found = rows(months, """select driver_code, weight, count(*) from allocation_shares
        where account_number in ('81', '82') group by 1, 2 order by 1""")  # fmt: skip
    assert [(d, int(w), n) for d, w, n in found] == [
        ("account", 1, 2),
        ("account_day", 14 - 3 + 31 - 20, 2),
    ]
