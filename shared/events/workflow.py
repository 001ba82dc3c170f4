"""`task.handoffs`: who does what next. `staff.directory`: who is who on the staff."""

from datetime import date
from typing import ClassVar, Literal

from shared.events.fact import (
    Cause,
    Code,
    Count,
    Currency,
    Fact,
    Id,
    Instant,
    Link,
    Minor,
    Ordinal,
    Text,
    Words,
)

ScopeKind = Literal["own", "department", "subtree", "all"]


class ProcessFact(Fact, kw_only=True, frozen=True):
    """A fact on one process instance and whom it concerns."""

    TOPIC: ClassVar[str] = "task.handoffs"
    KEY: ClassVar[str] = "process_instance_id"

    process_instance_id: Id
    party_id: Id | None = None
    customer_number: Id | None = None
    order_id: Id | None = None
    alert_ids: tuple[Id, ...] = ()
    owner_path: Id | None = None  # the department whose process it is


class ProcessStarted(ProcessFact, kw_only=True, frozen=True):
    """A process instance runs, for this cause."""

    TYPE: ClassVar[str] = "workflow.process_started.v1"

    definition: Code
    version: Ordinal
    cause: Cause
    text: Text | None = None
    link: Link | None = None


class TaskFact(ProcessFact, kw_only=True, frozen=True):
    """A fact on one task: from whom, and to a member of staff or a role's queue."""

    task_id: Id
    step: Code
    from_staff_id: Id | None = None
    to_staff_id: Id | None = None
    role: Code | None = None
    org_path: str | None = None  # the department whose queue of that role it is
    due_at: Instant | None = None
    text: Text | None = None
    link: Link | None = None


def _addressed(task: TaskFact) -> None:
    if task.to_staff_id is None and task.role is None:
        raise ValueError("Object missing required field `to_staff_id`")


class TaskAssigned(TaskFact, kw_only=True, frozen=True):
    """A task came to somebody's desk or to a queue."""

    TYPE: ClassVar[str] = "workflow.task_assigned.v1"

    def __post_init__(self) -> None:
        _addressed(self)


class TaskClaimed(TaskFact, kw_only=True, frozen=True):
    """A member of staff took a task out of a queue."""

    TYPE: ClassVar[str] = "workflow.task_claimed.v1"

    def __post_init__(self) -> None:
        _addressed(self)


class TaskHandedOff(TaskFact, kw_only=True, frozen=True):
    """A task and its data passed on to the next participant."""

    TYPE: ClassVar[str] = "workflow.task_handed_off.v1"

    reason: Words | None = None

    def __post_init__(self) -> None:
        _addressed(self)


class TaskCompleted(TaskFact, kw_only=True, frozen=True):
    """A task was done by `from_staff_id`, with this outcome."""

    TYPE: ClassVar[str] = "workflow.task_completed.v1"

    outcome_code: Code


class TaskDue(TaskFact, kw_only=True, frozen=True):
    """A task has reached its due time and is still open."""

    TYPE: ClassVar[str] = "workflow.task_due.v1"

    def __post_init__(self) -> None:
        _addressed(self)
        if self.due_at is None:
            raise ValueError("Object missing required field `due_at`")


class ProcessFinished(ProcessFact, kw_only=True, frozen=True):
    """A process instance has ended."""

    TYPE: ClassVar[str] = "workflow.process_finished.v1"

    outcome_code: Code | None = None
    text: Text | None = None


class ReassignmentRequested(ProcessFact, kw_only=True, frozen=True):
    """Guanxi asks the bank to give customers to another manager; the bank answers or not."""

    TYPE: ClassVar[str] = "workflow.reassignment_requested.v1"

    request_id: Id
    customer_numbers: tuple[Id, ...]
    from_manager_code: Code | None = None
    to_manager_code: Code
    effective_on: date
    reason: Words


class DirectoryFact(Fact, kw_only=True, frozen=True):
    """A whole record of the directory; the greatest position wins. Key: kind/id."""

    TOPIC: ClassVar[str] = "staff.directory"
    KEY: ClassVar[str] = "entry"

    @property
    def entry(self) -> str:
        """kind/id, the Kafka key."""
        raise NotImplementedError


class DepartmentDescribed(DirectoryFact, kw_only=True, frozen=True):
    """A department and its place: `org_path` is /head/<branch>/<department>."""

    TYPE: ClassVar[str] = "workflow.department_described.v1"

    department_id: Id
    names: Text
    org_path: Id
    parent_id: Id | None = None
    branch_code: Code | None = None
    head_staff_id: Id | None = None
    closed_on: date | None = None

    @property
    def entry(self) -> str:
        return f"department/{self.department_id}"


class PostDescribed(DirectoryFact, kw_only=True, frozen=True):
    """A post that one or more members of staff hold."""

    TYPE: ClassVar[str] = "workflow.post_described.v1"

    post_id: Id
    names: Text
    department_id: Id | None = None
    roles: tuple[Code, ...] = ()
    ended_on: date | None = None

    @property
    def entry(self) -> str:
        return f"post/{self.post_id}"


class StaffDescribed(DirectoryFact, kw_only=True, frozen=True):
    """A member of staff: department, the bank's own codes, and the way to reach them."""

    TYPE: ClassVar[str] = "workflow.staff_described.v1"

    staff_id: Id
    org_path: Id
    staff_codes: tuple[Code, ...] = ()
    name: Id | None = None
    email: Id | None = None
    language: Literal["zh-CN", "en"] = "zh-CN"
    post_id: Id | None = None
    department_id: Id | None = None
    supervisor_staff_id: Id | None = None  # none: the head of the department
    left_on: date | None = None

    @property
    def entry(self) -> str:
        return f"staff/{self.staff_id}"


class RoleDescribed(DirectoryFact, kw_only=True, frozen=True):
    """A role and what it may do; `scope` is used by grants that name none."""

    TYPE: ClassVar[str] = "workflow.role_described.v1"

    role: Code
    names: Text
    permissions: tuple[Code, ...]
    scope: ScopeKind = "own"

    @property
    def entry(self) -> str:
        return f"role/{self.role}"


class RoleGranted(DirectoryFact, kw_only=True, frozen=True):
    """A member of staff has a role from a day, until before a day."""

    TYPE: ClassVar[str] = "workflow.role_granted.v1"

    grant_id: Id
    staff_id: Id
    role: Code
    scope: ScopeKind | None = None
    org_path: Id | None = None  # none: that of the member of staff
    from_on: date | None = None
    until_on: date | None = None

    @property
    def entry(self) -> str:
        return f"grant/{self.grant_id}"


class LimitSet(DirectoryFact, kw_only=True, frozen=True):
    """Up to which amount a member of staff may use a permission."""

    TYPE: ClassVar[str] = "workflow.limit_set.v1"

    limit_id: Id
    staff_id: Id
    permission: Code
    amount_minor: Minor
    currency: Currency
    from_on: date | None = None
    until_on: date | None = None

    @property
    def entry(self) -> str:
        return f"limit/{self.limit_id}"


class CapacitySet(DirectoryFact, kw_only=True, frozen=True):
    """How many new alerts a member of staff gets a business day, from now on; 0: none."""

    TYPE: ClassVar[str] = "workflow.capacity_set.v1"

    staff_id: Id
    alerts_per_day: Count

    @property
    def entry(self) -> str:
        return f"capacity/{self.staff_id}"


class AbsenceSet(DirectoryFact, kw_only=True, frozen=True):
    """A member of staff is away from a day until before a day; the deputy gets the tasks."""

    TYPE: ClassVar[str] = "workflow.absence_set.v1"

    absence_id: Id
    staff_id: Id
    from_on: date
    until_on: date
    deputy_staff_id: Id | None = None
    cancelled: bool = False

    @property
    def entry(self) -> str:
        return f"absence/{self.absence_id}"
