"""Where an alert comes from: the event of the bank that moved its rule is the root of its story.

A rule moves by an event of the customer, or, for silence, by the close of the day on which it came
due. That close is named as the cause, not the customer's last transaction: nothing happened then,
and the time from the close to the alert is what the system took.
"""

from collections.abc import Iterable

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


def last_of(signals: Iterable[SignalRow]) -> SignalRow | None:
    """The signal that came last made the party's rule hold, or no longer hold."""
    return max(signals, key=lambda s: (s.at, s.customer_number), default=None)


def behind(tx: Tx, signal: SignalRow | None) -> tuple[Cause | None, Origin | None]:
    """The event that moved the rule, for people and for the envelope.

    While a message is being applied (numbers that become one party) that message is the origin. An
    event that the store does not hold yet is named by its id alone.
    """
    if signal is None:
        return None, None
    place = {"partition": signal.partition, "event_offset": signal.event_offset}
    found = tx.session.execute(EVENT_AT, place).one_or_none()
    cause = Cause(type=found.type, id=found.event_id, at=found.time) if found else None
    if tx.message is not None:
        return cause, None
    if found is not None:
        return cause, Origin(found.event_id, found.event_id, found.appended_at)
    if signal.event_ids:
        event_id = signal.event_ids[0]
        return None, Origin(event_id, event_id, None)
    return None, None
