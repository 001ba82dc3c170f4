"""The reader's data scope, from the service's own copy of the staff directory, as SQL."""

from services.scoring.rules.scope import Reach, reach_of
from shared.directory import Directory
from shared.policy import Actor

# A party is in reach when one of its numbers is; add `and` before it. Parameters: parameters_of.
IN_REACH = """(:everything or {party} in (
  select reached.party_id from numbers reached
   where reached.manager_code = any(:manager_codes)
      or reached.manager_staff_id = any(:staff_ids)
      or coalesce(reached.branch_code, reached.home_branch_code) = any(:branch_codes)))"""


def reach(directory: Directory, actor: Actor, permission: str) -> Reach:
    return reach_of(
        actor,
        permission,
        directory.records("staff"),
        directory.records("department").values(),
    )


def parameters_of(reach: Reach) -> dict[str, object]:
    return {
        "everything": reach.everything,
        "manager_codes": sorted(reach.manager_codes),
        "staff_ids": sorted(reach.staff_ids),
        "branch_codes": sorted(reach.branch_codes),
    }
