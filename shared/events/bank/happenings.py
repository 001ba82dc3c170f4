"""`bank.events`: what happened to customers, accounts, loans. Kept for ever, no personal data."""

from datetime import date
from typing import Annotated, ClassVar, Literal

from msgspec import Meta, field

from shared.events.fact import (
    Code,
    Count,
    Currency,
    Fact,
    Id,
    Lent,
    Minor,
    Number,
    Part,
    SharePpm,
    require,
)


class CustomerFact(Fact, kw_only=True, frozen=True):
    """Whatever is on `bank.events` belongs to one customer number: its key, hence its order."""

    TOPIC: ClassVar[str] = "bank.events"
    KEY: ClassVar[str] = "customer_number"

    customer_number: Number


class Holder(Part, kw_only=True, frozen=True):
    """One of several holders of an account, with a share of its money."""

    customer_number: Number
    role: Code
    share_ppm: SharePpm


class Counterparty(Part, kw_only=True, frozen=True):
    """The other account of a transfer."""

    bank_code: Code | None = None
    account_number: Number | None = None


class AccountOpened(CustomerFact, kw_only=True, frozen=True):
    """An account was opened for its owner."""

    TYPE: ClassVar[str] = "bank.account_opened.v1"

    account_number: Number
    product_code: Code
    currency: Currency
    opened_on: date
    branch_code: Code | None = None
    channel_code: Code | None = None
    statement_frequency: Code | None = None
    holders: tuple[Holder, ...] = ()


class AccountClosed(CustomerFact, kw_only=True, frozen=True):
    """An account was closed; nothing is booked on it any more."""

    TYPE: ClassVar[str] = "bank.account_closed.v1"

    account_number: Number
    closed_on: date
    product_code: Code | None = None
    currency: Currency | None = None
    branch_code: Code | None = None
    channel_code: Code | None = None
    reason_code: Code | None = None


class TransactionBooked(CustomerFact, kw_only=True, frozen=True):
    """Money moved on an account."""

    TYPE: ClassVar[str] = "bank.transaction_booked.v1"

    transaction_id: Id
    account_number: Number
    product_code: Code
    amount_minor: Minor
    currency: Currency
    kind: Literal[
        "cash_in",
        "cash_out",
        "card",
        "transfer_in",
        "transfer_out",
        "interest_paid",
        "interest_received",
        "fee",
        "loan_instalment",
    ]
    initiated_by: Literal["customer", "bank"]
    booked_on: date
    value_on: date | None = None  # none: the day of booking; at most a year after it
    channel_code: Code | None = None
    branch_code: Code | None = None
    purpose_code: Code | None = None
    counterparty: Counterparty | None = None
    loan_number: Number | None = None
    payment_reference: Id | None = None
    order_in_day: Count | None = None
    reverses: Id | None = None  # transaction_id of the one that is taken back


class LoanGranted(CustomerFact, kw_only=True, frozen=True):
    """A loan was granted to its borrower."""

    TYPE: ClassVar[str] = "bank.loan_granted.v1"

    loan_number: Number
    product_code: Code
    principal_minor: Lent
    currency: Currency
    granted_on: date
    account_number: Number | None = None
    months: Count | None = None
    instalment_minor: Minor | None = None


class LoanStatusChanged(CustomerFact, kw_only=True, frozen=True):
    """A loan entered another status of the bank's own list."""

    TYPE: ClassVar[str] = "bank.loan_status_changed.v1"

    loan_number: Number
    status: Code
    account_number: Number | None = None
    product_code: Code | None = None


class LoanOverdue(CustomerFact, kw_only=True, frozen=True):
    """A loan is behind by this amount; zero says that it has caught up."""

    TYPE: ClassVar[str] = "bank.loan_overdue.v1"

    loan_number: Number
    overdue_minor: Minor
    currency: Currency
    since_on: date
    account_number: Number | None = None
    product_code: Code | None = None


class CardIssued(CustomerFact, kw_only=True, frozen=True):
    """A card was issued on an account; `card_id` is never the number on the card."""

    TYPE: ClassVar[str] = "bank.card_issued.v1"

    card_id: Id
    account_number: Number
    issued_on: date
    product_code: Code | None = None


class StandingOrderSet(CustomerFact, kw_only=True, frozen=True):
    """A standing order holds from now on with this amount."""

    TYPE: ClassVar[str] = "bank.standing_order_set.v1"

    standing_order_id: Id
    account_number: Number
    amount_minor: Minor
    currency: Currency
    purpose_code: Code | None = None
    counterparty: Counterparty | None = None
    frequency_code: Code | None = None
    from_on: date | None = None
    ended_on: date | None = None


class ProductUsed(CustomerFact, kw_only=True, frozen=True):
    """A customer used a feature of a product without moving money."""

    TYPE: ClassVar[str] = "bank.product_used.v1"

    product_code: Code
    feature_code: Code
    channel_code: Code | None = None
    account_number: Number | None = None


class ContactRecorded(CustomerFact, kw_only=True, frozen=True):
    """Customer and bank were in contact; direction is `inbound` when the customer began."""

    TYPE: ClassVar[str] = "bank.contact_recorded.v1"

    contact_id: Id
    channel_code: Code
    direction: Code
    topic_code: Code | None = None
    outcome_code: Code | None = None
    satisfaction: Annotated[int, Meta(ge=0, le=10)] | None = None
    staff_code: Code | None = None
    complaint: bool = False


class ManagerAssigned(CustomerFact, kw_only=True, frozen=True):
    """The bank's manager of record for a customer, or for one of the accounts."""

    TYPE: ClassVar[str] = "bank.manager_assigned.v1"

    manager_code: Code
    effective_on: date
    account_number: Number | None = None  # none: all accounts
    share_ppm: SharePpm = 1_000_000
    branch_code: Code | None = None
    reason_code: Code | None = None
    request_id: Id | None = None  # the reassignment that this answers


class CustomerPlaced(CustomerFact, kw_only=True, frozen=True):
    """Where a customer's figures belong from this day on."""

    TYPE: ClassVar[str] = "bank.customer_placed.v1"

    region_code: Code | None = None
    district_code: Code | None = None
    home_branch_code: Code | None = None
    segment_code: Code | None = None


class RelationRecorded(CustomerFact, kw_only=True, frozen=True):
    """A customer stands in a relation to another one."""

    TYPE: ClassVar[str] = "bank.relation_recorded.v1"

    to_customer_number: Number
    kind: Literal[
        "owns",
        "guarantees",
        "group_member",
        "legal_representative",
        "household",
        "referred_by",
    ]
    effective_on: date
    share_ppm: SharePpm | None = None
    amount_minor: Minor | None = None
    currency: Currency | None = None
    loan_number: Number | None = None
    ended_on: date | None = None

    def __post_init__(self) -> None:
        require(self, "currency", beside="amount_minor")


class CollateralRecorded(CustomerFact, kw_only=True, frozen=True):
    """Something secures a loan; `due_on` is its next valuation."""

    TYPE: ClassVar[str] = "bank.collateral_recorded.v1"

    collateral_id: Id
    what: Code
    loan_number: Number | None = None
    value_minor: Minor | None = None
    currency: Currency | None = None
    due_on: date | None = None
    filed_on: date | None = None

    def __post_init__(self) -> None:
        require(self, "currency", beside="value_minor")


class StatementFiled(CustomerFact, kw_only=True, frozen=True):
    """A borrower's statement is due, or was filed with these figures."""

    TYPE: ClassVar[str] = "bank.statement_filed.v1"

    statement_id: Id
    what: Code
    loan_number: Number | None = None
    due_on: date | None = None
    filed_on: date | None = None  # none: still missing
    figures: dict[Code, Minor] = field(default_factory=dict)
    currency: Currency | None = None


class CreditAnswerReceived(CustomerFact, kw_only=True, frozen=True):
    """A credit bureau or registry answered.

    The grade holds from the business date on, for the loan or, without one, for all that the
    customer has; of several on one day that of the latest `time`.
    """

    TYPE: ClassVar[str] = "bank.credit_answer_received.v1"

    answer_id: Id
    what: Code
    loan_number: Number | None = None
    due_on: date | None = None
    filed_on: date | None = None
    figures: dict[Code, Minor] = field(default_factory=dict)
    grade: Code | None = None


class DayClosed(Fact, kw_only=True, frozen=True):
    """A source has published all of a day. One copy for each partition, exempt from the key."""

    TYPE: ClassVar[str] = "bank.day_closed.v1"
    TOPIC: ClassVar[str] = "bank.events"
    KEY: ClassVar[str] = "day"

    day: date
    partition: Count | None = None  # none: a line of a file, which stands for all partitions

    def event_id(self, source: str) -> str:
        """`close-<source>-<day>-<partition>`, the identity that makes a second copy a duplicate."""
        tail = "" if self.partition is None else f"-{self.partition}"
        return f"close-{source}-{self.day.isoformat()}{tail}"
