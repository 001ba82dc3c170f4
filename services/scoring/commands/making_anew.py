"""Before the worker's state is made anew: does everything stand still, is what it rests on empty,
and what had ops given up?

The new workers are told what was given up by a record of each partition, the first one in
`scoring.state`. They judge anew, and would count an event whose rate has come meanwhile; nobody
would see it, for the event store has its place only.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping

from sqlalchemy import text

from services.scoring import state, watermark
from services.scoring.commands.rehearsals import LOST_AFTER
from services.scoring.worker_settings import GROUP
from shared.db import Database
from shared.groups import groups
from shared.settings import Settings
from shared.wire import Broker, Sender, read_span

EVENTS, STATE = "bank.events", "scoring.state"
WRITTEN_S = 60.0
GIVEN_UP = text(
    """
    select partition, event_offset from worker_letters
     where topic = 'bank.events' and state = 'discarded' order by 1, 2
    """
)
# A rehearser is in no group. What it judges by, letters and closed days, would go under its hands.
REHEARSING = text(
    "select exists (select 1 from rehearsals where state = 'running' and beat_at >= :alive_since)"
)


class NotReady(Exception):
    """Something runs still, or a step before this one was left out."""


def given_up(database: Database) -> dict[int, list[int]]:
    """By partition, the offsets of `bank.events` that ops discarded."""
    found: defaultdict[int, list[int]] = defaultdict(list)
    with database.read() as session:
        for partition, offset in session.execute(GIVEN_UP):
            found[partition].append(offset)
    return found


def refuse_unready(
    settings: Settings, database: Database, broker: Broker, topics: Collection[str]
) -> None:
    """Raises NotReady. Changes nothing."""
    broker.partitions(EVENTS)  # a broker that is away is said by this
    with database.read() as session:
        alive_since = database.clock.wall_now() - LOST_AFTER
        if session.execute(REHEARSING, {"alive_since": alive_since}).scalar_one():
            raise NotReady(
                "a rehearsal runs, or did until half a minute ago: stop scoring's rehearser; see"
                " docs/runbook.md, The state anew"
            )
    with groups(settings) as asked:
        for group in (settings.service, GROUP):
            if members := asked.members(group):
                raise NotReady(
                    f"{members} of group {group} run, or their session has not ended yet: stop"
                    " scoring and its workers; see docs/runbook.md, The state anew"
                )
        if asked.has_places(GROUP):
            raise NotReady(
                f"group {GROUP} still has its places, and would go on from there with nothing:"
                " delete it; see docs/runbook.md, The state anew"
            )
        missing = sorted({*topics} - asked.topics())
    if missing:
        raise NotReady(f"{', '.join(missing)}: no such topic; make the topics first")
    for topic in topics:
        ends = broker.end_offsets(topic)
        if any(ends.values()) and not (topic == STATE and _is_told_only(settings, ends)):
            raise NotReady(
                f"topic {topic} is not empty: delete it and make it anew first; see"
                " docs/runbook.md, The state anew"
            )


def _is_told_only(settings: Settings, ends: Mapping[int, int]) -> bool:
    """Is there nothing but what a run before this one, ended half way, has told?"""
    return all(
        _is_told(number, record.key, record.value)
        for number, end in ends.items() if end
        for records in read_span(settings, STATE, number, end)
        for record in records
    )  # fmt: skip


def _is_told(number: int, key: bytes | None, value: bytes | None) -> bool:
    try:
        found = state.unpack(key or b"", value or b"")
    except state.UnreadableState:
        return False
    return isinstance(found, state.PartitionState) and found == _told(number, found.given_up)


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
