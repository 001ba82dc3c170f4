"""Sets of rules and their rehearsals: what runs, what is proposed, what it would have done."""

import re
from dataclasses import dataclass
from datetime import date
from typing import Any

import msgspec
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from services.scoring import rule_set
from services.scoring.model_card import Card
from services.scoring.queries import months
from services.scoring.rule_set import RuleSet
from services.scoring.rule_set_tables import (
    LiveSetRow,
    RehearsalPartRow,
    RehearsalRow,
    RehearsedSignalRow,
    RuleSetRow,
)
from services.scoring.settings import ScoringSettings, model_version, risk_card

PAGE_ROWS = 50
CLOSED_BY_ANY = text("select max(watermark_on) from control_totals")
LAST_REHEARSALS = text(
    """
    select distinct on (number) number, id, state from rehearsals
     where number = any(:numbers) order by number, id desc
    """
)


@dataclass(frozen=True, slots=True)
class Known:
    """A set as the page lists it; number 0 is the one with which the system began."""

    number: int
    state: str  # first, proposed, rehearsed, accepted, live, replaced, rejected
    row: RuleSetRow | None = None


def first_set() -> RuleSet:
    """Of the settings: what the workers began with. Raises OSError, msgspec.MsgspecError."""
    return rule_set.first_set(ScoringSettings().risk_model)


def closed_days(session: Session) -> tuple[date | None, date | None]:
    """The last day that all partitions have closed, and the last that any has; None: none yet."""
    return months.closed_through(session), session.execute(CLOSED_BY_ANY).scalar_one()


def accepted(session: Session) -> list[RuleSetRow]:
    """In the order in which they follow each other."""
    asked = select(RuleSetRow).where(RuleSetRow.state == "accepted")
    return list(session.execute(asked.order_by(RuleSetRow.effective_on)).scalars())


def last_rules(session: Session) -> tuple[int, RuleSet]:
    """Number and rules of the set that goes on until another is accepted."""
    rows = accepted(session)
    return (rows[-1].number, rule_set.decoded(rows[-1].rules)) if rows else (0, first_set())


def rules_of(session: Session, number: str) -> RuleSet | None:
    """The rules of a set; of 0 the first ones; None: there is no such set."""
    if number == "0":
        return first_set()
    row = session.get(RuleSetRow, int(number)) if re.fullmatch(r"[1-9]\d{0,8}", number) else None
    return rule_set.decoded(row.rules) if row else None


def live_row(session: Session) -> RuleSetRow | None:
    """The set that judges on all partitions by now; None: the first one."""
    closed, _ = closed_days(session)
    rows = [r for r in accepted(session) if closed and r.effective_on and r.effective_on <= closed]
    return rows[-1] if rows else None


def live_card(session: Session) -> Card | None:
    """What pages say of the model that is live; None: the two small rules only."""
    row = live_row(session)
    if row is None:
        return risk_card()
    risk = rule_set.decoded(row.rules).risk
    return None if risk is None else msgspec.convert(risk, Card)


def live_version(session: Session) -> str:
    """The name of the set that is live, as alerts have it."""
    row = live_row(session)
    return model_version() if row is None else f"set-{row.number}"


def one(session: Session, number: int) -> RuleSetRow | None:
    return session.get(RuleSetRow, number)


def known_sets(session: Session, before: int | None = None) -> list[Known]:
    """The newest first, the first set last."""
    asked = select(RuleSetRow).order_by(RuleSetRow.number.desc()).limit(PAGE_ROWS)
    if before is not None:
        asked = asked.where(RuleSetRow.number < before)
    rows = list(session.execute(asked).scalars())
    live = live_row(session)
    rehearsed = {
        found.number: found.state
        for found in session.execute(LAST_REHEARSALS, {"numbers": [r.number for r in rows]})
    }
    found = [Known(r.number, state_of(r, live, rehearsed.get(r.number)), r) for r in rows]
    if len(rows) < PAGE_ROWS:
        found.append(Known(0, "replaced" if live else "live"))
    return found


def state_of(row: RuleSetRow, live: RuleSetRow | None, rehearsed: str | None) -> str:
    if row.state == "proposed":
        return "rehearsed" if rehearsed == "done" else "proposed"
    if row.state == "accepted" and live is not None:
        assert row.effective_on is not None
        assert live.effective_on is not None
        if row.number == live.number:
            return "live"
        return "replaced" if row.effective_on < live.effective_on else "accepted"
    return row.state


def live_from(session: Session, number: int) -> list[LiveSetRow]:
    """Where workers judge by a set, and since which day, by partition."""
    asked = select(LiveSetRow).where(LiveSetRow.number == number).order_by(LiveSetRow.partition)
    return list(session.execute(asked).scalars())


def rehearsals_of(session: Session, number: int) -> list[RehearsalRow]:
    """The latest first."""
    asked = select(RehearsalRow).where(RehearsalRow.number == number)
    return list(session.execute(asked.order_by(RehearsalRow.id.desc()).limit(20)).scalars())


def through_of(session: Session, rehearsal_id: int) -> date | None:
    row = session.get(RehearsalRow, rehearsal_id)
    return row.through_on if row else None


def stepped_through(session: Session, rehearsal_id: int) -> date | None:
    """The last day that was closed on all partitions where a rehearsal has ended; None: none."""
    asked = select(RehearsalPartRow.closed_on).where(RehearsalPartRow.rehearsal_id == rehearsal_id)
    days = list(session.execute(asked).scalars())
    known = [day for day in days if day is not None]
    return min(known) if known and len(known) == len(days) else None


def progress_of(session: Session, rehearsal_id: int) -> tuple[int, int]:
    """(events stepped, events in all), over all partitions."""
    asked = select(RehearsalPartRow).where(RehearsalPartRow.rehearsal_id == rehearsal_id)
    parts = list(session.execute(asked).scalars())
    return sum(p.reached for p in parts), sum(p.until for p in parts)


def rehearsed_signals(session: Session, rehearsal_id: int, *, proposed: bool) -> list[Any]:
    """Everything that a set would have said, in the order of ids."""
    asked = select(RehearsedSignalRow).where(
        RehearsedSignalRow.rehearsal_id == rehearsal_id, RehearsedSignalRow.proposed == proposed
    )
    return list(session.execute(asked.order_by(RehearsedSignalRow.id)).scalars())
