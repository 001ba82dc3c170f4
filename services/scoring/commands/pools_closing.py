"""Closes months: spreads their pools once all that belongs to them is here, then posts the leaves.

A closing spreads all pools in one transaction, which fixes every share; their leaves follow for
some thousand customers at a time, so whoever writes the leaves of an event never waits for long.
What comes for a month that is closed belongs to the next closing, and names its origin month.
"""

import json
import threading
from datetime import date, timedelta

import structlog
from sqlalchemy import text

from services.scoring.commands import contacts, contribution, pools_spreading, sharing, taxes
from services.scoring.commands.contribution import MOVE
from services.scoring.commands.rounds import alone, in_rounds
from services.scoring.leaf_sql import AT_PLACE, PLACE, last_day, place_of
from services.scoring.queries import months
from services.scoring.queries.events import CONTACTED
from shared import positions
from shared.db import Tx
from shared.runtime import Runtime

log = structlog.get_logger()

ROUND_S = 1.0
CHUNK = 500  # customers whose leaves are posted in one transaction
MONTHS_AT_MOST = 240  # that one looks back for the first closing
TOPICS = ("bank.events", "bank.reference", "scoring.state")
# A listener may hold what we want and want what we hold: we give up first, and come again.
PATIENCE = text("set local lock_timeout = '500ms'")
UNPOSTED = text("select period, after_number, taxing from closings where not posted")
LAST = text("select max(period) from closings")
FIRST = text(
    f"""
    select least((select min(period) from costs where length(period) = 7),
                 (select to_char(min(businessdate), 'YYYY-MM') from bank_events
                   where type = '{CONTACTED}'),
                 (select min(code) from contribution_totals
                   where dimension = 'month' and code <> ''
                     and exists (select 1 from tax_rates)))
    """  # noqa: S608 - names are ours
)
CLOSE = text(
    """
    insert into closings (period, after_number, posted, closed_at, read_until)
    values (:period, '', false, :closed_at, cast(:read_until as jsonb))
    """
)
NEXT_NUMBERS = text(
    """
    select x.customer_number from (
      (select distinct customer_number from allocation_shares
        where period = :period and customer_number > :after order by 1 limit :limit)
      union
      (select distinct customer_number from open_leaves
        where contact <> 0 and customer_number > :after order by 1 limit :limit)) x
     order by 1 limit :limit
    """
)
NEXT_UNTAXED = text(
    "select customer_number from untaxed where customer_number > :after order by 1 limit :limit"
)
POST = text(
    f"""
    with kept as (
      insert into leaves (customer_number, account_number, loan_number, product_code, component,
                          period, origin_period, amount_minor, {PLACE})
      select s.customer_number, s.account_number, '', s.product_code, s.component, s.period,
             s.origin_period, -s.amount_minor, {AT_PLACE}
        from (select s.customer_number, s.account_number, s.product_code, a.component, s.period,
                     s.origin_period, sum(s.amount_minor) as amount_minor
                from allocation_shares s
                join allocations a using (period, origin_period, cost_centre_code, driver_code)
               where s.period = :period and s.customer_number = any(:numbers)
               group by 1, 2, 3, 4, 5, 6) s
        {
        place_of(
            "s.customer_number", "s.account_number", "s.product_code", last_day("s.origin_period")
        )
    }
       where s.amount_minor <> 0
       order by s.customer_number, s.account_number, s.product_code, s.component, s.origin_period
      returning *)
    {MOVE}
    select customer_number, product_code, component, period, {PLACE}, amount_minor, 0 from kept
    """  # noqa: S608 - names are ours
)
TAX = text("update closings set taxing = true, after_number = '' where period = :period")
GO_ON = text("update closings set after_number = :after where period = :period")
DONE = text("update closings set posted = true where period = :period")


def close_months(runtime: Runtime, stop: threading.Event) -> None:
    """The job: until told to stop, closes what the bank has closed."""
    in_rounds(runtime, stop, Closer().step, ROUND_S, "month_not_closed")


class Closer:
    """Closes month after month. Remembers how long the logs were when a month was complete."""

    def __init__(self) -> None:
        self._fences: dict[str, dict[int, int]] = {}

    def step(self, tx: Tx) -> bool:
        """One transaction of the work; False: there is nothing to do now."""
        tx.session.execute(PATIENCE)
        if not alone(tx, ".closings"):
            return False
        unposted = tx.session.execute(UNPOSTED).one_or_none()
        if unposted is not None:
            step = _tax if unposted.taxing else _post
            step(tx, unposted.period, unposted.after_number)
            return True
        if _due(tx) is None or not self._have_read_all(tx):
            return False
        period = _due(tx)  # again: what was read meanwhile may be of an earlier month
        assert period is not None
        read = pools_spreading.spread(tx, period)
        asked = {"period": period, "closed_at": tx.bank_now, "read_until": json.dumps(read)}
        tx.session.execute(CLOSE, asked)
        log.info("month_closed", period=period)
        return True

    def _have_read_all(self, tx: Tx) -> bool:
        """Has the query side read what stood in the logs when the month was seen to be closed?"""
        if not self._fences:
            self._fences = {topic: tx.fence(topic) for topic in TOPICS}
        if not all(positions.passed(tx.session, t, f) for t, f in self._fences.items()):
            return False
        self._fences = {}
        return True


def _due(tx: Tx) -> str | None:
    """The month to close next: the first that has something to post, then one by one."""
    closed = months.closed_through(tx.session)
    if closed is None:
        return None
    complete = f"{_before(closed + timedelta(days=1)):%Y-%m}"  # the last that is
    last = tx.session.execute(LAST).scalar_one()
    if last is None:
        first = tx.session.execute(FIRST).scalar_one() or complete
        return min(max(first, _earliest(complete)), complete)
    following = f"{_first_day(last) + timedelta(days=31):%Y-%m}"
    return following if following <= complete else None


def _first_day(period: str) -> date:
    return date.fromisoformat(f"{period}-01")


def _before(day: date) -> date:
    """A day of the month before."""
    return day.replace(day=1) - timedelta(days=1)


def _earliest(period: str) -> str:
    year, month = divmod(int(period[:4]) * 12 + int(period[5:]) - 1 - MONTHS_AT_MOST, 12)
    return f"{year:04d}-{month + 1:02d}"


def _post(tx: Tx, period: str, after: str) -> None:
    """The leaves of the next customers; after the last of them all are taxed."""
    asked = {"period": period, "after": after, "limit": CHUNK}
    numbers = list(tx.session.execute(NEXT_NUMBERS, asked).scalars())
    if not numbers:
        tx.session.execute(TAX, {"period": period})
        return
    sharing.prepare_moves(tx, numbers)
    tx.session.execute(POST, {"period": period, "numbers": numbers})
    sharing.share_pools(tx, numbers, period)
    contacts.post(tx, numbers, period)
    contribution.count_moves(tx)
    tx.session.execute(GO_ON, {"period": period, "after": numbers[-1]})


def _tax(tx: Tx, period: str, after: str) -> None:
    """The tax of the next customers, or the end of the closing. Last, for what was spread to the
    owner of a joint account moved what its other holders earn, too."""
    asked = {"after": after, "limit": CHUNK}
    numbers = list(tx.session.execute(NEXT_UNTAXED, asked).scalars())
    if not numbers:
        tx.session.execute(DONE, {"period": period})
        return
    contribution.prepare_moves(tx, numbers)
    taxes.post(tx, numbers, period)
    contribution.count_moves(tx)
    taxes.settle(tx, numbers, period)
    tx.session.execute(GO_ON, {"period": period, "after": numbers[-1]})
