"""The database of one service: its engine, the delivery tables, and the only commit.

Every service has its own schema and its own role; `search_path` is the schema, so no statement
names it. One message or one request is one `transaction()`.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Date,
    DateTime,
    Engine,
    Executable,
    Index,
    Integer,
    LargeBinary,
    Text,
    create_engine,
    make_url,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from shared import failpoints
from shared.clock import Clock, clock_of
from shared.events.envelope import Event
from shared.settings import Settings


class DeliveryBase(DeclarativeBase):
    """Tables that every service has in its own schema."""

    type_annotation_map = {  # noqa: RUF012 - SQLAlchemy reads it off the class
        dict[str, Any]: JSONB,
        datetime: DateTime(timezone=True),
        bytes: LargeBinary,
        str: Text,
        date: Date,
    }


class InboxRow(DeliveryBase):
    """Identities already taken; the body's hash tells a repeat from a conflict."""

    __tablename__ = "inbox"
    source: Mapped[str] = mapped_column(primary_key=True)
    event_id: Mapped[str] = mapped_column(primary_key=True)
    body_hash: Mapped[int] = mapped_column(BigInteger)
    claimed_on: Mapped[date] = mapped_column(index=True)


class OutboxRow(DeliveryBase):
    """Events decided but not yet reported by the broker. A row is deleted when it is."""

    __tablename__ = "outbox"
    id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=True)
    topic: Mapped[str]
    key: Mapped[str]
    partition: Mapped[int | None] = mapped_column(Integer)
    barrier: Mapped[bool] = mapped_column(server_default=text("false"))
    payload: Mapped[bytes]
    created_at: Mapped[datetime]


class CounterRow(DeliveryBase):
    """The last sequence of an aggregate on a topic; its row lock orders the outbox ids."""

    __tablename__ = "counters"
    topic: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    last: Mapped[int] = mapped_column(BigInteger)


class PositionRow(DeliveryBase):
    """Where the service stands in a partition; moved in the transaction of the effect."""

    __tablename__ = "positions"
    topic: Mapped[str] = mapped_column(primary_key=True)
    partition: Mapped[int] = mapped_column(Integer, primary_key=True)
    topic_id: Mapped[str]
    start_offset: Mapped[int] = mapped_column(BigInteger)
    next_offset: Mapped[int] = mapped_column(BigInteger)


class TallyRow(DeliveryBase):
    """Messages by outcome: the right side of the reconciliation equation."""

    __tablename__ = "tallies"
    topic: Mapped[str] = mapped_column(primary_key=True)
    partition: Mapped[int] = mapped_column(Integer, primary_key=True)
    outcome: Mapped[str] = mapped_column(primary_key=True)
    count: Mapped[int] = mapped_column(BigInteger)


class DeadLetterRow(DeliveryBase):
    """Messages that were not applied: dead, quarantined, parked or refused.

    state: waiting -> replay (asked for) -> replayed, or discarded. A waiting parked row holds
    its (topic, key): later messages of the key are parked behind it.
    """

    __tablename__ = "dead_letters"
    id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=True)
    kind: Mapped[str]
    state: Mapped[str]
    topic: Mapped[str]
    partition: Mapped[int] = mapped_column(Integer)
    offset: Mapped[int] = mapped_column(BigInteger)
    key: Mapped[str | None]
    payload: Mapped[bytes | None]
    type: Mapped[str | None]
    field: Mapped[str | None]
    reason: Mapped[str]
    timestamp_ms: Mapped[int] = mapped_column(BigInteger)
    recorded_at: Mapped[datetime]
    resolved_at: Mapped[datetime | None]
    resolved_by: Mapped[str | None]
    __table_args__ = (
        Index("dead_letters_position", "topic", "partition", "offset", unique=True),
        Index(
            "dead_letters_open",
            "topic",
            "key",
            postgresql_where=text("state in ('waiting', 'replay')"),
        ),
    )


class TimerRow(DeliveryBase):
    """Something due on the bank's clock; fired by the listener in a transaction of its own."""

    __tablename__ = "timers"
    name: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    due_at: Mapped[datetime] = mapped_column(index=True)
    not_before: Mapped[datetime | None]  # wall clock: back-off after a failure
    failures: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    data: Mapped[dict[str, Any]]


class DirectoryRow(DeliveryBase):
    """The service's copy of staff.directory: whole records, the greatest position wins."""

    __tablename__ = "directory"
    kind: Mapped[str] = mapped_column(primary_key=True)
    id: Mapped[str] = mapped_column(primary_key=True)
    record: Mapped[dict[str, Any]]
    position: Mapped[int] = mapped_column(BigInteger)


class SourceRow(DeliveryBase):
    """Since when a source of events is active, as it was last described."""

    __tablename__ = "sources"
    source: Mapped[str] = mapped_column(primary_key=True)
    active_from: Mapped[date]
    position: Mapped[int] = mapped_column(BigInteger)


class AuditRow(DeliveryBase):
    """Privileged acts: dead-letter decisions, clear reads of personal data, exports."""

    __tablename__ = "audit"
    id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=True)
    at: Mapped[datetime]
    actor_id: Mapped[str]
    action: Mapped[str]
    subject: Mapped[str]
    detail: Mapped[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Message:
    """The message being applied and where it stood."""

    topic: str
    partition: int
    offset: int
    key: str | None
    timestamp_ms: int
    event: Event[Any]


@dataclass
class Tx:
    """One open transaction. `flush` does what was queued; leaving the block commits."""

    session: Session
    bank_now: datetime
    wall_now: datetime
    service: str
    clock: Clock
    fence: Callable[[str], dict[int, int]]  # end offset of every partition of a topic, now
    push: Callable[[Any], None] | None = None  # sends hints to open pages; call after the commit
    message: Message | None = None
    actor_id: str | None = None
    correlation_id: str | None = None
    drafts: list[Any] = field(default_factory=list)  # see shared.outbox
    after_commit: list[Callable[[], None]] = field(default_factory=list)  # hints only: may be lost
    enqueued: bool = False
    _bulk: dict[int, tuple[Executable, list[dict[str, Any]]]] = field(default_factory=dict)
    _together: dict[Callable[["Tx", list[Any]], None], list[Any]] = field(default_factory=dict)

    def together(self, work: Callable[["Tx", list[Any]], None], item: Any) -> None:
        """Queues an item for work that takes all of a batch at once, in their order.

        It runs when the batch is handled, before what `bulk` queued, and has no `message`. Only
        for work of which no other handler of the batch needs the outcome.
        """
        self._together.setdefault(work, []).append(item)

    def bulk(self, statement: Executable, params: dict[str, Any]) -> None:
        """Queues a row of a statement; sent set-based, in order of the statements' first use.

        Pass the same statement object each time (a module constant). Only for writes that
        commute with what other messages of the batch write. A statement with the execution option
        `as_arrays` is sent once, each parameter an array of its rows' values (for `unnest`).
        """
        entry = self._bulk.get(id(statement))
        if entry is None:
            self._bulk[id(statement)] = (statement, [params])
        else:
            entry[1].append(params)

    def flush(self) -> None:
        while self._together:
            work, items = self._together.popitem()
            work(self, items)
        self.session.flush()
        queued, self._bulk = self._bulk, {}
        for statement, rows in queued.values():
            if statement.get_execution_options().get("as_arrays"):
                arrays = {name: [row[name] for row in rows] for name in rows[0]}
                self.session.execute(statement, arrays)
            else:
                self.session.execute(statement, rows)


READ_ONLY = text("set transaction isolation level repeatable read, read only")


class Database:
    """One per process. Connections carry the service's limits, so a frozen one blocks nobody."""

    def __init__(self, settings: Settings, clock: Clock | None = None, pool_size: int = 10) -> None:
        self.settings = settings
        self.clock = clock or clock_of(settings.clock_file, settings.zone)
        self.schema = settings.schema_name
        self.engine = service_engine(settings, pool_size)
        self.fence: Callable[[str], dict[int, int]] = _no_broker
        self.push: Callable[[Any], None] | None = None

    @contextmanager
    def transaction(
        self,
        *,
        message: Message | None = None,
        actor_id: str | None = None,
        correlation_id: str | None = None,
    ) -> Iterator[Tx]:
        """State and outbox rows commit together, or nothing does. The only commit there is."""
        from shared import outbox

        with Session(self.engine, expire_on_commit=False) as session:
            tx = Tx(
                session=session,
                bank_now=self.clock.bank_now(),
                wall_now=self.clock.wall_now(),
                service=self.settings.service,
                clock=self.clock,
                fence=self.fence,
                push=self.push,
                message=message,
                actor_id=actor_id,
                correlation_id=correlation_id,
            )
            yield tx
            tx.flush()
            outbox.write_drafts(tx)
            point = "api" if message is None and actor_id is not None else None
            if point:
                failpoints.reach("api.before_commit")
            session.commit()
            if point:
                failpoints.reach("api.after_commit")
        if tx.enqueued:
            outbox.nudge(self.schema)
        for hint in tx.after_commit:
            hint()

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A read-only session. All its statements see the same: of sums and of their total, too,
        that are asked for one after the other."""
        with Session(self.engine) as session:
            session.execute(READ_ONLY)
            yield session

    def close(self) -> None:
        self.engine.dispose()


def _no_broker(topic: str) -> dict[int, int]:
    raise RuntimeError(f"no broker to ask for the end of {topic}")


def role_of(settings: Settings) -> str:
    return f"guanxi_{settings.service}"


def service_engine(settings: Settings, pool_size: int = 10) -> Engine:
    """The service's own role and schema, with the time limits of its sessions."""
    url = make_url(settings.database).set(username=role_of(settings))
    if settings.database_password:
        url = url.set(password=settings.database_password.get_secret_value())
    options = " ".join(
        (
            f"-csearch_path={settings.schema_name}",
            "-cstatement_timeout=10s",
            "-clock_timeout=5s",
            "-cidle_in_transaction_session_timeout=15s",
            "-ctimezone=UTC",
            "-cjit=off",  # a batch's statements look dear and run once: compiling costs more
        )
    )
    return create_engine(
        url,
        pool_size=pool_size,
        max_overflow=10,
        pool_pre_ping=True,
        pool_recycle=600,
        connect_args={
            "options": options,
            "application_name": settings.service,
            "connect_timeout": 5,
        },
    )


# Connection, resources, operator, system: what a statement is not to blame for.
WORLD_CLASSES = frozenset({"08", "53", "57", "58"})
TRANSIENT_SQLSTATES = frozenset({"40001", "40P01", "55P03", "57014", "57P01", "57P02", "57P03"})


def is_world_down(error: BaseException) -> bool:
    """True where trying again later is the answer: connection lost, restart, lock, deadlock."""
    if isinstance(error, ConnectionError | TimeoutError):
        return True
    if type(error).__module__.partition(".")[0] == "kafka":
        return True  # named by its module: only shared.wire may import the library
    if isinstance(error, DBAPIError):
        state = getattr(error.orig, "sqlstate", None)
        if state is None:  # the server never answered
            return error.connection_invalidated or isinstance(error, OperationalError)
        is_transient = state in TRANSIENT_SQLSTATES or state[:2] in WORLD_CLASSES
        return error.connection_invalidated or is_transient
    return False
