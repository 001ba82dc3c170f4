"""Where an alert comes from: the event of the bank that moved its rule is the root of its story.

A rule moves by an event of the customer, or, for silence, by the close of the day on which it came
due. That close is named as the cause, not the customer's last transaction: nothing happened then,
and the time from the close to the alert is what the system took. A party's silence that begins as
one of its numbers leaves comes from the closing: those that are silent were so before.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from sqlalchemy import text

from services.scoring.tables import SignalRow
from shared.db import Tx
from shared.events.fact import Cause
from shared.outbox import Origin

EVENT_AT = text(
    """
    select event_id, type, time, appended_at from bank_events
     where partition = :partition and event_offset = :event_offset and event_id is not null
    """
)

CLOSING = text(
    """
    select partition, event_offset, event_id from bank_events
     where customer_number = any(:numbers) and type = 'bank.account_closed.v1'
       and businessdate = :left_on and event_id is not null
     order by appended_at desc, event_offset desc limit 1
    """
)


@dataclass(frozen=True, slots=True)
class Mover:
    """The record of `bank.events` that moved a rule; `event_ids`: what it is called, if known."""

    partition: int | None
    event_offset: int | None
    event_ids: Sequence[str]


def last_of(signals: Sequence[SignalRow]) -> Mover | None:
    """Of signals in the order in which they count, the last made the party's rule hold, or no
    longer hold."""
    last = signals[-1] if signals else None
    return None if last is None else Mover(last.partition, last.event_offset, last.event_ids)


def of_leaving(tx: Tx, numbers: Sequence[str], left_on: date) -> Mover | None:
    """The last closing on the day on which these numbers left; none: it is not stored yet."""
    found = tx.session.execute(CLOSING, {"numbers": list(numbers), "left_on": left_on}).first()
    return Mover(found.partition, found.event_offset, (found.event_id,)) if found else None


def behind(tx: Tx, mover: Mover | None) -> tuple[Cause | None, Origin | None]:
    """The event that moved the rule, for people and for the envelope.

    While a message is being applied (numbers that become one party) that message is the origin. An
    event that the store does not hold yet is named by its id alone.
    """
    if mover is None:
        return None, None
    place = {"partition": mover.partition, "event_offset": mover.event_offset}
    found = tx.session.execute(EVENT_AT, place).one_or_none()
    cause = Cause(type=found.type, id=found.event_id, at=found.time) if found else None
    if tx.message is not None:
        return cause, None
    if found is not None:
        return cause, Origin(found.event_id, found.event_id, found.appended_at)
    if mover.event_ids:
        event_id = mover.event_ids[0]
        return None, Origin(event_id, event_id, None)
    return None, None
