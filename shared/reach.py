"""Which customers a member of staff may see: the data scope in the bank's own codes.

A party belongs to the managers and the managing (else home) branches of its numbers. The staff
directory says which codes and which staff lie within a scope's org path.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from shared.directory import Directory
from shared.policy import Actor, widest, within


@dataclass(frozen=True, slots=True)
class Reach:
    """What an actor reaches: everything, or what these codes and members of staff answer for."""

    everything: bool = False
    manager_codes: frozenset[str] = frozenset()
    branch_codes: frozenset[str] = frozenset()
    staff_ids: frozenset[str] = frozenset()

    def covers(self, manager_code: str | None, branch_code: str | None) -> bool:
        return (
            self.everything
            or manager_code in self.manager_codes
            or branch_code in self.branch_codes
        )


def reach(directory: Directory, actor: Actor, permission: str) -> Reach:
    """By the service's own copy of the staff directory."""
    return reach_of(
        actor,
        permission,
        directory.records("staff"),
        directory.records("department").values(),
    )


def reach_of(
    actor: Actor,
    permission: str,
    staff: Mapping[str, Mapping[str, Any]],
    departments: Iterable[Mapping[str, Any]],
) -> Reach:
    """Own: the actor. Department and subtree: all staff and branches there. None: nothing."""
    managers: set[str] = set()
    people: set[str] = set()
    branches: set[str] = set()
    departments = list(departments)
    for scope in widest(actor, permission):
        if scope.kind == "all":
            return Reach(everything=True)
        if scope.kind == "own":
            managers.update(actor.staff_codes)
            people.add(actor.id)
            continue
        exact = scope.kind == "department"
        for staff_id, member in staff.items():
            if _lies_in(member, scope.path, exact=exact):
                managers.update(member.get("staff_codes") or ())
                people.add(staff_id)
        for department in departments:
            branch = department.get("branch_code")
            if (
                branch
                and not department.get("closed_on")
                and _lies_in(department, scope.path, exact=exact)
            ):
                branches.add(branch)
    return Reach(False, frozenset(managers), frozenset(branches), frozenset(people))


def _lies_in(record: Mapping[str, Any], path: str, *, exact: bool) -> bool:
    org_path = record.get("org_path") or ""
    return bool(path) and (org_path == path if exact else within(org_path, path))
