"""The event store: every record of `bank.events` at its place, never refused, never parked.

Which events count, the worker alone says: one that it refuses keeps its place here, but counts
neither as seen nor behind a figure, whichever of the event and its letter is heard first. A second
judge with a clock of its own could refuse what has its figure already, and its repeat would count.

The worker asks it whether an event of a closed day was there before, and every figure on a page
opens the events behind it. One table, not partitioned by month yet: a look-up by identity would
have to probe every month, and the first version is asked by identity and by customer, not by date.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import structlog
from sqlalchemy import text

from services.scoring.commands import placing
from services.scoring.commands.copying import copy_rows
from shared.db import Tx
from shared.events.bank import AccountOpened, CustomerPlaced, TransactionBooked
from shared.events.envelope import (
    Event,
    Undecodable,
    UnknownType,
    UnknownVersion,
    decode,
    misplaced,
)
from shared.wire import Record

log = structlog.get_logger()

COLUMNS = (
    "partition", "event_offset", "source", "event_id", "type", "customer_number",
    "account_number", "product_code", "kind", "initiated_by", "businessdate", "time",
    "amount_minor", "currency", "channel_code", "purpose_code", "appended_at",
)  # fmt: skip
TOPIC = "bank.events"
_NOTHING = (None,) * (len(COLUMNS) - 2)
# Which fields of a fact go into which column, where it has them.
_FIELDS = ("customer_number", "account_number", "product_code", "kind")
REMOVE = text(
    """
    delete from bank_events where partition = :partition and event_offset = :event_offset
    returning appended_at
    """
)
REFUSED = text(
    """
    select partition, event_offset from worker_letters
     where topic = :topic and partition = any(:partitions) and state <> 'replayed'
       and event_offset between :first and :last
    """
)
FORGET = text(
    f"""
    update bank_events set {", ".join(f"{name} = null" for name in COLUMNS[2:-1])}
     where partition = :at_partition and event_offset = :at_offset and type is not null
    """  # noqa: S608 - names are ours
)


def store_events(tx: Tx, records: list[Record]) -> None:
    """Appends a poll's records. Positions make a redelivery invisible, so a plain COPY is right."""
    refused = _refused(tx, records)
    places: list[tuple[int, Event[Any]]] = []
    copy_rows(tx, "bank_events", COLUMNS, (_row(record, refused, places) for record in records))
    placing.note_places(tx, places)


def _refused(tx: Tx, records: list[Record]) -> set[tuple[int, int]]:
    """The places of these records that the worker has refused already."""
    offsets = [record.offset for record in records]
    found = tx.session.execute(
        REFUSED,
        {
            "topic": TOPIC,
            "partitions": sorted({record.partition for record in records}),
            "first": min(offsets),
            "last": max(offsets),
        },
    )
    return {(row.partition, row.event_offset) for row in found}


def restore_event(tx: Tx, record: Record) -> None:
    """Reads a stored event anew: it is replayed, so it counts if it can be read by now.

    One that is not stored yet will be read when it comes.
    """
    row = _row(record, set(), [])
    place = {"partition": record.partition, "event_offset": record.offset}
    if row[2:] == _NOTHING:
        return
    stored = tx.session.execute(REMOVE, place).first()
    if stored is not None:
        copy_rows(tx, "bank_events", COLUMNS, [(*row[:-1], stored.appended_at)])


def forget_events(tx: Tx, places: Iterable[tuple[int, int]]) -> None:
    """The worker refused the events at these (partition, offset): they keep their place only."""
    rows = [{"at_partition": p, "at_offset": o} for p, o in places]
    if rows:
        tx.session.execute(FORGET, rows)


def _row(
    record: Record, refused: set[tuple[int, int]], places: list[tuple[int, Event[Any]]]
) -> tuple[Any, ...]:
    """The record's columns; what says where somebody lies is added to `places`."""
    place = (record.partition, record.offset)
    if place in refused:
        return place + _NOTHING
    value = record.value
    try:
        event = decode(value if value is not None else b"")
        if misplaced(event, "bank.events", record.key) is not None:
            return place + _NOTHING  # the scorer refuses it too: it must not count as seen
    except (Undecodable, UnknownType, UnknownVersion):
        return place + _NOTHING
    data = event.data
    if type(data) in (CustomerPlaced, AccountOpened):
        places.append((record.offset, event))
    booked = type(data) is TransactionBooked
    row = (
        event.source,
        event.id,
        data.TYPE,
        *(getattr(data, name, None) for name in _FIELDS),
        data.initiated_by if booked else None,
        event.businessdate,
        event.time,
        data.amount_minor if booked else None,
        data.currency if booked else None,
        getattr(data, "channel_code", None),
        data.purpose_code if booked else None,
        datetime.fromtimestamp(record.timestamp_ms / 1000, UTC) if record.timestamp_ms else None,
    )
    return place + row
