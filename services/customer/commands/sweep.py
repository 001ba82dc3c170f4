"""Keeps the timeline short: the newest entries of each party stay, the warehouse has the rest.

A walk over the parties in id order, a few at a time: no table scan, no long transaction. What is
removed depends on the entries only, so an entry that arrives late is judged the same.
"""

import threading
from typing import Any

import structlog
from sqlalchemy import text

from shared.db import Database, is_world_down

log = structlog.get_logger()

KEPT_PER_PARTY = 500
PARTIES_PER_STEP = 200
PAUSE_S = 2.0

SWEEP = text(
    """
    with these as (
        select party_id from parties where party_id > :after order by party_id limit :parties
    ), oldest as (
        select these.party_id, kept.at, kept.entry_id
          from these cross join lateral
               (select at, entry_id from timeline t where t.party_id = these.party_id
                 order by at desc, entry_id desc offset :kept - 1 limit 1) kept
    ), swept as (
        delete from timeline t using oldest
         where t.party_id = oldest.party_id
           and (t.at, t.entry_id) < (oldest.at, oldest.entry_id)
        returning 1
    )
    select (select max(party_id) from these) as last, (select count(*) from swept) as swept
    """
)


def sweep_step(database: Database, after: str, kept: int = KEPT_PER_PARTY) -> tuple[str, int]:
    """Sweeps the next parties after an id. Returns (id to go on from, "" at the end; rows)."""
    with database.transaction() as tx:
        row = tx.session.execute(
            SWEEP, {"after": after, "parties": PARTIES_PER_STEP, "kept": kept}
        ).one()
    return row.last or "", row.swept


def sweep_timeline(runtime: Any, stop: threading.Event) -> None:
    """A job of the listen role: walks round and round."""
    after = ""
    while not stop.wait(PAUSE_S if after else 30.0):
        try:
            after, _ = sweep_step(runtime.database, after)
        except Exception as error:
            if not is_world_down(error):
                raise
            log.warning("sweep_waits", error=str(error)[:200])
