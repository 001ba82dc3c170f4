"""Bodies of scoring's API. Amounts are integer minor units, risks parts per million."""

from datetime import date, datetime
from typing import Any, Literal

from pydantic import BaseModel


class ProductOut(BaseModel):
    product_code: str
    sum_minor: int
    transactions: int


class ScoreOut(BaseModel):
    """A party's figures. `net_transactions_minor`: the sum of its transactions, + is credit."""

    party_id: str
    customer_numbers: list[str]
    currency: str
    net_transactions_minor: int
    transactions: int
    customer_transactions: int
    mean_balance_minor: int
    last_on: date | None
    risk_ppm: dict[str, int]
    margin_at_risk_minor: int
    residual_minor: int
    accounts: list["AccountOut"]


class AccountOut(BaseModel):
    customer_number: str
    account_number: str
    product_code: str
    currency: str
    sum_minor: int
    transactions: int
    last_on: date | None


class RankedOut(BaseModel):
    """A customer. Contribution is of leaves: posted in all, of them those of the last twelve
    months, and accrued since."""

    party_id: str
    last_12_months_minor: int
    posted_minor: int
    accrued_minor: int
    net_transactions_minor: int
    transactions: int
    mean_balance_minor: int
    risk_ppm: dict[str, int]
    margin_at_risk_minor: int
    manager_staff_id: str | None
    products: list[ProductOut]


class RankingOut(BaseModel):
    """`next`: pass it as `after` for the following page; none: this is the last."""

    by: str
    currency: str
    items: list[RankedOut]
    next: str | None


class AlertOut(BaseModel):
    alert_id: str
    party_id: str
    rule: str
    at: datetime
    ended_at: datetime | None
    risk_ppm: int
    at_stake_minor: int
    margin_at_risk_minor: int
    recoverable_minor: int
    currency: str
    terms: dict[str, Any]
    event_ids: list[str]
    text: dict[str, str]
    advice: dict[str, str] | None
    process_instance_id: str | None
    outcome_code: str | None


class AlertsOut(BaseModel):
    items: list[AlertOut]
    next: str | None


class PrecisionOut(BaseModel):
    """How good a rule was, by what staff recorded of its alerts. None: nothing to tell it by yet.

    `lift_ppm`: precision over the base rate, `real_customers` of all `customers`: those of whom a
    real risk was recorded in the same time, by whatever rule. `lead_days`: from the alert to that
    record, median of the real ones.
    """

    rule: str
    alerts: int
    open: int
    confirmed: int
    false_alarms: int
    precision_ppm: int | None
    real_customers: int
    customers: int
    lift_ppm: int | None
    lead_days: float | None


class PrecisionsOut(BaseModel):
    items: list[PrecisionOut]


class WorkerLetterOut(BaseModel):
    """A message that the worker refused, after what was decided on it."""

    id: int
    state: Literal["replayed", "discarded"]
