"""From records to columns: every event is decoded once by the catalogue, checked, looked up.

A record that may not be applied becomes a `Refused` with its place, field and reason; the batch
goes on without it (the columns have no row for it).
"""

from array import array
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, Literal
from zoneinfo import ZoneInfo

import msgspec
import numpy as np
from numpy.typing import NDArray

from services.scoring import bookings, id_hash, uses
from services.scoring.partition import Partition
from services.scoring.records import Delivered
from services.scoring.rows import BY_CUSTOMER, HOME_CURRENCY, IN_LEDGER, OPENED
from services.scoring.watermark import Source
from shared.clock import day_begins
from shared.events.bank import DayClosed, TransactionBooked
from shared.events.envelope import (
    EARLIEST_ON,
    EVENT_CLASSES,
    Event,
    Undecodable,
    UnknownType,
    UnknownVersion,
    decode,
    misplaced,
)
from shared.ids import partition_of

_TRANSACTION = EVENT_CLASSES[TransactionBooked]
_CLOSED = EVENT_CLASSES[DayClosed]
EARLIEST_DAY = EARLIEST_ON.toordinal()
FORWARD_DAYS = 366  # a value day further ahead is a slip: its balance would never earn
Kind = Literal["dead", "quarantined"]
TOLD_BYTES_MAX = 600_000  # as base64, beside a reason, below the producer's greatest batch
if TYPE_CHECKING:
    Words = array[int]  # Python 3.11 cannot say so when it runs
else:
    Words = array


class Refused(msgspec.Struct, frozen=True, omit_defaults=True):
    """Why a record was not applied, as `scoring.dead` tells it; bytes are base64 there.

    Place, key and payload are those of the origin, also when it came again by `scoring.inputs`:
    then `sequence` is that input's. `too_large`: key and payload are left out.
    """

    topic: str
    partition: int
    offset: int
    kind: Kind
    field: str
    reason: str
    type: str | None = None
    key: bytes | None = None
    payload: bytes | None = None
    too_large: bool = False
    sequence: int = 0


@dataclass(frozen=True, slots=True)
class Asked:
    """Is the event at this offset a repeat of another one at an offset up to `until`, or at one of
    `settled`? `at_own`: it is an input, and may have counted at its own place too."""

    source: str
    id: str
    offset: int
    until: int
    settled: frozenset[int] = frozenset()
    at_own: bool = False


@dataclass(slots=True)
class Close:
    """A `bank.day_closed` and the number of transactions before it in the batch."""

    before: int
    offset: int
    source: str
    day: int


def _words() -> Words:
    return array("q")


@dataclass(slots=True)
class Columns:
    """Transactions of one batch, and facts on accounts, loans and grades that change anything, one
    place each; closes and refusals beside them.

    Of an event only what a signal or the event store may ask for is kept: letting go of the rest
    keeps the decoder's memory warm, which is worth a third of its time.
    """

    rows: Words = field(default_factory=_words)
    accounts: Words = field(default_factory=_words)
    amounts: Words = field(default_factory=_words)
    days: Words = field(default_factory=_words)
    offsets: Words = field(default_factory=_words)
    flags: Words = field(default_factory=_words)
    hashes: Words = field(default_factory=lambda: array("Q"))
    sequences: Words = field(default_factory=_words)  # of inputs only
    uses: Words = field(default_factory=_words)  # four of each: `uses.Use`
    kinds: Words = field(default_factory=_words)  # with a model of risk `bookings.flags_of`; or 0
    ids: list[str] = field(default_factory=list)
    sources: list[str] = field(default_factory=list)
    times: list[datetime] = field(default_factory=list)
    closes: list[Close] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    waiting: bool = False  # a rate or a loan is missing
    ignored: Counter[str] = field(default_factory=Counter)
    scanned: Any = None  # `reading.Scanned`, when some were taken at once; then of each row:
    origins: Words | None = None  # its place in `ids`, or ~ its place in the batch

    def id_of(self, i: int) -> str:
        at = i if self.origins is None else self.origins[i]
        return self.ids[at] if at >= 0 else str(self.scanned.id_of(~at))

    def source_of(self, i: int) -> str:
        at = i if self.origins is None else self.origins[i]
        return self.sources[at] if at >= 0 else str(self.scanned.source_of(~at))

    def time_of(self, i: int) -> datetime:
        at = i if self.origins is None else self.origins[i]
        if at >= 0:
            return self.times[at]
        event: Event[Any] = decode(self.scanned.records[~at].value)
        return event.time

    def latest_on(self, known: int) -> int:
        """The last day of an event on which figures rest, where before it was another. Without a
        price no figure rests on an opening: prices may still come."""
        figures = np.asarray(self.uses).reshape(-1, 4)[:, 0] < OPENED
        figures |= np.asarray(self.flags) & IN_LEDGER > 0
        return int(np.asarray(self.days)[figures].max(initial=known))

    def arrays(self) -> tuple[NDArray[np.int64], ...]:
        """rows, accounts, amounts, days, offsets, flags, hashes, sequences, uses, kinds."""
        return tuple(
            np.frombuffer(column, np.int64)
            for column in (self.rows, self.accounts, self.amounts, self.days, self.offsets,
                           self.flags, self.hashes, self.sequences, self.uses, self.kinds)
        )  # fmt: skip


@dataclass(slots=True)
class Context:
    """What a batch is judged by; `latest_day` is the last day that is not yet the far future."""

    topic: str
    partitions: int
    currency: str
    sources: Mapping[str, Source]
    zone: ZoneInfo
    latest_day: int

    def future_begins(self) -> datetime:
        """From when on an event's time lies in the far future: after the latest day."""
        beyond = min(self.latest_day + 1, date.max.toordinal())
        return day_begins(date.fromordinal(beyond), self.zone)


def add(
    out: Columns, context: Context, partition: Partition, records: Sequence[Delivered],
    held: frozenset[int],
) -> None:  # fmt: skip
    """Reads records into columns; those at the offsets `held` were refused for their date before,
    and the verdict stays."""
    currency, latest, sources = context.currency, context.latest_day, context.sources
    future = context.future_begins()
    priced, use = partition.books.rates.active, uses.UNUSED
    watches = bool(partition.watched.plan.products)
    for record in records:
        event = _decoded(context, partition.number, record, out)
        if event is None:
            continue
        if type(event) is not _TRANSACTION:
            _add_other(out, context, partition, record, event, held)
            continue
        data = event.data
        number, name = data.customer_number, event.source
        row = partition.numbers.find(number.encode())
        if row < 0 or event.subject != number or record.key != number.encode():
            reason = _place(context, partition.number, record, event)
            if reason is not None:
                out.refused.append(
                    refuse(context, partition.number, record, "dead", *reason, event.type)
                )
                continue
        day = event.businessdate.toordinal()
        source = sources.get(name)
        if (
            not EARLIEST_DAY <= day <= latest
            or event.time >= future
            or (source is not None and day < source.active_from)
            or (held and record.offset in held)
            or _is_far_ahead(data, day)
        ):
            out.refused.append(_out_of_time(context, partition.number, record, event, source))
            continue
        flags = (BY_CUSTOMER if data.initiated_by == "customer" else 0) | (
            HOME_CURRENCY if data.currency == currency else 0
        )
        if priced:
            found = (
                uses.of_transaction(partition, data, day, record) if flags & HOME_CURRENCY else None
            )
            if isinstance(found, str):
                out.waiting = True
                out.refused.append(_waits(context, partition.number, record, event.type, found))
                continue
            use, flags = (uses.UNUSED, flags) if found is None else (found, flags | IN_LEDGER)
        if row < 0:
            row = partition.new_row(number)
        key = (number, data.account_number, data.product_code, data.currency, "")
        account = partition.account(row, key, record.offset)
        out.rows.append(row)
        out.accounts.append(account)
        out.amounts.append(data.amount_minor)
        out.days.append(day)
        out.offsets.append(record.offset)
        out.flags.append(flags)
        out.uses.extend(use)
        out.kinds.append(bookings.flags_of(data) if watches else 0)
        partition.sources[name] = None
        if data.channel_code is not None:
            partition.channels[data.channel_code] = None
        out.hashes.append(id_hash.of_one(name, event.id))
        out.ids.append(event.id)
        out.sources.append(name)
        out.times.append(event.time)


def _add_other(  # noqa: PLR0917 - as `add` has them
    out: Columns, context: Context, partition: Partition, record: Delivered, event: Any,
    held: frozenset[int],
) -> None:  # fmt: skip
    """No transaction. An opening, a closing, a loan or a grade that changes anything is judged as
    one."""
    priced = partition.books.rates.active
    if not uses.is_stepped(partition, event, record):
        _other(context, partition.number, record, event, out, held)
        return
    reason = _place(context, partition.number, record, event)
    if reason is not None:
        out.refused.append(refuse(context, partition.number, record, "dead", *reason, event.type))
        return
    day, source = event.businessdate.toordinal(), context.sources.get(event.source)
    if (
        not EARLIEST_DAY <= day <= context.latest_day
        or event.time >= context.future_begins()
        or (source is not None and day < source.active_from)
        or record.offset in held
    ):
        out.refused.append(_out_of_time(context, partition.number, record, event, source))
        return
    found = uses.of_fact(partition, event, context.currency, record)
    if isinstance(found, str):
        if found:
            out.waiting = True
            out.refused.append(_waits(context, partition.number, record, event.type, found))
        else:
            out.ignored[event.type] += 1
        return
    use, key, amount = found
    row = partition.row(key[0])
    account = partition.account(row, key, record.offset) if key[1] else -1
    for column, value in (
        (out.rows, row), (out.accounts, account), (out.amounts, amount), (out.days, day),
        (out.offsets, record.offset),
        (out.flags, IN_LEDGER if priced and key[3] in ("", context.currency) else 0),
    ):  # fmt: skip
        column.append(value)
    out.kinds.append(uses.kind_of(event))
    out.uses.extend(use)
    out.hashes.append(id_hash.of_one(event.source, event.id))
    out.ids.append(event.id)
    out.sources.append(event.source)
    out.times.append(event.time)


def _waits(context: Context, partition: int, record: Delivered, type_: str, why: str) -> Refused:
    return refuse(context, partition, record, "quarantined", "data", why, type_)


def _decoded(context: Context, partition: int, record: Delivered, out: Columns) -> Any:
    if record.value is None:
        out.refused.append(refuse(context, partition, record, "dead", "", "no value"))
        return None
    try:
        return decode(record.value)
    except Undecodable as error:
        out.refused.append(refuse(context, partition, record, "dead", error.field, error.reason))
    except UnknownType as error:
        out.ignored[error.type] += 1
    except UnknownVersion as error:
        out.refused.append(
            refuse(context, partition, record, "quarantined", "type", str(error), error.type)
        )
    return None


def _other(  # noqa: PLR0917 - as `add` has them
    context: Context, partition: int, record: Delivered, event: Any, out: Columns,
    held: frozenset[int],
) -> None:  # fmt: skip
    """A close, or a fact that has no figure here; both must stand in the right place and time too:
    the query side has no other judge. To the watermark a close of before its source was active is
    one it has had."""
    reason = _place(context, partition, record, event)
    closed: date | None = event.data.day if type(event) is _CLOSED else None
    day = (closed or event.businessdate).toordinal()
    source = context.sources.get(event.source) if closed is None else None
    if reason is not None:
        out.refused.append(refuse(context, partition, record, "dead", *reason, event.type))
    elif (
        not EARLIEST_DAY <= day <= context.latest_day
        or event.time >= context.future_begins()
        or (source is not None and day < source.active_from)
        or record.offset in held
    ):
        out.refused.append(_out_of_time(context, partition, record, event, source, closed))
    elif closed is not None:
        out.closes.append(Close(len(out.rows), record.offset, event.source, day))
    else:
        out.ignored[event.type] += 1


def _place(
    context: Context, partition: int, record: Delivered, event: Any
) -> tuple[str, str] | None:
    reason = misplaced(event, "bank.events", record.key, partition, context.partitions)
    if reason is None:
        return None
    expected = getattr(event.data, "customer_number", "")
    wrong_partition = (
        record.key == expected.encode()
        and event.subject == expected
        and partition_of(expected, context.partitions) != partition
    )
    return ("partition" if wrong_partition else "key", reason)


def refuse(  # noqa: PLR0917
    context: Context, partition: int, record: Delivered, kind: Kind, field_: str, reason: str,
    type_: str | None = None,
) -> Refused:  # fmt: skip
    """What is told of a record: whole, unless it would fit into no record with its base64."""
    key, value = record.key, record.value
    too_large = len(key or b"") + len(value or b"") > TOLD_BYTES_MAX
    return Refused(
        context.topic, partition, record.offset, kind, field_[:200], reason[:2000],
        None if type_ is None else type_[:200],
        None if too_large else key, None if too_large else value, too_large,
    )  # fmt: skip


def _is_far_ahead(data: TransactionBooked, day: int) -> bool:
    return data.value_on is not None and data.value_on.toordinal() > day + FORWARD_DAYS


def _out_of_time(  # noqa: PLR0917
    context: Context, partition: int, record: Delivered, event: Any, source: Source | None,
    closed: date | None = None,
) -> Refused:  # fmt: skip
    day, field_ = closed or event.businessdate, "data.day" if closed else "businessdate"
    if source is not None and day.toordinal() < source.active_from:
        reason = f"{day} is before {event.source} became active"
    elif day < EARLIEST_ON:
        reason = f"{day} lies in the far past"
    elif day.toordinal() > context.latest_day:
        reason = f"{day} lies in the future of the bank"
    elif event.time >= context.future_begins():
        field_ = "time"
        reason = f"the time {event.time.isoformat()} lies in the future of the bank"
    elif type(event) is _TRANSACTION and _is_far_ahead(event.data, day.toordinal()):
        field_ = "data.value_on"
        reason = f"{event.data.value_on} is more than {FORWARD_DAYS} days after {day}"
    else:
        reason = "it was refused before; the verdict on an event stays"
    return refuse(context, partition, record, "quarantined", field_, reason, event.type)


def latest_day(bank_now: datetime) -> int:
    """The last business day that is not the far future: a day after the bank's today."""
    return bank_now.date().toordinal() + 1
