"""Rows of the sets of rules: what was proposed, decided and rehearsed, and where workers stand."""

from datetime import date, datetime
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Index
from sqlalchemy import text as sql
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from services.scoring.tables import Base


class RuleSetRow(Base):
    """A set of rules. state: proposed -> accepted or rejected, each by a second person.

    `rules`: the whole set as JSON text, as it is published; `base_number`: which set it was made
    from, 0: the one with which the system began.
    """

    __tablename__ = "rule_sets"
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    state: Mapped[str]
    rules: Mapped[str]
    base_number: Mapped[int]
    changes: Mapped[dict[str, Any]]  # name -> [before, after], against the base
    reason: Mapped[str]  # what changes and why, in the proposer's words
    proposed_by: Mapped[str]
    proposed_at: Mapped[datetime]
    decided_by: Mapped[str | None]
    decided_at: Mapped[datetime | None]
    decision_reason: Mapped[str | None]
    effective_on: Mapped[date | None] = mapped_column(unique=True)  # of an accepted set


class LiveSetRow(Base):
    """From which day on a partition of the worker judges by a set, as its own record says."""

    __tablename__ = "live_sets"
    partition: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    first_on: Mapped[date]


class RehearsalRow(Base):
    """A set of rules run over the stored events, beside the set that it would follow.

    state: waiting -> running -> done, failed or cancelled. Both judge from `from_on` on.
    """

    __tablename__ = "rehearsals"
    id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=True)
    number: Mapped[int] = mapped_column(ForeignKey("rule_sets.number"))
    against: Mapped[int]
    from_on: Mapped[date]
    state: Mapped[str]
    step: Mapped[str]  # events, outcomes: what is being done
    asked_by: Mapped[str]
    asked_at: Mapped[datetime]
    runner: Mapped[str | None]  # the process that runs it
    beat_at: Mapped[datetime | None]  # wall clock: it was alive
    ended_at: Mapped[datetime | None]
    through_on: Mapped[date | None]  # the last day closed on all partitions when it began
    failure: Mapped[str | None]
    result: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    __table_args__ = (
        Index("rehearsals_of_set", "number", sql("id desc")),
        Index("rehearsals_open", "id", postgresql_where=sql("state in ('waiting', 'running')")),
    )


class RehearsalPartRow(Base):
    """How far a rehearsal has come in one partition of `bank.events`; `until`: its end then."""

    __tablename__ = "rehearsal_parts"
    rehearsal_id: Mapped[int] = mapped_column(
        ForeignKey("rehearsals.id", ondelete="cascade"), primary_key=True
    )
    partition: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    until: Mapped[int] = mapped_column(BigInteger)
    reached: Mapped[int] = mapped_column(BigInteger)
    done: Mapped[bool]
    closed_on: Mapped[date | None]  # the last day closed up to `until`


class RehearsedSignalRow(Base):
    """A signal of a rehearsal: by the proposed set, or by the one it would follow."""

    __tablename__ = "rehearsed_signals"
    rehearsal_id: Mapped[int] = mapped_column(
        ForeignKey("rehearsals.id", ondelete="cascade"), primary_key=True
    )
    proposed: Mapped[bool] = mapped_column(primary_key=True)
    id: Mapped[str] = mapped_column(primary_key=True)
    partition: Mapped[int]
    customer_number: Mapped[str]
    account_number: Mapped[str]
    product_code: Mapped[str] = mapped_column(server_default=sql("''"))
    rule: Mapped[str]
    kind: Mapped[str]
    carried: Mapped[bool]  # raised before the first day judged, and holding then
    at: Mapped[datetime]
    on_date: Mapped[date]
    episode: Mapped[int] = mapped_column(BigInteger)
    score_ppm: Mapped[int]
    model_version: Mapped[str]
    __table_args__ = (Index("rehearsed_signals_of_customer", "rehearsal_id", "customer_number"),)
