"""Before the worker's state is made anew: what had ops given up?

The new workers are told what was given up by a record of each partition, the first one in
`scoring.state`. They judge anew, and would count an event whose rate has come meanwhile; nobody
would see it, for the event store has its place only.
"""

from collections import defaultdict
from collections.abc import Mapping

from sqlalchemy import text

from services.scoring import state, watermark
from shared.db import Database
from shared.settings import Settings
from shared.wire import Broker, Sender

STATE = "scoring.state"
WRITTEN_S = 60.0
GIVEN_UP = text(
    """
    select partition, event_offset from worker_letters
     where topic = 'bank.events' and state = 'discarded' order by 1, 2
    """
)


def given_up(database: Database) -> dict[int, list[int]]:
    """By partition, the offsets of `bank.events` that ops discarded."""
    found: defaultdict[int, list[int]] = defaultdict(list)
    with database.read() as session:
        for partition, offset in session.execute(GIVEN_UP):
            found[partition].append(offset)
    return found


def tell_given_up(settings: Settings, broker: Broker, offsets: Mapping[int, list[int]]) -> None:
    """To who begins with an empty state. A second run says it again."""
    sender = Sender(settings)
    try:
        reports = [
            sender.send(STATE, *state.partition_record(_told(number, offsets[number])), number)
            for number in broker.partitions(STATE) if number in offsets
        ]  # fmt: skip
        for report in reports:
            report.result(WRITTEN_S)
    finally:
        sender.close()


def _told(number: int, offsets: list[int]) -> state.PartitionState:
    told = watermark.fresh(number)
    told.given_up = offsets
    return told
