"""Rehearsals: asked for, run by a process of their own, cancelled, kept.

Each partition is kept whole or not at all, so a run that was killed goes on with the next one.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from sqlalchemy import delete, insert, select, text, update
from sqlalchemy.dialects.postgresql import insert as upsert

from services.scoring.commands.copying import copy_rows
from services.scoring.queries import rule_sets as queries
from services.scoring.rule_set_tables import (
    RehearsalPartRow,
    RehearsalRow,
    RehearsedSignalRow,
    RuleSetRow,
)
from shared.clock import business_date
from shared.db import AuditRow, Tx
from shared.errors import DomainError, Invalid, NotFound
from shared.forgetting import Aging

LOST_AFTER = timedelta(seconds=30)  # without a beat: its process is gone
OPEN = ("waiting", "running")
# While the state is made anew it is not known yet what the workers refuse.
CLAIM = text(
    """
    select id from rehearsals
     where (state = 'waiting' or (state = 'running' and beat_at < :lost_before))
       and not exists (select 1 from alerts_held)
     order by id limit 1 for update skip locked
    """
)
SIGNAL_COLUMNS = (
    "rehearsal_id", "proposed", "id", "partition", "customer_number", "account_number",
    "product_code", "rule", "kind", "carried", "at", "on_date", "episode", "score_ppm",
    "model_version",
)  # fmt: skip
# Figures and decisions stay; what was counted goes when the set was decided on long ago.
FORGET = text(
    """
    delete from rehearsed_signals where ctid = any(array(
      select s.ctid from rehearsed_signals s
        join rehearsals r on r.id = s.rehearsal_id join rule_sets x on x.number = r.number
       where x.decided_at < :before limit :rows))
    returning 1
    """
)
AGING = Aging(
    "rehearsed_signals", FORGET, lambda settings: settings.kept_days, bank_clock=True
)


class RehearsalRuns(DomainError):
    """One of this set is waiting or running."""


class RehearsalOver(DomainError):
    """It has ended already."""


class NothingStored(DomainError):
    """No day is closed yet: there is nothing to rehearse on."""


@dataclass(frozen=True, slots=True)
class Claimed:
    """What a runner is to do."""

    id: int
    number: int
    against: int
    from_on: date
    runner: str


def ask(tx: Tx, number: int, from_on: date) -> int:
    """Asks for a rehearsal of a set as if it had judged from this day on. Returns its id.

    Raises NotFound, RehearsalRuns, NothingStored, Invalid.
    """
    row = tx.session.get(RuleSetRow, number, with_for_update=True)
    if row is None:
        raise NotFound
    known = queries.rehearsals_of(tx.session, number)
    if any(r.state in OPEN for r in known):
        raise RehearsalRuns({"zh-CN": "该规则集正在预演。", "en": "It is being rehearsed."})
    closed, _ = queries.closed_days(tx.session)
    if closed is None:
        raise NothingStored({"zh-CN": "尚无已关闭的营业日。", "en": "No day is closed yet."})
    today = business_date(tx.bank_now, tx.clock.zone)
    if from_on > today:
        raise Invalid("from_on", {"zh-CN": f"最晚为 {today}。", "en": f"{today} at the latest."})
    against, _ = queries.last_rules(tx.session)
    if row.state != "proposed":
        against = row.base_number
    found = RehearsalRow(
        number=number, against=against, from_on=from_on, state="waiting", step="events",
        asked_by=tx.actor_id or "", asked_at=tx.bank_now,
    )  # fmt: skip
    tx.session.add(found)
    tx.session.flush()
    _audit(tx, "rehearsal.ask", found, from_on=from_on.isoformat())
    return found.id


def cancel(tx: Tx, rehearsal_id: int) -> int:
    """Whoever runs it stops at its next beat. Returns the set's number."""
    row = tx.session.get(RehearsalRow, rehearsal_id, with_for_update=True)
    if row is None:
        raise NotFound
    if row.state not in OPEN:
        raise RehearsalOver({"zh-CN": "该预演已结束。", "en": "It has ended already."})
    row.state, row.ended_at = "cancelled", tx.wall_now
    _audit(tx, "rehearsal.cancel", row)
    return row.number


def claim(tx: Tx, runner: str) -> Claimed | None:
    """Takes the next that waits, or one whose runner is gone."""
    found = tx.session.execute(CLAIM, {"lost_before": tx.wall_now - LOST_AFTER}).scalar()
    if found is None:
        return None
    row = tx.session.get(RehearsalRow, found)
    assert row is not None
    row.state, row.runner, row.beat_at = "running", runner, tx.wall_now
    return Claimed(row.id, row.number, row.against, row.from_on, runner)


def begin(tx: Tx, claimed: Claimed, ends: Mapping[int, int], through_on: date | None) -> None:
    """Notes up to where each partition is stepped; what was noted before stays."""
    rows = [
        {"rehearsal_id": claimed.id, "partition": p, "until": end, "reached": 0, "done": False}
        for p, end in sorted(ends.items())
    ]
    noted = tx.session.execute(
        upsert(RehearsalPartRow).on_conflict_do_nothing().returning(RehearsalPartRow.partition),
        rows,
    ).scalars()
    if list(noted):
        where = RehearsalRow.id == claimed.id
        tx.session.execute(update(RehearsalRow).where(where).values(through_on=through_on))


def parts_left(tx: Tx, claimed: Claimed) -> list[tuple[int, int]]:
    """(partition, its end) of those that are not kept yet."""
    asked = select(RehearsalPartRow.partition, RehearsalPartRow.until).where(
        RehearsalPartRow.rehearsal_id == claimed.id, ~RehearsalPartRow.done
    )
    return [(p, end) for p, end in tx.session.execute(asked.order_by(RehearsalPartRow.partition))]


def beat(tx: Tx, claimed: Claimed, step: str, partition: int = -1, reached: int = 0) -> bool:
    """Says that it goes on, and how far it is. False: it was cancelled, or is somebody else's."""
    mine = (
        update(RehearsalRow)
        .where(
            RehearsalRow.id == claimed.id,
            RehearsalRow.state == "running",
            RehearsalRow.runner == claimed.runner,
        )
        .values(beat_at=tx.wall_now, step=step)
        .returning(RehearsalRow.id)
    )
    if tx.session.execute(mine).scalar() is None:
        return False
    if partition >= 0:
        _part(tx, claimed, partition, reached=reached)
    return True


def keep(  # noqa: PLR0917 - the parts of one record
    tx: Tx, claimed: Claimed, partition: int, until: int, closed_on: date | None,
    rows: Iterable[Sequence[object]],
) -> bool:  # fmt: skip
    """Keeps what one partition said, in the order of SIGNAL_COLUMNS. False as `beat`."""
    if not beat(tx, claimed, "events"):
        return False
    tx.session.execute(
        delete(RehearsedSignalRow).where(
            RehearsedSignalRow.rehearsal_id == claimed.id,
            RehearsedSignalRow.partition == partition,
        )
    )
    copy_rows(tx, "rehearsed_signals", SIGNAL_COLUMNS, rows)
    _part(tx, claimed, partition, reached=until, done=True, closed_on=closed_on)
    return True


def end(tx: Tx, claimed: Claimed, state: str, **values: Any) -> None:
    """done with its result, or failed with a reason."""
    if beat(tx, claimed, "outcomes"):
        where = RehearsalRow.id == claimed.id
        tx.session.execute(
            update(RehearsalRow).where(where).values(state=state, ended_at=tx.wall_now, **values)
        )


def _part(tx: Tx, claimed: Claimed, partition: int, **values: Any) -> None:
    tx.session.execute(
        update(RehearsalPartRow)
        .where(
            RehearsalPartRow.rehearsal_id == claimed.id, RehearsalPartRow.partition == partition
        )
        .values(**values)
    )


def _audit(tx: Tx, action: str, row: RehearsalRow, **detail: Any) -> None:
    tx.session.execute(
        insert(AuditRow).values(
            at=tx.wall_now,
            actor_id=tx.actor_id or "",
            action=action,
            subject=f"set-{row.number}",
            detail={"rehearsal": row.id, **detail},
        )
    )
