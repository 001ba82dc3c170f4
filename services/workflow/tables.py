"""Tables of workflow: the organisation, the runtime of processes, and copies of others' facts."""

from datetime import date, datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Date,
    DateTime,
    ForeignKeyConstraint,
    Index,
    Integer,
    Text,
)
from sqlalchemy import text as sql
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

OPEN = "finished_at is null"
OPEN_STATES = "state in ('open', 'claimed')"
ON_A_DESK = f"tasks.{OPEN_STATES}"


class Base(DeclarativeBase):
    """All tables of the service's own."""

    type_annotation_map = {  # noqa: RUF012 - SQLAlchemy reads it off the class
        dict[str, Any]: JSONB,
        list[dict[str, Any]]: JSONB,
        list[str]: ARRAY(Text),
        datetime: DateTime(timezone=True),
        date: Date,
        str: Text,
    }


# The organisation ----------------------------------------------------------------------------


class DepartmentRow(Base):
    """A unit of the bank; its org path says where it hangs."""

    __tablename__ = "departments"
    department_id: Mapped[str] = mapped_column(primary_key=True)
    org_path: Mapped[str] = mapped_column(unique=True)
    parent_id: Mapped[str | None]
    branch_code: Mapped[str | None] = mapped_column(index=True)
    names: Mapped[dict[str, Any]]
    head_staff_id: Mapped[str | None]
    closed_on: Mapped[date | None]


class PostRow(Base):
    """A job in a department that one or more people hold."""

    __tablename__ = "posts"
    post_id: Mapped[str] = mapped_column(primary_key=True)
    names: Mapped[dict[str, Any]]
    department_id: Mapped[str | None]
    roles: Mapped[list[str]]
    ended_on: Mapped[date | None]


class StaffRow(Base):
    """A member of staff, with the codes the bank's own systems know him by."""

    __tablename__ = "staff"
    staff_id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    department_id: Mapped[str | None]
    post_id: Mapped[str | None]
    org_path: Mapped[str] = mapped_column(index=True)
    staff_codes: Mapped[list[str]]
    email: Mapped[str | None]
    language: Mapped[str] = mapped_column(server_default="zh-CN")
    supervisor_staff_id: Mapped[str | None] = mapped_column(index=True)
    left_on: Mapped[date | None]
    __table_args__ = (Index("staff_by_code", "staff_codes", postgresql_using="gin"),)


class RoleRow(Base):
    """A named set of permissions with the scope it usually has."""

    __tablename__ = "roles"
    role: Mapped[str] = mapped_column(primary_key=True)
    names: Mapped[dict[str, Any]]
    permissions: Mapped[list[str]]
    scope: Mapped[str]


class GrantRow(Base):
    """A role given to a person for a time, at a place."""

    __tablename__ = "grants"
    grant_id: Mapped[str] = mapped_column(primary_key=True)
    staff_id: Mapped[str] = mapped_column(index=True)
    role: Mapped[str] = mapped_column(index=True)
    scope: Mapped[str | None]
    org_path: Mapped[str | None]
    from_on: Mapped[date | None]
    until_on: Mapped[date | None]


class LimitRow(Base):
    """The amount up to which a person may use a permission, effective-dated."""

    __tablename__ = "limits"
    limit_id: Mapped[str] = mapped_column(primary_key=True)
    staff_id: Mapped[str] = mapped_column(index=True)
    permission: Mapped[str]
    amount_minor: Mapped[int] = mapped_column(BigInteger)
    currency: Mapped[str]
    from_on: Mapped[date | None]
    until_on: Mapped[date | None]


class AbsenceRow(Base):
    """Days a person is away (`until_on` is the first day back), and who stands in."""

    __tablename__ = "absences"
    absence_id: Mapped[str] = mapped_column(primary_key=True)
    staff_id: Mapped[str] = mapped_column(index=True)
    from_on: Mapped[date]
    until_on: Mapped[date]
    deputy_staff_id: Mapped[str | None] = mapped_column(index=True)
    cancelled: Mapped[bool] = mapped_column(server_default=sql("false"))


class CapacityRow(Base):
    """How many new alerts a person gets a business day; without a row the usual number."""

    __tablename__ = "capacities"
    staff_id: Mapped[str] = mapped_column(primary_key=True)
    alerts_per_day: Mapped[int] = mapped_column(Integer)


class OrganisationChangeRow(Base):
    """What changed in the organisation, by whom: before and after, whole records."""

    __tablename__ = "organisation_changes"
    id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=True)
    at: Mapped[datetime] = mapped_column(index=True)
    actor_id: Mapped[str]
    kind: Mapped[str]
    record_id: Mapped[str]
    before: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    after: Mapped[dict[str, Any]]


# The runtime of processes --------------------------------------------------------------------


class DefinitionRow(Base):
    """A published version of a process; it never changes."""

    __tablename__ = "definitions"
    key: Mapped[str] = mapped_column(primary_key=True)
    version: Mapped[int] = mapped_column(Integer, primary_key=True)
    sha256: Mapped[str]
    text: Mapped[dict[str, Any]]
    xml: Mapped[str]
    spec: Mapped[str]  # the engine's form, JSON text
    published_at: Mapped[datetime]
    published_by: Mapped[str]
    __table_args__ = (Index("definitions_once", "key", "sha256", unique=True),)


class InstanceRow(Base):
    """One run of a process. `state` is the token tree without the definition."""

    __tablename__ = "instances"
    instance_id: Mapped[str] = mapped_column(primary_key=True)
    definition_key: Mapped[str]
    definition_version: Mapped[int] = mapped_column(Integer)
    business_key: Mapped[str]  # party or order: one open instance of a definition for each
    state: Mapped[dict[str, Any]]
    party_id: Mapped[str | None] = mapped_column(index=True)
    order_id: Mapped[str | None] = mapped_column(index=True)
    stake_minor: Mapped[int] = mapped_column(BigInteger)
    currency: Mapped[str]
    reason: Mapped[dict[str, Any]]  # one sentence why, in both languages
    cause: Mapped[list[dict[str, Any]]]  # chain of events that led here, nearest first
    correlation_id: Mapped[str | None]
    data: Mapped[dict[str, Any]]  # what its service tasks may read beside the token's data
    org_path: Mapped[str]
    opened_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]
    outcome_code: Mapped[str | None]
    __table_args__ = (
        ForeignKeyConstraint(
            ["definition_key", "definition_version"], ["definitions.key", "definitions.version"]
        ),
        Index(
            "instances_one_open",
            "definition_key",
            "business_key",
            unique=True,
            postgresql_where=sql(OPEN),
        ),
        Index("instances_by_age", "opened_at", "instance_id"),
    )


class TaskRow(Base):
    """A step that waits on a desk or in a queue, or was done there.

    state: open -> claimed -> done; or cancelled. `staff_id` none: it waits in the queue of
    `role` at `org_path`.
    """

    __tablename__ = "tasks"
    task_id: Mapped[str] = mapped_column(primary_key=True)
    instance_id: Mapped[str] = mapped_column(index=True)
    engine_task_id: Mapped[str]
    step_id: Mapped[str]
    kind: Mapped[str]  # user: decided here; receive: decided by the owner of the record
    text: Mapped[dict[str, Any]]
    state: Mapped[str]
    staff_id: Mapped[str | None]
    role: Mapped[str | None]
    org_path: Mapped[str]
    party_id: Mapped[str | None]
    order_id: Mapped[str | None]
    maker_id: Mapped[str | None]
    stake_minor: Mapped[int] = mapped_column(BigInteger)
    currency: Mapped[str]
    assigned_at: Mapped[datetime]
    claimed_at: Mapped[datetime | None]
    due_at: Mapped[datetime | None]
    overdue: Mapped[bool] = mapped_column(server_default=sql("false"))
    handed_by: Mapped[str | None]
    completed_at: Mapped[datetime | None]
    completed_by: Mapped[str | None]
    outcome_code: Mapped[str | None]
    __table_args__ = (
        Index("tasks_of_desk", "staff_id", postgresql_where=sql(OPEN_STATES)),
        Index("tasks_of_queue", "role", "org_path", postgresql_where=sql(OPEN_STATES)),
        Index("tasks_of_party", "party_id", postgresql_where=sql(OPEN_STATES)),
        Index("tasks_handed_by", "handed_by", "assigned_at"),
        Index("tasks_by_completion", "completed_at"),
        Index("tasks_once", "instance_id", "engine_task_id", unique=True),
    )


class SubscriptionRow(Base):
    """A token that waits for a message: routing is by this table, never by the engine."""

    __tablename__ = "subscriptions"
    message: Mapped[str] = mapped_column(primary_key=True)
    correlation_key: Mapped[str] = mapped_column(primary_key=True)
    instance_id: Mapped[str] = mapped_column(primary_key=True)
    engine_task_id: Mapped[str]


class EntryRow(Base):
    """One line of an instance's timeline."""

    __tablename__ = "entries"
    id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=True)
    instance_id: Mapped[str] = mapped_column(index=True)
    at: Mapped[datetime]
    kind: Mapped[str]
    step_id: Mapped[str | None]
    actor_id: Mapped[str | None]
    to: Mapped[str | None]  # staff:<id> or queue:<role>:<path>
    text: Mapped[dict[str, Any]]
    note: Mapped[str | None]
    __table_args__ = (
        Index("entries_passed_on", "actor_id", postgresql_where=sql("kind = 'handed_off'")),
    )


# Work that waits for a desk ------------------------------------------------------------------


class AlertRow(Base):
    """An alert episode as scoring said it, and what became of it here.

    state: recorded (no work from it), waiting (for a place at the desk), attached.
    """

    __tablename__ = "alerts"
    alert_id: Mapped[str] = mapped_column(primary_key=True)
    party_id: Mapped[str] = mapped_column(index=True)
    rule: Mapped[str]
    raised_at: Mapped[datetime]
    cleared_at: Mapped[datetime | None]
    margin_at_risk_minor: Mapped[int] = mapped_column(BigInteger)
    recoverable_minor: Mapped[int] = mapped_column(BigInteger)
    currency: Mapped[str]
    text: Mapped[dict[str, Any]]
    cause: Mapped[list[dict[str, Any]]]
    correlation_id: Mapped[str | None]
    customer_number: Mapped[str | None]
    opens_work: Mapped[bool]  # False: a finding, which only goes to the work there is
    advice: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    state: Mapped[str]
    instance_id: Mapped[str | None]


class WaitingPartyRow(Base):
    """A party whose alert waits because its desk had its share of new work today."""

    __tablename__ = "waiting_parties"
    party_id: Mapped[str] = mapped_column(primary_key=True)
    desk: Mapped[str]
    recoverable_minor: Mapped[int] = mapped_column(BigInteger)
    since: Mapped[datetime]
    __table_args__ = (Index("waiting_ranked", "desk", sql("recoverable_minor desc"), "party_id"),)


class IntakeRow(Base):
    """How many new retention processes a desk was given on a business date."""

    __tablename__ = "intake"
    desk: Mapped[str] = mapped_column(primary_key=True)
    on_date: Mapped[date] = mapped_column(primary_key=True)
    taken: Mapped[int] = mapped_column(Integer)


# Copies of others' facts ---------------------------------------------------------------------


class PartyNumberRow(Base):
    """The party behind a customer number."""

    __tablename__ = "party_numbers"
    customer_number: Mapped[str] = mapped_column(primary_key=True)
    party_id: Mapped[str] = mapped_column(index=True)
    home_branch_code: Mapped[str | None]


class ManagerRow(Base):
    """Who answers for a customer number from a day on; account `` means all accounts."""

    __tablename__ = "managers"
    customer_number: Mapped[str] = mapped_column(primary_key=True)
    account_number: Mapped[str] = mapped_column(primary_key=True)
    effective_on: Mapped[date] = mapped_column(primary_key=True)
    manager_code: Mapped[str] = mapped_column(primary_key=True)
    staff_id: Mapped[str | None]
    branch_code: Mapped[str | None]
    share_ppm: Mapped[int] = mapped_column(Integer)


class WentLiveRow(Base):
    """When a source's history ended: alerts before that day open no process."""

    __tablename__ = "went_live"
    source: Mapped[str] = mapped_column(primary_key=True)
    on_date: Mapped[date]
