"""What notify does: tell, settle a delivery, acknowledge, snooze, withdraw."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import msgspec
from sqlalchemy import select, text
from sqlalchemy.dialects.postgresql import insert

from services.notify import queries, rules
from services.notify.channels import CHANNELS
from services.notify.rules import NoticeDraft
from services.notify.tables import DeliveryRow, NoticeRow, PreferenceRow, StoryEventRow
from shared import outbox, timers
from shared.db import Tx
from shared.errors import DomainError, NotFound
from shared.events.envelope import Event, Fact
from shared.events.fact import Cause
from shared.events.notify import (
    NoticeAcknowledged,
    NoticeFailed,
    NoticeRequested,
    NoticeSent,
)
from shared.events.orders import OrderFact
from shared.events.scoring import AlertFact
from shared.events.workflow import ProcessFact
from shared.forgetting import Aging

INBOX = "inbox"
KEEP = insert(StoryEventRow).on_conflict_do_nothing()
FORGET = text(
    """
    delete from story_events where event_id = any(array(
      select event_id from story_events where at < :before
       order by at limit :rows for update skip locked))
    returning 1
    """
)
# A chain that reaches further back names its first link by the id alone.
AGING = Aging("story_events", FORGET, lambda settings: settings.story_kept_days, bank_clock=True)
# What may be behind a notice. Scores and holdings move too often to be kept, and tell nobody.
KEPT = (AlertFact, ProcessFact, OrderFact, NoticeRequested)


def keep_in_story(tx: Tx, event: Event[Any]) -> None:
    """Remembers what happened and why, for the chain of causes of a notice."""
    fact = event.data
    if not isinstance(fact, KEPT):
        return
    told = getattr(fact, "cause", None)  # an alert's: the bank's event; a process': the alert
    root = told if isinstance(fact, AlertFact) else None
    tx.bulk(
        KEEP,
        {
            "event_id": event.id,
            "type": event.type,
            "at": event.time,
            "caused_by": event.causationid or (told.id if told else None),
            "process_instance_id": getattr(fact, "process_instance_id", None),
            "text": getattr(fact, "text", None),
            "link": rules.link_of(fact),
            "root": msgspec.to_builtins(root) if root else None,
        },
    )


class NoticeSettled(DomainError):
    """The notice was acknowledged or withdrawn already."""


def notice_id_of(tx: Tx, receiver_id: str, kind: str) -> str:
    """Derived from the cause, so the same event can never make two notices."""
    assert tx.message is not None
    event = tx.message.event
    return f"{event.source}/{event.id}/{kind}/{receiver_id}"


def tell(tx: Tx, draft: NoticeDraft, about: dict[str, str | None]) -> None:
    """Puts a notice into the inbox and on the receiver's outside channels, and says so.

    An expired reminder is not told: `notice_failed(expired)`, so the asker asks the facts again.
    """
    assert tx.message is not None
    event = tx.message.event
    notice_id = notice_id_of(tx, draft.receiver_id, draft.kind)
    facts = {
        "notice_id": notice_id,
        "receiver_id": draft.receiver_id,
        "cause": Cause(type=event.type, id=event.id, at=event.time),
        **about,
    }
    if rules.has_expired(draft.valid_until, tx.wall_now):
        outbox.enqueue(tx, NoticeFailed(channel=INBOX, reason_code="expired", **facts))  # type: ignore[arg-type]
        return
    tx.session.execute(
        insert(NoticeRow)
        .values(
            notice_id=notice_id,
            receiver_id=draft.receiver_id,
            kind=draft.kind,
            story=event.correlationid or event.id,
            subject=draft.subject,
            text=draft.text,
            link=draft.link,
            urgent=draft.urgent,
            state="unread",
            cause={
                "rule": f"{event.type} -> {draft.kind}",
                "type": event.type,
                "id": event.id,
                "source": event.source,
                "topic": tx.message.topic,
                "partition": tx.message.partition,
                "offset": tx.message.offset,
                "at": event.time.isoformat(),
                "caused_by": event.causationid,
                "story": event.correlationid,
                "about": {k: v for k, v in about.items() if v},
            },
            created_at=tx.bank_now,
            valid_until=draft.valid_until,
        )
        .on_conflict_do_nothing()
    )
    outbox.enqueue(tx, NoticeSent(channel=INBOX, **facts))  # type: ignore[arg-type]
    wanted = queries.preferences(tx.session, draft.receiver_id, draft.kind)
    for channel in rules.channels_of(urgent=draft.urgent, preferences=wanted, known=set(CHANNELS)):
        tx.session.execute(
            insert(DeliveryRow)
            .values(
                notice_id=notice_id,
                channel=channel,
                state="pending",
                attempts=0,
                next_at=tx.wall_now,
            )
            .on_conflict_do_nothing()
        )


def settle_delivery(tx: Tx, notice_id: str, channel: str, proof: str) -> None:
    """The channel took it."""
    row, notice = _delivery(tx, notice_id, channel)
    row.state, row.proof, row.next_at = "sent", proof, None
    row.attempts += 1
    outbox.enqueue(tx, _delivery_fact(NoticeSent, notice, channel))


def leave_out(tx: Tx, notice_id: str, channel: str, reason: str) -> None:
    """The channel is off: nothing was tried, so nothing failed, and nobody is told of it."""
    row, _ = _delivery(tx, notice_id, channel)
    row.state, row.proof, row.next_at = "off", reason, None


def fail_delivery(tx: Tx, notice_id: str, channel: str, reason: str, *, final: bool) -> None:
    """Tries again later with a growing pause, or gives up and says so."""
    row, notice = _delivery(tx, notice_id, channel)
    row.attempts += 1
    row.proof = reason[:500]
    if not final and row.attempts < rules.ATTEMPTS_MAX:
        row.next_at = tx.wall_now + rules.pause_before(row.attempts)
        return
    row.state, row.next_at = "failed", None
    code = "expired" if reason == "expired" else "channel_refused"
    outbox.enqueue(
        tx, _delivery_fact(NoticeFailed, notice, channel, reason_code=code, detail=reason[:500])
    )


def _delivery(tx: Tx, notice_id: str, channel: str) -> tuple[DeliveryRow, NoticeRow]:
    notice = tx.session.get_one(NoticeRow, notice_id, with_for_update=True)
    return tx.session.get_one(DeliveryRow, (notice_id, channel), with_for_update=True), notice


def _delivery_fact(fact: Callable[..., Fact], notice: NoticeRow, channel: str, **more: str) -> Fact:
    cause = Cause(type=notice.cause["type"], id=notice.cause["id"])
    return fact(
        notice_id=notice.notice_id,
        receiver_id=notice.receiver_id,
        channel=channel,
        cause=cause,
        **notice.cause.get("about", {}),
        **more,
    )


def acknowledge(tx: Tx, receiver_id: str, notice_id: str) -> NoticeRow:
    """The receiver has read it. Twice is once."""
    row = _own(tx, receiver_id, notice_id)
    if row.state == "acknowledged":
        return row
    if not rules.may(row.state, "acknowledge"):
        raise NoticeSettled({"zh-CN": "这条通知已撤回。", "en": "This notice was withdrawn."})
    row.state, row.acknowledged_at = "acknowledged", tx.bank_now
    timers.disarm(tx, "wake_notice", notice_id)
    outbox.enqueue(tx, _delivery_fact(NoticeAcknowledged, row, INBOX))
    return row


def snooze(tx: Tx, receiver_id: str, notice_id: str, minutes: int) -> NoticeRow:
    """Puts it aside for some minutes of the bank's time; it comes back unread."""
    row = _own(tx, receiver_id, notice_id)
    if not rules.may(row.state, "snooze"):
        raise NoticeSettled({"zh-CN": "这条通知已处理。", "en": "This notice is settled."})
    row.state = "snoozed"
    row.snoozed_until = tx.bank_now + timedelta(minutes=minutes)
    timers.arm(tx, "wake_notice", notice_id, row.snoozed_until)
    return row


def wake(tx: Tx, notice_id: str) -> NoticeRow | None:
    """A snoozed notice comes back; nothing if it was settled meanwhile."""
    row = tx.session.get(NoticeRow, notice_id, with_for_update=True)
    if row is None or not rules.may(row.state, "wake"):
        return None
    row.state, row.snoozed_until = "unread", None
    return row


def withdraw(tx: Tx, subject: str, kind: str) -> list[str]:
    """Takes back what is no longer true; returns whose inbox changed. Pending mails stop too."""
    rows = tx.session.execute(
        select(NoticeRow)
        .where(
            NoticeRow.subject == subject,
            NoticeRow.kind == kind,
            NoticeRow.state.in_(("unread", "snoozed")),
        )
        .with_for_update()
    ).scalars()
    receivers = []
    for row in rows:
        row.state = "withdrawn"
        receivers.append(row.receiver_id)
        for delivery in queries.deliveries_of(tx.session, row.notice_id):
            if delivery.state == "pending":
                delivery.state, delivery.next_at, delivery.proof = "failed", None, "withdrawn"
    return receivers


def prefer(tx: Tx, staff_id: str, kind: str, channel: str, *, wanted: bool) -> None:
    if channel not in CHANNELS:
        raise NotFound({"zh-CN": f"没有渠道 {channel}。", "en": f"There is no channel {channel}."})
    statement = insert(PreferenceRow).values(
        staff_id=staff_id, kind=kind, channel=channel, wanted=wanted
    )
    tx.session.execute(
        statement.on_conflict_do_update(
            index_elements=["staff_id", "kind", "channel"], set_={"wanted": wanted}
        )
    )


def _own(tx: Tx, receiver_id: str, notice_id: str) -> NoticeRow:
    row = tx.session.get(NoticeRow, notice_id, with_for_update=True)
    if row is None or row.receiver_id != receiver_id:
        raise NotFound({"zh-CN": "没有这条通知。", "en": "There is no such notice."})
    return row


def about_of(fact: Fact) -> dict[str, str | None]:
    """The ids that a fact names: whom and what a notice concerns."""
    fields = msgspec.structs.fields(type(fact))
    names = {f.name for f in fields}
    wanted = (
        "party_id", "customer_number", "order_id", "process_instance_id", "task_id",
        "request_id", "reminder_id",
    )  # fmt: skip
    return {n: getattr(fact, n) for n in wanted if n in names}
