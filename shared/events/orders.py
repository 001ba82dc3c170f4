"""`order.lifecycle`: from the quote to the closed order, one order in one partition."""

from datetime import date
from typing import ClassVar

from shared.events.fact import Code, Count, Currency, Fact, Id, Instant, Link, Minor, Text

# Partition and the first offset of `bank.events` that the release has not taken into account.
FencePoint = tuple[Count, Count]


class OrderFact(Fact, kw_only=True, frozen=True):
    """A fact on one order and the party it is for."""

    TOPIC: ClassVar[str] = "order.lifecycle"
    KEY: ClassVar[str] = "order_id"

    order_id: Id
    party_id: Id | None = None
    customer_number: Id | None = None
    owner_id: Id | None = None  # whose order it is
    org_path: str | None = None  # the department whose staff may see it


class QuoteOffered(OrderFact, kw_only=True, frozen=True):
    """A priced offer was made; it binds the bank until its day."""

    TYPE: ClassVar[str] = "orders.quote_offered.v1"

    quote_id: Id
    amount_minor: Minor
    currency: Currency
    maker_id: Id
    valid_until_on: date | None = None


class OrderSubmitted(OrderFact, kw_only=True, frozen=True):
    """An order asks for approval of exactly this content."""

    TYPE: ClassVar[str] = "orders.order_submitted.v1"

    content_hash: Id
    maker_id: Id
    amount_minor: Minor
    currency: Currency
    link: Link | None = None
    text: Text | None = None


class OrderApproved(OrderFact, kw_only=True, frozen=True):
    """A second person approved this content."""

    TYPE: ClassVar[str] = "orders.order_approved.v1"

    content_hash: Id
    checker_id: Id
    maker_id: Id | None = None


class OrderRefused(OrderFact, kw_only=True, frozen=True):
    """A second person refused this content."""

    TYPE: ClassVar[str] = "orders.order_refused.v1"

    content_hash: Id
    checker_id: Id
    maker_id: Id | None = None
    reason: Text | None = None


class OrderVoided(OrderFact, kw_only=True, frozen=True):
    """An approval, or the wait for one, is void: the content is no longer this one."""

    TYPE: ClassVar[str] = "orders.order_voided.v1"

    content_hash: Id
    checker_id: Id | None = None  # none: nobody had approved it
    voided_by: Id | None = None
    reason_code: Code | None = None


class OrderEffective(OrderFact, kw_only=True, frozen=True):
    """The order binds; its execution plan begins."""

    TYPE: ClassVar[str] = "orders.order_effective.v1"

    content_hash: Id
    amount_minor: Minor
    currency: Currency
    payment_reference: Id
    maker_id: Id | None = None


class StepFact(OrderFact, kw_only=True, frozen=True):
    """A fact on one step of an execution plan; `kind` names the action."""

    step_id: Id
    kind: Code


class StepDue(StepFact, kw_only=True, frozen=True):
    """A step of the plan wants to be done by an instant."""

    TYPE: ClassVar[str] = "orders.step_due.v1"

    due_at: Instant
    receiver_id: Id | None = None
    text: Text | None = None


class StepDone(StepFact, kw_only=True, frozen=True):
    """A step of the plan was done; without `staff_id` the system did it."""

    TYPE: ClassVar[str] = "orders.step_done.v1"

    done_at: Instant
    staff_id: Id | None = None


class ReceivableDue(OrderFact, kw_only=True, frozen=True):
    """Money is owed for an order from a day on."""

    TYPE: ClassVar[str] = "orders.receivable_due.v1"

    receivable_id: Id
    amount_minor: Minor
    currency: Currency
    due_on: date
    payment_reference: Id | None = None


class PaymentApplied(OrderFact, kw_only=True, frozen=True):
    """A booked transaction paid for an order; a negative amount takes a payment back."""

    TYPE: ClassVar[str] = "orders.payment_applied.v1"

    transaction_id: Id
    amount_minor: Minor
    currency: Currency
    receivable_id: Id | None = None
    open_minor: Minor | None = None  # still owed after it
    reverses: Id | None = None


class ReminderReleased(OrderFact, kw_only=True, frozen=True):
    """The facts were asked again and the reminder still holds; a lease, not a wish."""

    TYPE: ClassVar[str] = "orders.reminder_released.v1"

    reminder_id: Id
    receiver_id: Id
    fence: tuple[FencePoint, ...]
    valid_until: Instant  # on the wall clock
    text: Text
    receivable_id: Id | None = None
    link: Link | None = None
    due_at: Instant | None = None


class ReminderWithdrawn(OrderFact, kw_only=True, frozen=True):
    """The facts were asked again and there is nothing to remind of any more."""

    TYPE: ClassVar[str] = "orders.reminder_withdrawn.v1"

    reminder_id: Id
    why: Code
    receiver_id: Id | None = None
    receivable_id: Id | None = None
    text: Text | None = None


class OrderClosed(OrderFact, kw_only=True, frozen=True):
    """Nothing is left to do for an order."""

    TYPE: ClassVar[str] = "orders.order_closed.v1"

    outcome_code: Code
    text: Text | None = None
