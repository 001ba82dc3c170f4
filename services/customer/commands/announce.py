"""What the customer service says on `customer.events`, in terms of present parties and staff."""

from datetime import date
from typing import Any

from sqlalchemy import select

from services.customer.commands.identity import present_party
from services.customer.rules.identity import party_of_number
from shared import outbox
from shared.db import DirectoryRow, Tx
from shared.events import bank
from shared.events.customer import CustomerContactRecorded, HoldingChanged, ManagerChanged

STAFF_OF_CODE = "staff_of_code"  # of this transaction, in session.info


def staff_of_code(tx: Tx, code: str | None) -> str | None:
    """Who on the staff has this code of the bank; read once a transaction."""
    if code is None:
        return None
    found: dict[str, str] | None = tx.session.info.get(STAFF_OF_CODE)
    if found is None:
        records = tx.session.scalars(
            select(DirectoryRow.record).where(DirectoryRow.kind == "staff")
        )
        found = {
            staff_code: record["staff_id"]
            for record in records
            if not record.get("left_on")
            for staff_code in record.get("staff_codes") or ()
        }
        tx.session.info[STAFF_OF_CODE] = found
    return found.get(code)


def account_holding(
    tx: Tx,
    customer_number: str,
    account_number: str,
    *,
    role: str,
    effective_on: date,
    product_code: str | None,
    share_ppm: int | None = None,
    ended_on: date | None = None,
) -> None:
    outbox.enqueue(
        tx,
        HoldingChanged(
            party_id=present_party(tx, party_of_number(customer_number)),
            customer_number=customer_number,
            holding_id=f"account/{account_number}",
            kind="account",
            role=role,
            effective_on=effective_on,
            product_code=product_code,
            account_number=account_number,
            share_ppm=share_ppm,
            ended_on=ended_on,
        ),
    )


def loan_holding(
    tx: Tx,
    customer_number: str,
    loan_number: str,
    *,
    effective_on: date,
    product_code: str | None,
    account_number: str | None,
) -> None:
    outbox.enqueue(
        tx,
        HoldingChanged(
            party_id=present_party(tx, party_of_number(customer_number)),
            customer_number=customer_number,
            holding_id=f"loan/{loan_number}",
            kind="loan",
            role="borrower",
            effective_on=effective_on,
            product_code=product_code,
            account_number=account_number,
            loan_number=loan_number,
        ),
    )


def card_holding(
    tx: Tx,
    customer_number: str,
    card_id: str,
    *,
    effective_on: date,
    product_code: str | None,
    account_number: str | None,
) -> None:
    outbox.enqueue(
        tx,
        HoldingChanged(
            party_id=present_party(tx, party_of_number(customer_number)),
            customer_number=customer_number,
            holding_id=f"card/{card_id}",
            kind="card",
            role="owner",
            effective_on=effective_on,
            product_code=product_code,
            account_number=account_number,
        ),
    )


def manager(tx: Tx, fact: bank.ManagerAssigned) -> None:
    outbox.enqueue(
        tx,
        ManagerChanged(
            party_id=present_party(tx, party_of_number(fact.customer_number)),
            customer_number=fact.customer_number,
            effective_on=fact.effective_on,
            staff_id=staff_of_code(tx, fact.manager_code),
            manager_code=fact.manager_code,
            account_number=fact.account_number,
            share_ppm=fact.share_ppm,
            branch_code=fact.branch_code,
            request_id=fact.request_id,
        ),
    )


def contact(tx: Tx, fact: bank.ContactRecorded) -> None:
    shared_fields: dict[str, Any] = {
        "party_id": present_party(tx, party_of_number(fact.customer_number)),
        "customer_number": fact.customer_number,
    }
    outbox.enqueue(
        tx,
        CustomerContactRecorded(
            **shared_fields,
            contact_id=fact.contact_id,
            channel_code=fact.channel_code,
            direction=fact.direction,
            topic_code=fact.topic_code,
            outcome_code=fact.outcome_code,
            satisfaction=fact.satisfaction,
            staff_id=staff_of_code(tx, fact.staff_code),
            complaint=fact.complaint,
        ),
    )
