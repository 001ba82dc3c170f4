"""Where a service stands in each partition, moved only in the transaction of the effect.

Kafka's committed offset is for lag only: a rewind of the group changes nothing, however old.
"""

from collections import Counter
from collections.abc import Iterable, Mapping

from sqlalchemy import func, select, text, tuple_
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from shared.db import Database, PositionRow, TallyRow, Tx
from shared.outbox import COMPACTED
from shared.wire import Record, Span, TopicPart


class ListenerStopped(Exception):
    """The listener must not go on; a person decides. Readiness fails until a restart."""


class PositionLost(ListenerStopped):
    """Another topic id, or a stored position outside the log."""


def place(database: Database, spans: dict[TopicPart, Span]) -> dict[TopicPart, int]:
    """Where each newly assigned partition starts. First sight of one stores its beginning."""
    with database.transaction() as tx:
        stored = {
            (r.topic, r.partition): r
            for r in tx.session.execute(
                select(PositionRow)
                .where(tuple_(PositionRow.topic, PositionRow.partition).in_(list(spans)))
                .order_by(PositionRow.topic, PositionRow.partition)
                .with_for_update()
            ).scalars()
        }
        starts = {}
        for (topic, partition), span in spans.items():
            row = stored.get((topic, partition))
            if row is None:
                tx.session.execute(
                    insert(PositionRow)
                    .values(
                        topic=topic,
                        partition=partition,
                        topic_id=span.topic_id,
                        start_offset=span.begin,
                        next_offset=span.begin,
                    )
                    .on_conflict_do_nothing()
                )
                starts[topic, partition] = span.begin
                continue
            _check(row, span)
            starts[topic, partition] = row.next_offset
        return starts


def _check(row: PositionRow, span: Span) -> None:
    where = f"{row.topic}/{row.partition}"
    if row.topic_id != span.topic_id:
        raise PositionLost(f"{where}: the topic was recreated ({row.topic_id} -> {span.topic_id})")
    if not span.begin <= row.next_offset <= span.end:
        raise PositionLost(
            f"{where}: position {row.next_offset} is outside the log {span.begin}..{span.end}"
        )
    if span.kept is not None and row.next_offset > span.kept:
        raise PositionLost(
            f"{where}: position {row.next_offset} is outside the log: it was cut, and only what "
            f"comes before {span.kept} is what was read"
        )


def lock_and_filter(tx: Tx, records: list[Record]) -> list[Record]:
    """Locks the rows of the batch's partitions in order; drops what was applied already."""
    wanted = sorted({(r.topic, r.partition) for r in records})
    rows = tx.session.execute(
        select(PositionRow.topic, PositionRow.partition, PositionRow.next_offset)
        .where(tuple_(PositionRow.topic, PositionRow.partition).in_(wanted))
        .order_by(PositionRow.topic, PositionRow.partition)
        .with_for_update()
    )
    following = {(r.topic, r.partition): r.next_offset for r in rows}
    missing = set(wanted) - set(following)
    if missing:
        raise PositionLost(f"no stored position for {sorted(missing)}")
    return [r for r in records if r.offset >= following[r.topic, r.partition]]


ADVANCE = text(
    """
    update positions set next_offset = greatest(next_offset, x.next)
      from unnest(cast(:topics as text[]), cast(:partitions as int[]),
                  cast(:nexts as bigint[])) as x(topic, part, next)
     where positions.topic = x.topic and positions.partition = x.part
    returning positions.topic, positions.partition, new.next_offset - old.next_offset as moved
    """
)


def advance(tx: Tx, records: Iterable[Record]) -> None:
    """Forward only, past records not applied yet. What compaction has let go between them is
    tallied; a gap in any other topic stays a difference."""
    nexts: dict[TopicPart, int] = {}
    counts: Counter[TopicPart] = Counter()
    for r in records:
        nexts[r.topic, r.partition] = max(nexts.get((r.topic, r.partition), 0), r.offset + 1)
        counts[r.topic, r.partition] += 1
    moved = tx.session.execute(
        ADVANCE,
        {
            "topics": [t for t, _ in nexts],
            "partitions": [p for _, p in nexts],
            "nexts": list(nexts.values()),
        },
    )
    gaps = {(t, p): moved_by - counts[t, p] for t, p, moved_by in moved if t in COMPACTED}
    tally(tx, Counter({(*of, "compacted"): n for of, n in gaps.items() if n > 0}))


TALLY = insert(TallyRow)
TALLY = TALLY.on_conflict_do_update(
    index_elements=["topic", "partition", "outcome"],
    set_={"count": TallyRow.count + TALLY.excluded.count},
)


def tally(tx: Tx, outcomes: "Counter[tuple[str, int, str]]") -> None:
    """Adds messages by outcome: applied, ignored, duplicate, refused, parked, quarantined, dead;
        compacted: the broker had let them go before they were read; passed: for nobody."""
    rows = [
        {"topic": t, "partition": p, "outcome": o, "count": n}
        for (t, p, o), n in sorted(outcomes.items())
        if n
    ]
    if rows:
        tx.session.execute(TALLY, rows)


def stored(session: Session, topic: str) -> dict[int, int]:
    """Partition -> next offset: what the service has applied of a topic."""
    rows = session.execute(
        select(PositionRow.partition, PositionRow.next_offset).where(PositionRow.topic == topic)
    )
    return {r.partition: r.next_offset for r in rows}


def passed(session: Session, topic: str, fence: Mapping[int, int]) -> bool:
    """True when every partition of the topic stands at or beyond the fence."""
    at = stored(session, topic)
    return all(at.get(partition, 0) >= offset for partition, offset in fence.items())


def reconcile(session: Session) -> list[dict[str, int | str]]:
    """Per topic: acknowledged against the outcomes. The difference must be 0, and is in a session
    of `Database.read`, which sees one moment: these are two statements."""
    acknowledged = dict(
        session.execute(
            select(
                PositionRow.topic, func.sum(PositionRow.next_offset - PositionRow.start_offset)
            ).group_by(PositionRow.topic)
        ).all()
    )
    outcomes: dict[str, Counter[str]] = {topic: Counter() for topic in acknowledged}
    for row in session.execute(
        select(TallyRow.topic, TallyRow.outcome, func.sum(TallyRow.count)).group_by(
            TallyRow.topic, TallyRow.outcome
        )
    ):
        outcomes.setdefault(row[0], Counter())[row[1]] = int(row[2])
    return [
        {
            "topic": topic,
            "acknowledged": int(acknowledged.get(topic, 0)),
            **counts,
            "difference": int(acknowledged.get(topic, 0)) - sum(counts.values()),
        }
        for topic, counts in sorted(outcomes.items())
    ]
