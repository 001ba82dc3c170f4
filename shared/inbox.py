"""The inbox: which (source, id) a service has already taken.

Positions make a redelivery harmless; the inbox catches what a producer sent twice, at a new
offset. One statement claims a whole batch.
"""

from dataclasses import dataclass

from sqlalchemy import text
from xxhash import xxh3_64_intdigest

from shared.db import Tx
from shared.forgetting import Aging

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
      select ctid from inbox where claimed_on < cast(:before as date)
       order by claimed_on limit :rows for update skip locked))
    returning 1
    """
)
AGING = Aging("inbox", FORGET, lambda settings: settings.kept_days)


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
