"""The data scope of a reader, from the service's own copy of the staff directory."""

from services.customer.rules.scope import Reach, reach_of
from shared.directory import Directory
from shared.policy import Actor


def reach(directory: Directory, actor: Actor, permission: str) -> Reach:
    return reach_of(
        actor,
        permission,
        directory.records("staff").values(),
        directory.records("department").values(),
    )


def staff_of_codes(directory: Directory) -> dict[str, str]:
    """The bank's staff code -> staff id."""
    return {
        code: staff_id
        for staff_id, record in directory.records("staff").items()
        if not record.get("left_on")
        for code in record.get("staff_codes") or ()
    }
