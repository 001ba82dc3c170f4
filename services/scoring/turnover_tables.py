"""Rows of the abnormal change of turnover: what is kept of each series, changes, days settled.

A series is the turnover by day of a `code`: of a customer number, a product or a branch.
"""

from datetime import date
from typing import Any

from sqlalchemy import BigInteger, Index
from sqlalchemy.orm import Mapped, mapped_column

from services.scoring.tables import Base


class TurnoverMemoryRow(Base):
    """What rules.cusum keeps of a series. `look_on`: when silence alone could be a change."""

    __tablename__ = "turnover_memory"
    dimension: Mapped[str] = mapped_column(primary_key=True)
    code: Mapped[str] = mapped_column(primary_key=True)
    memory: Mapped[bytes]
    look_on: Mapped[date | None] = mapped_column(index=True)


class TurnoverChangeRow(Base):
    """A series left its usual by the days `since_on` to `on_date`; amounts are those of a day."""

    __tablename__ = "turnover_changes"
    dimension: Mapped[str] = mapped_column(primary_key=True)
    code: Mapped[str] = mapped_column(primary_key=True)
    on_date: Mapped[date] = mapped_column(primary_key=True)
    direction: Mapped[str]
    since_on: Mapped[date]
    size_micro: Mapped[int] = mapped_column(BigInteger)
    minor: Mapped[int] = mapped_column(BigInteger)
    usual_minor: Mapped[int] = mapped_column(BigInteger)
    __table_args__ = (Index("turnover_changes_latest", "dimension", "on_date"),)


class TurnoverSettledRow(Base):
    """Days are settled up to one; `reach`: how far the event store had been read, by partition."""

    __tablename__ = "turnover_settled"
    through_on: Mapped[date] = mapped_column(primary_key=True)
    reach: Mapped[dict[str, Any]]
