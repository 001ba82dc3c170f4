"""The event store: every record of `bank.events` at its place, never refused, never parked.

Which events count, the worker alone says: one that it refuses keeps its place here, but counts
neither as seen nor behind a figure, whichever of the event and its letter is heard first. A second
judge with a clock of its own could refuse what has its figure already, and its repeat would count.

The worker asks it whether an event of a closed day was there before, and every figure on a page
opens the events behind it. One table, not partitioned by month yet: a look-up by identity would
have to probe every month, and the first version is asked by identity and by customer, not by date.

The listener counts every record as applied. What the worker does not count is told apart here, as
the store knows it by then: a repeat is a duplicate, a place without an event is refused.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from operator import attrgetter
from typing import Any

import structlog
from sqlalchemy import text

from services.scoring.commands import contacts, openings, outflows, parties, placing, sharing
from services.scoring.commands.copying import copy_rows
from services.scoring.queries.events import CONTACTED, FIRST
from shared import positions
from shared.db import Tx
from shared.events.bank import (
    AccountClosed,
    AccountOpened,
    ContactRecorded,
    CustomerPlaced,
    TransactionBooked,
)
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
    "amount_minor", "currency", "channel_code", "purpose_code", "value_on", "appended_at",
)  # fmt: skip
TOPIC = "bank.events"
_NOTHING = (None,) * (len(COLUMNS) - 2)
# Which fields of a fact go into which column, where it has them.
_FIELDS = ("customer_number", "account_number", "product_code", "kind")
_IN_CURRENCY = frozenset({TransactionBooked, AccountOpened, AccountClosed})
_of_booked = attrgetter(*_FIELDS)  # a transaction has them all
# The stored events at given places.
_AT = """
      from unnest(cast(:partitions as int[]), cast(:offsets as bigint[])) as o (partition, at)
      join bank_events e on e.partition = o.partition and e.event_offset = o.at"""
# What the worker calls a repeat (services.scoring.seen): no first of its identity.
REPEATS = text(
    f"select e.partition, count(*) as number {_AT} where not ({FIRST}) group by e.partition"
)
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
    with gone as (
      select e.partition, e.event_offset, not ({FIRST}) as repeated {_AT}
       where e.type is not null for update of e
    ), emptied as (
      update bank_events e set {", ".join(f"{name} = null" for name in COLUMNS[2:-1])}
        from gone where e.partition = gone.partition and e.event_offset = gone.event_offset
    )
    select partition, repeated, count(*) as number from gone group by partition, repeated
    """  # noqa: S608 - names are ours
)
CONTACTS_AT = text(
    f"""
    select distinct e.customer_number {_AT}
     where e.type = '{CONTACTED}' and e.customer_number is not null
    """
)
BOOKED_AT = text(
    f"select distinct e.customer_number {_AT} where e.type = '{TransactionBooked.TYPE}'"
)
PLACED_AT = text(
    f"""
    select e.type, e.customer_number, e.account_number, e.event_offset {_AT}
     where e.type in ('{AccountOpened.TYPE}', '{CustomerPlaced.TYPE}')
    """
)


def store_events(tx: Tx, records: list[Record]) -> None:
    """Appends a poll's records. Positions make a redelivery invisible, so a plain COPY is right."""
    refused = _refused(tx, records)
    places: list[tuple[int, Event[Any]]] = []
    rows = [_row(record, refused, places) for record in records]
    copy_rows(tx, "bank_events", COLUMNS, rows)
    contacted = {e.data.customer_number for _, e in places if type(e.data) is ContactRecorded}
    _hold(tx, places)
    placing.note_places(tx, places)
    contacts.accrue(tx, contacted)
    empty = Counter(row[0] for row in rows if row[2:] == _NOTHING)
    _recount(tx, empty, "refused")
    repeats = tx.session.execute(REPEATS, _places((r.partition, r.offset) for r in records))
    _recount(tx, {row.partition: row.number for row in repeats}, "duplicate")


def _hold(tx: Tx, places: Sequence[tuple[int, Event[Any]]]) -> None:
    """Whose figures these events may move: all of them at once, in one order."""
    if places:
        numbers = openings.numbers_of([event for _, event in places])
        parties.hold_numbers(tx, sharing.with_co_holders(tx, numbers))


def _places(places: Iterable[tuple[int, int]]) -> dict[str, str]:
    """As PostgreSQL writes arrays: of lists the driver looks at each value."""
    partitions, offsets = zip(*places, strict=True)
    return {
        "partitions": f"{{{','.join(map(str, partitions))}}}",
        "offsets": f"{{{','.join(map(str, offsets))}}}",
    }


def _recount(tx: Tx, counts: Mapping[int, int], outcome: str, counted: str = "applied") -> None:
    """Moves so many messages of each partition from one outcome of the equation to another."""
    moved: Counter[tuple[str, int, str]] = Counter()
    for partition, count in counts.items():
        moved[TOPIC, partition, counted] -= count
        moved[TOPIC, partition, outcome] += count
    positions.tally(tx, moved)


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
    found: list[tuple[int, Event[Any]]] = []
    row = _row(record, set(), found)
    place = {"partition": record.partition, "event_offset": record.offset}
    if row[2:] == _NOTHING:
        return
    stored = tx.session.execute(REMOVE, place).first()
    if stored is None:
        return
    copy_rows(tx, "bank_events", COLUMNS, [(*row[:-1], stored.appended_at)])
    repeat = tx.session.execute(REPEATS, _places([row[:2]])).first()
    _recount(tx, {row[0]: 1}, "duplicate" if repeat else "applied", counted="refused")
    _hold(tx, found)
    placing.note_places(tx, found)
    contacts.accrue(tx, _contacts_at(tx, [row[:2]]))


def forget_events(tx: Tx, places: Iterable[tuple[int, int]]) -> None:
    """The worker refused the events at these (partition, offset): they keep their place only."""
    places = list(places)
    if places:
        booked = tx.session.execute(BOOKED_AT, _places(places)).scalars().all()
        outflows.ask_anew_of(tx, booked)
    contacted = _contacts_at(tx, places) if places else set()
    placed = tx.session.execute(PLACED_AT, _places(places)).all() if places else ()
    for row in tx.session.execute(FORGET, _places(places)) if places else ():
        counted = "duplicate" if row.repeated else "applied"
        _recount(tx, {row.partition: row.number}, "refused", counted)
    placing.forget_places(tx, placed)
    contacts.accrue(tx, contacted)


def _contacts_at(tx: Tx, places: Iterable[tuple[int, int]]) -> set[str]:
    """The customers whose contacts stand at these places."""
    return set(tx.session.execute(CONTACTS_AT, _places(places)).scalars())


def _row(
    record: Record, refused: set[tuple[int, int]], places: list[tuple[int, Event[Any]]]
) -> tuple[Any, ...]:
    """The record's columns; what says where somebody lies, or that he was in contact with the
    bank, is added to `places`."""
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
    if type(data) in (CustomerPlaced, AccountOpened, ContactRecorded):
        places.append((record.offset, event))
    booked = type(data) is TransactionBooked
    row = (
        event.source,
        event.id,
        data.TYPE,
        *(_of_booked(data) if booked else (getattr(data, name, None) for name in _FIELDS)),
        data.initiated_by if booked else None,
        event.businessdate,
        event.time,
        data.amount_minor if booked else None,
        data.currency if type(data) in _IN_CURRENCY else None,
        getattr(data, "channel_code", None),
        data.purpose_code if booked else None,
        data.value_on if booked else None,
        datetime.fromtimestamp(record.timestamp_ms / 1000, UTC) if record.timestamp_ms else None,
    )
    return place + row
