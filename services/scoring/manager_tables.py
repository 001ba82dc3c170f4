"""Rows of managers' assignments that split no figure."""

from datetime import date

from sqlalchemy import Index
from sqlalchemy import text as sql
from sqlalchemy.orm import Mapped, mapped_column

from services.scoring.tables import Base


class PartialManagerRow(Base):
    """Somebody answers for a share of a customer, or for one of his accounts (none: '').

    One manager answers for a customer number at a time, so this is listed and splits nothing.
    """

    __tablename__ = "partial_managers"
    customer_number: Mapped[str] = mapped_column(primary_key=True)
    account_number: Mapped[str] = mapped_column(primary_key=True)
    effective_on: Mapped[date] = mapped_column(primary_key=True)
    manager_code: Mapped[str] = mapped_column(primary_key=True)
    staff_id: Mapped[str | None]
    share_ppm: Mapped[int]
    __table_args__ = (
        Index(
            "partial_managers_latest",
            sql("effective_on desc"),
            "customer_number",
            "account_number",
            "manager_code",
        ),
    )
