"""Loading an organisation from a file, and the first administrator. Both may run again."""

from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import yaml

from services.workflow.commands.definitions import publish_shipped
from services.workflow.commands.organisation import record
from services.workflow.tables import DepartmentRow, StaffRow
from shared.db import Tx
from shared.errors import DomainError
from shared.events import workflow as facts
from shared.events.workflow import DirectoryFact

SECTIONS: dict[str, type[DirectoryFact]] = {  # in the order in which records need each other
    "departments": facts.DepartmentDescribed,
    "posts": facts.PostDescribed,
    "roles": facts.RoleDescribed,
    "staff": facts.StaffDescribed,
    "grants": facts.RoleGranted,
    "limits": facts.LimitSet,
    "capacities": facts.CapacitySet,
    "absences": facts.AbsenceSet,
}
SEEDED_BY = "system"
ADMINISTRATOR = facts.RoleDescribed(
    role="administrator",
    names={"zh-CN": "系统管理员", "en": "Administrator"},
    permissions=(
        "organisation.edit", "ops.view", "ops.act", "process.view", "process.edit", "task.view",
        "notice.view",
    ),
    scope="all",
)  # fmt: skip


class SeedUnreadable(DomainError):
    """The file is not an organisation; the message names the section and the record."""

    status = 422


def seed_organisation(tx: Tx, path: Path) -> Counter[str]:
    """Records that were new or different, by section. Running it again changes nothing."""
    read: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    unknown = set(read) - set(SECTIONS)
    if unknown:
        raise SeedUnreadable(f"unknown sections: {sorted(unknown)}")
    publish_shipped(tx)
    changed: Counter[str] = Counter()
    for section, fact_type in SECTIONS.items():
        for number, entry in enumerate(read.get(section) or []):
            try:
                fact = msgspec.convert(entry, fact_type)
            except msgspec.ValidationError as error:
                raise SeedUnreadable(f"{section}[{number}]: {error}") from error
            changed[section] += record(tx, SEEDED_BY, fact)
            tx.session.flush()
    return changed


def appoint_administrator(tx: Tx, staff_id: str, name: str) -> None:
    """The first administrator of a new system; makes what he needs and is not there yet."""
    if tx.session.query(DepartmentRow).filter(DepartmentRow.org_path == "/head").first() is None:
        record(
            tx,
            SEEDED_BY,
            facts.DepartmentDescribed(
                department_id="head", names={"zh-CN": "总行", "en": "Head office"}, org_path="/head"
            ),
        )
    tx.session.flush()
    if tx.session.get(StaffRow, staff_id) is None:
        record(
            tx,
            SEEDED_BY,
            facts.StaffDescribed(
                staff_id=staff_id, org_path="/head", name=name, department_id="head"
            ),
        )
    record(tx, SEEDED_BY, ADMINISTRATOR)
    tx.session.flush()
    record(
        tx,
        SEEDED_BY,
        facts.RoleGranted(
            grant_id=f"{staff_id}-administrator", staff_id=staff_id, role=ADMINISTRATOR.role
        ),
    )
