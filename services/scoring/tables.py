"""The rows of the query side. The worker keeps its figures in `scoring.state`, not here.

Sums are numeric: a party's or the bank's may leave 64 bits. Days are the bank's dates.
"""

from datetime import date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    Computed,
    Date,
    DateTime,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    Numeric,
    Text,
)
from sqlalchemy import text as sql
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeDecorator

from services.scoring.leaf_sql import BAND
from shared.open_work import OpenTaskColumns


class Whole(TypeDecorator[int]):
    """A numeric without digits after the point, as a Python integer."""

    impl = Numeric(38, 0)
    cache_ok = True

    def process_result_value(self, value: Decimal | None, dialect: Dialect) -> int | None:
        return None if value is None else int(value)


class Base(DeclarativeBase):
    """Tables of scoring."""

    type_annotation_map = {  # noqa: RUF012 - SQLAlchemy reads it off the class
        dict[str, Any]: JSONB,
        list[str]: ARRAY(Text),
        datetime: DateTime(timezone=True),
        date: Date,
        str: Text,
        bytes: LargeBinary,
        bool: Boolean,
        int: Integer,
    }


class BankEventRow(Base):
    """Every record of `bank.events` at its place; `type` null: unreadable, misplaced or untimely.

    An event that its producer sent twice stands here twice; the first is the one that counts.
    """

    __tablename__ = "bank_events"
    partition: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    event_offset: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    source: Mapped[str | None]
    event_id: Mapped[str | None]
    type: Mapped[str | None]
    customer_number: Mapped[str | None]
    account_number: Mapped[str | None]
    product_code: Mapped[str | None]
    kind: Mapped[str | None]
    initiated_by: Mapped[str | None]
    businessdate: Mapped[date | None]
    time: Mapped[datetime | None]
    amount_minor: Mapped[int | None] = mapped_column(BigInteger)
    currency: Mapped[str | None]
    channel_code: Mapped[str | None]
    purpose_code: Mapped[str | None]
    value_on: Mapped[date | None]  # of a transaction, if it is said
    appended_at: Mapped[datetime | None]  # the broker's time
    __table_args__ = (
        Index("bank_events_identity", "source", "event_id"),
        Index("bank_events_of_customer", "customer_number", "event_offset"),
        Index("bank_events_on", "businessdate", postgresql_using="brin"),
        Index("bank_events_of_contacts", "customer_number", "businessdate",
              postgresql_where=sql("type = 'bank.contact_recorded.v1'")),
        Index(
            "bank_events_of_openings",
            "customer_number",
            "account_number",
            postgresql_where=sql("type in ('bank.account_opened.v1', 'bank.account_closed.v1')"),
        ),
    )  # fmt: skip


class WorkerLetterRow(Base):
    """An event that the worker refused, at its place. state: waiting -> replayed or discarded.

    `sequence` is that of the last input by which it was refused again; 0: it is the event itself.
    """

    __tablename__ = "worker_letters"
    id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=True)
    topic: Mapped[str]
    partition: Mapped[int]
    event_offset: Mapped[int] = mapped_column(BigInteger)
    sequence: Mapped[int] = mapped_column(BigInteger)
    kind: Mapped[str]
    state: Mapped[str]
    key: Mapped[str | None]
    payload: Mapped[bytes | None]
    type: Mapped[str | None]
    amount_minor: Mapped[int | None] = mapped_column(BigInteger)  # of a transaction
    currency: Mapped[str | None]
    field: Mapped[str]
    reason: Mapped[str]
    recorded_at: Mapped[datetime]
    resolved_at: Mapped[datetime | None]
    resolved_by: Mapped[str | None]
    __table_args__ = (
        Index("worker_letters_position", "topic", "partition", "event_offset", unique=True),
        Index("worker_letters_open", "id", postgresql_where=sql("state = 'waiting'")),
    )


class NumberRow(Base):
    """A customer number: whose it is and who answers for it now."""

    __tablename__ = "numbers"
    customer_number: Mapped[str] = mapped_column(primary_key=True)
    party_id: Mapped[str | None] = mapped_column(index=True)
    party_as_of: Mapped[datetime | None]
    kind: Mapped[str | None]
    home_branch_code: Mapped[str | None] = mapped_column(index=True)
    manager_code: Mapped[str | None] = mapped_column(index=True)
    manager_staff_id: Mapped[str | None] = mapped_column(index=True)
    branch_code: Mapped[str | None] = mapped_column(index=True)
    posted_minor: Mapped[int] = mapped_column(Whole, server_default=sql("0"))
    accrued_minor: Mapped[int] = mapped_column(Whole, server_default=sql("0"))
    last_12_months_minor: Mapped[int] = mapped_column(Whole, server_default=sql("0"))
    months_through: Mapped[str | None] = mapped_column(index=True)  # the last month in that sum


class ManagerRow(Base):
    """Who answers for a customer number from a day on, with which share."""

    __tablename__ = "managers"
    customer_number: Mapped[str] = mapped_column(primary_key=True)
    effective_on: Mapped[date] = mapped_column(primary_key=True)
    manager_code: Mapped[str] = mapped_column(primary_key=True)
    staff_id: Mapped[str | None]
    branch_code: Mapped[str | None]
    share_ppm: Mapped[int]


class CustomerStateRow(Base):
    """The worker's figures of a number as of an offset of `bank.events` and its last input."""

    __tablename__ = "customer_state"
    customer_number: Mapped[str] = mapped_column(primary_key=True)
    partition: Mapped[int]
    position: Mapped[int] = mapped_column(BigInteger)
    input_sequence: Mapped[int] = mapped_column(BigInteger)
    state_offset: Mapped[int] = mapped_column(BigInteger)  # of `scoring.state`: breaks ties
    count: Mapped[int] = mapped_column(BigInteger)
    customer_count: Mapped[int] = mapped_column(BigInteger)
    sum_minor: Mapped[int] = mapped_column(BigInteger)
    activity: Mapped[int] = mapped_column(BigInteger)
    activity_on: Mapped[date | None]
    first_on: Mapped[date | None]
    last_on: Mapped[date | None]
    mean_minor: Mapped[int] = mapped_column(BigInteger)
    mean_on: Mapped[date | None]
    outflow: Mapped[bool]
    outflow_episode: Mapped[int] = mapped_column(BigInteger)
    recovers_on: Mapped[date | None]
    silence: Mapped[bool]
    silence_episode: Mapped[int] = mapped_column(BigInteger)
    silent_on: Mapped[date | None]
    left_on: Mapped[date | None]  # he closed his last account; back_on: he has one again
    back_on: Mapped[date | None]

    __table_args__ = (
        Index("customer_state_left_on", "partition", "left_on",
              postgresql_where=sql("left_on is not null")),
        Index("customer_state_back_on", "partition", "back_on",
              postgresql_where=sql("back_on is not null")),
    )  # fmt: skip


class AccountFigureRow(Base):
    """Exact sum and count of an account's transactions for one of its holders' numbers."""

    __tablename__ = "account_figures"
    customer_number: Mapped[str] = mapped_column(primary_key=True)
    account_number: Mapped[str] = mapped_column(primary_key=True)
    product_code: Mapped[str] = mapped_column(primary_key=True)
    currency: Mapped[str] = mapped_column(primary_key=True)
    sum_minor: Mapped[int] = mapped_column(BigInteger)
    count: Mapped[int] = mapped_column(BigInteger)
    last_on: Mapped[date | None]


class PartyFigureRow(Base):
    """A party's figures: sums and latest days of its numbers, in the bank's own currency."""

    __tablename__ = "party_figures"
    party_id: Mapped[str] = mapped_column(primary_key=True)
    numbers: Mapped[int] = mapped_column(server_default=sql("0"))
    sum_minor: Mapped[int] = mapped_column(Whole, server_default=sql("0"))
    count: Mapped[int] = mapped_column(BigInteger, server_default=sql("0"))
    customer_count: Mapped[int] = mapped_column(BigInteger, server_default=sql("0"))
    mean_minor: Mapped[int] = mapped_column(Whole, server_default=sql("0"))
    last_on: Mapped[date | None]
    as_of_on: Mapped[date | None]
    risk_ppm: Mapped[dict[str, Any]] = mapped_column(  # by rule; 0: it does not hold
        server_default=sql("""'{"outflow": 0, "silence": 0}'""")
    )
    margin_at_risk_minor: Mapped[int] = mapped_column(Whole, server_default=sql("0"))
    posted_minor: Mapped[int] = mapped_column(Whole, server_default=sql("0"))
    accrued_minor: Mapped[int] = mapped_column(Whole, server_default=sql("0"))
    last_12_months_minor: Mapped[int] = mapped_column(Whole, server_default=sql("0"))
    published_at: Mapped[datetime | None]  # wall clock: since when somebody may have heard of it
    turn_at: Mapped[datetime | None]  # wall clock: its last turn to be told, or its next one
    # Of what is told of the party: each change counts on, and when (the bank's clock).
    version: Mapped[int] = mapped_column(BigInteger, server_default=sql("0"))
    figures_at: Mapped[datetime | None]
    # What an event changes has no index: a new version of the row then needs no entry in any.
    sum_band: Mapped[int] = mapped_column(Computed(BAND.format(v="sum_minor"), persisted=True))
    earned_band: Mapped[int] = mapped_column(
        Computed(BAND.format(v="(posted_minor + accrued_minor)"), persisted=True)
    )
    __table_args__ = (
        Index("party_figures_sum_band", sql("sum_band desc")),
        Index("party_figures_last_months", sql("last_12_months_minor desc"), sql("party_id desc"),
              postgresql_where=sql("numbers > 0")),
        Index("party_figures_earned_band", sql("earned_band desc")),
        Index("party_figures_risk", sql("margin_at_risk_minor desc"), "party_id",
              postgresql_where=sql("margin_at_risk_minor > 0")),
    )  # fmt: skip


class ScoreWaitingRow(Base):
    """A party whose figures have changed since its last score, as of their version; due on the
    wall clock."""

    __tablename__ = "scores_waiting"
    party_id: Mapped[str] = mapped_column(primary_key=True)
    due_at: Mapped[datetime] = mapped_column(index=True)
    version: Mapped[int] = mapped_column(BigInteger, server_default=sql("0"))


class OutflowWaitingRow(Base):
    """A party of several numbers whose sums are to be asked for an outflow at this close."""

    __tablename__ = "outflows_waiting"
    party_id: Mapped[str] = mapped_column(primary_key=True)
    due_on: Mapped[date] = mapped_column(index=True)


class SignalRow(Base):
    """A rule crossed for one number. `pending`: its state has not been folded yet."""

    __tablename__ = "signals"
    id: Mapped[str] = mapped_column(primary_key=True)
    customer_number: Mapped[str] = mapped_column(index=True)
    rule: Mapped[str]
    kind: Mapped[str]
    at: Mapped[datetime]
    on_date: Mapped[date]
    episode: Mapped[int] = mapped_column(BigInteger)
    score_ppm: Mapped[int]
    terms: Mapped[dict[str, Any]]
    event_ids: Mapped[list[str]]
    model_version: Mapped[str]
    pending: Mapped[bool]
    partition: Mapped[int | None]  # of the record of `bank.events` that moved the rule
    event_offset: Mapped[int | None] = mapped_column(BigInteger)
    account_number: Mapped[str] = mapped_column(server_default=sql("''"))  # of a model's rule
    product_code: Mapped[str] = mapped_column(server_default=sql("''"))
    moved: Mapped[dict[str, Any]] = mapped_column(server_default=sql("'{}'"))  # term -> offset
    of_before: Mapped[bool] = mapped_column(server_default=sql("false"))  # the state was made anew
    __table_args__ = (Index("signals_pending", "customer_number", postgresql_where=sql("pending")),)


class AlertRow(Base):
    """An episode of one rule on one party. `valid` false: a recomputation took it back."""

    __tablename__ = "alerts"
    alert_id: Mapped[str] = mapped_column(primary_key=True)
    party_id: Mapped[str]
    rule: Mapped[str]
    episode: Mapped[int]
    at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    valid: Mapped[bool]
    told: Mapped[bool]
    reason_code: Mapped[str | None]
    customer_number: Mapped[str]
    risk_ppm: Mapped[int]
    contribution_minor: Mapped[int] = mapped_column(Whole)
    at_stake_minor: Mapped[int] = mapped_column(Whole)
    margin_at_risk_minor: Mapped[int] = mapped_column(Whole)
    recoverable_minor: Mapped[int] = mapped_column(Whole)  # as its rule's outcomes stood then
    saved: Mapped[bool | None]  # what its work came to; none: nobody has said
    currency: Mapped[str]
    terms: Mapped[dict[str, Any]]
    event_ids: Mapped[list[str]]
    signal_id: Mapped[str | None]  # whose terms these are
    text: Mapped[dict[str, Any]]
    advice: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    model_version: Mapped[str]
    __table_args__ = (
        Index("alerts_of_party", "party_id", "rule"),
        Index(
            "alerts_open",
            sql("margin_at_risk_minor desc"),
            "alert_id",
            postgresql_where=sql("valid and ended_at is null"),
        ),
        Index(
            "alerts_ranked",
            sql("recoverable_minor desc"),
            "alert_id",
            postgresql_where=sql("valid and told and ended_at is null"),
        ),
        Index("alerts_latest", sql("at desc"), "alert_id", postgresql_where=sql("valid")),
    )


class ProcessRow(Base):
    """What workflow made of alerts: a process instance and its outcome."""

    __tablename__ = "processes"
    process_instance_id: Mapped[str] = mapped_column(primary_key=True)
    party_id: Mapped[str | None]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    outcome_code: Mapped[str | None]
    outcome_text: Mapped[dict[str, Any] | None]
    __table_args__ = (
        Index("processes_open", "party_id", postgresql_where=sql("finished_at is null")),
    )


class RuleOutcomesRow(Base):
    """Of a rule's alerts, how many staff have judged, and how many of these were saved."""

    __tablename__ = "rule_outcomes"
    rule: Mapped[str] = mapped_column(primary_key=True)
    saved: Mapped[int] = mapped_column(BigInteger)
    judged: Mapped[int] = mapped_column(BigInteger)


class ProcessAlertRow(Base):
    """Which alerts a process instance deals with."""

    __tablename__ = "process_alerts"
    process_instance_id: Mapped[str] = mapped_column(
        ForeignKey("processes.process_instance_id"), primary_key=True
    )
    alert_id: Mapped[str] = mapped_column(primary_key=True, index=True)


class ProductRow(Base):
    """A product's names, from the bank's reference data; the greatest position wins."""

    __tablename__ = "products"
    product_code: Mapped[str] = mapped_column(primary_key=True)
    names: Mapped[dict[str, Any]]
    line_code: Mapped[str]
    position: Mapped[int] = mapped_column(BigInteger)


class WentLiveRow(Base):
    """From which day on alerts are work, by source."""

    __tablename__ = "went_live"
    source: Mapped[str] = mapped_column(primary_key=True)
    on_date: Mapped[date]
    position: Mapped[int] = mapped_column(BigInteger)


class ControlTotalRow(Base):
    """What the worker's rows of a partition add up to at a position, by currency."""

    __tablename__ = "control_totals"
    partition: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    position: Mapped[int] = mapped_column(BigInteger)
    count: Mapped[int] = mapped_column(BigInteger)
    sums: Mapped[dict[str, Any]]  # currency -> minor units as text: JSON numbers lose digits
    watermark_on: Mapped[date | None]


class OpenTaskRow(OpenTaskColumns, Base):
    """Whose desk a task is on: who does it sees what it is about."""
