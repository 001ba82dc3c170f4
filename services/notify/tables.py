"""Tables of notify."""

from datetime import date, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import BigInteger, Date, DateTime, ForeignKey, Identity, Index, Integer, Text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from shared.open_work import OpenTaskColumns


class Base(DeclarativeBase):
    type_annotation_map = {  # noqa: RUF012 - SQLAlchemy reads it off the class
        dict[str, Any]: JSONB,
        dict[str, str]: JSONB,
        datetime: DateTime(timezone=True),
        date: Date,
        list[str]: ARRAY(Text),
        str: Text,
    }


class NoticeRow(Base):
    """One thing one person is told. state: unread, snoozed, acknowledged, withdrawn."""

    __tablename__ = "notices"
    notice_id: Mapped[str] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(BigInteger, Identity(), unique=True)
    receiver_id: Mapped[str]
    kind: Mapped[str]
    story: Mapped[str]  # correlation id: notices of one story are shown together
    subject: Mapped[str]  # what it is about, for withdrawal: order id, task id
    text: Mapped[dict[str, str]]
    link: Mapped[str]
    urgent: Mapped[bool]
    state: Mapped[str]
    cause: Mapped[dict[str, Any]]  # why did I get this: rule, event, topic, position
    created_at: Mapped[datetime]  # bank clock
    valid_until: Mapped[datetime | None]  # wall clock lease of a reminder
    snoozed_until: Mapped[datetime | None]  # bank clock
    acknowledged_at: Mapped[datetime | None]
    __table_args__ = (
        Index("notices_inbox", "receiver_id", sa.text("number desc")),
        Index("notices_unread", "receiver_id", postgresql_where=sa.text("state = 'unread'")),
        Index("notices_subject", "subject"),
    )


class StoryEventRow(Base):
    """An event that was heard and may be behind a notice: what it was, and what caused it."""

    __tablename__ = "story_events"
    event_id: Mapped[str] = mapped_column(primary_key=True)
    type: Mapped[str]
    at: Mapped[datetime] = mapped_column(index=True)  # bank clock
    caused_by: Mapped[str | None]  # event id
    process_instance_id: Mapped[str | None]
    text: Mapped[dict[str, str] | None]
    link: Mapped[str | None]
    root: Mapped[dict[str, Any] | None]  # the bank's event behind an alert: type, id, at
    __table_args__ = (
        Index(
            "story_events_process",
            "process_instance_id",
            postgresql_where=sa.text("type = 'workflow.process_started.v1'"),
        ),
    )


class DeliveryRow(Base):
    """A notice on an outside channel. state: pending, sent, failed, off."""

    __tablename__ = "deliveries"
    notice_id: Mapped[str] = mapped_column(ForeignKey("notices.notice_id"), primary_key=True)
    channel: Mapped[str] = mapped_column(primary_key=True)
    state: Mapped[str]
    attempts: Mapped[int] = mapped_column(Integer)
    next_at: Mapped[datetime | None]  # wall clock; none when settled
    proof: Mapped[str | None]  # what the channel answered
    __table_args__ = (
        Index("deliveries_due", "next_at", postgresql_where=sa.text("state = 'pending'")),
    )


class PreferenceRow(Base):
    """Which channel a member of staff wants for a kind of notice. None stored: the inbox only
    for ordinary notices, e-mail too for urgent ones."""

    __tablename__ = "preferences"
    staff_id: Mapped[str] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(primary_key=True)
    channel: Mapped[str] = mapped_column(primary_key=True)
    wanted: Mapped[bool]


# Where things are: who may watch them. Copies of what their owners said.


class PartyNumberRow(Base):
    """The party behind a customer number; of a prospect, which has none, its own id stands here."""

    __tablename__ = "party_numbers"
    member: Mapped[str] = mapped_column(primary_key=True)
    born_as: Mapped[str] = mapped_column(index=True)  # its party before any merge
    party_id: Mapped[str] = mapped_column(index=True)
    home_branch_code: Mapped[str | None]


class ManagerRow(Base):
    """Who answers for a customer number from a day on."""

    __tablename__ = "managers"
    member: Mapped[str] = mapped_column(primary_key=True)
    effective_on: Mapped[date] = mapped_column(primary_key=True)
    manager_code: Mapped[str] = mapped_column(primary_key=True)
    branch_code: Mapped[str | None]
    share_ppm: Mapped[int] = mapped_column(Integer)


class OrderPlaceRow(Base):
    """Whose an order or a quote is, and in which department."""

    __tablename__ = "order_places"
    order_id: Mapped[str] = mapped_column(primary_key=True)
    party_id: Mapped[str | None]
    owner_id: Mapped[str | None]
    org_path: Mapped[str | None]
    maker_id: Mapped[str | None]  # who asked for approval last


class ProcessPlaceRow(Base):
    """Whose a process instance is, and who has worked in it."""

    __tablename__ = "process_places"
    process_instance_id: Mapped[str] = mapped_column(primary_key=True)
    order_id: Mapped[str | None]
    org_path: Mapped[str | None]
    people: Mapped[list[str]]


class OpenTaskRow(OpenTaskColumns, Base):
    """Whose desk a task is on."""
