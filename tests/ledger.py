"""A service for the delivery tests: it keeps what it was told, in order, and says it again."""

from typing import Any

import structlog
from sqlalchemy import BigInteger, Text, insert, select
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from shared import outbox
from shared.db import Tx
from shared.errors import DomainError
from shared.events import bank
from shared.events.envelope import Event
from shared.events.orders import OrderClosed
from shared.runtime import Service
from shared.timers import Timer

log = structlog.get_logger()


class Base(DeclarativeBase):
    pass


class EntryRow(Base):
    __tablename__ = "entries"
    number: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=True)
    key: Mapped[str] = mapped_column(Text)
    value: Mapped[str] = mapped_column(Text)


class NotTaken(DomainError):
    """Refused by rule."""


BROKEN: set[str] = set()  # contact ids on which the code "has a bug"


def on_contact(tx: Tx, event: Event[bank.ContactRecorded]) -> None:
    fact = event.data
    log.info("contact", contact_id=fact.contact_id)
    if fact.contact_id in BROKEN:
        raise RuntimeError(f"a bug on {fact.contact_id}")
    if fact.topic_code == "refuse":
        raise NotTaken("no")
    tx.session.execute(insert(EntryRow).values(key=fact.customer_number, value=fact.contact_id))
    outbox.enqueue(tx, OrderClosed(order_id=fact.customer_number, outcome_code=fact.contact_id))


def on_timer(tx: Tx, timer: Timer) -> None:
    tx.session.execute(insert(EntryRow).values(key=timer.key, value=f"timer {timer.name}"))


SERVICE = Service(
    name="ledger",
    handlers={bank.ContactRecorded: on_contact},
    timers={"ring": on_timer},
    routers=(),
    metadata=Base.metadata,
)


def contact(number: int, customer: str = "C1", **changes: Any) -> bank.ContactRecorded:
    values = {
        "contact_id": f"K{number}",
        "customer_number": customer,
        "channel_code": "phone",
        "direction": "in",
        "topic_code": "t",
        "outcome_code": "ok",
    }
    return bank.ContactRecorded(**{**values, **changes})


def entries(database) -> list[tuple[str, str]]:
    with database.read() as session:
        rows = session.execute(select(EntryRow.key, EntryRow.value).order_by(EntryRow.number))
        return [(r.key, r.value) for r in rows]
