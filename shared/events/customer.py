"""`customer.events`: who is who, what they hold, who answers for them. No personal data."""

from datetime import date
from typing import Annotated, ClassVar, Literal

from msgspec import Meta

from shared.events.fact import Code, Fact, Id, Instant, PartyKind, SharePpm


class PartyFact(Fact, kw_only=True, frozen=True):
    """A fact on a party, published once per customer number; a prospect's key is its party id."""

    TOPIC: ClassVar[str] = "customer.events"
    KEY: ClassVar[str] = "number_or_party"

    party_id: Id
    customer_number: Id | None = None  # none: a prospect

    @property
    def number_or_party(self) -> str:
        """The Kafka key: the bank's number, else the party's id."""
        return self.customer_number or self.party_id


class PartyRecorded(PartyFact, kw_only=True, frozen=True):
    """These customer numbers are this party."""

    TYPE: ClassVar[str] = "customer.party_recorded.v1"

    kind: PartyKind
    customer_numbers: tuple[Id, ...]
    home_branch_code: Code | None = None


class HoldingChanged(PartyFact, kw_only=True, frozen=True):
    """A party's share in an account, loan, card or contract began, changed or ended."""

    TYPE: ClassVar[str] = "customer.holding_changed.v1"

    holding_id: Id
    kind: Literal["account", "loan", "card", "contract"]
    role: Code
    effective_on: date
    product_code: Code | None = None
    account_number: Id | None = None
    loan_number: Id | None = None
    share_ppm: SharePpm | None = None
    ended_on: date | None = None


class ManagerChanged(PartyFact, kw_only=True, frozen=True):
    """Somebody else answers for a customer; without `staff_id` the code is nobody's we know."""

    TYPE: ClassVar[str] = "customer.manager_changed.v1"

    effective_on: date
    staff_id: Id | None = None
    manager_code: Code | None = None
    account_number: Id | None = None
    share_ppm: SharePpm = 1_000_000
    branch_code: Code | None = None
    request_id: Id | None = None


class CustomerContactRecorded(PartyFact, kw_only=True, frozen=True):
    """A party and the bank were in contact."""

    TYPE: ClassVar[str] = "customer.contact_recorded.v1"

    contact_id: Id
    channel_code: Code
    direction: Code
    topic_code: Code | None = None
    outcome_code: Code | None = None
    satisfaction: Annotated[int, Meta(ge=0, le=10)] | None = None
    staff_id: Id | None = None
    complaint: bool = False


class IdentityMerged(PartyFact, kw_only=True, frozen=True):
    """Two parties are one; said once for each number of the party that remains."""

    TYPE: ClassVar[str] = "customer.identity_merged.v1"

    merge_id: Id
    former_party_id: Id
    customer_numbers: tuple[Id, ...]  # all numbers of `party_id` now


class IdentityUnmerged(PartyFact, kw_only=True, frozen=True):
    """A merge was taken back; said once for each number, with the party it belongs to again."""

    TYPE: ClassVar[str] = "customer.identity_unmerged.v1"

    merge_id: Id
    former_party_id: Id
    customer_numbers: tuple[Id, ...]  # all numbers of `party_id` now


class ServiceRequested(PartyFact, kw_only=True, frozen=True):
    """A party called for service; a complaint is one kind."""

    TYPE: ClassVar[str] = "customer.service_requested.v1"

    request_id: Id
    kind: Code
    topic_code: Code | None = None
    channel_code: Code | None = None
    due_at: Instant | None = None
