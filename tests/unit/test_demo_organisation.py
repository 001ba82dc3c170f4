"""The demo's organisation fits the bank that the demo simulates: every customer has a desk."""

from collections import defaultdict
from typing import Any

import yaml

from deploy.bank.places import branch_names, branches_for
from deploy.local.system import ORGANISATION, Options

LISTED: dict[str, list[dict[str, Any]]] = yaml.safe_load(ORGANISATION.read_text(encoding="utf-8"))
BRANCHES = branches_for(Options().customers)
VACANT = "-5"  # on purpose: the customers of this code go to the branch head's queue
WORK_OF_A_BRANCH = {"branch_head", "relationship_manager", "approver", "teller"}


def test_the_bank_simulates_more_branches_than_one() -> None:
    """Else the tests below could not fail."""
    assert len(BRANCHES) == 5
    assert len(branches_for(2 * Options().customers)) > len(BRANCHES)


def test_every_branch_has_its_department_and_somebody_for_each_kind_of_work() -> None:
    departments = {one["branch_code"]: one for one in LISTED["departments"] if "branch_code" in one}
    assert {code: one["names"] for code, one in departments.items()} == {
        branch.code: branch_names(branch) for branch in BRANCHES
    }
    granted = {grant["staff_id"]: grant["role"] for grant in LISTED["grants"]}
    staff = {one["staff_id"]: one for one in LISTED["staff"]}
    assert granted.keys() == staff.keys()
    limits = {limit["staff_id"] for limit in LISTED["limits"]}
    for code, department in departments.items():
        head = staff[department["head_staff_id"]]
        assert (head["org_path"], granted[head["staff_id"]]) == (f"/head/{code}", "branch_head")
        work = defaultdict(list)
        for one in staff.values():
            if one["org_path"].startswith(f"/head/{code}"):
                work[granted[one["staff_id"]]].append(one["staff_id"])
                assert one is head or one["supervisor_staff_id"] == head["staff_id"]
        assert work.keys() == WORK_OF_A_BRANCH, code
        assert len(work["relationship_manager"]) >= 2
        assert limits.issuperset(work["branch_head"] + work["approver"]), code


def test_every_manager_code_but_the_vacant_ones_is_one_managers() -> None:
    codes = [code for one in LISTED["staff"] for code in one.get("staff_codes", ())]
    wanted = [c for branch in BRANCHES for c in branch.manager_codes if not c.endswith(VACANT)]
    assert sorted(codes) == sorted(wanted)
