"""Whose customer it is: our copy of parties and managers, and queued work that finds its owner."""

from sqlalchemy import select, text, update
from sqlalchemy.dialects.postgresql import insert

from services.workflow.commands.instances import locked_instance
from services.workflow.commands.story import add_entry, task_fields
from services.workflow.queries import people
from services.workflow.queries.people import HEAD_ROLE
from services.workflow.tables import ON_A_DESK, InstanceRow, ManagerRow, PartyNumberRow, TaskRow
from shared import outbox
from shared.clock import business_date
from shared.db import Tx
from shared.events.customer import IdentityMerged, ManagerChanged, PartyFact, PartyRecorded
from shared.events.workflow import TaskAssigned


def learn_party(tx: Tx, fact: PartyFact) -> None:
    """The party behind a customer number; a prospect has no number and no manager yet."""
    if fact.customer_number is None:
        return
    branch = fact.home_branch_code if isinstance(fact, PartyRecorded) else None
    changes = {"party_id": fact.party_id}
    if branch is not None:
        changes["home_branch_code"] = branch
    tx.session.execute(
        insert(PartyNumberRow)
        .values(
            customer_number=fact.customer_number,
            party_id=fact.party_id,
            home_branch_code=branch,
        )
        .on_conflict_do_update(index_elements=["customer_number"], set_=changes)
    )


def learn_home(tx: Tx, fact: PartyRecorded) -> None:
    """Keeps where a party is at home; work that waited at the head office goes there."""
    learn_party(tx, fact)
    _find_owner(tx, fact.party_id)


def learn_manager(tx: Tx, fact: ManagerChanged) -> None:
    """Keeps the manager of record; work that waited in a queue for want of one goes to him."""
    learn_party(tx, fact)
    if fact.customer_number is None or (fact.manager_code is None and fact.staff_id is None):
        return
    values = {
        "staff_id": fact.staff_id,
        "branch_code": fact.branch_code,
        "share_ppm": fact.share_ppm,
    }
    tx.session.execute(
        insert(ManagerRow)
        .values(
            customer_number=fact.customer_number,
            account_number=fact.account_number or "",
            effective_on=fact.effective_on,
            manager_code=fact.manager_code or f"staff:{fact.staff_id}",
            **values,
        )
        .on_conflict_do_update(
            index_elements=["customer_number", "account_number", "effective_on", "manager_code"],
            set_=values,
        )
    )
    _find_owner(tx, fact.party_id)


def follow_merge(tx: Tx, fact: IdentityMerged) -> None:
    """Two parties are one: their open work is shown together by a note in each."""
    learn_party(tx, fact)
    said = {
        "zh-CN": f"客户识别:{fact.former_party_id} 已并入 {fact.party_id}",
        "en": f"Identity: {fact.former_party_id} was merged into {fact.party_id}",
    }
    for instance_id in tx.session.scalars(
        select(InstanceRow.instance_id).where(
            InstanceRow.party_id == fact.former_party_id, InstanceRow.finished_at.is_(None)
        )
    ).all():
        instance = locked_instance(tx, instance_id)
        instance.party_id = fact.party_id
        if not _has_open(tx, instance.definition_key, fact.party_id):
            instance.business_key = fact.party_id  # later alerts attach to it
        tx.session.execute(
            update(TaskRow).where(TaskRow.instance_id == instance_id).values(party_id=fact.party_id)
        )
        add_entry(tx, instance, "merged", said)


def _has_open(tx: Tx, definition_key: str, business_key: str) -> bool:
    found = tx.session.scalar(
        select(InstanceRow.instance_id).where(
            InstanceRow.definition_key == definition_key,
            InstanceRow.business_key == business_key,
            InstanceRow.finished_at.is_(None),
        )
    )
    return found is not None


def _find_owner(tx: Tx, party_id: str) -> None:
    """Unclaimed tasks of the party in a branch head's queue go where they belong now."""
    queued = tx.session.execute(
        select(TaskRow.instance_id, TaskRow.task_id).where(
            TaskRow.party_id == party_id,
            TaskRow.staff_id.is_(None),
            TaskRow.role == HEAD_ROLE,
            text(ON_A_DESK),
        )
    ).all()
    if not queued:
        return
    today = business_date(tx.bank_now, tx.clock.zone)
    desk = people.desk_of_party(tx.session, party_id, today)
    for instance_id, task_id in queued:
        instance = locked_instance(tx, instance_id)
        task = tx.session.get(TaskRow, task_id, populate_existing=True)
        if task is None or task.staff_id is not None or task.completed_at is not None:
            continue
        if desk.staff_id is None and desk.org_path == task.org_path:
            continue
        task.staff_id, task.role, task.org_path = desk.staff_id, desk.role, desk.org_path
        instance.org_path = desk.org_path
        task.assigned_at = tx.bank_now
        add_entry(tx, instance, "assigned", task.text, task=task)
        outbox.enqueue(tx, TaskAssigned(**task_fields(tx, instance, task)))
