"""Which customers a member of staff may see: the data scope in the bank's own codes.

A party belongs to its manager of record and to its managing branch (else its home branch). The
staff directory says which manager codes and branch codes lie within a scope's org path.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from shared.policy import Actor, widest, within


@dataclass(frozen=True, slots=True)
class Reach:
    """What an actor reaches with a permission: everything, or these managers' and branches'."""

    everything: bool = False
    manager_codes: frozenset[str] = frozenset()
    branch_codes: frozenset[str] = frozenset()

    def covers(self, manager_code: str | None, branch_code: str | None) -> bool:
        return (
            self.everything
            or manager_code in self.manager_codes
            or branch_code in self.branch_codes
        )


def reach_of(
    actor: Actor,
    permission: str,
    staff: Iterable[Mapping[str, Any]],
    departments: Iterable[Mapping[str, Any]],
) -> Reach:
    """Own: the actor's codes. Department and subtree: the codes of all staff and branches there."""
    managers: set[str] = set()
    branches: set[str] = set()
    staff, departments = list(staff), list(departments)
    for scope in widest(actor, permission):
        if scope.kind == "all":
            return Reach(everything=True)
        if scope.kind == "own":
            managers.update(actor.staff_codes)
            continue
        exact = scope.kind == "department"

        def lies_in(record: Mapping[str, Any], path: str = scope.path, exact: bool = exact) -> bool:
            org_path = record.get("org_path") or ""
            return bool(path) and (org_path == path if exact else within(org_path, path))

        for member in filter(lies_in, staff):
            managers.update(member.get("staff_codes") or ())
        for department in filter(lies_in, departments):
            if department.get("branch_code") and not department.get("closed_on"):
                branches.add(department["branch_code"])
    return Reach(False, frozenset(managers), frozenset(branches))
