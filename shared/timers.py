"""Timers: rows with a due time on the bank's clock, fired one per transaction.

A timer's handler asks the facts again; it never trusts what was true when it was armed.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import delete, or_, select, update
from sqlalchemy.dialects.postgresql import insert

from shared.db import Database, TimerRow, Tx, is_world_down
from shared.errors import DomainError

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Timer:
    name: str
    key: str
    due_at: datetime
    data: dict[str, Any]


TimerHandler = Callable[[Tx, Timer], None]


def arm(
    tx: Tx,
    name: str,
    key: str,
    due_at: datetime,
    data: dict[str, Any] | None = None,
    *,
    not_before: datetime | None = None,
) -> None:
    """Sets or moves the one timer of (name, key). `not_before` holds it back on the wall clock."""
    values = {"due_at": due_at, "data": data or {}, "not_before": not_before, "failures": 0}
    tx.session.execute(
        insert(TimerRow)
        .values(name=name, key=key, **values)
        .on_conflict_do_update(index_elements=["name", "key"], set_=values)
    )


def disarm(tx: Tx, name: str, key: str) -> None:
    tx.session.execute(delete(TimerRow).where(TimerRow.name == name, TimerRow.key == key))


def fire_due(database: Database, handlers: Mapping[str, TimerHandler], most: int = 100) -> int:
    """Fires what is due, oldest first, one transaction each. Returns how many fired."""
    fired = 0
    while fired < most:
        name_key = _fire_one(database, handlers)
        if name_key is None:
            break
        fired += 1
    return fired


def _fire_one(database: Database, handlers: Mapping[str, TimerHandler]) -> tuple[str, str] | None:
    chosen: tuple[str, str] | None = None
    try:
        with database.transaction() as tx:
            row = tx.session.execute(
                select(TimerRow)
                .where(
                    TimerRow.due_at <= tx.bank_now,
                    TimerRow.name.in_(list(handlers)),
                    or_(TimerRow.not_before.is_(None), TimerRow.not_before <= tx.wall_now),
                )
                .order_by(TimerRow.due_at)
                .limit(1)
                .with_for_update(skip_locked=True)
            ).scalar_one_or_none()
            if row is None:
                return None
            chosen = (row.name, row.key)
            timer = Timer(row.name, row.key, row.due_at, dict(row.data))
            tx.session.delete(row)
            tx.session.flush()  # the handler may arm the same timer again
            handlers[timer.name](tx, timer)
    except Exception as error:
        if chosen is None or is_world_down(error):
            raise
        refused = isinstance(error, DomainError)
        log.log(
            20 if refused else 40,
            "timer_failed",
            timer=chosen[0],
            key=chosen[1],
            error=repr(error),
            exc_info=not refused,
        )
        _put_back(database, chosen, drop=refused)
    return chosen


def _put_back(database: Database, chosen: tuple[str, str], *, drop: bool) -> None:
    """A refusal ends the timer; a failure is tried again later, with a growing pause."""
    name, key = chosen
    with database.transaction() as tx:
        if drop:
            disarm(tx, name, key)
            return
        row = tx.session.get(TimerRow, (name, key), with_for_update=True)
        if row is None:
            return
        pause = timedelta(seconds=min(2 ** min(row.failures, 10), 600))
        tx.session.execute(
            update(TimerRow)
            .where(TimerRow.name == name, TimerRow.key == key)
            .values(failures=row.failures + 1, not_before=tx.wall_now + pause)
        )
