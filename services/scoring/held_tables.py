"""Rows of alerts that stand still."""

from datetime import date

from sqlalchemy import BigInteger
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
