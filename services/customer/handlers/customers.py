"""`bank.customers` and `bank.reference`: master data, and the names of products and branches."""

from typing import Any

from services.customer.commands import parties, reference
from services.customer.rules.identity import party_of_number, party_of_prospect
from services.customer.rules.marks import mark_of
from shared.consumer import Handler
from shared.db import Tx
from shared.events.bank import (
    BranchDescribed,
    ContactTextRecorded,
    CustomerRecorded,
    DistrictDescribed,
    ProductDescribed,
    ProspectRecorded,
    SourceDescribed,
)
from shared.events.envelope import Event, Fact
from shared.sources import on_source_described


def _provenance(event: Event[Any]) -> parties.Provenance:
    return parties.Provenance(event.source, event.time, mark_of(event))


def on_customer_recorded(tx: Tx, event: Event[CustomerRecorded]) -> None:
    fact = event.data
    documents = [{"kind": d.kind, "number": d.number} for d in fact.documents]
    if fact.credit_code:
        documents.append({"kind": "credit_code", "number": fact.credit_code})
    parties.record_master(
        tx,
        parties.Master(
            party_id=party_of_number(fact.customer_number),
            customer_number=fact.customer_number,
            kind=fact.kind,
            name=fact.name,
            firm=_firm_of(fact),
            personal={
                "document": documents,
                "phone": list(fact.phones),
                "email": list(fact.emails),
                "address": fact.address.line if fact.address else None,
                "birth_on": fact.birth_on.isoformat() if fact.birth_on else None,
                "sex": fact.sex,
                "legal_representative": fact.legal_representative,
            },
            provenance=_provenance(event),
        ),
    )


def _firm_of(fact: CustomerRecorded) -> dict[str, Any] | None:
    if fact.kind == "person":
        return None
    return {
        "industry_code": fact.industry_code,
        "size_code": fact.size_code,
        "registered_capital_minor": fact.registered_capital_minor,
        "currency": fact.currency,
    }


def on_prospect_recorded(tx: Tx, event: Event[ProspectRecorded]) -> None:
    fact = event.data
    parties.record_master(
        tx,
        parties.Master(
            party_id=party_of_prospect(fact.prospect_id),
            prospect_id=fact.prospect_id,
            kind=fact.kind or "person",
            name=fact.name,
            wanted=list(fact.wanted_product_codes),
            branch_code=fact.branch_code,
            personal={"phone": list(fact.phones), "email": list(fact.emails)},
            provenance=_provenance(event),
        ),
    )


def on_contact_text_recorded(tx: Tx, event: Event[ContactTextRecorded]) -> None:
    parties.record_contact_text(
        tx,
        event.data.customer_number,
        event.data.contact_id,
        event.data.text,
        _provenance(event),
    )


def on_product_described(tx: Tx, event: Event[ProductDescribed]) -> None:
    reference.describe(tx, "product", event.data.product_code, event.data.names)


def on_branch_described(tx: Tx, event: Event[BranchDescribed]) -> None:
    reference.describe(tx, "branch", event.data.branch_code, event.data.names)


def on_district_described(tx: Tx, event: Event[DistrictDescribed]) -> None:
    reference.describe(tx, "district", event.data.district_code, event.data.names)


HANDLERS: dict[type[Fact], Handler] = {
    CustomerRecorded: on_customer_recorded,
    ProspectRecorded: on_prospect_recorded,
    ContactTextRecorded: on_contact_text_recorded,
    ProductDescribed: on_product_described,
    BranchDescribed: on_branch_described,
    DistrictDescribed: on_district_described,
    SourceDescribed: on_source_described,
}
