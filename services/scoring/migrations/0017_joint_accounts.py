"""Who holds a joint account, whose part a leaf is, and the channel that accounts were opened by."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

KEYS = {
    "leaves": ("customer_number", "account_number", "loan_number", "product_code", "component",
               "period", "origin_period", "owner_number"),
    "open_leaves": ("customer_number", "account_number", "loan_number", "product_code",
                    "owner_number"),
}  # fmt: skip
# Of the openings that are stored; who held the accounts is not: it stays the owner's until the bank
# says it again, or the query side is built anew from `bank.events`.
OPENINGS = """
insert into account_openings (customer_number, account_number, event_offset, on_date, branch_code,
                              channel_code)
select e.customer_number, e.account_number, e.event_offset, e.businessdate, b.branch_code,
       e.channel_code
  from bank_events e
  left join account_branches b using (customer_number, account_number)
 where e.type = 'bank.account_opened.v1' and not exists (
   select 1 from bank_events s where s.source = e.source and s.event_id = e.event_id
      and s.partition = e.partition and s.event_offset < e.event_offset and s.type is not null)
"""
CHANNELS = """
update {table} l set channel_code = o.channel_code
  from (select distinct on (customer_number, account_number)
               customer_number, account_number, channel_code
          from account_openings order by customer_number, account_number, event_offset) o
 where l.customer_number = o.customer_number and l.account_number = o.account_number
   and o.channel_code is not null
"""
# What stands in leaves already is counted by channel. Open leaves: by component of their columns.
SUMS = """
  from (
    select customer_number, channel_code, component, amount_minor as posted, 0 as accrued
      from leaves
    union all
    select o.customer_number, o.channel_code, v.component, 0, v.amount
      from open_leaves o cross join lateral (values
        ('ftp', o.net + o.debit), ('el', o.loss), ('abc_maint', o.upkeep),
        ('interest_paid', o.interest_paid), ('interest_recv', o.interest_received),
        ('fee', o.fees), ('abc_txn', o.uses), ('contact', o.contact)) v(component, amount)
     where v.amount <> 0) x
"""
TOTALS = f"""
insert into contribution_totals
select 'channel', x.channel_code, x.component, sum(x.posted), sum(x.accrued) {SUMS} group by 2, 3
"""
OWNERS = f"""
insert into owner_totals
select 'channel', coalesce(n.manager_code, ''), coalesce(n.manager_staff_id, ''),
       coalesce(n.branch_code, n.home_branch_code, ''), x.channel_code, x.component,
       sum(x.posted), sum(x.accrued)
  {SUMS} join numbers n using (customer_number) group by 2, 3, 4, 5, 6
"""


def upgrade() -> None:
    op.create_table(
        "account_openings",
        sa.Column("customer_number", sa.Text, primary_key=True),
        sa.Column("account_number", sa.Text, primary_key=True),
        sa.Column("event_offset", sa.BigInteger, primary_key=True),
        sa.Column("on_date", sa.Date, nullable=False),
        sa.Column("branch_code", sa.Text),
        sa.Column("channel_code", sa.Text),
        sa.Column("shares_refused", sa.Text, nullable=False, server_default=sa.text("''")),
    )
    op.create_table(
        "account_holders",
        sa.Column("owner_number", sa.Text, primary_key=True),
        sa.Column("account_number", sa.Text, primary_key=True),
        sa.Column("event_offset", sa.BigInteger, primary_key=True),
        sa.Column("holder_number", sa.Text, primary_key=True),
        sa.Column("weight", sa.Integer, nullable=False),
    )
    op.execute(OPENINGS)
    op.drop_table("account_branches")
    for table, key in KEYS.items():
        for name in ("owner_number", "channel_code"):
            op.add_column(
                table, sa.Column(name, sa.Text, nullable=False, server_default=sa.text("''"))
            )
        op.drop_constraint(f"{table}_pkey", table)
        op.create_primary_key(f"{table}_pkey", table, list(key))
        op.execute(CHANNELS.format(table=table))
        op.create_index(f"{table}_of_channel", table, ["channel_code", "customer_number"])
        op.create_index(
            f"{table}_of_joint_accounts", table, ["owner_number", "account_number"],
            postgresql_where=sa.text("owner_number <> ''"),
        )  # fmt: skip
    op.add_column(
        "closings", sa.Column("taxing", sa.Boolean, nullable=False, server_default=sa.false())
    )
    op.execute(TOTALS)
    op.execute(OWNERS)
