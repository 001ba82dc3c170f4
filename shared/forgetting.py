"""Rows that grow old: removed once a day in small pieces, so that appliers come first."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

import structlog
from sqlalchemy import TextClause

from shared.db import Database, is_world_down
from shared.settings import Settings

AT_ONCE = 1_000  # rows of one transaction: tens of milliseconds
PAUSE_S = 0.1  # between two of them
FIRST_AFTER_S = 60.0
DAY_S = 86_400.0

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Aging:
    """What grows old, and after how many days. The statement takes at most `:rows` rows from
    before `:before` and returns one row for each."""

    what: str
    statement: TextClause
    days: Callable[[Settings], int]
    bank_clock: bool = False  # of the time that its rows carry


def forget_old(database: Database, aging: Aging, stop: threading.Event) -> int:
    """A piece per transaction. How many rows went."""
    kept = timedelta(days=aging.days(database.settings))
    gone = 0
    while not stop.is_set():
        with database.transaction() as tx:
            before = (tx.bank_now if aging.bank_clock else tx.wall_now) - kept
            found = tx.session.execute(aging.statement, {"before": before, "rows": AT_ONCE})
            piece = len(found.all())
        gone += piece
        if piece < AT_ONCE:
            break
        stop.wait(PAUSE_S)
    return gone


def forget_daily(database: Database, every: Sequence[Aging], stop: threading.Event) -> None:
    """A thread of every listener: soon after its start, then once a day of wall time."""
    pause = FIRST_AFTER_S
    while not stop.wait(pause):
        try:
            for aging in every:
                gone = forget_old(database, aging, stop)
                log.info("forgotten", what=aging.what, count=gone)
        except Exception as error:
            if not is_world_down(error):
                raise
            log.warning("not_forgotten", error=str(error)[:200])
            pause = FIRST_AFTER_S
        else:
            pause = DAY_S
