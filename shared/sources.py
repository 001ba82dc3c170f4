"""When an event may be dated: not in the far future, not before its source was active.

The future is that of both its dates: a time years ahead would stand above all that really happens.

A source says by `bank.source_described` from which day it is active. The service keeps the newest
description of each source in its own schema, written by the one line it has in HANDLERS. A source
that nobody has described is judged by the far past only. The verdict falls when a message is first
read and stays with its position: a later description changes what is read after it, never what was
read before.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from shared.clock import business_date, day_begins
from shared.db import SourceRow, Tx
from shared.events.envelope import EARLIEST_ON, Event
from shared.outbox import COMPACT_TOPICS

FUTURE_LIMIT = timedelta(days=1)  # a bank whose zone is ahead of ours

UPSERT = insert(SourceRow)
UPSERT = UPSERT.on_conflict_do_update(
    index_elements=["source"],
    set_={"active_from": UPSERT.excluded.active_from, "position": UPSERT.excluded.position},
    where=SourceRow.position < UPSERT.excluded.position,
)


def on_source_described(tx: Tx, event: Event[Any]) -> None:
    """Keeps since when a source is active. The topic has one partition: its last word holds."""
    assert tx.message is not None
    tx.session.execute(
        UPSERT,
        {
            "source": event.data.source,
            "active_from": event.data.active_from,
            "position": tx.message.offset,
        },
    )


@dataclass(frozen=True, slots=True)
class Window:
    """What the dates of one batch are judged by."""

    last_on: date
    last_ends: datetime
    active_from: Mapping[str, date]

    def refuses(self, event: Event[Any]) -> tuple[str, str] | None:
        """The field that cannot be accepted and why; none when all can."""
        reason = self._refuses_day(event)
        if reason is not None:
            return "businessdate", reason
        if event.time >= self.last_ends:
            return "time", f"the time {event.time.isoformat()} lies in the future of the bank"
        return None

    def _refuses_day(self, event: Event[Any]) -> str | None:
        on = event.businessdate
        if on > self.last_on:
            return "dated in the future"
        if event.data.TOPIC in COMPACT_TOPICS:
            return None  # a standing record has its date in the key; one of them is the description
        if on < EARLIEST_ON:
            return "dated in the far past"
        first_on = self.active_from.get(event.source)
        if first_on is not None and on < first_on:
            return f"dated before {event.source} became active on {first_on}"
        return None


def window_at(bank_now: datetime, zone: ZoneInfo, active_from: Mapping[str, date]) -> Window:
    """By the bank's hour and the days from which sources are active."""
    last_on = business_date(bank_now, zone) + FUTURE_LIMIT
    return Window(last_on, day_begins(last_on + timedelta(days=1), zone), active_from)


def window(tx: Tx) -> Window:
    """As the service knows it now: one small read for a batch."""
    rows = tx.session.execute(select(SourceRow.source, SourceRow.active_from))
    return window_at(tx.bank_now, tx.clock.zone, {row.source: row.active_from for row in rows})
