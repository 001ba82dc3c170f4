"""The rows that orders owns. The delivery tables are shared's."""

from datetime import date, datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Date,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    Sequence,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from shared.open_work import OpenTaskColumns


class Base(DeclarativeBase):
    """Tables of orders."""

    type_annotation_map = {  # noqa: RUF012 - SQLAlchemy reads it off the class
        dict[str, Any]: JSONB,
        list[dict[str, Any]]: JSONB,
        list[str]: ARRAY(Text),
        datetime: DateTime(timezone=True),
        date: Date,
        str: Text,
        bool: Boolean,
    }


ORDER_NUMBERS = Sequence("order_numbers", start=10_000_001, metadata=Base.metadata)


class ProductRow(Base):
    """What can be sold. Names in both languages; no price is no list price."""

    __tablename__ = "products"
    product_code: Mapped[str] = mapped_column(primary_key=True)
    name_zh: Mapped[str]
    name_en: Mapped[str]
    line_code: Mapped[str]
    unit_price_minor: Mapped[int | None] = mapped_column(BigInteger)
    sold: Mapped[bool] = mapped_column(server_default=text("true"))


class AttributeRow(Base):
    """A custom attribute of orders, defined at run time."""

    __tablename__ = "attributes"
    code: Mapped[str] = mapped_column(primary_key=True)
    name_zh: Mapped[str]
    name_en: Mapped[str]
    kind: Mapped[str]
    required: Mapped[bool]
    choices: Mapped[list[str]]
    place: Mapped[int] = mapped_column(Integer)


class PartyRow(Base):
    """Our copy of which numbers a party has. No names."""

    __tablename__ = "parties"
    party_id: Mapped[str] = mapped_column(primary_key=True)
    customer_numbers: Mapped[list[str]]
    as_of: Mapped[datetime]  # events of a party come from several partitions: the newest counts


class FactRow(Base):
    """Single facts of the bank that orders lives by: the date it went live."""

    __tablename__ = "facts"
    name: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[str]


class QuoteRow(Base):
    """A quote; its priced offers are its versions."""

    __tablename__ = "quotes"
    quote_id: Mapped[str] = mapped_column(primary_key=True)
    party_id: Mapped[str] = mapped_column(index=True)
    currency: Mapped[str]
    status: Mapped[str]
    version: Mapped[int] = mapped_column(Integer)  # the newest
    owner_id: Mapped[str]
    org_path: Mapped[str]
    created_at: Mapped[datetime]


class QuoteVersionRow(Base):
    """One priced offer, never changed once offered."""

    __tablename__ = "quote_versions"
    quote_id: Mapped[str] = mapped_column(ForeignKey("quotes.quote_id"), primary_key=True)
    version: Mapped[int] = mapped_column(Integer, primary_key=True)
    lines: Mapped[list[dict[str, Any]]]
    amount_minor: Mapped[int] = mapped_column(BigInteger)
    valid_until_on: Mapped[date]
    note: Mapped[str]
    made_by: Mapped[str]
    made_at: Mapped[datetime]
    offered_at: Mapped[datetime | None]


class OrderRow(Base):
    """An order. `content_hash` is of what was last submitted; null while nothing is asked."""

    __tablename__ = "orders"
    order_id: Mapped[str] = mapped_column(primary_key=True)
    party_id: Mapped[str]
    customer_number: Mapped[str | None]
    currency: Mapped[str]
    status: Mapped[str]
    amount_minor: Mapped[int] = mapped_column(BigInteger)
    attributes: Mapped[dict[str, Any]]
    note: Mapped[str]
    effective_on: Mapped[date | None]  # none: on approval
    deliver_days: Mapped[int] = mapped_column(Integer)
    collect_days: Mapped[int] = mapped_column(Integer)
    receiving_account: Mapped[str | None]
    owner_id: Mapped[str]
    org_path: Mapped[str]
    makers: Mapped[list[str]]  # all who wrote the content since it was last decided
    content_hash: Mapped[str | None]
    version: Mapped[int] = mapped_column(Integer)  # grows with every change: optimistic edits
    created_at: Mapped[datetime]
    changed_at: Mapped[datetime]
    effective_at: Mapped[datetime | None]
    closed_at: Mapped[datetime | None]
    __table_args__ = (
        Index("orders_newest", "created_at", "order_id"),
        Index("orders_of_party", "party_id", "created_at"),
        Index("orders_by_status", "status", "created_at"),
        Index(
            "orders_with_account",
            "receiving_account",
            postgresql_where=text("receiving_account is not null"),
        ),
        Index(
            "orders_receiving_account",
            "receiving_account",
            unique=True,  # an account serves one open order at a time
            postgresql_where=text(
                "receiving_account is not null and closed_at is null and status <> 'cancelled'"
            ),
        ),
    )


class OrderLineRow(Base):
    """One product of an order."""

    __tablename__ = "order_lines"
    order_id: Mapped[str] = mapped_column(ForeignKey("orders.order_id"), primary_key=True)
    line_no: Mapped[int] = mapped_column(Integer, primary_key=True)
    product_code: Mapped[str]
    quantity: Mapped[int] = mapped_column(Integer)
    unit_price_minor: Mapped[int] = mapped_column(BigInteger)
    discount_ppm: Mapped[int] = mapped_column(Integer)
    amount_minor: Mapped[int] = mapped_column(BigInteger)
    quote_id: Mapped[str | None]
    quote_version: Mapped[int | None] = mapped_column(Integer)


class ApprovalRow(Base):
    """One request for approval and what became of it; the strip on the order's page."""

    __tablename__ = "approvals"
    order_id: Mapped[str] = mapped_column(ForeignKey("orders.order_id"), primary_key=True)
    request_no: Mapped[int] = mapped_column(Integer, primary_key=True)
    content_hash: Mapped[str]
    amount_minor: Mapped[int] = mapped_column(BigInteger)
    maker_id: Mapped[str]
    asked_at: Mapped[datetime]
    state: Mapped[str]  # waiting, approved, refused, voided
    decided_by: Mapped[str | None]
    decided_at: Mapped[datetime | None]
    reason: Mapped[str]


class PlanStepRow(Base):
    """A step of the execution plan of an order in effect."""

    __tablename__ = "plan_steps"
    order_id: Mapped[str] = mapped_column(ForeignKey("orders.order_id"), primary_key=True)
    step_no: Mapped[int] = mapped_column(Integer, primary_key=True)
    kind: Mapped[str]
    due_on: Mapped[date]
    due_at: Mapped[datetime]
    state: Mapped[str]  # waiting, due, done
    done_at: Mapped[datetime | None]
    done_by: Mapped[str | None]


class ReceivableRow(Base):
    """What an order in effect brings in, and how far it is paid."""

    __tablename__ = "receivables"
    order_id: Mapped[str] = mapped_column(ForeignKey("orders.order_id"), primary_key=True)
    amount_minor: Mapped[int] = mapped_column(BigInteger)
    currency: Mapped[str]
    due_on: Mapped[date]
    paid_minor: Mapped[int] = mapped_column(BigInteger)
    settlement: Mapped[str]


class PaymentRow(Base):
    """A booked payment that names an order or came in on its account. Without an order: a
    person must look at it."""

    __tablename__ = "payments"
    transaction_id: Mapped[str] = mapped_column(primary_key=True)
    order_id: Mapped[str | None] = mapped_column(index=True)
    reference: Mapped[str | None]
    why_unmatched: Mapped[str | None]  # a code: unknown_order, other_currency ...
    customer_number: Mapped[str]
    account_number: Mapped[str]
    amount_minor: Mapped[int] = mapped_column(BigInteger)
    currency: Mapped[str]
    third_party: Mapped[bool]
    booked_on: Mapped[date]
    recorded_at: Mapped[datetime]
    __table_args__ = (
        Index(
            "payments_unmatched", "recorded_at", postgresql_where=text("why_unmatched is not null")
        ),
    )


class ReversalRow(Base):
    """A reversal, kept also when the payment that it takes back was not heard yet."""

    __tablename__ = "reversals"
    reversed_transaction_id: Mapped[str] = mapped_column(primary_key=True)
    transaction_id: Mapped[str]
    booked_on: Mapped[date]


class ReminderRow(Base):
    """The reminder before collection of one order."""

    __tablename__ = "reminders"
    order_id: Mapped[str] = mapped_column(ForeignKey("orders.order_id"), primary_key=True)
    state: Mapped[str]
    remind_at: Mapped[datetime]
    attempt: Mapped[int] = mapped_column(Integer)
    fence: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    fence_at: Mapped[datetime | None]
    held_by: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    notice_id: Mapped[str | None] = mapped_column(index=True)
    valid_until: Mapped[datetime | None]
    why: Mapped[str | None]
    changed_at: Mapped[datetime]


class AnswerRow(Base):
    """The answer given to an Idempotency-Key, kept 72 h."""

    __tablename__ = "answers"
    caller_id: Mapped[str] = mapped_column(primary_key=True)
    route: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    request_hash: Mapped[str]
    status: Mapped[int] = mapped_column(Integer)
    body: Mapped[dict[str, Any]]
    answered_at: Mapped[datetime] = mapped_column(index=True)


class OpenTaskRow(OpenTaskColumns, Base):
    """Whose desk a task is on: who does it sees what it is about."""
