"""The customer service's tables. Everything of a party is keyed by its birth id (rules.identity).

Facts arrive in any order and twice. A column group has its own `..._as_of` mark (instant and
event id of the fact it shows); a fact is written where its mark is greater.
"""

from datetime import date, datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Date,
    DateTime,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    Text,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

EMPTY = text("''")
ZERO = text("0")
MARK = Text(collation="C")  # instants and ids compare by code point, in every locale


class Base(DeclarativeBase):
    """Tables of the customer schema."""

    type_annotation_map = {  # noqa: RUF012 - SQLAlchemy reads it off the class
        dict[str, Any]: JSONB,
        list[Any]: JSONB,
        datetime: DateTime(timezone=True),
        date: Date,
        bytes: LargeBinary,
        str: Text,
    }


class PartyRow(Base):
    """A party as born: one bank number, or one prospect. `root_id` is the party it is now."""

    __tablename__ = "parties"
    party_id: Mapped[str] = mapped_column(primary_key=True)
    customer_number: Mapped[str | None] = mapped_column(unique=True)
    prospect_id: Mapped[str | None] = mapped_column(unique=True)
    root_id: Mapped[str] = mapped_column(index=True)
    kind: Mapped[str | None]
    name: Mapped[str | None]  # in clear in this schema only; never on a topic of ours
    folded: Mapped[str] = mapped_column(Text(collation="C"), server_default=EMPTY)
    firm: Mapped[dict[str, Any] | None]  # industry, size, registered capital: no personal data
    wanted: Mapped[list[Any] | None]  # products a prospect asked for
    master_source: Mapped[str | None]
    master_at: Mapped[datetime | None]
    master_as_of: Mapped[str] = mapped_column(MARK, server_default=EMPTY)
    home_branch_code: Mapped[str | None]
    region_code: Mapped[str | None]
    district_code: Mapped[str | None]
    segment_code: Mapped[str | None]
    placed_source: Mapped[str | None]
    placed_at: Mapped[datetime | None]
    placed_as_of: Mapped[str] = mapped_column(MARK, server_default=EMPTY)
    manager_code: Mapped[str | None]  # of record on the bank's date
    manager_since_on: Mapped[date | None]
    branch_code: Mapped[str | None]  # the managing branch, else the home branch: the data scope
    __table_args__ = (
        Index("parties_manager", "manager_code", "folded", "party_id"),
        Index("parties_branch", "branch_code", "folded", "party_id"),
        Index(
            "parties_number",
            "customer_number",
            postgresql_ops={"customer_number": "text_pattern_ops"},
        ),
    )


class NamePartRow(Base):
    """The search index: every suffix of every folded name (rules.names)."""

    __tablename__ = "name_parts"
    inner_part: Mapped[bool] = mapped_column(Boolean, primary_key=True)  # does not begin the name
    part: Mapped[str] = mapped_column(Text(collation="C"), primary_key=True)
    party_id: Mapped[str] = mapped_column(primary_key=True)
    position: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    __table_args__ = (Index("name_parts_party", "party_id"),)


class SubjectKeyRow(Base):
    """The wrapped key of a subject. Deleting it makes what is sealed for him unreadable."""

    __tablename__ = "subject_keys"
    party_id: Mapped[str] = mapped_column(primary_key=True)
    wrapped: Mapped[bytes]


class SealedRow(Base):
    """Personal data, encrypted under the subject's key; masks beside it are made when stored."""

    __tablename__ = "sealed"
    party_id: Mapped[str] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(primary_key=True)  # master, contact_text
    ref: Mapped[str] = mapped_column(primary_key=True, server_default=EMPTY)  # contact id
    sealed: Mapped[bytes]
    masks: Mapped[list[Any]]
    source: Mapped[str]
    at: Mapped[datetime]
    as_of: Mapped[str] = mapped_column(MARK)


class BlindIndexRow(Base):
    """Keyed hashes of phones and documents: found by exact value only."""

    __tablename__ = "blind_indexes"
    digest: Mapped[bytes] = mapped_column(primary_key=True)
    party_id: Mapped[str] = mapped_column(primary_key=True, index=True)
    kind: Mapped[str]


class MergeRow(Base):
    """Two parties found to be one: an edge between birth parties, open until undone."""

    __tablename__ = "merges"
    merge_id: Mapped[str] = mapped_column(primary_key=True)
    from_party_id: Mapped[str]
    into_party_id: Mapped[str] = mapped_column(index=True)
    reason: Mapped[str]
    merged_by: Mapped[str]
    merged_at: Mapped[datetime]
    unmerged_by: Mapped[str | None]
    unmerged_at: Mapped[datetime | None]
    __table_args__ = (
        Index(
            "merges_open",
            "from_party_id",
            unique=True,
            postgresql_where=text("unmerged_at is null"),
        ),
    )


class AccountRow(Base):
    """An account is of an owner, a number, a product and a currency; a number of which only a
    closing was told has one without a product. The balance is the sum of what was booked."""

    __tablename__ = "accounts"
    account_number: Mapped[str] = mapped_column(primary_key=True)
    party_id: Mapped[str] = mapped_column(primary_key=True, index=True)  # the owner
    product_code: Mapped[str] = mapped_column(primary_key=True)
    currency: Mapped[str] = mapped_column(primary_key=True)
    branch_code: Mapped[str | None]
    opened_on: Mapped[date | None]
    opened_as_of: Mapped[str] = mapped_column(MARK, server_default=EMPTY)
    closed_on: Mapped[date | None]
    closed_as_of: Mapped[str] = mapped_column(MARK, server_default=EMPTY)
    balance_minor: Mapped[int] = mapped_column(BigInteger, server_default=ZERO)
    booked_at: Mapped[datetime | None]  # of the newest transaction
    began_as_of: Mapped[str | None] = mapped_column(MARK)  # of the first transaction


class AccountTurnRow(Base):
    """An opening or a closing of an account, as it was told. A closing may leave out of which
    product and currency it is."""

    __tablename__ = "account_turns"
    account_number: Mapped[str] = mapped_column(primary_key=True)
    as_of: Mapped[str] = mapped_column(MARK, primary_key=True)
    party_id: Mapped[str]
    opened: Mapped[bool]
    on_day: Mapped[date]
    product_code: Mapped[str | None]
    currency: Mapped[str | None]
    branch_code: Mapped[str | None]


class HolderRow(Base):
    """A party's share in an account."""

    __tablename__ = "holders"
    account_number: Mapped[str] = mapped_column(primary_key=True)
    owner_id: Mapped[str] = mapped_column(primary_key=True)
    product_code: Mapped[str] = mapped_column(primary_key=True)
    currency: Mapped[str] = mapped_column(primary_key=True)
    party_id: Mapped[str] = mapped_column(primary_key=True, index=True)
    role: Mapped[str]
    share_ppm: Mapped[int | None] = mapped_column(Integer)
    as_of: Mapped[str] = mapped_column(MARK)


class LoanRow(Base):
    """A loan: what was granted, where it stands, what is overdue; each group on its own mark."""

    __tablename__ = "loans"
    loan_number: Mapped[str] = mapped_column(primary_key=True)
    party_id: Mapped[str] = mapped_column(index=True)
    account_number: Mapped[str | None]
    product_code: Mapped[str | None]
    currency: Mapped[str | None]
    principal_minor: Mapped[int | None] = mapped_column(BigInteger)
    months: Mapped[int | None] = mapped_column(Integer)
    instalment_minor: Mapped[int | None] = mapped_column(BigInteger)
    granted_on: Mapped[date | None]
    granted_as_of: Mapped[str] = mapped_column(MARK, server_default=EMPTY)
    status: Mapped[str | None]
    status_as_of: Mapped[str] = mapped_column(MARK, server_default=EMPTY)
    overdue_minor: Mapped[int | None] = mapped_column(BigInteger)
    overdue_since_on: Mapped[date | None]
    overdue_as_of: Mapped[str] = mapped_column(MARK, server_default=EMPTY)


class ServiceUseRow(Base):
    """Cards, standing orders and products in use: the newest fact of each."""

    __tablename__ = "services_used"
    party_id: Mapped[str] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(primary_key=True)  # card, standing_order, product
    ref: Mapped[str] = mapped_column(primary_key=True)
    facts: Mapped[dict[str, Any]]
    at: Mapped[datetime]
    as_of: Mapped[str] = mapped_column(MARK)


class ManagerRow(Base):
    """Managers of record as the bank assigned them, by effective date."""

    __tablename__ = "managers"
    party_id: Mapped[str] = mapped_column(primary_key=True)
    account_number: Mapped[str] = mapped_column(primary_key=True, server_default=EMPTY)
    effective_on: Mapped[date] = mapped_column(primary_key=True)
    manager_code: Mapped[str] = mapped_column(primary_key=True)
    share_ppm: Mapped[int | None] = mapped_column(Integer)
    branch_code: Mapped[str | None]
    reason_code: Mapped[str | None]
    request_id: Mapped[str | None]
    as_of: Mapped[str] = mapped_column(MARK)


class RelationRow(Base):
    """A relation between two parties, with its dates."""

    __tablename__ = "relations"
    from_party_id: Mapped[str] = mapped_column(primary_key=True)
    to_party_id: Mapped[str] = mapped_column(primary_key=True, index=True)
    kind: Mapped[str] = mapped_column(primary_key=True)
    loan_number: Mapped[str] = mapped_column(primary_key=True, server_default=EMPTY)
    effective_on: Mapped[date] = mapped_column(primary_key=True)
    ended_on: Mapped[date | None]
    share_ppm: Mapped[int | None] = mapped_column(Integer)
    amount_minor: Mapped[int | None] = mapped_column(BigInteger)
    currency: Mapped[str | None]
    as_of: Mapped[str] = mapped_column(MARK)


class ContactRow(Base):
    """One exchange in one channel. Its text is sealed."""

    __tablename__ = "contacts"
    contact_id: Mapped[str] = mapped_column(primary_key=True)
    party_id: Mapped[str]
    at: Mapped[datetime]
    facts: Mapped[dict[str, Any]]
    as_of: Mapped[str] = mapped_column(MARK)
    __table_args__ = (Index("contacts_party", "party_id", "at"),)


class TimelineRow(Base):
    """What happened, newest first: all services, one row per event and party concerned."""

    __tablename__ = "timeline"
    party_id: Mapped[str] = mapped_column(primary_key=True)
    at: Mapped[datetime] = mapped_column(primary_key=True)
    entry_id: Mapped[Any] = mapped_column(Uuid, primary_key=True)  # hash of (source, id)
    kind: Mapped[str]
    code: Mapped[str]
    amount_minor: Mapped[int | None] = mapped_column(BigInteger)
    currency: Mapped[str | None]
    ref: Mapped[str | None]  # account, loan, order, process: where the entry leads
    facts: Mapped[dict[str, Any] | None]


class ScoreRow(Base):
    """The latest published score of a party; the greatest position wins."""

    __tablename__ = "scores"
    party_id: Mapped[str] = mapped_column(primary_key=True)
    at: Mapped[datetime]
    facts: Mapped[dict[str, Any]]
    position: Mapped[int] = mapped_column(BigInteger)


class AlertRow(Base):
    """An alert's episode: raised and cleared are two facts, in any order."""

    __tablename__ = "alerts"
    alert_id: Mapped[str] = mapped_column(primary_key=True)
    party_id: Mapped[str] = mapped_column(index=True)
    raised_at: Mapped[datetime | None]
    raised: Mapped[dict[str, Any] | None]
    raised_as_of: Mapped[str] = mapped_column(MARK, server_default=EMPTY)
    cleared_at: Mapped[datetime | None]
    cleared: Mapped[dict[str, Any] | None]
    cleared_as_of: Mapped[str] = mapped_column(MARK, server_default=EMPTY)


class ProcessRow(Base):
    """A process instance that concerns a party."""

    __tablename__ = "processes"
    process_instance_id: Mapped[str] = mapped_column(primary_key=True)
    party_id: Mapped[str | None] = mapped_column(index=True)
    definition: Mapped[str | None]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    outcome_code: Mapped[str | None]


class TaskRow(Base):
    """A task as last said; the sequence of its process decides what is last."""

    __tablename__ = "tasks"
    task_id: Mapped[str] = mapped_column(primary_key=True)
    party_id: Mapped[str | None] = mapped_column(index=True)
    process_instance_id: Mapped[str]
    step: Mapped[str | None]
    state: Mapped[str]
    staff_id: Mapped[str | None]
    role: Mapped[str | None]
    org_path: Mapped[str | None]  # with a role and nobody's name: the queue it waits in
    due_at: Mapped[datetime | None]
    at: Mapped[datetime]
    sequence: Mapped[int] = mapped_column(BigInteger)


class OrderRow(Base):
    """An order as last said; its own sequence decides what is last."""

    __tablename__ = "orders"
    order_id: Mapped[str] = mapped_column(primary_key=True)
    party_id: Mapped[str | None] = mapped_column(index=True)
    state: Mapped[str]
    amount_minor: Mapped[int | None] = mapped_column(BigInteger)
    currency: Mapped[str | None]
    at: Mapped[datetime]
    sequence: Mapped[int] = mapped_column(BigInteger)
    amount_sequence: Mapped[int] = mapped_column(BigInteger)  # of the fact that set the amount


class ServiceRequestRow(Base):
    """A customer's call for service; a complaint is one kind."""

    __tablename__ = "service_requests"
    request_id: Mapped[str] = mapped_column(primary_key=True)
    party_id: Mapped[str] = mapped_column(index=True)
    kind: Mapped[str]
    facts: Mapped[dict[str, Any]]
    requested_by: Mapped[str]
    requested_at: Mapped[datetime]


class DescribedRow(Base):
    """Names of products and branches, from the bank's reference data."""

    __tablename__ = "described"
    kind: Mapped[str] = mapped_column(primary_key=True)  # product, branch
    code: Mapped[str] = mapped_column(primary_key=True)
    names: Mapped[dict[str, Any]]
    position: Mapped[int] = mapped_column(BigInteger)


class IntakeRow(Base):
    """Identities taken over HTTP: the same event again is no news, another body is a conflict."""

    __tablename__ = "intake"
    source: Mapped[str] = mapped_column(primary_key=True)
    event_id: Mapped[str] = mapped_column(primary_key=True)
    body_hash: Mapped[int] = mapped_column(BigInteger)
    taken_at: Mapped[datetime] = mapped_column(index=True)
