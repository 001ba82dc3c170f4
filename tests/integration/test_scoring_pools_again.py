"""Pools of account days where accounts close and open again."""

from datetime import date, timedelta
from operator import itemgetter
from random import Random
from typing import Any

import msgspec
import pytest
from sqlalchemy import text

from services.scoring.commands import pools_spreading
from services.scoring.commands.copying import staged
from services.scoring.commands.worker_letters import RefusedIn, keep_refusals, replay_letter
from shared.events import Event, bank, encode
from shared.events.envelope import key_of
from shared.testing.space import ServiceUnderTest, Space
from shared.wire import Record
from tests.integration import pools_room, scoring_room
from tests.integration.ledger_room import told
from tests.integration.pools_room import (
    FEBRUARY,
    JANUARY,
    allocated,
    booked,
    charged_as_by,
    close,
    cost,
    sheet,
)
from tests.integration.scoring_room import rows
from tests.ledger_bank import FIRST_DAY, Bank, event_of, random_bank, stream
from tests.scored import Scored
from tests.workers import closed

FEBRUARY_1 = date(2025, 2, 1)
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


def _in_order(made: Bank) -> list[Event[Any]]:
    """Day by day as it was made; loans first, for their instalments name them."""
    found: list[Event[Any]] = []
    for slot in range(made.days):
        today = [event for at, event in made.events if at == slot]
        today.sort(key=lambda event: not isinstance(event.data, bank.LoanGranted))
        found += [*today, closed(FIRST_DAY + timedelta(days=slot))]
    return found


# What is told of the numbers from 80 on.
SEVERAL = {
    "another product": [
        ("o", 2, {"product_code": "CA", "currency": "CNY"}),
        ("c", 9, {"product_code": "CA", "currency": "CNY"}),
        ("o", 9, {"product_code": "SA", "currency": "CNY"}),
        ("c", 20, {"product_code": "SA"}),
    ],
    "named by nobody before there are two": [
        ("o", 2, {"product_code": "CA", "currency": "CNY"}), ("c", 9, {}),
        ("o", 9, {"product_code": "SA", "currency": "CNY"}),
    ],
    "closed in another currency": [
        ("o", 2, {"product_code": "CA", "currency": "USD"}),
        ("o", 5, {"product_code": "CA", "currency": "CNY"}),
        ("c", 20, {"product_code": "CA", "currency": "USD"}),
    ],
    "closed in its own": [
        ("o", 2, {"product_code": "CA", "currency": "CNY"}),
        ("o", 5, {"product_code": "CA", "currency": "USD"}),
        ("c", 20, {"currency": "CNY"}),
    ],
    "another currency only": [("o", 2, {"product_code": "CA", "currency": "USD"})],
    "two products at once": [
        ("o", 2, {"product_code": "CA", "currency": "CNY"}),
        ("o", 4, {"product_code": "SA", "currency": "CNY"}), ("c", 9, {"product_code": "CA"}),
    ],
    "named by its product, beside another of another currency": [
        ("o", 2, {"product_code": "CA", "currency": "CNY"}),
        ("o", 4, {"product_code": "SA", "currency": "USD"}), ("c", 9, {"product_code": "CA"}),
    ],
    "named by its currency, beside another of another product": [
        ("o", 2, {"product_code": "CA", "currency": "CNY"}),
        ("o", 4, {"product_code": "SA", "currency": "USD"}), ("c", 9, {"currency": "CNY"}),
    ],
}  # fmt: skip
ACCOUNT_DAYS = {
    ("80", "CA"): 7, ("80", "SA"): 11, ("81", "CA"): 7, ("81", "SA"): 22, ("82", "CA"): 26,
    ("83", "CA"): 18, ("85", "CA"): 7, ("85", "SA"): 27, ("86", "CA"): 7, ("87", "CA"): 7,
}  # fmt: skip


def test_account_days_are_of_the_product_and_the_currency_that_are_open(
    space: Space, scoring: ServiceUnderTest
) -> None:
    """As the worker charges them; one in another currency bears none."""
    made = random_bank(3)
    for number, turns in enumerate(SEVERAL.values(), 80):
        for n, (kind, slot, named) in enumerate(turns):
            on = FIRST_DAY + timedelta(days=slot)
            names = {"customer_number": "C0", "account_number": f"{number}", **named}
            fact = (
                bank.AccountOpened(**names, opened_on=on) if kind == "o"
                else bank.AccountClosed(**names, closed_on=on)
            )  # fmt: skip
            made.events.append((slot, event_of(fact, f"several-{number}-{n}", on)))
    made.events.sort(key=itemgetter(0))  # in the log an opening may stand nearer behind a closing
    scored = Scored(made).run(_in_order(made), 50)
    assert scored.refused == []
    months = pools_room.filled(space, scoring, made, scored)
    charged_as_by(scored, months)
    booked(space, cost("c1", "IT", 10**9, "account_day"))
    months.drain()
    close(months, JANUARY)
    found = rows(months, """select account_number, product_code, weight from allocation_shares
        where account_number like '8_'""")  # fmt: skip
    assert {(account, product): int(days) for account, product, days in found} == ACCOUNT_DAYS

@pytest.mark.parametrize("waits", ["opening", "closing", "nothing"])
def test_a_closing_that_names_nothing_ends_what_the_worker_knew_when_it_heard_it(
    space: Space, scoring: ServiceUnderTest, waits: str
) -> None:
    """The letter of what waited is replayed when all else was heard. Of two that were known it
    would be refused; the nearest in the log is the control."""
    on = [FIRST_DAY + timedelta(days=n) for n in (2, 3, 10)]
    names = {"customer_number": "C0", "account_number": "7"}
    first, second = (
        event_of(bank.AccountOpened(**names, product_code=product, currency="CNY",
                                    opened_on=day), f"o{product}", day)
        for product, day in zip(("CA", "SA"), on, strict=False)
    )  # fmt: skip
    closing = event_of(bank.AccountClosed(**names, closed_on=on[2]), "c", on[2])
    told = {"opening": [first, second, closing], "closing": [closing, first],
            "nothing": [first, closing, second]}[waits]  # fmt: skip
    for event in told:
        send(space, event)
    scoring.drain()
    if waits != "nothing":
        late = second if waits == "opening" else closing
        refuse(scoring, late)
        ((letter,),) = rows(scoring, "select id from worker_letters")
        with scoring.database.transaction() as tx:
            replay_letter(tx, letter)
    if waits == "closing":
        send(space, second)
        scoring.drain()
    assert spans(scoring) == {"CA": [on[0], on[2]], "SA": [on[1], FEBRUARY_1]}


def spans(scoring: ServiceUnderTest) -> dict[str, list[date]]:
    """The days of January on which accounts are open, by product."""
    month = {"first": FIRST_DAY, "following": FEBRUARY_1, "currency": "CNY"}
    with scoring.database.transaction() as tx:
        for name, columns in (("uses", pools_spreading.USES), ("spans", pools_spreading.SPANS)):
            staged(tx, f"pool_{name}", columns)
        pools_spreading._observe(tx, month)
        found = tx.session.execute(text("select product_code, begin_on, end_on from pool_spans"))
        return {product: days for product, *days in found}


@pytest.mark.parametrize("begun", [True, False])
def test_a_closing_that_names_nothing_may_end_what_a_transaction_began(
    space: Space, scoring: ServiceUnderTest, begun: bool
) -> None:
    """No opening of it was told, so it cost no day; the one that is opened later stays open."""
    names = {"customer_number": "C0", "account_number": "7", "currency": "CNY"}
    on = [FIRST_DAY + timedelta(days=n) for n in (0, 2, 10)]
    use = event_of(bank.TransactionBooked(
        **names, transaction_id="t", product_code="CA", kind="card", initiated_by="customer",
        amount_minor=-5, booked_on=on[0]), "t", on[0])  # fmt: skip
    closing = event_of(bank.AccountClosed(
        customer_number="C0", account_number="7", closed_on=on[2]), "c", on[2])  # fmt: skip
    opening = event_of(bank.AccountOpened(
        **names, product_code="SA", opened_on=on[1]), "o", on[1])  # fmt: skip
    for event in (use, closing, opening) if begun else (opening, closing):
        send(space, event)
    scoring.drain()
    assert spans(scoring) == {"SA": [on[1], FEBRUARY_1 if begun else on[2]]}


@pytest.mark.parametrize("waits", [True, False])
def test_turns_of_one_day_go_as_the_worker_heard_them(
    space: Space, scoring: ServiceUnderTest, waits: bool
) -> None:
    """The closing stands first in the log. Where it waited for the opening it ended the account."""
    on = FIRST_DAY + timedelta(days=9)
    names = {"customer_number": "C0", "account_number": "7", "product_code": "CA"}
    closing = event_of(bank.AccountClosed(**names, closed_on=on), "c", on)
    opening = event_of(bank.AccountOpened(**names, currency="CNY", opened_on=on), "o", on)
    for event in (closing, opening):
        send(space, event)
    scoring.drain()
    if waits:
        refuse(scoring, closing)
        ((letter,),) = rows(scoring, "select id from worker_letters")
        with scoring.database.transaction() as tx:
            replay_letter(tx, letter)
    assert spans(scoring) == ({} if waits else {"CA": [on, FEBRUARY_1]})


def refuse(scoring: ServiceUnderTest, event: Event[Any]) -> None:
    """The worker's letter on an event comes."""
    place = "select partition, event_offset from bank_events where event_id = :id"
    ((partition, offset),) = rows(scoring, place, id=event.id)
    letter = RefusedIn(topic="bank.events", partition=partition, offset=offset,
                       kind="quarantined", field="data.account_number", reason="r",
                       type=event.data.TYPE, key=key_of(event).encode(),
                       payload=encode(event))  # fmt: skip
    record = Record("scoring.dead", 0, 0, b"0", msgspec.json.encode(letter), 0)
    with scoring.database.transaction() as tx:
        keep_refusals(tx, [record])


def send(space: Space, event: Event[Any]) -> None:
    report = space.sender.send(type(event.data).TOPIC, key_of(event).encode(), encode(event))
    space.sender.flush(10)
    report.result(10)


@pytest.mark.parametrize(
    ("turn", "slot", "before", "after"),
    [("c81", 40, [JANUARY], [FEBRUARY, "2025-03", "2025-04"]),
     ("c81", 95, [JANUARY, FEBRUARY, "2025-03"], ["2025-04", "2025-05"]),
     ("o81", 95, [JANUARY, FEBRUARY, "2025-03"], ["2025-04", "2025-05"])],
    ids=["closing in february", "closing in april", "opening in april"],
)  # fmt: skip
def test_a_turn_told_late_leaves_its_pool_whole(
    space: Space, scoring: ServiceUnderTest, turn: str, slot: int, before: list[str],
    after: list[str],
) -> None:  # fmt: skip
    """The ledger takes it however late: what upkeep gives back or takes, the pool spreads."""
    made, pool = random_bank(3, days=121), 10**6 + 7
    opened, closed = (FIRST_DAY + timedelta(days=day) for day in (2, 9))
    names = {"customer_number": "C0", "account_number": "81"}
    opening = event_of(bank.AccountOpened(
        **names, product_code="CA", currency="CNY", opened_on=opened), "o81", opened)  # fmt: skip
    closing = event_of(bank.AccountClosed(**names, closed_on=closed), "c81", closed)
    if turn == "c81":
        made.events.append((2, opening))
    scored = Scored(made).run(stream(made, Random(3)), 50)
    months = pools_room.filled(space, scoring, made, scored)
    booked(space, cost("c1", "IT", pool, "account_day"))
    months.drain()

    def borne(scored: Scored) -> tuple[int, int]:
        upkeep = sum(amount for (_, _, component, origin), amount in scored.by_origin().items()
                     if component == "abc_maint" and origin == JANUARY)  # fmt: skip
        spread = sum(amount for key, amount in allocated(months).items()
                     if key[3] == "variance" and key[5] == JANUARY)  # fmt: skip
        return -upkeep, -spread

    for period in before:
        close(months, period)
    charged, spread = borne(scored)
    assert charged + spread == pool
    late = closing if turn == "c81" else opening
    made.events.append((slot, late))
    scored = Scored(made).run(stream(made, Random(3)), 50)
    assert not scored.refused
    send(space, late)
    months.drain()
    told(months, scored)
    close(months, after[0])
    now, more = borne(scored)
    assert (now < charged) if turn == "c81" else (now > charged)
    assert now + more == pool
    for period in after[1:]:  # and nothing is spread a second time
        close(months, period)
        # Of so late a month nothing is new any more; of the two before always all is looked at.
        assert borne(scored) == (now, more)
        assert (JANUARY, "IT", "account_day") not in sheet(months, period)
