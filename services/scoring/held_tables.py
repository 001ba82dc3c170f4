"""Rows of a state that is made anew: where alerts stand still, and figures of before may be."""

from datetime import date, datetime

from sqlalchemy import BigInteger, Index
from sqlalchemy import text as sql
from sqlalchemy.orm import Mapped, mapped_column

from services.scoring.tables import Base


class AlertsHeldRow(Base):
    """A partition whose state is made anew. Until it is where it was, the alerts of its parties
    stand still; then they are compared, in the order of its numbers up to `after_number`."""

    __tablename__ = "alerts_held"
    partition: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    through_on: Mapped[date | None]  # the last day that was closed there
    position: Mapped[int] = mapped_column(BigInteger)  # of the record that moved a rule last
    after_number: Mapped[str] = mapped_column(server_default=sql("''"))
    held_at: Mapped[datetime | None]  # wall clock: when all was taken back


class AlertsHeldAlongRow(Base):
    """A number that is held and a party that it, or another one of the same party, joined or left
    meanwhile: what one of them loses the other gains, so they are compared with it."""

    __tablename__ = "alerts_held_along"
    customer_number: Mapped[str] = mapped_column(primary_key=True)
    party_id: Mapped[str] = mapped_column(primary_key=True)
    __table_args__ = (Index("ix_alerts_held_along_party_id", "party_id"),)


class FiguresOfBeforeRow(Base):
    """A partition whose state was made anew. Until its numbers up to `after_number` were looked at,
    some may have figures that the new state says nothing of."""

    __tablename__ = "figures_of_before"
    partition: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    after_number: Mapped[str] = mapped_column(server_default=sql("''"))
