"""Calls for service, taken down by staff; complaints are one kind."""

from datetime import datetime

from services.customer.commands.identity import present_party
from services.customer.rules.identity import number_of_party
from services.customer.tables import PartyRow, ServiceRequestRow
from shared import outbox
from shared.db import Tx
from shared.errors import NotFound
from shared.events.customer import ServiceRequested
from shared.ids import new_id
from shared.policy import Actor


def request_service(
    tx: Tx,
    actor: Actor,
    party_id: str,
    kind: str,
    *,
    topic_code: str | None = None,
    channel_code: str | None = None,
    due_at: datetime | None = None,
) -> ServiceRequestRow:
    """Records a request and says so; who works on it is workflow's to decide."""
    if tx.session.get(PartyRow, party_id, with_for_update=True) is None:
        raise NotFound({"zh-CN": f"没有当事人 {party_id}。", "en": f"No party {party_id}."})
    row = ServiceRequestRow(
        request_id=new_id("SRQ"),
        party_id=party_id,
        kind=kind,
        facts={
            "topic_code": topic_code,
            "channel_code": channel_code,
            "due_at": due_at.isoformat() if due_at else None,
        },
        requested_by=actor.id,
        requested_at=tx.bank_now,
    )
    tx.session.add(row)
    outbox.enqueue(
        tx,
        ServiceRequested(
            party_id=present_party(tx, party_id),
            customer_number=number_of_party(party_id),
            request_id=row.request_id,
            kind=kind,
            topic_code=topic_code,
            channel_code=channel_code,
            due_at=due_at,
        ),
    )
    return row
