"""The timeline of a present party, newest first, keyset-paged."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec
from sqlalchemy import select, tuple_
from sqlalchemy.orm import Session

from services.customer.tables import TimelineRow

PAGE_ROWS = 50
KINDS = ("money", "account", "loan", "contact", "relation", "alert", "work", "order", "notice")


class TimelineCursor(msgspec.Struct, frozen=True, array_like=True):
    """The last entry of a page."""

    at: datetime
    entry_id: UUID
    party_id: str

    def text(self) -> str:
        return urlsafe_b64encode(msgspec.json.encode(self)).decode().rstrip("=")


def timeline_cursor_of(given: str | None) -> TimelineCursor | None:
    """Raises ValueError for a cursor that was not ours."""
    if not given:
        return None
    raw = urlsafe_b64decode(given + "=" * (-len(given) % 4))
    return msgspec.json.decode(raw, type=TimelineCursor)


def timeline(
    session: Session,
    party_ids: Sequence[str],
    *,
    kind: str | None = None,
    after: TimelineCursor | None = None,
    rows: int = PAGE_ROWS,
) -> tuple[list[TimelineRow], str | None]:
    """(entries, cursor of the next page or none)."""
    order = (TimelineRow.at.desc(), TimelineRow.entry_id.desc(), TimelineRow.party_id.desc())
    found = select(TimelineRow).where(TimelineRow.party_id.in_(party_ids)).order_by(*order)
    if kind is not None:
        found = found.where(TimelineRow.kind == kind)
    if after is not None:
        found = found.where(
            tuple_(TimelineRow.at, TimelineRow.entry_id, TimelineRow.party_id)
            < tuple_(after.at, after.entry_id, after.party_id)
        )
    entries = list(session.scalars(found.limit(rows + 1)))
    if len(entries) <= rows:
        return entries, None
    last = entries[rows - 1]
    return entries[:rows], TimelineCursor(last.at, last.entry_id, last.party_id).text()
