"""`bank.events` on accounts, transactions, loans and cards.

A transaction is the hot path: three queued rows, no question to the database of its own.
"""

from typing import Any

from services.customer.commands import accounts, announce
from services.customer.commands.parties import ensure_party
from services.customer.commands.timeline import note
from services.customer.rules.identity import party_of_number
from services.customer.rules.marks import mark_of
from shared.consumer import Handler
from shared.db import Tx
from shared.events import bank
from shared.events.envelope import Event, Fact


def on_account_opened(tx: Tx, event: Event[bank.AccountOpened]) -> None:
    fact = event.data
    party_id = ensure_party(tx, fact.customer_number)
    holders = [(h.customer_number, h.role, h.share_ppm) for h in fact.holders]
    if not any(number == fact.customer_number for number, _, _ in holders):
        share = 1_000_000 - sum(h.share_ppm for h in fact.holders)
        holders.insert(0, (fact.customer_number, "owner", max(share, 0)))
    accounts.open_account(
        tx,
        holders,
        party_id=party_id,
        account_number=fact.account_number,
        product_code=fact.product_code,
        currency=fact.currency,
        branch_code=fact.branch_code,
        on_day=fact.opened_on,
        mark=mark_of(event),
    )
    for number, role, share_ppm in holders:
        note(
            tx,
            event,
            party_of_number(number),
            "account",
            "account_opened",
            ref=fact.account_number,
            facts={"product": fact.product_code, "role": role},
        )
        announce.account_holding(
            tx,
            number,
            fact.account_number,
            role=role,
            share_ppm=share_ppm,
            product_code=fact.product_code,
            effective_on=fact.opened_on,
        )


def on_account_closed(tx: Tx, event: Event[bank.AccountClosed]) -> None:
    fact = event.data
    party_id = ensure_party(tx, fact.customer_number)
    accounts.close_account(
        tx,
        party_id=party_id,
        account_number=fact.account_number,
        product_code=fact.product_code,
        currency=fact.currency,
        on_day=fact.closed_on,
        mark=mark_of(event),
    )
    note(
        tx,
        event,
        party_id,
        "account",
        "account_closed",
        ref=fact.account_number,
        facts={"reason": fact.reason_code},
    )
    announce.account_holding(
        tx,
        fact.customer_number,
        fact.account_number,
        role="owner",
        product_code=fact.product_code,
        effective_on=fact.closed_on,
        ended_on=fact.closed_on,
    )


def on_transaction_booked(tx: Tx, event: Event[bank.TransactionBooked]) -> None:
    fact = event.data
    party_id = ensure_party(tx, fact.customer_number)
    accounts.book_transaction(
        tx,
        fact.customer_number,
        account_number=fact.account_number,
        product_code=fact.product_code,
        currency=fact.currency,
        amount_minor=fact.amount_minor,
        at=event.time,
        mark=mark_of(event),
    )
    note(
        tx,
        event,
        party_id,
        "money",
        fact.kind,
        amount_minor=fact.amount_minor,
        currency=fact.currency,
        ref=fact.account_number,
        facts=_details(fact),
    )


def _details(fact: bank.TransactionBooked) -> dict[str, Any] | None:
    """What the sentence of the entry needs beyond its columns; most have nothing."""
    details: dict[str, Any] = {}
    if fact.purpose_code is not None:
        details["purpose"] = fact.purpose_code
    if fact.channel_code is not None:
        details["channel"] = fact.channel_code
    if fact.payment_reference is not None:
        details["payment_reference"] = fact.payment_reference
    if fact.reverses is not None:
        details["reverses"] = fact.reverses
    return details or None


def on_loan_granted(tx: Tx, event: Event[bank.LoanGranted]) -> None:
    fact = event.data
    party_id = ensure_party(tx, fact.customer_number)
    tx.bulk(
        accounts.GRANT,
        {
            "loan_number": fact.loan_number,
            "party_id": party_id,
            "account_number": fact.account_number,
            "product_code": fact.product_code,
            "currency": fact.currency,
            "principal_minor": fact.principal_minor,
            "months": fact.months,
            "instalment_minor": fact.instalment_minor,
            "granted_on": fact.granted_on,
            "mark": mark_of(event),
        },
    )
    note(
        tx,
        event,
        party_id,
        "loan",
        "loan_granted",
        amount_minor=fact.principal_minor,
        currency=fact.currency,
        ref=fact.loan_number,
    )
    announce.loan_holding(
        tx,
        fact.customer_number,
        fact.loan_number,
        product_code=fact.product_code,
        account_number=fact.account_number,
        effective_on=fact.granted_on,
    )


def on_loan_status_changed(tx: Tx, event: Event[bank.LoanStatusChanged]) -> None:
    fact = event.data
    party_id = ensure_party(tx, fact.customer_number)
    tx.bulk(
        accounts.LOAN_STATUS,
        {
            "loan_number": fact.loan_number,
            "party_id": party_id,
            "status": fact.status,
            "mark": mark_of(event),
        },
    )
    note(
        tx,
        event,
        party_id,
        "loan",
        "loan_status_changed",
        ref=fact.loan_number,
        facts={"status": fact.status},
    )


def on_loan_overdue(tx: Tx, event: Event[bank.LoanOverdue]) -> None:
    fact = event.data
    party_id = ensure_party(tx, fact.customer_number)
    tx.bulk(
        accounts.OVERDUE,
        {
            "loan_number": fact.loan_number,
            "party_id": party_id,
            "overdue_minor": fact.overdue_minor,
            "since_on": fact.since_on,
            "mark": mark_of(event),
        },
    )
    note(
        tx,
        event,
        party_id,
        "loan",
        "loan_overdue" if fact.overdue_minor else "loan_caught_up",
        amount_minor=fact.overdue_minor,
        currency=fact.currency,
        ref=fact.loan_number,
        facts={"since_on": fact.since_on.isoformat()},
    )


def on_card_issued(tx: Tx, event: Event[bank.CardIssued]) -> None:
    fact = event.data
    party_id = ensure_party(tx, fact.customer_number)
    accounts.use_service(
        tx,
        party_id,
        "card",
        fact.card_id,
        {
            "account_number": fact.account_number,
            "product_code": fact.product_code,
            "issued_on": fact.issued_on,
        },
        at=event.time,
        mark=mark_of(event),
    )
    note(
        tx,
        event,
        party_id,
        "account",
        "card_issued",
        ref=fact.account_number,
        facts={"product": fact.product_code},
    )
    announce.card_holding(
        tx,
        fact.customer_number,
        fact.card_id,
        account_number=fact.account_number,
        product_code=fact.product_code,
        effective_on=fact.issued_on,
    )


def on_standing_order_set(tx: Tx, event: Event[bank.StandingOrderSet]) -> None:
    fact = event.data
    party_id = ensure_party(tx, fact.customer_number)
    accounts.use_service(
        tx,
        party_id,
        "standing_order",
        fact.standing_order_id,
        {
            "account_number": fact.account_number,
            "amount_minor": fact.amount_minor,
            "currency": fact.currency,
            "purpose_code": fact.purpose_code,
            "frequency_code": fact.frequency_code,
            "from_on": fact.from_on,
            "ended_on": fact.ended_on,
        },
        at=event.time,
        mark=mark_of(event),
    )
    note(
        tx,
        event,
        party_id,
        "account",
        "standing_order_ended" if fact.ended_on else "standing_order_set",
        amount_minor=fact.amount_minor,
        currency=fact.currency,
        ref=fact.account_number,
    )


def on_product_used(tx: Tx, event: Event[bank.ProductUsed]) -> None:
    fact = event.data
    party_id = ensure_party(tx, fact.customer_number)
    accounts.use_service(
        tx,
        party_id,
        "product",
        f"{fact.product_code}/{fact.feature_code}",
        {
            "product_code": fact.product_code,
            "feature_code": fact.feature_code,
            "channel_code": fact.channel_code,
        },
        at=event.time,
        mark=mark_of(event),
    )
    note(
        tx,
        event,
        party_id,
        "account",
        "product_used",
        ref=fact.account_number,
        facts={"product": fact.product_code, "feature": fact.feature_code},
    )


PostLoanFact = bank.CollateralRecorded | bank.StatementFiled | bank.CreditAnswerReceived
POST_LOAN_CODES: dict[type[Any], str] = {
    bank.CollateralRecorded: "collateral_recorded",
    bank.StatementFiled: "statement_filed",
    bank.CreditAnswerReceived: "credit_answer_received",
}


def on_post_loan_fact(tx: Tx, event: Event[PostLoanFact]) -> None:
    """Collateral, statements and credit answers: what the post-loan watch saw, as it was said."""
    fact = event.data
    note(
        tx,
        event,
        ensure_party(tx, fact.customer_number),
        "loan",
        POST_LOAN_CODES[type(fact)],
        ref=fact.loan_number,
        facts={
            "what": fact.what,
            "due_on": fact.due_on.isoformat() if fact.due_on else None,
            "filed_on": fact.filed_on.isoformat() if fact.filed_on else None,
            "grade": getattr(fact, "grade", None),
        },
    )


HANDLERS: dict[type[Fact], Handler] = {
    bank.AccountOpened: on_account_opened,
    bank.AccountClosed: on_account_closed,
    bank.TransactionBooked: on_transaction_booked,
    bank.LoanGranted: on_loan_granted,
    bank.LoanStatusChanged: on_loan_status_changed,
    bank.LoanOverdue: on_loan_overdue,
    bank.CardIssued: on_card_issued,
    bank.StandingOrderSet: on_standing_order_set,
    bank.ProductUsed: on_product_used,
    bank.CollateralRecorded: on_post_loan_fact,
    bank.StatementFiled: on_post_loan_fact,
    bank.CreditAnswerReceived: on_post_loan_fact,
}
