"""`bank.events` on managers, places, relations and contacts."""

from services.customer.commands import announce, relationships
from services.customer.commands.parties import ensure_party
from services.customer.commands.timeline import note
from services.customer.rules.marks import mark_of
from shared import outbox
from shared.consumer import Handler
from shared.db import Tx
from shared.events import bank
from shared.events.envelope import Event, Fact


def on_contact_recorded(tx: Tx, event: Event[bank.ContactRecorded]) -> None:
    fact = event.data
    party_id = ensure_party(tx, fact.customer_number)
    facts = {
        "channel": fact.channel_code,
        "direction": fact.direction,
        "topic": fact.topic_code,
        "outcome": fact.outcome_code,
        "satisfaction": fact.satisfaction,
        "staff_code": fact.staff_code,
        "complaint": fact.complaint,
    }
    relationships.record_contact(
        tx, party_id, fact.contact_id, at=event.time, mark=mark_of(event), facts=facts
    )
    note(
        tx,
        event,
        party_id,
        "contact",
        "complaint" if fact.complaint else "contact",
        ref=fact.contact_id,
        facts=facts,
    )
    announce.contact(tx, fact)


def on_manager_assigned(tx: Tx, event: Event[bank.ManagerAssigned]) -> None:
    fact = event.data
    party_id = ensure_party(tx, fact.customer_number)
    relationships.assign_manager(
        tx,
        fact.customer_number,
        fact.account_number,
        fact.effective_on,
        manager_code=fact.manager_code,
        share_ppm=fact.share_ppm,
        branch_code=fact.branch_code,
        reason_code=fact.reason_code,
        request_id=fact.request_id,
        mark=mark_of(event),
    )
    note(
        tx,
        event,
        party_id,
        "relation",
        "manager_assigned",
        ref=fact.account_number,
        facts={
            "manager_code": fact.manager_code,
            "effective_on": fact.effective_on.isoformat(),
            "reason": fact.reason_code,
        },
    )
    announce.manager(tx, fact)


def on_customer_placed(tx: Tx, event: Event[bank.CustomerPlaced]) -> None:
    fact = event.data
    assert tx.message is not None
    placing = relationships.Placing(
        fact.customer_number,
        mark_of(event),
        outbox.origin_of(tx.message),
        {
            "region_code": fact.region_code,
            "district_code": fact.district_code,
            "home_branch_code": fact.home_branch_code,
            "segment_code": fact.segment_code,
            "source": event.source,
            "at": event.time,
        },
    )
    tx.together(relationships.place_customers, placing)


def on_relation_recorded(tx: Tx, event: Event[bank.RelationRecorded]) -> None:
    fact = event.data
    from_id = ensure_party(tx, fact.customer_number)
    to_id = ensure_party(tx, fact.to_customer_number)
    relationships.relate(
        tx,
        from_id,
        to_id,
        kind=fact.kind,
        loan_number=fact.loan_number or "",
        effective_on=fact.effective_on,
        ended_on=fact.ended_on,
        share_ppm=fact.share_ppm,
        amount_minor=fact.amount_minor,
        currency=fact.currency,
        mark=mark_of(event),
    )
    code = "relation_ended" if fact.ended_on else "relation_recorded"
    for party_id, other in ((from_id, to_id), (to_id, from_id)):
        note(
            tx,
            event,
            party_id,
            "relation",
            code,
            amount_minor=fact.amount_minor,
            currency=fact.currency,
            facts={"relation": fact.kind, "party": other},
        )


HANDLERS: dict[type[Fact], Handler] = {
    bank.ContactRecorded: on_contact_recorded,
    bank.ManagerAssigned: on_manager_assigned,
    bank.CustomerPlaced: on_customer_placed,
    bank.RelationRecorded: on_relation_recorded,
}
