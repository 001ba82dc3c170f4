"""An account is of an owner, a number, a product and a currency; it was one of a number."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

HOLDER_KEY = ["account_number", "owner_id", "product_code", "currency", "party_id"]
# Who holds the account that stands under the number, and who one that was opened beside it: the
# mark of a holder is that of the opening which told of him.
HOLDERS = """
update holders h set owner_id = a.party_id, product_code = a.product_code, currency = a.currency
  from accounts a where a.account_number = h.account_number
"""
HOLDERS_BESIDE = """
update holders h set owner_id = t.party_id, product_code = t.product_code, currency = t.currency
  from account_turns t
 where (t.account_number, t.as_of) = (h.account_number, h.as_of) and t.opened
   and (t.party_id, t.product_code, t.currency) <> (h.owner_id, h.product_code, h.currency)
"""
# When the first transaction of an account came was not kept: before any closing.
BEGAN = """
update accounts set began_as_of = '' where opened_on is null and booked_at is not null
"""
# The accounts that were opened beside others of their number, and the day of those that were told
# again. What was booked stays with the account that stood: which part is whose was not kept.
LIVES = """
with several as (
  select account_number from account_turns where opened group by 1 having count(*) > 1),
began as (
  select account_number, party_id, product_code, currency, branch_code, on_day, as_of
    from account_turns where account_number in (select account_number from several) and opened
  union all
  select account_number, party_id, product_code, currency, null, null, began_as_of
    from accounts
   where account_number in (select account_number from several) and began_as_of is not null),
turns as (
  select *, true as opened from began where on_day is not null
  union all
  select c.account_number, c.party_id, min(b.product_code), min(b.currency), null, c.on_day,
         c.as_of, false
    from account_turns c
    join began b on (b.account_number, b.party_id) = (c.account_number, c.party_id)
                and b.product_code = coalesce(c.product_code, b.product_code)
                and b.currency = coalesce(c.currency, b.currency)
                and (coalesce(b.on_day, c.on_day), b.as_of) <= (c.on_day, c.as_of)
   where c.account_number in (select account_number from several) and not c.opened
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


def upgrade() -> None:
    mark = sa.Text(collation="C")
    op.add_column("accounts", sa.Column("began_as_of", mark))
    op.execute(BEGAN)
    op.execute(
        "update accounts set product_code = coalesce(product_code, ''),"
        " currency = coalesce(currency, '') where product_code is null or currency is null"
    )
    for name in ("owner_id", "product_code", "currency"):
        op.add_column("holders", sa.Column(name, sa.Text))
    op.execute(HOLDERS)
    op.execute(HOLDERS_BESIDE)
    for name in ("owner_id", "product_code", "currency"):
        op.alter_column("holders", name, nullable=False)
    op.drop_constraint("holders_pkey", "holders")
    op.create_primary_key("holders_pkey", "holders", HOLDER_KEY)
    for name in ("product_code", "currency"):
        op.alter_column("accounts", name, nullable=False)
    op.drop_constraint("accounts_pkey", "accounts")
    op.create_primary_key(
        "accounts_pkey", "accounts", ["account_number", "party_id", "product_code", "currency"]
    )
    op.execute(LIVES)
