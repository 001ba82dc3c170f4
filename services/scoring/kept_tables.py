"""Rows of sums that are kept with every change, for all rows are too many; and of their check."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger
from sqlalchemy.orm import Mapped, mapped_column

from services.scoring.tables import Base, Whole


class CustomerComponentRow(Base):
    """What all posted leaves of a customer number add up to, by component: told with its party's
    score, and leaves become ever more."""

    __tablename__ = "customer_components"
    customer_number: Mapped[str] = mapped_column(primary_key=True)
    component: Mapped[str] = mapped_column(primary_key=True)
    posted_minor: Mapped[int] = mapped_column(Whole)


class FoldedTotalRow(Base):
    """What the rows of `account_figures` add up to, kept with every change of one."""

    __tablename__ = "folded_totals"
    partition: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    product_code: Mapped[str] = mapped_column(primary_key=True)
    currency: Mapped[str] = mapped_column(primary_key=True)
    sum_minor: Mapped[int] = mapped_column(Whole)
    count: Mapped[int] = mapped_column(BigInteger)
    accounts: Mapped[int] = mapped_column(BigInteger)


class SumsCheckedRow(Base):
    """What the last check of all rows found, one row; `as_of` is the bank's clock."""

    __tablename__ = "sums_checked"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    as_of: Mapped[datetime]
    checked_at: Mapped[datetime]
    took_ms: Mapped[int] = mapped_column(BigInteger)
    transactions: Mapped[dict[str, Any]]
    contribution: Mapped[dict[str, Any]]
