"""`notice.requests` asks that someone be told; `notice.deliveries` proves what became of it."""

from typing import ClassVar, Literal

from shared.events.fact import Cause, Code, Fact, Id, Instant, Link, Text, Words
from shared.events.orders import FencePoint


class NoticeFact(Fact, kw_only=True, frozen=True):
    """A fact on a message to one member of staff, and what the message is about."""

    receiver_id: Id
    party_id: Id | None = None
    customer_number: Id | None = None
    order_id: Id | None = None
    process_instance_id: Id | None = None
    task_id: Id | None = None


class NoticeRequested(NoticeFact, kw_only=True, frozen=True):
    """Somebody shall be told this; the asker owns the reason and the lease."""

    TYPE: ClassVar[str] = "notify.notice_requested.v1"
    TOPIC: ClassVar[str] = "notice.requests"
    KEY: ClassVar[str] = "receiver_id"

    request_id: Id
    kind: Code
    text: Text
    urgency: Literal["low", "normal", "high"] = "normal"
    link: Link | None = None
    reason: Text | None = None
    causes: tuple[Cause, ...] = ()  # nearest first
    fence: tuple[FencePoint, ...] = ()
    valid_until: Instant | None = None  # on the wall clock; none: does not expire


class DeliveryFact(NoticeFact, kw_only=True, frozen=True):
    """What became of one notice in one channel."""

    TOPIC: ClassVar[str] = "notice.deliveries"
    KEY: ClassVar[str] = "notice_id"

    notice_id: Id
    channel: Code
    cause: Cause
    request_id: Id | None = None
    reminder_id: Id | None = None


class NoticeSent(DeliveryFact, kw_only=True, frozen=True):
    """The channel took the notice."""

    TYPE: ClassVar[str] = "notify.notice_sent.v1"


class NoticeFailed(DeliveryFact, kw_only=True, frozen=True):
    """The notice did not reach anybody: `expired`, or what the channel said."""

    TYPE: ClassVar[str] = "notify.notice_failed.v1"

    reason_code: Code
    detail: Words | None = None


class NoticeAcknowledged(DeliveryFact, kw_only=True, frozen=True):
    """The receiver said: read."""

    TYPE: ClassVar[str] = "notify.notice_acknowledged.v1"
