"""An instance's timeline, and the fields that every fact about it carries."""

from typing import Any

from sqlalchemy import select

from services.workflow.tables import AlertRow, EntryRow, InstanceRow, TaskRow
from shared.db import Tx


def add_entry(
    tx: Tx,
    instance: InstanceRow,
    kind: str,
    text: dict[str, Any],
    *,
    task: TaskRow | None = None,
    actor_id: str | None = None,
    note: str | None = None,
) -> None:
    """One line of the timeline."""
    to = None
    if task is not None:
        to = f"staff:{task.staff_id}" if task.staff_id else f"queue:{task.role}:{task.org_path}"
    tx.session.add(
        EntryRow(
            instance_id=instance.instance_id,
            at=tx.bank_now,
            kind=kind,
            step_id=task.step_id if task is not None else None,
            actor_id=actor_id,
            to=to,
            text=dict(text),
            note=note,
        )
    )


def process_fields(tx: Tx, instance: InstanceRow) -> dict[str, Any]:
    """Whom a fact on the instance concerns."""
    tx.session.flush()
    alerts = tx.session.scalars(
        select(AlertRow.alert_id)
        .where(AlertRow.instance_id == instance.instance_id)
        .order_by(AlertRow.raised_at, AlertRow.alert_id)
    )
    return {
        "process_instance_id": instance.instance_id,
        "party_id": instance.party_id,
        "customer_number": instance.data.get("customer_number"),
        "order_id": instance.order_id,
        "alert_ids": tuple(dict.fromkeys([*instance.data.get("alert_ids", ()), *alerts])),
        "owner_path": instance.org_path,
    }


def task_fields(tx: Tx, instance: InstanceRow, task: TaskRow) -> dict[str, Any]:
    """What a fact on one task says: where it is now, by when, and why in both languages."""
    return {
        **process_fields(tx, instance),
        "task_id": task.task_id,
        "step": task.step_id,
        "to_staff_id": task.staff_id,
        "role": task.role,
        "org_path": task.org_path,
        "due_at": task.due_at,
        "text": {
            "zh-CN": f"{task.text['zh-CN']}:{instance.reason['zh-CN']}",
            "en": f"{task.text['en']}: {instance.reason['en']}",
        },
        "link": link_of(instance, task),
    }


def link_of(instance: InstanceRow, task: TaskRow) -> str:
    """Where the task is done: a decision of another service is taken on its own page."""
    record = instance.data.get("link")
    if task.kind == "receive" and record:
        return str(record)
    return f"/workflow/processes/{instance.instance_id}"
