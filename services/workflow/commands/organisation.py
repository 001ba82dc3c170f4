"""Changing the organisation: whole records, kept, audited and published on staff.directory."""

from collections.abc import Callable, Mapping
from datetime import date
from typing import Any

import msgspec
from sqlalchemy.dialects.postgresql import insert

from services.workflow.rules import ALERT_TASKS_PER_DAY_MAX, overlaps
from services.workflow.tables import (
    AbsenceRow,
    Base,
    CapacityRow,
    DepartmentRow,
    GrantRow,
    LimitRow,
    OrganisationChangeRow,
    PostRow,
    RoleRow,
    StaffRow,
)
from shared import outbox
from shared.db import Tx
from shared.errors import DomainError, Invalid, NotFound
from shared.events import workflow as facts
from shared.events.workflow import DirectoryFact

RECORDS: dict[type[DirectoryFact], tuple[type[Base], str]] = {
    facts.DepartmentDescribed: (DepartmentRow, "department_id"),
    facts.PostDescribed: (PostRow, "post_id"),
    facts.StaffDescribed: (StaffRow, "staff_id"),
    facts.RoleDescribed: (RoleRow, "role"),
    facts.RoleGranted: (GrantRow, "grant_id"),
    facts.LimitSet: (LimitRow, "limit_id"),
    facts.CapacitySet: (CapacityRow, "staff_id"),
    facts.AbsenceSet: (AbsenceRow, "absence_id"),
}


class DepartmentUnknown(DomainError):
    """The place named in a record does not exist."""


class StaffUnknown(NotFound):
    """No such member of staff."""


class StaffCodeTaken(DomainError):
    """A code of the bank's systems belongs to somebody else already."""


class RoleUnknown(DomainError):
    """A grant of a role that does not exist."""


class AbsenceOverlaps(DomainError):
    """Somebody cannot be away twice at a time."""


def record(tx: Tx, actor_id: str, fact: DirectoryFact) -> bool:
    """Keeps and publishes one whole record; False when nothing is different."""
    table, key = RECORDS[type(fact)]
    record_id = str(getattr(fact, key))
    row = tx.session.get(table, record_id, with_for_update=True)
    before = _as_record(row) if row is not None else None
    after = _columns(table, fact)
    if before == _plain(after):
        return False
    check = CHECKS.get(type(fact))
    if check is not None:
        check(tx, fact)
    statement = insert(table).values(**after)
    changes = {name: statement.excluded[name] for name in after if name != key}
    tx.session.execute(statement.on_conflict_do_update(index_elements=[key], set_=changes))
    if row is not None:
        tx.session.expire(row)
    tx.session.add(
        OrganisationChangeRow(
            at=tx.bank_now,
            actor_id=actor_id,
            kind=fact.entry.partition("/")[0],
            record_id=record_id,
            before=before,
            after=_plain(after),
        )
    )
    outbox.enqueue(tx, fact)
    return True


def _columns(table: type[Base], fact: DirectoryFact) -> dict[str, Any]:
    """The fact's fields that the table keeps; tuples become lists, as the database gives them."""
    values = {name: getattr(fact, name, None) for name in table.__table__.columns.keys()}  # noqa: SIM118 -- a column collection, not a dict
    return {name: list(v) if isinstance(v, tuple) else v for name, v in values.items()}


def _as_record(row: Base) -> dict[str, Any]:
    return _plain({name: getattr(row, name) for name in row.__table__.columns.keys()})  # noqa: SIM118 -- as above


def _plain(record_: Mapping[str, Any]) -> dict[str, Any]:
    plain: dict[str, Any] = msgspec.to_builtins(dict(record_))
    return plain


def _check_staff(tx: Tx, fact: Any) -> None:
    if not _department_at(tx, fact.org_path):
        raise DepartmentUnknown(f"{fact.org_path} is no department")
    taken = (
        tx.session.query(StaffRow.staff_id)
        .filter(
            StaffRow.staff_id != fact.staff_id,
            StaffRow.left_on.is_(None),
            StaffRow.staff_codes.overlap(list(fact.staff_codes)),
        )
        .first()
        if fact.staff_codes
        else None
    )
    if taken is not None:
        raise StaffCodeTaken(f"a code of {fact.staff_id} belongs to {taken[0]}")


def _check_grant(tx: Tx, fact: Any) -> None:
    _need_staff(tx, fact.staff_id)
    if tx.session.get(RoleRow, fact.role) is None:
        raise RoleUnknown(f"{fact.role} is no role")
    if fact.org_path is not None and not _department_at(tx, fact.org_path):
        raise DepartmentUnknown(f"{fact.org_path} is no department")
    _need_order("until_on", fact.from_on, fact.until_on)


def _check_limit(tx: Tx, fact: Any) -> None:
    _need_staff(tx, fact.staff_id)
    _need_order("until_on", fact.from_on, fact.until_on)
    if fact.amount_minor < 0:
        raise Invalid("amount_minor", {"zh-CN": "限额不能为负", "en": "A limit is not negative"})


def _check_capacity(tx: Tx, fact: Any) -> None:
    _need_staff(tx, fact.staff_id)
    if fact.alerts_per_day > ALERT_TASKS_PER_DAY_MAX:
        raise Invalid(
            "alerts_per_day",
            {
                "zh-CN": f"每日不超过 {ALERT_TASKS_PER_DAY_MAX} 个",
                "en": f"At most {ALERT_TASKS_PER_DAY_MAX} a day",
            },
        )


def _check_absence(tx: Tx, fact: Any) -> None:
    _need_staff(tx, fact.staff_id)
    _need_order("until_on", fact.from_on, fact.until_on)
    if fact.deputy_staff_id is not None:
        _need_staff(tx, fact.deputy_staff_id)
        if fact.deputy_staff_id == fact.staff_id:
            raise Invalid(
                "deputy_staff_id",
                {"zh-CN": "不能由本人代理", "en": "Nobody stands in for himself"},
            )
    if fact.cancelled:
        return
    others = (
        tx.session.query(AbsenceRow)
        .filter(
            AbsenceRow.staff_id == fact.staff_id,
            AbsenceRow.absence_id != fact.absence_id,
            AbsenceRow.cancelled.is_(False),
        )
        .all()
    )
    if any(overlaps(fact.from_on, fact.until_on, o.from_on, o.until_on) for o in others):
        raise AbsenceOverlaps(
            {"zh-CN": "该时段已登记离岗", "en": "An absence is set for these days already"}
        )


CHECKS: dict[type[DirectoryFact], Callable[[Tx, Any], None]] = {
    facts.StaffDescribed: _check_staff,
    facts.RoleGranted: _check_grant,
    facts.LimitSet: _check_limit,
    facts.CapacitySet: _check_capacity,
    facts.AbsenceSet: _check_absence,
}


def _department_at(tx: Tx, org_path: str) -> bool:
    return (
        tx.session.query(DepartmentRow.department_id)
        .filter(DepartmentRow.org_path == org_path)
        .first()
        is not None
    )


def _need_staff(tx: Tx, staff_id: str) -> None:
    row = tx.session.get(StaffRow, staff_id)
    if row is None or row.left_on is not None:
        raise StaffUnknown(
            {"zh-CN": f"没有员工 {staff_id}。", "en": f"{staff_id} is not on the staff."}
        )


def _need_order(field: str, start: date | None, end: date | None) -> None:
    if start is not None and end is not None and end <= start:
        raise Invalid(
            field, {"zh-CN": "结束日期应晚于开始日期", "en": "The end must be after the start"}
        )
