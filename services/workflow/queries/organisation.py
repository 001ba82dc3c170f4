"""The organisation as its page shows it."""

from dataclasses import dataclass
from datetime import date
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from services.workflow.queries.people import in_force
from services.workflow.tables import (
    AbsenceRow,
    CapacityRow,
    DepartmentRow,
    GrantRow,
    LimitRow,
    OrganisationChangeRow,
    PostRow,
    RoleRow,
    StaffRow,
)

CHANGES_MAX = 20


@dataclass(frozen=True, slots=True)
class Chart:
    """Departments in tree order with their people; grants, limits and absences by person."""

    departments: list[DepartmentRow]
    staff: dict[str, list[StaffRow]]  # by org path
    posts: dict[str, PostRow]
    roles: list[RoleRow]
    grants: dict[str, list[GrantRow]]
    limits: dict[str, list[LimitRow]]
    capacities: dict[str, int]  # new alerts a day, of whom a number is set for
    absences: dict[str, list[AbsenceRow]]
    changes: list[OrganisationChangeRow]

    @property
    def role_names(self) -> dict[str, dict[str, Any]]:
        return {role.role: role.names for role in self.roles}

    def depth(self, department: DepartmentRow) -> int:
        return department.org_path.count("/") - 1


def chart(session: Session, day: date) -> Chart:
    """The organisation on a day, and what changed last."""
    staff: dict[str, list[StaffRow]] = {}
    for person in session.scalars(
        select(StaffRow).where(StaffRow.left_on.is_(None)).order_by(StaffRow.staff_id)
    ):
        staff.setdefault(person.org_path, []).append(person)
    grants: dict[str, list[GrantRow]] = {}
    for grant in session.scalars(select(GrantRow).where(in_force(GrantRow, day))):
        grants.setdefault(grant.staff_id, []).append(grant)
    limits: dict[str, list[LimitRow]] = {}
    for limit in session.scalars(select(LimitRow).order_by(LimitRow.from_on)):
        limits.setdefault(limit.staff_id, []).append(limit)
    absences: dict[str, list[AbsenceRow]] = {}
    for absence in session.scalars(
        select(AbsenceRow)
        .where(AbsenceRow.until_on > day, AbsenceRow.cancelled.is_(False))
        .order_by(AbsenceRow.from_on)
    ):
        absences.setdefault(absence.staff_id, []).append(absence)
    return Chart(
        departments=list(session.scalars(select(DepartmentRow).order_by(DepartmentRow.org_path))),
        staff=staff,
        posts={post.post_id: post for post in session.scalars(select(PostRow))},
        roles=list(session.scalars(select(RoleRow).order_by(RoleRow.role))),
        grants=grants,
        limits=limits,
        capacities={
            row.staff_id: row.alerts_per_day for row in session.scalars(select(CapacityRow))
        },
        absences=absences,
        changes=list(
            session.scalars(
                select(OrganisationChangeRow)
                .order_by(OrganisationChangeRow.id.desc())
                .limit(CHANGES_MAX)
            )
        ),
    )
