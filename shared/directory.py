"""Every service's own copy of staff.directory: who may do what, where, up to how much.

Whole records; the greatest position wins. A copy that has not reached the end offset read at
start denies everything.
"""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

import msgspec
from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from shared.db import Database, DirectoryRow, Tx
from shared.events import workflow as facts
from shared.events.envelope import Event, Fact
from shared.policy import Actor, Scope, within

TOPIC = "staff.directory"

KINDS: Mapping[type[Fact], str] = {
    facts.DepartmentDescribed: "department",
    facts.PostDescribed: "post",
    facts.StaffDescribed: "staff",
    facts.RoleDescribed: "role",
    facts.RoleGranted: "grant",
    facts.LimitSet: "limit",
    facts.CapacitySet: "capacity",
    facts.AbsenceSet: "absence",
}

UPSERT = insert(DirectoryRow)
UPSERT = UPSERT.on_conflict_do_update(
    index_elements=["kind", "id"],
    set_={"record": UPSERT.excluded.record, "position": UPSERT.excluded.position},
    where=DirectoryRow.position < UPSERT.excluded.position,
)


def on_directory_record(tx: Tx, event: Event[Any]) -> None:
    assert tx.message is not None
    tx.session.execute(
        UPSERT,
        {
            "kind": KINDS[type(event.data)],
            "id": (tx.message.key or "").partition("/")[2],
            "record": msgspec.to_builtins(event.data),
            "position": tx.message.offset,
        },
    )


HANDLERS: dict[type[Fact], Callable[[Tx, Event[Any]], None]] = dict.fromkeys(
    KINDS, on_directory_record
)


@dataclass(frozen=True)
class Staff:
    """One member of staff with everything granted to him at a moment of the bank's time."""

    staff_id: str
    record: dict[str, Any]
    actor: Actor


@dataclass
class _Cached:
    version: tuple[int, int] = (-1, -1)
    read_at: float = -1.0
    records: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)


class Directory:
    """Answers from the copy; looks each second whether a newer record has arrived."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._cached = _Cached()
        self.must_reach: int | None = None  # end offset of the topic, read at start

    def ready(self) -> bool:
        """Has the copy reached the end that the topic had when this process started?"""
        if self.must_reach is None:
            return False
        if self.must_reach == 0:
            return True
        from shared import positions

        with self._database.read() as session:
            reached = positions.stored(session, TOPIC).get(0, 0) >= self.must_reach
        if reached:
            self.must_reach = 0
        return reached

    def actor(self, staff_id: str, at: datetime) -> Actor | None:
        """The acting member of staff; none when unknown, or the copy is not ready."""
        if not self.ready():
            return None
        records = self._records()
        record = records.get("staff", {}).get(staff_id)
        if record is None or record.get("left_on"):
            return None
        return actor_of(staff_id, record, records, at.astimezone(self._database.clock.zone))

    def grants(self, staff_id: str, at: datetime) -> list["Grant"]:
        """The roles that a member of staff holds, and where; none while the copy is not ready."""
        if not self.ready():
            return []
        records = self._records()
        record = records.get("staff", {}).get(staff_id, {"left_on": "unknown"})
        if record.get("left_on"):
            return []
        return grants_of(staff_id, record, records, at.astimezone(self._database.clock.zone))

    def stands_in_for(self, deputy_id: str, at: datetime) -> set[str]:
        """Whose deputy somebody is on that date; nobody's while the copy is not ready."""
        if not self.ready():
            return set()
        day = at.astimezone(self._database.clock.zone)
        return {
            absence["staff_id"]
            for absence in self._records().get("absence", {}).values()
            if absence.get("deputy_staff_id") == deputy_id
            and not absence.get("cancelled")
            and _holds(absence, day)
        }

    def staff(self) -> dict[str, dict[str, Any]]:
        return self._records().get("staff", {})

    def records(self, kind: str) -> dict[str, dict[str, Any]]:
        return self._records().get(kind, {})

    def _records(self) -> dict[str, dict[str, dict[str, Any]]]:
        with self._lock:
            if time.monotonic() - self._cached.read_at > 1.0:
                with self._database.read() as session:
                    self._refresh(session)
            return self._cached.records

    def _refresh(self, session: Session) -> None:
        version = session.execute(
            select(func.coalesce(func.max(DirectoryRow.position), -1), func.count())
        ).one()
        self._cached.read_at = time.monotonic()
        if tuple(version) == self._cached.version:
            return
        records: dict[str, dict[str, dict[str, Any]]] = {}
        for row in session.execute(select(DirectoryRow)).scalars():
            records.setdefault(row.kind, {})[row.id] = row.record
        self._cached.records = records
        self._cached.version = (version[0], version[1])


def _holds(record: Mapping[str, Any], at: datetime) -> bool:
    day = at.date().isoformat()
    start, end = record.get("from_on"), record.get("until_on")
    return (not start or start <= day) and (not end or day < end)


@dataclass(frozen=True, slots=True)
class Grant:
    """A role that somebody holds, how far it reaches, and from which department on."""

    role: str
    scope: Literal["own", "department", "subtree", "all"]
    path: str

    def serves_queue(self, role: str, org_path: str) -> bool:
        """Does the holder work on this role's queue of this department?"""
        if role != self.role:
            return False
        if self.scope == "all" or org_path == self.path:
            return bool(org_path)
        return self.scope == "subtree" and within(org_path, self.path)


def grants_of(
    staff_id: str,
    record: Mapping[str, Any],
    records: Mapping[str, Mapping[str, Mapping[str, Any]]],
    at: datetime,
) -> list[Grant]:
    """The grants of known roles that hold on the date of `at` (in the bank's zone)."""
    found = []
    for grant in records.get("grant", {}).values():
        role = records.get("role", {}).get(grant["role"])
        if grant["staff_id"] == staff_id and _holds(grant, at) and role is not None:
            kind: Any = grant.get("scope") or role.get("scope") or "own"
            path = grant.get("org_path") or record.get("org_path") or ""
            found.append(Grant(grant["role"], kind, path))
    return found


def actor_of(
    staff_id: str,
    record: Mapping[str, Any],
    records: Mapping[str, Mapping[str, Mapping[str, Any]]],
    at: datetime,
) -> Actor:
    """Grants and limits that hold on the date of `at` (in the bank's zone), as one Actor."""
    permissions: set[str] = set()
    scopes: list[Scope] = []
    for grant in grants_of(staff_id, record, records, at):
        for permission in records["role"][grant.role]["permissions"]:
            permissions.add(permission)
            scopes.append(Scope(permission, grant.scope, grant.path))
    limits: dict[str, int] = {}
    for limit in records.get("limit", {}).values():
        if limit["staff_id"] == staff_id and _holds(limit, at):
            permission = limit["permission"]
            limits[permission] = max(limits.get(permission, 0), limit["amount_minor"])
    return Actor(
        id=staff_id,
        kind="staff",
        name=record.get("name") or "",
        permissions=frozenset(permissions),
        scopes=tuple(scopes),
        limits=limits,
        org_path=record.get("org_path") or "",
        language=record.get("language") or "zh-CN",
        staff_codes=tuple(record.get("staff_codes") or ()),
    )
