"""Adds up every row of the bank from time to time: what is kept must be what the rows say.

A check takes as long as the bank is large, so it comes the more seldom.
"""

import threading
import time
from datetime import timedelta

import msgspec
from sqlalchemy import text
from sqlalchemy.dialects.postgresql import insert as upsert

from services.scoring.commands.rounds import alone, in_rounds
from services.scoring.kept_tables import SumsCheckedRow
from services.scoring.queries import contribution, totals
from services.scoring.settings import home_currency
from shared.db import Tx
from shared.runtime import Runtime

ROUND_S = 1.0
PAUSE = timedelta(seconds=10)
PAUSE_SHARE = 20  # times as long as the last check took
LONG = text("set local statement_timeout = '30min'")
LAST = text("select checked_at, took_ms from sums_checked")


def check_sums(runtime: Runtime, stop: threading.Event) -> None:
    """The job: until told to stop, checks when it is time."""
    in_rounds(runtime, stop, check_when_due, ROUND_S, "sums_not_checked")


def check_when_due(tx: Tx) -> bool:
    """A check, unless the last one is too near. Never asks to be called again at once."""
    if not alone(tx, ".checking"):
        return False
    last = tx.session.execute(LAST).one_or_none()
    if last is not None:
        pause = max(PAUSE, PAUSE_SHARE * timedelta(milliseconds=last.took_ms))
        if tx.wall_now < last.checked_at + pause:
            return False
    check(tx)
    return False


def check(tx: Tx) -> None:
    """Adds up all rows and keeps what was found."""
    tx.session.execute(LONG)
    begun = time.monotonic()
    ways = contribution.ways(tx.session)
    found = {
        "as_of": tx.bank_now,
        "checked_at": tx.wall_now,
        "transactions": msgspec.to_builtins(totals.ways_of_all(tx.session, home_currency())),
        "contribution": {way: [one.posted_minor, one.accrued_minor] for way, one in ways.items()},
        "took_ms": int((time.monotonic() - begun) * 1_000),
    }
    keep = upsert(SumsCheckedRow).values(id=1, **found)
    tx.session.execute(keep.on_conflict_do_update(index_elements=["id"], set_=found))
