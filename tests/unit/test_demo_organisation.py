"""The demo's organisation fits the bank that the demo simulates: every customer has a desk."""

from collections import defaultdict
from typing import Any

import pytest
import yaml

from deploy.bank.places import BRANCHES_MAX, branch_names, branches_for
from deploy.bank.simulation import Bank, Plan
from deploy.local.system import ORGANISATION, Options

LISTED: dict[str, list[dict[str, Any]]] = yaml.safe_load(ORGANISATION.read_text(encoding="utf-8"))
DEPARTMENTS = {one["branch_code"]: one for one in LISTED["departments"] if "branch_code" in one}
CODES = [code for one in LISTED["staff"] for code in one.get("staff_codes", ())]
BRANCHES = branches_for(Options().customers, Options().branches_max)
VACANT = "-5"  # on purpose: the customers of this code go to the branch head's queue
WORK_OF_A_BRANCH = {"branch_head", "relationship_manager", "approver", "teller"}


def codes_of_nobody(customers: int, branches_max: int) -> set[str]:
    """Branches and managers that the events of a bank of this size name, and no department has."""
    named = set()
    for events in Bank(Plan(customers, days=2, seed=7, branches_max=branches_max)).history():
        for event in events:
            for name in ("branch_code", "home_branch_code", "manager_code"):
                named.add(getattr(event.data, name, None))
    assert len(named) > 1, "it names some"
    vacant = {f"RM-{code}{VACANT}" for code in DEPARTMENTS}
    return named - DEPARTMENTS.keys() - set(CODES) - vacant - {None}


@pytest.mark.parametrize("customers", [200, Options().customers, 5_000])
def test_a_bank_of_every_size_has_branches_and_managers_of_the_organisation(customers: int) -> None:
    assert codes_of_nobody(customers, Options().branches_max) == set()


def test_a_bank_with_branches_of_its_own_would_have_customers_without_anybody() -> None:
    """Else the test above could not fail."""
    assert {"GZ01", "RM-GZ01-1"} < codes_of_nobody(2 * Options().customers, BRANCHES_MAX)


def test_every_branch_has_its_department_and_somebody_for_each_kind_of_work() -> None:
    assert len(BRANCHES) == Options().branches_max == 5
    assert {code: one["names"] for code, one in DEPARTMENTS.items()} == {
        branch.code: branch_names(branch) for branch in BRANCHES
    }
    granted = defaultdict(set)
    for grant in LISTED["grants"]:
        granted[grant["staff_id"]].add(grant["role"])
    staff = {one["staff_id"]: one for one in LISTED["staff"]}
    assert granted.keys() == staff.keys()
    limits = {limit["staff_id"] for limit in LISTED["limits"]}
    for code, department in DEPARTMENTS.items():
        head = staff[department["head_staff_id"]]
        assert (head["org_path"], granted[head["staff_id"]]) == (f"/head/{code}", {"branch_head"})
        work = defaultdict(list)
        for one in staff.values():
            if one["org_path"].startswith(f"/head/{code}"):
                (role,) = granted[one["staff_id"]]
                work[role].append(one["staff_id"])
                assert one is head or one["supervisor_staff_id"] == head["staff_id"]
        assert work.keys() == WORK_OF_A_BRANCH, code
        assert len(work["relationship_manager"]) >= 2
        assert limits.issuperset(work["branch_head"] + work["approver"]), code


def test_every_manager_code_but_the_vacant_ones_is_one_managers() -> None:
    wanted = [c for branch in BRANCHES for c in branch.manager_codes if not c.endswith(VACANT)]
    assert sorted(CODES) == sorted(wanted)
