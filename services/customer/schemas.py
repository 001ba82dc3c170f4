"""HTTP bodies of the customer service. Amounts are integers of minor units, with a currency."""

from datetime import date, datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StrictInt

from services.customer.queries.parties import Party
from services.customer.queries.search import Hit
from services.customer.tables import AccountRow, AlertRow, LoanRow, MergeRow, ScoreRow, TimelineRow

Reason = Annotated[str, Field(min_length=3, max_length=500)]


class In(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=False)


class MergeIn(In):
    """Makes `from_party_id` part of the party in the path."""

    from_party_id: Annotated[str, Field(min_length=1, max_length=200)]
    reason: Reason


class ClearReadIn(In):
    reason: Reason


class ServiceRequestIn(In):
    kind: Annotated[str, Field(min_length=1, max_length=100)]
    topic_code: str | None = None
    channel_code: str | None = None
    due_at: datetime | None = None


class ServiceRequestOut(BaseModel):
    request_id: str


class MergeOut(BaseModel):
    merge_id: str
    from_party_id: str
    into_party_id: str
    reason: str
    merged_by: str
    merged_at: datetime
    unmerged_at: datetime | None = None

    @classmethod
    def of(cls, row: MergeRow) -> "MergeOut":
        return cls.model_validate(row, from_attributes=True)


class AccountOut(BaseModel):
    account_number: str
    product_code: str | None
    currency: str | None
    balance_minor: StrictInt
    role: str
    share_ppm: StrictInt | None
    opened_on: date | None
    closed_on: date | None

    @classmethod
    def of(cls, account: AccountRow, role: str, share_ppm: int | None) -> "AccountOut":
        return cls(
            account_number=account.account_number,
            product_code=account.product_code or None,
            currency=account.currency or None,
            balance_minor=account.balance_minor,
            role=role,
            share_ppm=share_ppm,
            opened_on=account.opened_on,
            closed_on=account.closed_on,
        )


class LoanOut(BaseModel):
    loan_number: str
    product_code: str | None
    currency: str | None
    principal_minor: StrictInt | None
    status: str | None
    overdue_minor: StrictInt | None
    granted_on: date | None

    @classmethod
    def of(cls, row: LoanRow) -> "LoanOut":
        return cls.model_validate(row, from_attributes=True)


class AlertOut(BaseModel):
    alert_id: str
    raised_at: datetime | None
    facts: dict[str, Any] | None

    @classmethod
    def of(cls, row: AlertRow) -> "AlertOut":
        return cls(alert_id=row.alert_id, raised_at=row.raised_at, facts=row.raised)


class PartyOut(BaseModel):
    """The single customer view; personal data masked."""

    party_id: str
    kind: str | None
    name: str | None
    customer_numbers: list[str]
    manager_code: str | None
    manager_staff_id: str | None
    manager_since_on: date | None
    home_branch_code: str | None
    region_code: str | None
    masked: list[dict[str, Any]]
    accounts: list[AccountOut]
    loans: list[LoanOut]
    open_alerts: list[AlertOut]
    score: dict[str, Any] | None

    @classmethod
    def of(
        cls,
        party: Party,
        *,
        manager_staff_id: str | None,
        masked: list[dict[str, Any]],
        accounts: list[AccountOut],
        loans: list[LoanOut],
        open_alerts: list[AlertOut],
        score: ScoreRow | None,
    ) -> "PartyOut":
        return cls(
            party_id=party.party_id,
            kind=party.kind,
            name=party.name,
            customer_numbers=party.numbers,
            manager_code=party.manager_code,
            manager_staff_id=manager_staff_id,
            manager_since_on=party.manager_since_on,
            home_branch_code=party.home_branch_code,
            region_code=party.region_code,
            masked=masked,
            accounts=accounts,
            loans=loans,
            open_alerts=open_alerts,
            score=score.facts if score else None,
        )


class EntryOut(BaseModel):
    at: datetime
    entry_id: str
    party_id: str
    kind: str
    code: str
    amount_minor: StrictInt | None
    currency: str | None
    ref: str | None
    facts: dict[str, Any] | None

    @classmethod
    def of(cls, row: TimelineRow) -> "EntryOut":
        return cls(
            at=row.at,
            entry_id=str(row.entry_id),
            party_id=row.party_id,
            kind=row.kind,
            code=row.code,
            amount_minor=row.amount_minor,
            currency=row.currency,
            ref=row.ref,
            facts=row.facts,
        )


class TimelineOut(BaseModel):
    entries: list[EntryOut]
    next_cursor: str | None


class HitOut(BaseModel):
    party_id: str
    customer_number: str | None
    name: str | None
    kind: str | None
    manager_code: str | None
    home_branch_code: str | None
    by: str

    @classmethod
    def of(cls, hit: Hit) -> "HitOut":
        return cls.model_validate(hit, from_attributes=True)


class FoundOut(BaseModel):
    hits: list[HitOut]
    next_cursor: str | None


class TakenOut(BaseModel):
    """Durable: these events will be on their topics."""

    taken: int
    repeated: int
