"""Runs stored messages again inside the failing service, when a person has asked for it.

A parked key's messages run in order, until one fails again or none is left.
"""

from collections import Counter
from collections.abc import Callable

from sqlalchemy import select, update

from shared import dead_letters, positions
from shared.db import Database, DeadLetterRow, Tx, is_world_down
from shared.errors import DomainError

Apply = Callable[[Tx, DeadLetterRow], None]
AT_ONCE_MAX = 200


def run_asked(database: Database, apply: Apply) -> int:
    """Returns how many messages were settled."""
    with database.read() as session:
        asked = session.execute(
            select(DeadLetterRow.id, DeadLetterRow.kind, DeadLetterRow.topic, DeadLetterRow.key)
            .where(DeadLetterRow.state == "replay")
            .order_by(DeadLetterRow.id)
            .limit(AT_ONCE_MAX)
        ).all()
    done = 0
    keys: set[tuple[str, str | None]] = set()
    for row in asked:
        if row.kind != "parked":
            done += _run_one(database, apply, row.id)
        elif (row.topic, row.key) not in keys:
            keys.add((row.topic, row.key))
            done += _run_key(database, apply, row.topic, row.key)
    return done


def _run_key(database: Database, apply: Apply, topic: str, key: str | None) -> int:
    done = 0
    while True:
        with database.read() as session:
            letter_id = session.execute(
                select(DeadLetterRow.id)
                .where(
                    DeadLetterRow.kind == "parked",
                    DeadLetterRow.topic == topic,
                    DeadLetterRow.key == key,
                    DeadLetterRow.state.in_(dead_letters.OPEN),
                )
                .order_by(DeadLetterRow.partition, DeadLetterRow.offset)
                .limit(1)
            ).scalar_one_or_none()
        if letter_id is None or not _run_one(database, apply, letter_id):
            return done
        done += 1


def _run_one(database: Database, apply: Apply, letter_id: int) -> int:
    try:
        with database.transaction() as tx:
            row = tx.session.get(DeadLetterRow, letter_id, with_for_update=True)
            if row is None or row.state not in dead_letters.OPEN:
                return 0
            apply(tx, row)
        return 1
    except Exception as error:
        if is_world_down(error):
            raise
        return _failed_again(database, letter_id, error)


def _failed_again(database: Database, letter_id: int, error: Exception) -> int:
    """A refusal settles the message; anything else leaves it, and its key, waiting."""
    refused = isinstance(error, DomainError)
    with database.transaction() as tx:
        row = tx.session.get(DeadLetterRow, letter_id, with_for_update=True)
        if row is None:
            return 0
        row.reason = repr(error)[:2000]
        if refused:
            place = (row.topic, row.partition)
            positions.tally(tx, Counter({(*place, row.kind): -1, (*place, "refused"): 1}))
            row.kind, row.state, row.resolved_at = "refused", "recorded", tx.wall_now
        else:
            row.state = "waiting"
            tx.session.execute(
                update(DeadLetterRow)
                .where(
                    DeadLetterRow.state == "replay",
                    DeadLetterRow.kind == row.kind,
                    DeadLetterRow.topic == row.topic,
                    DeadLetterRow.key.is_not_distinct_from(row.key),
                )
                .values(state="waiting")
            )
    return int(refused)
