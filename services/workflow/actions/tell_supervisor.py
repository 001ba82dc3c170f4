"""Tells the leader over the person who worked on the instance how it ended."""

from services.workflow.actions.call import ActionCall
from services.workflow.queries import people
from shared import outbox
from shared.db import Tx
from shared.events.fact import Cause
from shared.events.notify import NoticeRequested


def tell_supervisor(tx: Tx, call: ActionCall) -> None:
    """Enqueues one notice; nobody above means there is nobody to tell."""
    instance = call.instance
    leader = people.supervisor_of(tx.session, call.owner_id) if call.owner_id else None
    leader = leader or people.head_of(tx.session, instance.org_path)
    if leader is None or leader.staff_id == call.owner_id:
        return
    reason = instance.reason
    outbox.enqueue(
        tx,
        NoticeRequested(
            receiver_id=leader.staff_id,
            party_id=instance.party_id,
            order_id=instance.order_id,
            process_instance_id=instance.instance_id,
            request_id=f"{instance.instance_id}:{call.step_id}",
            kind="customer_lost",
            urgency="high",
            text={
                "zh-CN": f"客户已流失:{reason['zh-CN']}",
                "en": f"A customer is lost: {reason['en']}",
            },
            link=f"/workflow/processes/{instance.instance_id}",
            causes=tuple(Cause(**cause) for cause in instance.cause),
        ),
    )
