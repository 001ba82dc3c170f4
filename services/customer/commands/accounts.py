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

# Every opening and closing is kept: what stands in `accounts` follows from all of them, so they may
# come in any order.
TURN = text(
    """
    insert into account_turns (account_number, as_of, party_id, opened, on_day, product_code,
                               currency, branch_code)
    values (:account_number, :mark, :party_id, :opened, :on_day, :product_code, :currency,
            :branch_code)
    on conflict do nothing
    """
)
KNOWN = text(
    """
    insert into accounts (account_number, party_id) values (:account_number, :party_id)
    on conflict do nothing
    """
)
# A closing ends what was opened before it by its owner, of the product and currency that it names;
# where that are several it ends none, as in the scorer. What was closed may be opened again: on a
# later day, or on the same one after it; those of one day come in the order of their marks. Of
# several accounts of one number an open one is shown, else the newest.
OPENED = text(
    """
    with told as (
      select distinct on (account_number, party_id, product_code, currency) * from account_turns
       where account_number = any(cast(:numbers as text[])) and opened
       order by account_number, party_id, product_code, currency, as_of desc),
    lives as (
      select told.*, ended.on_day as closed_on, ended.as_of as closed_as_of
        from told
        left join lateral (
          select c.on_day, c.as_of from account_turns c
           where c.account_number = told.account_number and c.party_id = told.party_id
             and not c.opened and (c.on_day, c.as_of) > (told.on_day, told.as_of)
             and coalesce(c.product_code, told.product_code) = told.product_code
             and coalesce(c.currency, told.currency) = told.currency
             and not exists (
               select 1 from account_turns o
                where o.account_number = c.account_number and o.party_id = c.party_id
                  and o.opened and (o.on_day, o.as_of) < (c.on_day, c.as_of)
                  and (o.product_code, o.currency) <> (told.product_code, told.currency)
                  and coalesce(c.product_code, o.product_code) = o.product_code
                  and coalesce(c.currency, o.currency) = o.currency)
           order by c.on_day desc, c.as_of desc limit 1) ended on true)
    insert into accounts (account_number, party_id, product_code, currency, branch_code,
                          opened_on, opened_as_of, closed_on, closed_as_of)
    select distinct on (account_number) account_number, party_id, product_code, currency,
           branch_code, on_day, as_of, closed_on, coalesce(closed_as_of, '')
      from lives order by account_number, closed_on is not null, as_of desc
    on conflict (account_number) do update
       set party_id = excluded.party_id, product_code = excluded.product_code,
           currency = excluded.currency, branch_code = excluded.branch_code,
           opened_on = excluded.opened_on, opened_as_of = excluded.opened_as_of,
           closed_on = excluded.closed_on, closed_as_of = excluded.closed_as_of
    """
)
# The opening of it was not told yet, or never will be.
NEVER_OPENED = text(
    """
    update accounts a set closed_on = c.on_day, closed_as_of = c.as_of
      from (select distinct on (account_number, party_id) * from account_turns
             where account_number = any(cast(:numbers as text[])) and not opened
             order by account_number, party_id, on_day desc, as_of desc) c
     where (a.account_number, a.party_id) = (c.account_number, c.party_id)
       and a.opened_as_of = ''
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


def open_account(tx: Tx, holders: Sequence[tuple[str, str, int | None]], **account: Any) -> None:
    """`holders`: (customer number, role, share ppm); an account without any has its owner."""
    tx.together(_take_turns, {"opened": True, **account})
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


def close_account(tx: Tx, **account: Any) -> None:
    """`product_code` and `currency`: as far as the bank names them."""
    tx.together(_take_turns, {"opened": False, "branch_code": None, **account})


def _take_turns(tx: Tx, turns: list[dict[str, Any]]) -> None:
    """Openings and closings of a batch."""
    tx.session.execute(TURN, turns)
    closings = [turn for turn in turns if not turn["opened"]]
    if closings:
        tx.session.execute(KNOWN, closings)
    asked = {"numbers": sorted({turn["account_number"] for turn in turns})}
    tx.session.execute(OPENED, asked)
    if closings:
        tx.session.execute(NEVER_OPENED, asked)


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
