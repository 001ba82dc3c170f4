"""The events behind a figure or an alert, from the event store."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

PAGE_ROWS = 50
BOOKED = "bank.transaction_booked.v1"
CONTACTED = "bank.contact_recorded.v1"
ANSWERED = "bank.credit_answer_received.v1"

# The first of an identity counts; what its producer sent again stands at a later offset. Only the
# index of identities finds it, hence + 0: of a table that nobody has analyzed yet the planner
# thinks the places before an event as few, and a batch went through all of them for each event.
FIRST = """not exists (
  select 1 from bank_events b where b.source = e.source and b.event_id = e.event_id
     and b.partition + 0 = e.partition and b.event_offset + 0 < e.event_offset
     and b.type is not null)"""
_COLUMNS = """e.partition, e.event_offset, e.source, e.event_id, e.type, e.customer_number,
  e.account_number, e.product_code, e.kind, e.initiated_by, e.businessdate, e.time,
  e.amount_minor, e.currency, e.channel_code, e.purpose_code"""

OF_ACCOUNT = text(
    f"""
    select {_COLUMNS} from bank_events e
     where e.customer_number = :customer_number and e.account_number = :account_number
       and e.product_code = :product_code and e.currency = :currency and e.type = :booked
       and (cast(:after_on as date) is null
            or (e.businessdate, e.event_offset) < (:after_on, :after_offset))
       and {FIRST}
     order by e.businessdate desc, e.event_offset desc limit :limit
    """  # noqa: S608 - names are ours
)
SUM_OF_ACCOUNT = text(
    f"""
    select coalesce(sum(e.amount_minor), 0) as sum_minor, count(*) as events from bank_events e
     where e.customer_number = :customer_number and e.account_number = :account_number
       and e.product_code = :product_code and e.currency = :currency and e.type = :booked
       and e.event_offset <= :position and {FIRST}
    """  # noqa: S608 - names are ours
)
BY_ID = text(
    f"""
    select {_COLUMNS} from bank_events e
     where e.customer_number = any(:numbers) and e.event_id = any(:ids) and {FIRST}
     order by e.time
    """  # noqa: S608 - names are ours
)
BEFORE = text(
    f"""
    select {_COLUMNS} from bank_events e
     where e.customer_number = any(:numbers) and e.type = :booked and e.time <= :at
       and (not :by_customer or e.initiated_by = 'customer')
       and (not :outgoing or e.amount_minor < 0)
       and {FIRST}
     order by e.businessdate desc, e.event_offset desc limit :limit
    """  # noqa: S608 - names are ours
)


@dataclass(frozen=True, slots=True)
class Door:
    """Which account's events: the key of an account figure."""

    customer_number: str
    account_number: str
    product_code: str
    currency: str

    def parameters(self) -> dict[str, Any]:
        return {
            "customer_number": self.customer_number,
            "account_number": self.account_number,
            "product_code": self.product_code,
            "currency": self.currency,
            "booked": BOOKED,
        }


def events_of_account(
    session: Session, door: Door, after: tuple[date, int] | None, limit: int = PAGE_ROWS
) -> list[Any]:
    """Transactions of an account, latest first; `after` is the last one seen."""
    return list(
        session.execute(
            OF_ACCOUNT,
            {
                **door.parameters(),
                "after_on": after[0] if after else None,
                "after_offset": after[1] if after else None,
                "limit": limit,
            },
        )
    )


def sum_of_account(session: Session, door: Door, position: int) -> tuple[int, int]:
    """Sum and count of the stored transactions up to the figure's own position."""
    row = session.execute(SUM_OF_ACCOUNT, {**door.parameters(), "position": position}).one()
    return int(row.sum_minor), int(row.events)


def events_behind(
    session: Session, rule: str, numbers: Sequence[str], event_ids: Sequence[str], at: datetime
) -> list[Any]:
    """The causing events, and what came last before the alert: for silence what the customer did
    by himself, for an outflow what went out."""
    found = {
        (row.partition, row.event_offset): row
        for row in session.execute(BY_ID, {"numbers": list(numbers), "ids": list(event_ids)})
    }
    for row in session.execute(
        BEFORE,
        {
            "numbers": list(numbers),
            "booked": BOOKED,
            "at": at,
            "by_customer": rule == "silence",
            "outgoing": rule == "outflow",
            "limit": 10,
        },
    ):
        found.setdefault((row.partition, row.event_offset), row)
    latest_first = sorted(found.values(), key=lambda e: (e.businessdate, e.event_offset))
    return latest_first[::-1]
