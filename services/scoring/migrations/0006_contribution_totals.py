"""Where leaves belong, what is not posted yet, kept totals, who moved today."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

WHOLE = sa.Numeric(38, 0)
COMPONENTS = ("net", "debit", "loss", "upkeep", "interest_paid", "interest_received", "fees",
              "uses")  # fmt: skip
OWNER = ("manager_now", "staff_now", "branch_now")
PLACE = ("manager_code", "branch_code", "region_code")


def upgrade() -> None:
    for table in ("numbers", "party_figures"):
        for name in ("posted_minor", "accrued_minor"):
            op.add_column(
                table, sa.Column(name, WHOLE, nullable=False, server_default=sa.text("0"))
            )
    op.create_index(
        "party_figures_earned",
        "party_figures",
        [sa.text("(posted_minor + accrued_minor) desc"), "party_id"],
    )
    op.create_index("ix_numbers_home_branch_code", "numbers", ["home_branch_code"])
    op.add_column("products", sa.Column("overdraft_product_code", sa.Text))
    for name in PLACE:
        op.add_column(
            "leaves", sa.Column(name, sa.Text, nullable=False, server_default=sa.text("''"))
        )
    op.create_table(
        "open_leaves",
        *(sa.Column(name, sa.Text, primary_key=True)
          for name in ("customer_number", "account_number", "loan_number", "product_code")),
        sa.Column("below_product_code", sa.Text, nullable=False),
        *(sa.Column(name, sa.BigInteger, nullable=False)
          for name in ("position", "input_sequence", "state_offset")),
        sa.Column("settled_on", sa.Date),
        *(sa.Column(name, sa.BigInteger, nullable=False) for name in COMPONENTS),
        *(sa.Column(name, sa.Text, nullable=False) for name in PLACE),
    )  # fmt: skip
    for table in ("leaves", "open_leaves"):
        for name in ("manager", "branch", "region"):
            op.create_index(f"{table}_of_{name}", table, [f"{name}_code", "customer_number"])
    _places()
    op.create_table(
        "contribution_totals",
        *(
            sa.Column(name, sa.Text, primary_key=True)
            for name in ("dimension", "code", "component")
        ),
        sa.Column("posted_minor", WHOLE, nullable=False),
        sa.Column("accrued_minor", WHOLE, nullable=False),
    )
    op.create_table(
        "owner_totals",
        *(
            sa.Column(name, sa.Text, primary_key=True)
            for name in ("dimension", *OWNER, "code", "component")
        ),
        sa.Column("posted_minor", WHOLE, nullable=False),
        sa.Column("accrued_minor", WHOLE, nullable=False),
    )
    for name in OWNER:
        op.create_index(f"ix_owner_totals_{name}", "owner_totals", [name])
    op.create_table(
        "moved",
        sa.Column("on_date", sa.Date, primary_key=True),
        sa.Column("customer_number", sa.Text, primary_key=True),
        sa.Column("moved_minor", WHOLE, nullable=False),
    )
    op.create_table(
        "party_slices",
        sa.Column("slice", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("parties", sa.BigInteger, nullable=False),
        sa.Column("sum_minor", WHOLE, nullable=False),
    )
    op.create_index("moved_most", "moved", ["on_date", sa.text("abs(moved_minor) desc")])
    _count_what_is_there()


def _places() -> None:
    op.create_table(
        "branches",
        sa.Column("branch_code", sa.Text, primary_key=True),
        sa.Column("from_on", sa.Date, primary_key=True),
        sa.Column("names", sa.dialects.postgresql.JSONB),
        sa.Column("region_code", sa.Text),
        sa.Column("position", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "placements",
        sa.Column("customer_number", sa.Text, primary_key=True),
        sa.Column("on_date", sa.Date, primary_key=True),
        sa.Column("region_code", sa.Text),
        sa.Column("branch_code", sa.Text),
        sa.Column("event_offset", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "account_branches",
        sa.Column("customer_number", sa.Text, primary_key=True),
        sa.Column("account_number", sa.Text, primary_key=True),
        sa.Column("branch_code", sa.Text, nullable=False),
    )


def _count_what_is_there() -> None:
    """Leaves that are posted already begin without a place, and are counted."""
    op.execute(
        """
        insert into contribution_totals
        select d.dimension, d.code, l.component, sum(l.amount_minor), 0
          from leaves l cross join lateral (values
            ('bank', ''), ('product', l.product_code), ('region', ''), ('branch', ''),
            ('manager', ''), ('month', l.period)) d(dimension, code)
         group by d.dimension, d.code, l.component
        """
    )
    op.execute(
        """
        insert into numbers (customer_number) select distinct customer_number from leaves
        on conflict do nothing
        """
    )
    op.execute(
        """
        update numbers n set posted_minor = x.posted from (
          select customer_number, sum(amount_minor) as posted from leaves group by 1) x
         where x.customer_number = n.customer_number
        """
    )
    op.execute(
        """
        insert into owner_totals
        select d.dimension, coalesce(n.manager_code, ''), coalesce(n.manager_staff_id, ''),
               coalesce(n.branch_code, n.home_branch_code, ''), d.code, l.component,
               sum(l.amount_minor), 0
          from leaves l join numbers n using (customer_number) cross join lateral (values
            ('bank', ''), ('product', l.product_code), ('region', ''), ('branch', ''),
            ('manager', ''), ('month', l.period)) d(dimension, code)
         group by 1, 2, 3, 4, d.code, l.component
        """
    )
    op.execute(
        """
        update party_figures f set posted_minor = x.posted from (
          select party_id, sum(posted_minor) as posted from numbers group by 1) x
         where x.party_id = f.party_id
        """
    )
    op.execute(
        """
        insert into party_slices
        select case when v = 0 then 0 else
                 sign(v) * (1 + floor(ln(cast(abs(v) as float8)) / ln(cast(1.05 as float8)))) end,
               count(*), sum(v)
          from (select posted_minor as v from party_figures where numbers > 0) x group by 1
        """
    )
