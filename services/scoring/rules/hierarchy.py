"""Who supervises a manager, and which region or line a code belongs to: from today's directory."""

from collections.abc import Iterable, Mapping
from typing import Any


def supervisors_of(
    staff: Mapping[str, Mapping[str, Any]], departments: Iterable[Mapping[str, Any]]
) -> dict[str, str]:
    """Manager code -> staff id of his supervisor; without one, of the head of his department.

    A head who is his own department's answers to himself. A code of nobody is not there.
    """
    heads = {d["department_id"]: d.get("head_staff_id") for d in departments}
    found = {}
    for member in staff.values():
        supervisor = member.get("supervisor_staff_id") or heads.get(member.get("department_id"))
        for code in member.get("staff_codes") or ():
            if supervisor:
                found[code] = supervisor
    return found


def staff_of_codes(staff: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Manager code -> staff id, for the names on a page."""
    return {
        code: staff_id
        for staff_id, member in staff.items()
        for code in member.get("staff_codes") or ()
    }
