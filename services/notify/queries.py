"""What notify is asked."""

from datetime import datetime

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from services.notify.rules import Link
from services.notify.tables import DeliveryRow, NoticeRow, PreferenceRow, StoryEventRow
from shared.events.workflow import ProcessStarted

PAGE_ROWS = 50
CHAIN_MAX = 12
PROCESS_STARTED = ProcessStarted.TYPE


def inbox(
    session: Session, receiver_id: str, *, before: int | None = None, only_open: bool = False
) -> list[NoticeRow]:
    """A page of the inbox, newest first; `before` is the last number of the page before."""
    query = select(NoticeRow).where(NoticeRow.receiver_id == receiver_id)
    if before is not None:
        query = query.where(NoticeRow.number < before)
    if only_open:
        query = query.where(NoticeRow.state.in_(("unread", "snoozed")))
    return list(session.execute(query.order_by(NoticeRow.number.desc()).limit(PAGE_ROWS)).scalars())


def unread_count(session: Session, receiver_id: str) -> int:
    return session.execute(
        select(func.count())
        .select_from(NoticeRow)
        .where(NoticeRow.receiver_id == receiver_id, NoticeRow.state == "unread")
    ).scalar_one()


def notice_of(session: Session, notice_id: str, receiver_id: str) -> NoticeRow | None:
    row = session.get(NoticeRow, notice_id)
    return row if row is not None and row.receiver_id == receiver_id else None


def chain_of(session: Session, notice: NoticeRow) -> list[Link]:
    """Why a notice came, the root first: the bank's event, the alert, the process, the task.

    A task belongs to its process, whatever moved it last. What was not heard is named by its id.
    """
    found: list[Link] = []
    wanted: str | None = notice.cause["id"]
    seen: set[str] = set()
    while wanted is not None and wanted not in seen and len(found) < CHAIN_MAX:
        seen.add(wanted)
        row = session.get(StoryEventRow, wanted)
        if row is None:
            found.append(_unheard(notice, wanted))
            break
        found.append(Link(row.event_id, row.type, row.at, row.text, row.link))
        if row.root is not None:
            at = row.root.get("at")
            when = datetime.fromisoformat(at) if at else None
            found.append(Link(row.root["id"], row.root["type"], when, None, row.link))
            break
        wanted = _start_of_process(session, row) or row.caused_by
    return found[::-1]


def _unheard(notice: NoticeRow, event_id: str) -> Link:
    cause = notice.cause
    if event_id != cause["id"]:
        return Link(event_id)
    return Link(event_id, cause["type"], datetime.fromisoformat(cause["at"]), None, notice.link)


def _start_of_process(session: Session, row: StoryEventRow) -> str | None:
    """The event with which the process of this event began; none for that event itself."""
    if row.process_instance_id is None or row.type == PROCESS_STARTED:
        return None
    return session.execute(
        select(StoryEventRow.event_id)
        .where(
            StoryEventRow.process_instance_id == row.process_instance_id,
            StoryEventRow.type == PROCESS_STARTED,
        )
        .limit(1)
    ).scalar_one_or_none()


def deliveries_of(session: Session, notice_id: str) -> list[DeliveryRow]:
    return list(
        session.execute(
            select(DeliveryRow)
            .where(DeliveryRow.notice_id == notice_id)
            .order_by(DeliveryRow.channel)
        ).scalars()
    )


def preferences(session: Session, staff_id: str, kind: str) -> dict[str, bool]:
    rows = session.execute(
        select(PreferenceRow).where(
            PreferenceRow.staff_id == staff_id, PreferenceRow.kind.in_((kind, "*"))
        )
    ).scalars()
    found: dict[str, bool] = {}
    for row in sorted(rows, key=lambda r: r.kind == kind):  # the kind's own wins over "*"
        found[row.channel] = row.wanted
    return found


def due_deliveries(session: Session, now: datetime, most: int = 50) -> list[DeliveryRow]:
    """Pending deliveries whose time has come, locked for this worker."""
    return list(
        session.execute(
            select(DeliveryRow)
            .where(
                DeliveryRow.state == "pending",
                or_(DeliveryRow.next_at.is_(None), DeliveryRow.next_at <= now),
            )
            .order_by(DeliveryRow.next_at)
            .limit(most)
            .with_for_update(skip_locked=True)
        ).scalars()
    )
