"""HTTP bodies of workflow."""

from datetime import date, datetime
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from services.workflow.rules import ALERT_TASKS_PER_DAY_MAX

Id = Annotated[str, Field(min_length=1, max_length=200)]
Code = Annotated[str, Field(min_length=1, max_length=100)]
Minor = Annotated[int, Field(strict=True, ge=0, le=2**53)]


class In(BaseModel):
    """What a caller sends: nothing beside the named fields."""

    model_config = ConfigDict(extra="forbid")


class CompleteIn(In):
    outcome: Code
    note: Annotated[str, Field(max_length=2000)] | None = None
    next_staff_id: Id | None = None
    next_due_at: AwareDatetime | None = None


class HandOffIn(In):
    to_staff_id: Id
    reason: Annotated[str, Field(max_length=2000)] | None = None
    due_at: AwareDatetime | None = None


class DueIn(In):
    due_at: AwareDatetime


class DelegateIn(In):
    """`until_on` is the first day the person is back."""

    staff_id: Id | None = None  # none: oneself
    deputy_staff_id: Id
    from_on: date
    until_on: date


class GrantIn(In):
    role: Code
    scope: Literal["own", "department", "subtree", "all"] | None = None
    org_path: Id | None = None
    from_on: date | None = None
    until_on: date | None = None


class LimitIn(In):
    permission: Code
    amount_minor: Minor
    currency: Annotated[str, Field(pattern="^[A-Z]{3}$")] = "CNY"
    from_on: date | None = None
    until_on: date | None = None


class CapacityIn(In):
    """New alerts a business day, from now on."""

    alerts_per_day: Annotated[int, Field(strict=True, ge=0, le=ALERT_TASKS_PER_DAY_MAX)]


class DefinitionIn(In):
    xml: Annotated[str, Field(max_length=262_144)]


class TaskOut(BaseModel):
    task_id: str
    process_instance_id: str
    step: str
    text: dict[str, str]
    state: str
    staff_id: str | None
    role: str | None
    org_path: str
    party_id: str | None
    order_id: str | None
    stake_minor: int
    currency: str
    due_at: datetime | None
    overdue: bool
    link: str


class InstanceOut(BaseModel):
    process_instance_id: str
    definition: str
    version: int
    party_id: str | None
    order_id: str | None
    stake_minor: int
    currency: str
    reason: dict[str, str]
    opened_at: datetime
    finished_at: datetime | None
    outcome_code: str | None
    tasks: list[TaskOut]


class CandidateOut(BaseModel):
    staff_id: str
    name: str
    org_path: str
    open_tasks: int
    absent_until: date | None
    deputy_id: str | None


class DefinitionOut(BaseModel):
    key: str
    version: int
    sha256: str


class RecordOut(BaseModel):
    id: str
    changed: bool
