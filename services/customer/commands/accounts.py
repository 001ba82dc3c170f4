"""Accounts, transactions, loans, cards: what a party holds.

Everything here commutes and is queued: a batch of facts becomes a few set-based statements.
"""

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import text

from services.customer.commands.parties import ensure_party
from services.customer.rules.identity import party_of_number
from shared.db import Tx

# An account that was closed may be opened again: on a later day, or on the same one after it was
# closed. An opening and a closing of one day come in the order of their marks.
OPEN = text(
    """
    insert into accounts (account_number, party_id, product_code, currency, branch_code,
                          opened_on, opened_as_of)
    values (:account_number, :party_id, :product_code, :currency, :branch_code, :opened_on,
            :mark)
    on conflict (account_number) do update
       set party_id = excluded.party_id, product_code = excluded.product_code,
           currency = excluded.currency, branch_code = excluded.branch_code,
           opened_on = excluded.opened_on, opened_as_of = excluded.opened_as_of,
           (closed_on, closed_as_of) = (
             select x.on_day, case when x.on_day is null then '' else accounts.closed_as_of end
               from (select case when (accounts.closed_on, accounts.closed_as_of)
                                      > (excluded.opened_on, excluded.opened_as_of)
                                 then accounts.closed_on end as on_day) x)
     where accounts.opened_as_of < excluded.opened_as_of
    """
)
HOLD = text(
    """
    insert into holders (account_number, party_id, role, share_ppm, as_of)
    values (:account_number, :party_id, :role, :share_ppm, :mark)
    on conflict (account_number, party_id) do update
       set role = excluded.role, share_ppm = excluded.share_ppm, as_of = excluded.as_of
     where holders.as_of < excluded.as_of
    """
)
CLOSE = text(
    """
    insert into accounts (account_number, party_id, closed_on, closed_as_of)
    values (:account_number, :party_id, :closed_on, :mark)
    on conflict (account_number) do update
       set closed_on = excluded.closed_on, closed_as_of = excluded.closed_as_of
     where (accounts.opened_on is null
            or (accounts.opened_on, accounts.opened_as_of)
               < (excluded.closed_on, excluded.closed_as_of))
       and (accounts.closed_on is null
            or (accounts.closed_on, accounts.closed_as_of)
               < (excluded.closed_on, excluded.closed_as_of))
    """
)
BOOK = text(
    """
    insert into accounts (account_number, party_id, product_code, currency, balance_minor,
                          booked_at)
    select account, min(party), min(product), min(currency), sum(amount), max(at)
      from unnest(cast(:account_number as text[]), cast(:party_id as text[]),
                  cast(:product_code as text[]), cast(:currency as text[]),
                  cast(:amount_minor as bigint[]), cast(:at as timestamptz[]))
           as x(account, party, product, currency, amount, at)
     group by account
     order by account
    on conflict (account_number) do update
       set product_code = case when accounts.opened_as_of = ''
                               then least(accounts.product_code, excluded.product_code)
                               else accounts.product_code end,
           currency = case when accounts.opened_as_of = ''
                           then least(accounts.currency, excluded.currency)
                           else accounts.currency end,
           balance_minor = accounts.balance_minor + excluded.balance_minor,
           booked_at = greatest(accounts.booked_at, excluded.booked_at)
    """
).execution_options(as_arrays=True)
GRANT = text(
    """
    insert into loans (loan_number, party_id, account_number, product_code, currency,
                       principal_minor, months, instalment_minor, granted_on, granted_as_of)
    values (:loan_number, :party_id, :account_number, :product_code, :currency,
            :principal_minor, :months, :instalment_minor, :granted_on, :mark)
    on conflict (loan_number) do update
       set party_id = excluded.party_id, account_number = excluded.account_number,
           product_code = excluded.product_code, currency = excluded.currency,
           principal_minor = excluded.principal_minor, months = excluded.months,
           instalment_minor = excluded.instalment_minor, granted_on = excluded.granted_on,
           granted_as_of = excluded.granted_as_of
     where loans.granted_as_of < excluded.granted_as_of
    """
)
LOAN_STATUS = text(
    """
    insert into loans (loan_number, party_id, status, status_as_of)
    values (:loan_number, :party_id, :status, :mark)
    on conflict (loan_number) do update
       set status = excluded.status, status_as_of = excluded.status_as_of
     where loans.status_as_of < excluded.status_as_of
    """
)
OVERDUE = text(
    """
    insert into loans (loan_number, party_id, overdue_minor, overdue_since_on, overdue_as_of)
    values (:loan_number, :party_id, :overdue_minor, :since_on, :mark)
    on conflict (loan_number) do update
       set overdue_minor = excluded.overdue_minor, overdue_since_on = excluded.overdue_since_on,
           overdue_as_of = excluded.overdue_as_of
     where loans.overdue_as_of < excluded.overdue_as_of
    """
)
USE = text(
    """
    insert into services_used (party_id, kind, ref, facts, at, as_of)
    values (:party_id, :kind, :ref, cast(:facts as jsonb), :at, :mark)
    on conflict (party_id, kind, ref) do update
       set facts = excluded.facts, at = excluded.at, as_of = excluded.as_of
     where services_used.as_of < excluded.as_of
    """
)


def open_account(
    tx: Tx, party_id: str, holders: Sequence[tuple[str, str, int | None]], **account: Any
) -> None:
    """`holders`: (customer number, role, share ppm); an account without any has its owner."""
    tx.bulk(OPEN, {"party_id": party_id, **account})
    for customer_number, role, share_ppm in holders:
        tx.bulk(
            HOLD,
            {
                "account_number": account["account_number"],
                "party_id": ensure_party(tx, customer_number),
                "role": role,
                "share_ppm": share_ppm,
                "mark": account["mark"],
            },
        )


def book_transaction(tx: Tx, customer_number: str, **booking: Any) -> None:
    """Adds to the balance: additions commute, the inbox keeps repeats out."""
    tx.bulk(BOOK, {"party_id": party_of_number(customer_number), **booking})


def use_service(
    tx: Tx, party_id: str, kind: str, ref: str, facts: dict[str, Any], **marks: Any
) -> None:
    """A card, a standing order, a product's feature: the newest fact of each."""
    tx.bulk(
        USE,
        {
            "party_id": party_id,
            "kind": kind,
            "ref": ref,
            "facts": msgspec.json.encode(facts).decode(),
            **marks,
        },
    )
