"""The inbox: which (source, id) a service has already taken.

Positions make a redelivery harmless; the inbox catches what a producer sent twice, at a new
offset. One statement claims a whole batch.
"""

import threading
from dataclasses import dataclass
from datetime import timedelta

import structlog
from sqlalchemy import text
from xxhash import xxh3_64_intdigest

from shared.db import Database, Tx, is_world_down

KEPT_DAYS = 90
FORGOTTEN_AT_ONCE = 1_000  # rows of one transaction: tens of milliseconds
PAUSE_S = 0.1  # between two of them: appliers come first
FIRST_AFTER_S = 60.0
DAY_S = 86_400.0

log = structlog.get_logger()

CLAIM = text(
    """
    insert into inbox (source, event_id, body_hash, claimed_on)
    select s, i, h, :claimed_on
      from unnest(cast(:sources as text[]), cast(:ids as text[]),
                  cast(:hashes as bigint[])) as x(s, i, h)
     order by s, i
    on conflict do nothing
    returning source, event_id
    """
)
BODIES = text(
    """
    select source, event_id, body_hash from inbox
     where (source, event_id) in
       (select * from unnest(cast(:sources as text[]), cast(:ids as text[])))
    """
)

# A second listener takes other rows; a repeat that is just being looked up is waited for by none.
FORGET = text(
    """
    delete from inbox where ctid = any(array(
      select ctid from inbox where claimed_on < :limit
       order by claimed_on limit :rows for update skip locked))
    returning 1
    """
)


def body_hash(body: bytes) -> int:
    """A signed 64-bit hash: PostgreSQL's bigint."""
    return xxh3_64_intdigest(body) - 2**63


@dataclass(frozen=True, slots=True)
class Claim:
    source: str
    event_id: str
    body_hash: int


def claim(tx: Tx, wanted: list[Claim]) -> tuple[set[int], set[int]]:
    """Takes the new identities of a batch. Returns (indexes that are new, indexes whose identity
    is known with another body). The first body wins."""
    first: dict[tuple[str, str], int] = {}
    for index, one in enumerate(wanted):
        first.setdefault((one.source, one.event_id), index)
    if not first:
        return set(), set()
    chosen = [wanted[i] for i in first.values()]
    rows = tx.session.execute(
        CLAIM,
        {
            "claimed_on": tx.wall_now.date(),
            "sources": [c.source for c in chosen],
            "ids": [c.event_id for c in chosen],
            "hashes": [c.body_hash for c in chosen],
        },
    )
    new = {first[r.source, r.event_id] for r in rows}
    repeats = [i for i in range(len(wanted)) if i not in new]
    return new, _conflicts(tx, wanted, repeats)


def _conflicts(tx: Tx, wanted: list[Claim], repeats: list[int]) -> set[int]:
    if not repeats:
        return set()
    rows = tx.session.execute(
        BODIES,
        {
            "sources": [wanted[i].source for i in repeats],
            "ids": [wanted[i].event_id for i in repeats],
        },
    )
    stored = {(r.source, r.event_id): r.body_hash for r in rows}
    return {
        i
        for i in repeats
        if stored.get((wanted[i].source, wanted[i].event_id)) != wanted[i].body_hash
    }


def forget_old(database: Database, stop: threading.Event) -> int:
    """Drops identities older than the longest replay, a piece per transaction. How many went."""
    gone = 0
    while not stop.is_set():
        with database.transaction() as tx:
            limit = tx.wall_now.date() - timedelta(days=KEPT_DAYS)
            found = tx.session.execute(FORGET, {"limit": limit, "rows": FORGOTTEN_AT_ONCE})
            piece = len(found.all())
        gone += piece
        if piece < FORGOTTEN_AT_ONCE:
            break
        stop.wait(PAUSE_S)
    return gone


def forget_daily(database: Database, stop: threading.Event) -> None:
    """A thread of every listener: soon after its start, then once a day of wall time."""
    pause = FIRST_AFTER_S
    while not stop.wait(pause):
        try:
            gone = forget_old(database, stop)
        except Exception as error:
            if not is_world_down(error):
                raise
            log.warning("inbox_not_forgotten", error=str(error)[:200])
            pause = FIRST_AFTER_S
        else:
            log.info("inbox_forgotten", count=gone)
            pause = DAY_S
