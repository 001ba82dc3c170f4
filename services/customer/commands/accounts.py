"""Accounts, transactions, loans, cards: what a party holds.

Everything here commutes and is queued: a batch of facts becomes a few set-based statements.
"""

from collections.abc import Collection, Sequence
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
# What stands in `accounts` of some numbers. An account begins with an opening or a transaction; a
# number of which only a closing was told has one without a product. A closing ends what began
# before it, of its owner and of the product and currency that it names; where that are several it
# ends none, as in the scorer. What was closed may be opened again: on a later day, or on the same
# one after it; those of one day come in the order of their marks. An opening of what is open, or a
# closing of what is closed, is told again and changes nothing.
LIVES = text(
    """
    with began as (
      select account_number, party_id, product_code, currency, branch_code, on_day, as_of
        from account_turns where account_number = any(cast(:numbers as text[])) and opened
      union all
      select account_number, party_id, product_code, currency, null, null, began_as_of
        from accounts
       where account_number = any(cast(:numbers as text[])) and began_as_of is not null
      union all
      select distinct c.account_number, c.party_id, '', '', null, cast(null as date), ''
        from account_turns c
       where c.account_number = any(cast(:numbers as text[])) and not c.opened
         and not exists (select 1 from account_turns o
                          where o.account_number = c.account_number and o.opened)
         and not exists (select 1 from accounts a
                          where a.account_number = c.account_number
                            and a.began_as_of is not null)),
    turns as (
      select *, true as opened from began where on_day is not null
      union all
      select c.account_number, c.party_id, min(b.product_code), min(b.currency), null, c.on_day,
             c.as_of, false
        from account_turns c
        join began b on (b.account_number, b.party_id) = (c.account_number, c.party_id)
                    and b.product_code in ('', coalesce(c.product_code, b.product_code))
                    and b.currency in ('', coalesce(c.currency, b.currency))
                    and (coalesce(b.on_day, c.on_day), b.as_of) <= (c.on_day, c.as_of)
       where c.account_number = any(cast(:numbers as text[])) and not c.opened
       group by c.account_number, c.party_id, c.on_day, c.as_of
      having count(distinct (b.product_code, b.currency)) = 1),
    told as (
      select *, opened is not distinct from lag(opened) over (
                  partition by account_number, party_id, product_code, currency
                  order by on_day, as_of) as again
        from turns),
    lives as (
      select *, lead(on_day) over life as ended_on, lead(as_of) over life as ended_as_of
        from told where not again
      window life as (partition by account_number, party_id, product_code, currency
                      order by on_day, as_of))
    insert into accounts (account_number, party_id, product_code, currency, branch_code,
                          opened_on, opened_as_of, closed_on, closed_as_of)
    select distinct on (account_number, party_id, product_code, currency)
           account_number, party_id, product_code, currency, l.branch_code,
           case when l.opened then l.on_day end, case when l.opened then l.as_of else '' end,
           case when l.opened then l.ended_on else l.on_day end,
           coalesce(case when l.opened then l.ended_as_of else l.as_of end, '')
      from began left join lives l using (account_number, party_id, product_code, currency)
     order by account_number, party_id, product_code, currency, l.opened desc, l.on_day desc,
              l.as_of desc
    on conflict (account_number, party_id, product_code, currency) do update
       set branch_code = excluded.branch_code,
           opened_on = excluded.opened_on, opened_as_of = excluded.opened_as_of,
           closed_on = excluded.closed_on, closed_as_of = excluded.closed_as_of
    """
)
NAMED_SINCE = text(
    """
    delete from accounts a
     where a.account_number = any(cast(:numbers as text[])) and a.product_code = ''
       and exists (select 1 from accounts b
                    where b.account_number = a.account_number and b.product_code <> '')
    """
)
HOLD = text(
    """
    insert into holders (account_number, owner_id, product_code, currency, party_id, role,
                         share_ppm, as_of)
    values (:account_number, :owner_id, :product_code, :currency, :party_id, :role, :share_ppm,
            :mark)
    on conflict (account_number, owner_id, product_code, currency, party_id) do update
       set role = excluded.role, share_ppm = excluded.share_ppm, as_of = excluded.as_of
     where holders.as_of < excluded.as_of
    """
)
BOOK = text(
    """
    insert into accounts (account_number, party_id, product_code, currency, balance_minor,
                          booked_at, began_as_of)
    select account, party, product, currency, sum(amount), max(at), min(mark collate "C")
      from unnest(cast(:account_number as text[]), cast(:party_id as text[]),
                  cast(:product_code as text[]), cast(:currency as text[]),
                  cast(:amount_minor as bigint[]), cast(:at as timestamptz[]),
                  cast(:mark as text[]))
           as x(account, party, product, currency, amount, at, mark)
     group by account, party, product, currency
     order by account, party, product, currency
    on conflict (account_number, party_id, product_code, currency) do update
       set balance_minor = accounts.balance_minor + excluded.balance_minor,
           booked_at = greatest(accounts.booked_at, excluded.booked_at),
           began_as_of = least(accounts.began_as_of, excluded.began_as_of)
    """
)
CLOSED = text(
    """
    select distinct account_number from account_turns
     where account_number = any(cast(:numbers as text[])) and not opened
    """
)
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
                "owner_id": account["party_id"],
                "product_code": account["product_code"],
                "currency": account["currency"],
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
    _settle(tx, {turn["account_number"] for turn in turns})


def _settle(tx: Tx, numbers: Collection[str]) -> None:
    asked = {"numbers": sorted(numbers)}
    tx.session.execute(LIVES, asked)
    tx.session.execute(NAMED_SINCE, asked)


def book_transaction(tx: Tx, customer_number: str, **booking: Any) -> None:
    """Adds to the balance: additions commute, the inbox keeps repeats out."""
    tx.together(_book, {"party_id": party_of_number(customer_number), **booking})


def _book(tx: Tx, bookings: list[dict[str, Any]]) -> None:
    """Transactions of a batch. What begins with one may be what a closing was told of."""
    tx.session.execute(BOOK, {name: [one[name] for one in bookings] for name in bookings[0]})
    numbers = sorted({one["account_number"] for one in bookings})
    closed = tx.session.scalars(CLOSED, {"numbers": numbers}).all()
    if closed:
        _settle(tx, closed)


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
