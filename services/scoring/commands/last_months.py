"""The contribution of the last twelve months, kept for each customer number and so for its party.

It moves with every posted leaf, and with the bank's calendar: when a month begins, the oldest one
leaves the sum of every number. Until a job has come to a number, the sum says through which month
it reaches, and who adds to it takes it anew.
"""

import threading
from datetime import date

from sqlalchemy import text

from services.scoring.commands import parties
from services.scoring.commands.rounds import in_rounds
from services.scoring.queries.months import last_twelve
from shared.clock import business_date
from shared.db import Tx
from shared.runtime import Runtime

ROUND_S = 5.0
CHUNK = 500  # numbers in one transaction: whoever writes their leaves waits for no more

# A number that stands at the month gets the moves, any other is added up from its months.
ADD = text(
    """
    update numbers n set last_12_months_minor = n.last_12_months_minor + s.minor
      from (select customer_number, sum(posted_minor) as minor from leaf_moves
             where period = any(:periods) group by customer_number) s
     where n.customer_number = s.customer_number and n.months_through = :through
       and s.minor <> 0
    returning n.party_id
    """
)
ANEW = """
    update numbers n
       set months_through = :through, last_12_months_minor = (
             select coalesce(sum(m.posted_minor), 0) from customer_months m
              where m.customer_number = n.customer_number and m.period = any(:periods))
     where n.customer_number {which} and n.months_through is distinct from :through
    returning n.party_id
    """
OF_MOVES = text(
    ANEW.format(which="in (select customer_number from leaf_moves where posted_minor <> 0)")
)
OF_NUMBERS = text(ANEW.format(which="= any(:numbers)"))
# A listener may hold what we want and want what we hold: we give up first, and come again.
PATIENCE = text("set local lock_timeout = '500ms'")
BEHIND = text(
    """
    select customer_number from numbers where months_through < :through
     order by months_through limit :limit for update skip locked
    """
)


def add_moves(tx: Tx, today: date) -> set[str]:
    """Takes the moves of this transaction in; their months hold them already. Returns the parties
    whose sum must follow."""
    window = _window(today)
    moved = [*tx.session.execute(ADD, window), *tx.session.execute(OF_MOVES, window)]
    return {row.party_id for row in moved if row.party_id is not None}


def move_on(tx: Tx) -> int:
    """Brings some numbers to the month of the bank's today. Returns how many were behind."""
    tx.session.execute(PATIENCE)
    window = _window(business_date(tx.bank_now, tx.clock.zone))
    asked = {"through": window["through"], "limit": CHUNK}
    numbers = sorted(tx.session.execute(BEHIND, asked).scalars())
    if numbers:
        tx.session.execute(OF_NUMBERS, {**window, "numbers": numbers})
        touched = {p for p in parties.hold_numbers(tx, numbers).values() if p is not None}
        parties.lock_parties(tx, touched)
        parties.recompute(tx, touched)
    return len(numbers)


def keep_last_months(runtime: Runtime, stop: threading.Event) -> None:
    """The job: until told to stop, moves on whoever stands at an earlier month."""
    in_rounds(runtime, stop, lambda tx: move_on(tx) == CHUNK, ROUND_S, "last_months_not_kept")


def _window(today: date) -> dict[str, object]:
    periods = last_twelve(today)
    return {"periods": periods, "through": periods[-1]}
