"""Who is who: staff, roles held, absences, load, and whose customer a party is."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, func, or_, select, text
from sqlalchemy.orm import Session

from services.workflow.rules import ALERT_TASKS_PER_DAY, Candidate, by_nearness, may_take
from services.workflow.tables import (
    ON_A_DESK,
    AbsenceRow,
    CapacityRow,
    DepartmentRow,
    GrantRow,
    LimitRow,
    ManagerRow,
    PartyNumberRow,
    RoleRow,
    StaffRow,
    TaskRow,
)

HEAD_OFFICE = "/head"
HEAD_ROLE = "branch_head"
CANDIDATES_MAX = 500


@dataclass(frozen=True, slots=True)
class Desk:
    """Where a task goes: a person's desk, or the queue of a role at a department."""

    staff_id: str | None
    role: str | None
    org_path: str

    @property
    def key(self) -> str:
        """As audiences name it: `staff:<id>` or `queue:<role>:<path>`."""
        return f"staff:{self.staff_id}" if self.staff_id else f"queue:{self.role}:{self.org_path}"


def in_force(table: Any, day: date) -> ColumnElement[bool]:
    """Effective-dated rows that hold that day."""
    return and_(
        or_(table.from_on.is_(None), table.from_on <= day),
        or_(table.until_on.is_(None), table.until_on > day),
    )


def on_the_staff(session: Session, staff_id: str | None) -> StaffRow | None:
    """The person, if he has not left."""
    row = session.get(StaffRow, staff_id) if staff_id else None
    return row if row is not None and row.left_on is None else None


def staff_of_code(session: Session, code: str | None) -> StaffRow | None:
    """Whom the bank's own systems mean by a code; none: the code is mapped to nobody."""
    if not code:
        return None
    return session.scalars(
        select(StaffRow).where(StaffRow.staff_codes.contains([code]), StaffRow.left_on.is_(None))
    ).first()


def capacity_of(session: Session, staff_id: str | None) -> int:
    """New alerts that a person, or a queue, gets a business day."""
    row = session.get(CapacityRow, staff_id) if staff_id else None
    return ALERT_TASKS_PER_DAY if row is None else row.alerts_per_day


def absence_of(session: Session, staff_id: str, day: date) -> AbsenceRow | None:
    return absences(session, [staff_id], day).get(staff_id)


def absences(session: Session, staff_ids: Collection[str], day: date) -> dict[str, AbsenceRow]:
    """Who of these is away that day."""
    rows = session.scalars(
        select(AbsenceRow).where(
            AbsenceRow.staff_id.in_(staff_ids),
            AbsenceRow.cancelled.is_(False),
            AbsenceRow.from_on <= day,
            AbsenceRow.until_on > day,
        )
    )
    return {row.staff_id: row for row in rows}


def absences_from(session: Session, staff_id: str, day: date) -> list[AbsenceRow]:
    """A person's absences that are not over on a day, soonest first."""
    return list(
        session.scalars(
            select(AbsenceRow)
            .where(
                AbsenceRow.staff_id == staff_id,
                AbsenceRow.cancelled.is_(False),
                AbsenceRow.until_on > day,
            )
            .order_by(AbsenceRow.from_on)
        )
    )


def stands_in_for(session: Session, staff_id: str, day: date) -> list[str]:
    """Whose tasks a deputy sees and does that day."""
    return list(
        session.scalars(
            select(AbsenceRow.staff_id).where(
                AbsenceRow.deputy_staff_id == staff_id,
                AbsenceRow.cancelled.is_(False),
                AbsenceRow.from_on <= day,
                AbsenceRow.until_on > day,
            )
        )
    )


def places_of_roles(session: Session, staff_id: str, day: date) -> list[tuple[str, str, str]]:
    """Role, scope kind and place of each grant that holds: whose queues a person serves."""
    rows = session.execute(
        select(
            GrantRow.role,
            func.coalesce(GrantRow.scope, RoleRow.scope),
            func.coalesce(GrantRow.org_path, StaffRow.org_path),
        )
        .join(RoleRow, RoleRow.role == GrantRow.role)
        .join(StaffRow, StaffRow.staff_id == GrantRow.staff_id)
        .where(GrantRow.staff_id == staff_id, in_force(GrantRow, day))
    )
    return [(role, scope, path) for role, scope, path in rows]


def supervisor_of(session: Session, staff_id: str) -> StaffRow | None:
    """The leader over a person: named, else the head of his department."""
    person = session.get(StaffRow, staff_id)
    if person is None:
        return None
    named = on_the_staff(session, person.supervisor_staff_id)
    if named is not None:
        return named
    head_id = session.scalar(
        select(DepartmentRow.head_staff_id).where(DepartmentRow.org_path == person.org_path)
    )
    return on_the_staff(session, head_id) if head_id != staff_id else None


def head_of(session: Session, org_path: str) -> StaffRow | None:
    """Who leads the department, or the nearest one above that has a head."""
    parts = org_path.strip("/").split("/")
    paths = ["/" + "/".join(parts[:n]) for n in range(len(parts), 0, -1)]
    rows = session.execute(
        select(DepartmentRow.org_path, DepartmentRow.head_staff_id).where(
            DepartmentRow.org_path.in_(paths), DepartmentRow.head_staff_id.is_not(None)
        )
    )
    heads = dict(rows.tuples().all())
    for path in paths:
        found = on_the_staff(session, heads.get(path))
        if found is not None:
            return found
    return None


def load_of(session: Session, staff_ids: Collection[str]) -> dict[str, int]:
    """Open tasks on each desk."""
    rows = session.execute(
        select(TaskRow.staff_id, func.count())
        .where(TaskRow.staff_id.in_(staff_ids), text(ON_A_DESK))
        .group_by(TaskRow.staff_id)
    )
    return {staff_id: count for staff_id, count in rows if staff_id is not None}


def candidates(
    session: Session, permission: str, day: date, *, limit_of: str | None = None
) -> list[Candidate]:
    """Who may be given work that needs a permission, with load and absence.

    `limit_of`: also the highest amount each may decide under that permission.
    """
    people = session.scalars(_holders(permission, day)).all()
    ids = [person.staff_id for person in people]
    loads, away = load_of(session, ids), absences(session, ids, day)
    limits = _limits(session, ids, limit_of, day) if limit_of else {}
    return [_candidate(person, loads, away, limits) for person in people]


def takers(session: Session, permission: str, place: str, day: date) -> list[Candidate]:
    """Who may be given work of a department that needs a permission, the nearest first: those it
    reaches, who have not left, and are not away without a deputy who is there."""
    rows = session.execute(
        select(
            StaffRow,
            func.coalesce(GrantRow.scope, RoleRow.scope),
            func.coalesce(GrantRow.org_path, StaffRow.org_path),
        )
        .join(GrantRow, GrantRow.staff_id == StaffRow.staff_id)
        .join(RoleRow, RoleRow.role == GrantRow.role)
        .where(
            RoleRow.permissions.contains([permission]),
            in_force(GrantRow, day),
            StaffRow.left_on.is_(None),
        )
    )
    people = {p.staff_id: p for p, scope, path in rows if may_take(scope, path, place)}
    away = absences(session, people, day)
    deputies = {row.deputy_staff_id for row in away.values() if row.deputy_staff_id}
    deputies &= set(session.scalars(_present(deputies))) - set(absences(session, deputies, day))
    able = [
        person
        for staff_id, person in people.items()
        if staff_id not in away or away[staff_id].deputy_staff_id in deputies
    ]
    loads = load_of(session, [person.staff_id for person in able])
    return by_nearness([_candidate(person, loads, away, {}) for person in able], place)


def _present(staff_ids: Collection[str]) -> Select[str]:
    return select(StaffRow.staff_id).where(
        StaffRow.staff_id.in_(staff_ids), StaffRow.left_on.is_(None)
    )


def _candidate(
    person: StaffRow, loads: dict[str, int], away: dict[str, AbsenceRow], limits: dict[str, int]
) -> Candidate:
    absence = away.get(person.staff_id)
    return Candidate(
        staff_id=person.staff_id,
        name=person.name,
        org_path=person.org_path,
        open_tasks=loads.get(person.staff_id, 0),
        absent_until=absence.until_on if absence else None,
        deputy_id=absence.deputy_staff_id if absence else None,
        limit_minor=limits.get(person.staff_id),
    )


def _holders(permission: str, day: date) -> Select[StaffRow]:
    holding = (
        select(GrantRow.staff_id)
        .join(RoleRow, RoleRow.role == GrantRow.role)
        .where(RoleRow.permissions.contains([permission]), in_force(GrantRow, day))
    )
    return (
        select(StaffRow)
        .where(StaffRow.staff_id.in_(holding), StaffRow.left_on.is_(None))
        .order_by(StaffRow.staff_id)
        .limit(CANDIDATES_MAX)
    )


def _limits(
    session: Session, staff_ids: Sequence[str], permission: str, day: date
) -> dict[str, int]:
    rows = session.execute(
        select(LimitRow.staff_id, func.max(LimitRow.amount_minor))
        .where(
            LimitRow.staff_id.in_(staff_ids),
            LimitRow.permission == permission,
            in_force(LimitRow, day),
        )
        .group_by(LimitRow.staff_id)
    )
    return dict(rows.tuples().all())


def department_names(session: Session) -> dict[str, dict[str, Any]]:
    """What the department at each place is called, in both languages."""
    rows = session.execute(select(DepartmentRow.org_path, DepartmentRow.names))
    return dict(rows.tuples().all())


def names_of(session: Session, staff_ids: Collection[str]) -> dict[str, str]:
    rows = session.execute(
        select(StaffRow.staff_id, StaffRow.name).where(StaffRow.staff_id.in_(staff_ids))
    )
    return dict(rows.tuples().all())


def role_names(session: Session) -> dict[str, dict[str, Any]]:
    """What each role is called, in both languages."""
    rows = session.execute(select(RoleRow.role, RoleRow.names))
    return dict(rows.tuples().all())


def desk_of_party(session: Session, party_id: str, day: date) -> Desk:
    """The desk that answers for a party: its manager's, his deputy's, else the branch head's queue.

    The manager is that of the whole customer before that of an account, the newest before the
    older, the greatest share before the smaller.
    """
    row = session.scalars(
        select(ManagerRow)
        .join(PartyNumberRow, PartyNumberRow.customer_number == ManagerRow.customer_number)
        .where(PartyNumberRow.party_id == party_id, ManagerRow.effective_on <= day)
        .order_by(
            ManagerRow.account_number != "",
            ManagerRow.effective_on.desc(),
            ManagerRow.share_ppm.desc(),
            ManagerRow.customer_number,
        )
        .limit(1)
    ).first()
    manager = None
    if row is not None:
        manager = on_the_staff(session, row.staff_id) or staff_of_code(session, row.manager_code)
    if manager is not None:
        return desk_of_person(session, manager, day)
    return Desk(None, HEAD_ROLE, _branch_path(session, party_id, row))


def desk_of_person(session: Session, person: StaffRow, day: date) -> Desk:
    """A person's desk; while he is away the deputy's, and without one the branch head's queue."""
    absence = absence_of(session, person.staff_id, day)
    if absence is None:
        return Desk(person.staff_id, None, person.org_path)
    deputy = on_the_staff(session, absence.deputy_staff_id)
    if deputy is not None and absence_of(session, deputy.staff_id, day) is None:
        return Desk(deputy.staff_id, None, deputy.org_path)
    return Desk(None, HEAD_ROLE, _branch_of_path(session, person.org_path))


def _branch_path(session: Session, party_id: str, row: ManagerRow | None) -> str:
    code = row.branch_code if row is not None else None
    if code is None and row is not None and row.manager_code.count("-") == 2:
        code = row.manager_code.split("-")[1]  # RM-<branch>-<n>
    if code is None:
        code = session.scalar(
            select(PartyNumberRow.home_branch_code)
            .where(
                PartyNumberRow.party_id == party_id,
                PartyNumberRow.home_branch_code.is_not(None),
            )
            .order_by(PartyNumberRow.customer_number)
            .limit(1)
        )
    path = session.scalar(
        select(DepartmentRow.org_path)
        .where(DepartmentRow.branch_code == code)
        .order_by(func.length(DepartmentRow.org_path))
        .limit(1)
    )
    return path or HEAD_OFFICE


def _branch_of_path(session: Session, org_path: str) -> str:
    """The department of a branch that a path lies in."""
    for path, _ in session.execute(
        select(DepartmentRow.org_path, DepartmentRow.branch_code)
        .where(DepartmentRow.branch_code.is_not(None))
        .order_by(func.length(DepartmentRow.org_path).desc())
    ):
        if org_path == path or org_path.startswith(path + "/"):
            return path
    return HEAD_OFFICE
