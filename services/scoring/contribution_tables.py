"""Rows of the contribution: its leaves, what is not posted yet, where they belong, kept totals;
actual costs, what spreads them, and how they were spread."""

from datetime import date, datetime
from typing import Any

from sqlalchemy import BigInteger, Computed, Index
from sqlalchemy import text as sql
from sqlalchemy.orm import Mapped, mapped_column

from services.scoring.leaf_sql import MOVED_BAND
from services.scoring.tables import Base, Whole


class LeafRow(Base):
    """A posted leaf of the contribution, in the bank's currency; `loan_number` empty: no loan's.

    Manager, branch and region are those of the end of its origin month; empty: nobody, nowhere.
    Of a joint account each holder has his part: `owner_number` says whose account it is, empty:
    the customer's own. The owner's row is always there, also when nothing of it is his.
    `account_product_code`: the account's product, where the leaf is of its overdraft's.
    """

    __tablename__ = "leaves"
    customer_number: Mapped[str] = mapped_column(primary_key=True)
    account_number: Mapped[str] = mapped_column(primary_key=True)
    loan_number: Mapped[str] = mapped_column(primary_key=True)
    product_code: Mapped[str] = mapped_column(primary_key=True)
    component: Mapped[str] = mapped_column(primary_key=True)
    period: Mapped[str] = mapped_column(primary_key=True)
    origin_period: Mapped[str] = mapped_column(primary_key=True)
    account_product_code: Mapped[str] = mapped_column(primary_key=True, server_default=sql("''"))
    owner_number: Mapped[str] = mapped_column(primary_key=True, server_default=sql("''"))
    amount_minor: Mapped[int] = mapped_column(BigInteger)
    manager_code: Mapped[str] = mapped_column(server_default=sql("''"))
    branch_code: Mapped[str] = mapped_column(server_default=sql("''"))
    region_code: Mapped[str] = mapped_column(server_default=sql("''"))
    channel_code: Mapped[str] = mapped_column(server_default=sql("''"))
    __table_args__ = (  # with the customer, so that a page of one place comes in its order
        Index("leaves_of_manager", "manager_code", "customer_number"),
        Index("leaves_of_branch", "branch_code", "customer_number"),
        Index("leaves_of_region", "region_code", "customer_number"),
        Index("leaves_of_channel", "channel_code", "customer_number"),
        Index("leaves_of_joint_accounts", "owner_number", "account_number",
              postgresql_where=sql("owner_number <> ''")),
        Index("leaves_of_corrections", "period", "origin_period",
              postgresql_where=sql("origin_period <> period")),
        Index("leaves_of_month", "period", "component", "product_code", "customer_number"),
    )  # fmt: skip


class OpenLeafRow(Base):
    """What one account accrued and has not posted yet: as its state record tells, and what its
    balance has earned on the days closed since (`commands.rolling`).

    A column for each component: a close would post so much. `below_product_code` is the product
    of a negative balance. Manager, branch and region are those of the bank's today. What a
    customer costs beside his accounts is a row without an account. Of a joint account each holder
    has his part, as with posted leaves.
    """

    __tablename__ = "open_leaves"
    customer_number: Mapped[str] = mapped_column(primary_key=True)
    account_number: Mapped[str] = mapped_column(primary_key=True)
    loan_number: Mapped[str] = mapped_column(primary_key=True)
    product_code: Mapped[str] = mapped_column(primary_key=True)
    owner_number: Mapped[str] = mapped_column(primary_key=True, server_default=sql("''"))
    below_product_code: Mapped[str]
    position: Mapped[int] = mapped_column(BigInteger)
    input_sequence: Mapped[int] = mapped_column(BigInteger)
    state_offset: Mapped[int] = mapped_column(BigInteger)
    settled_on: Mapped[date | None]  # the first day that the worker has not accrued yet
    settled_month: Mapped[date | None] = mapped_column(  # months before it are posted
        Computed("cast(date_trunc('month', cast(settled_on as timestamp)) as date)", persisted=True)
    )
    told_hash: Mapped[int | None] = mapped_column(BigInteger)  # of what the record told of it
    net: Mapped[int] = mapped_column(BigInteger)
    debit: Mapped[int] = mapped_column(BigInteger)
    loss: Mapped[int] = mapped_column(BigInteger)
    capital: Mapped[int] = mapped_column(BigInteger, server_default=sql("0"))
    upkeep: Mapped[int] = mapped_column(BigInteger)
    interest_paid: Mapped[int] = mapped_column(BigInteger)
    interest_received: Mapped[int] = mapped_column(BigInteger)
    fees: Mapped[int] = mapped_column(BigInteger)
    uses: Mapped[int] = mapped_column(BigInteger)
    contact: Mapped[int] = mapped_column(BigInteger, server_default=sql("0"))  # see OPEN_PARTS
    manager_code: Mapped[str]
    branch_code: Mapped[str]
    region_code: Mapped[str]
    channel_code: Mapped[str] = mapped_column(server_default=sql("''"))
    __table_args__ = (
        Index("open_leaves_of_manager", "manager_code", "customer_number"),
        Index("open_leaves_of_branch", "branch_code", "customer_number"),
        Index("open_leaves_of_region", "region_code", "customer_number"),
        Index("open_leaves_of_channel", "channel_code", "customer_number"),
        Index(
            "open_leaves_of_joint_accounts",
            "owner_number",
            "account_number",
            postgresql_where=sql("owner_number <> ''"),
        ),
        Index("open_leaves_of_contacts", "customer_number", postgresql_where=sql("contact <> 0")),
        Index("open_leaves_settled", "settled_month"),  # an account moves in it once a month
    )


class OverdraftRow(Base):
    """To which product a negative balance belongs, as a partition of the worker took it."""

    __tablename__ = "overdrafts"
    partition: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    product_code: Mapped[str] = mapped_column(primary_key=True)
    below_product_code: Mapped[str]


class RollRow(Base):
    """How far the open leaves of one partition of the worker are: all of its closed days, or fewer.

    A roll that is under way names its day and the customer that it has come to.
    """

    __tablename__ = "rolls"
    partition: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    closed_on: Mapped[date]  # the last day closed there, with all records before its close folded
    through_on: Mapped[date | None]  # what is open is accrued through this day
    rolling_on: Mapped[date | None]
    after_number: Mapped[str] = mapped_column(server_default=sql("''"))


class BranchRow(Base):
    """Where a branch lies, from a day on; the greatest position wins."""

    __tablename__ = "branches"
    branch_code: Mapped[str] = mapped_column(primary_key=True)
    from_on: Mapped[date] = mapped_column(primary_key=True)
    names: Mapped[dict[str, Any] | None]
    region_code: Mapped[str | None]
    position: Mapped[int] = mapped_column(BigInteger)


class PlacementRow(Base):
    """Where a customer number's figures belong from a day on."""

    __tablename__ = "placements"
    customer_number: Mapped[str] = mapped_column(primary_key=True)
    on_date: Mapped[date] = mapped_column(primary_key=True)
    region_code: Mapped[str | None]
    branch_code: Mapped[str | None]
    event_offset: Mapped[int] = mapped_column(BigInteger)


class AccountOpeningRow(Base):
    """Each opening of an account that the bank told: the first says where and by which channel,
    a later one who holds it from its day on. Several accounts may have one number. One in another
    currency than the bank's has no leaves, so none is kept of it."""

    __tablename__ = "account_openings"
    customer_number: Mapped[str] = mapped_column(primary_key=True)
    account_number: Mapped[str] = mapped_column(primary_key=True)
    event_offset: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    product_code: Mapped[str] = mapped_column(server_default=sql("''"))  # empty: not known any more
    on_date: Mapped[date]
    branch_code: Mapped[str | None]
    channel_code: Mapped[str | None]
    shares_refused: Mapped[str] = mapped_column(server_default=sql("''"))  # why; see rules.sharing


class AccountHolderRow(Base):
    """What one holder has of a joint account, as one opening says it. None: all is the owner's."""

    __tablename__ = "account_holders"
    owner_number: Mapped[str] = mapped_column(primary_key=True)
    account_number: Mapped[str] = mapped_column(primary_key=True)
    event_offset: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    holder_number: Mapped[str] = mapped_column(primary_key=True)
    weight: Mapped[int]


class ContributionTotalRow(Base):
    """Sum of all leaves that have this code in a dimension, kept with every change of a leaf."""

    __tablename__ = "contribution_totals"
    dimension: Mapped[str] = mapped_column(primary_key=True)
    code: Mapped[str] = mapped_column(primary_key=True)
    component: Mapped[str] = mapped_column(primary_key=True)
    posted_minor: Mapped[int] = mapped_column(Whole)
    accrued_minor: Mapped[int] = mapped_column(Whole)


class OwnerTotalRow(Base):
    """The same sums under whoever answers for the customer today: what a reader's scope is.

    What a customer ever earned goes with him when he is given to another.
    """

    __tablename__ = "owner_totals"
    dimension: Mapped[str] = mapped_column(primary_key=True)
    manager_now: Mapped[str] = mapped_column(primary_key=True, index=True)
    staff_now: Mapped[str] = mapped_column(primary_key=True, index=True)
    branch_now: Mapped[str] = mapped_column(primary_key=True, index=True)
    code: Mapped[str] = mapped_column(primary_key=True)
    component: Mapped[str] = mapped_column(primary_key=True)
    posted_minor: Mapped[int] = mapped_column(Whole)
    accrued_minor: Mapped[int] = mapped_column(Whole)


class MovedRow(Base):
    """By how much a customer number's contribution moved on a day of the bank."""

    __tablename__ = "moved"
    on_date: Mapped[date] = mapped_column(primary_key=True)
    customer_number: Mapped[str] = mapped_column(primary_key=True)
    moved_minor: Mapped[int] = mapped_column(Whole)
    moved_band: Mapped[int] = mapped_column(  # in the index instead of what each event moves
        Computed(MOVED_BAND.format(v="abs(moved_minor)"), persisted=True)
    )
    __table_args__ = (Index("moved_most", "on_date", sql("moved_band desc")),)


class PartySliceRow(Base):
    """Parties whose contribution is about the same (5 %), kept with every change of one.

    `slice` is negative below zero and 0 at it; greater means more.
    """

    __tablename__ = "party_slices"
    slice: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    parties: Mapped[int] = mapped_column(BigInteger)
    sum_minor: Mapped[int] = mapped_column(Whole)


class PlanRow(Base):
    """A plan or a budget as the bank last set it, under its own id.

    Of two ids for the same target the one that was set later holds; the other stays, for it may
    be set again.
    """

    __tablename__ = "plans"
    kind: Mapped[str] = mapped_column(primary_key=True)  # plan, budget
    source: Mapped[str] = mapped_column(primary_key=True)
    plan_id: Mapped[str] = mapped_column(primary_key=True)
    what: Mapped[str]
    dimension: Mapped[str]
    who: Mapped[str]
    period: Mapped[str]  # a month, or a year
    amount_minor: Mapped[int] = mapped_column(BigInteger)
    currency: Mapped[str]
    set_at: Mapped[datetime]
    position: Mapped[int] = mapped_column(BigInteger)
    __table_args__ = (Index("plans_of_period", "period", "kind", "dimension", "what", "who"),)


class MonthTotalRow(Base):
    """Sums of a month's leaves by where they belong and of what: what plans are held against.

    Month '' is what is accrued and not posted yet.
    """

    __tablename__ = "month_totals"
    period: Mapped[str] = mapped_column(primary_key=True)
    manager_code: Mapped[str] = mapped_column(primary_key=True)
    branch_code: Mapped[str] = mapped_column(primary_key=True)
    product_code: Mapped[str] = mapped_column(primary_key=True)
    component: Mapped[str] = mapped_column(primary_key=True)
    posted_minor: Mapped[int] = mapped_column(Whole)
    accrued_minor: Mapped[int] = mapped_column(Whole)


class CustomerMonthRow(Base):
    """What a customer number's leaves of a month add up to."""

    __tablename__ = "customer_months"
    period: Mapped[str] = mapped_column(primary_key=True)
    customer_number: Mapped[str] = mapped_column(primary_key=True)
    posted_minor: Mapped[int] = mapped_column(Whole)
    __table_args__ = (
        Index("customer_months_ranked", "period", "posted_minor", "customer_number"),
    )


class CostRateRow(Base):
    """What one use of a driver costs from a day on; of all products when it names none.

    As each partition of the worker took it (`position`: the number of its restatement); of contacts
    as the bank said it (`position`: of the record; partition `allocation_sql.OF_BANK`).
    """

    __tablename__ = "cost_rates"
    partition: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    driver_code: Mapped[str] = mapped_column(primary_key=True)
    product_code: Mapped[str] = mapped_column(primary_key=True)
    from_on: Mapped[date] = mapped_column(primary_key=True)
    value: Mapped[int] = mapped_column(BigInteger)
    position: Mapped[int] = mapped_column(BigInteger)


class CostRow(Base):
    """An actual cost as the bank last said it, under its own id."""

    __tablename__ = "costs"
    source: Mapped[str] = mapped_column(primary_key=True)
    cost_id: Mapped[str] = mapped_column(primary_key=True)
    cost_centre_code: Mapped[str]
    driver_code: Mapped[str | None]
    amount_minor: Mapped[int] = mapped_column(BigInteger)
    currency: Mapped[str]
    period: Mapped[str]  # a month, or a year
    booked_on: Mapped[date]
    set_at: Mapped[datetime]
    position: Mapped[int] = mapped_column(BigInteger)


class CostPoolRow(Base):
    """By which driver a cost centre's pool is spread from a day on; null: it is not spread."""

    __tablename__ = "cost_pools"
    cost_centre_code: Mapped[str] = mapped_column(primary_key=True)
    from_on: Mapped[date] = mapped_column(primary_key=True)
    names: Mapped[dict[str, Any]]
    driver_code: Mapped[str | None]
    position: Mapped[int] = mapped_column(BigInteger)


class TaxRateRow(Base):
    """Tax on what customers earn, in ppm, from a day on. None: there is no tax."""

    __tablename__ = "tax_rates"
    from_on: Mapped[date] = mapped_column(primary_key=True)
    value: Mapped[int] = mapped_column(BigInteger)
    position: Mapped[int] = mapped_column(BigInteger)


class UntaxedRow(Base):
    """A customer whose leaves changed since tax was posted on them."""

    __tablename__ = "untaxed"
    customer_number: Mapped[str] = mapped_column(primary_key=True)


class ClosingRow(Base):
    """A month whose pools were spread. Their leaves are posted for some customers at a time."""

    __tablename__ = "closings"
    period: Mapped[str] = mapped_column(primary_key=True)
    after_number: Mapped[str]  # posted for the customers up to this one
    taxing: Mapped[bool] = mapped_column(server_default=sql("false"))  # the last round: tax
    posted: Mapped[bool]
    closed_at: Mapped[datetime]  # on the bank's clock
    # How far bank.events had been read before, by partition.
    read_until: Mapped[dict[str, Any]] = mapped_column(server_default=sql("'{}'"))


class AllocationRow(Base):
    """What a month's close spread of a pool, the cost of `origin_period` of one cost centre.

    `actual = charged + before + amount`, unless the pool has no driver or nobody used it.
    """

    __tablename__ = "allocations"
    period: Mapped[str] = mapped_column(primary_key=True)
    origin_period: Mapped[str] = mapped_column(primary_key=True)
    cost_centre_code: Mapped[str] = mapped_column(primary_key=True)
    driver_code: Mapped[str] = mapped_column(primary_key=True)  # empty: there is none
    component: Mapped[str]  # variance: the driver has a rate; overhead: it has none
    actual_minor: Mapped[int] = mapped_column(Whole)
    charged_minor: Mapped[int] = mapped_column(Whole)  # by the driver's rate
    before_minor: Mapped[int] = mapped_column(Whole)  # spread at earlier closes
    amount_minor: Mapped[int] = mapped_column(Whole)
    weight: Mapped[int] = mapped_column(Whole)


class AllocationProductRow(Base):
    """The part of one product in an allocation; '' is what is of customers, not of accounts."""

    __tablename__ = "allocation_products"
    period: Mapped[str] = mapped_column(primary_key=True)
    origin_period: Mapped[str] = mapped_column(primary_key=True)
    cost_centre_code: Mapped[str] = mapped_column(primary_key=True)
    driver_code: Mapped[str] = mapped_column(primary_key=True)
    product_code: Mapped[str] = mapped_column(primary_key=True)
    weight: Mapped[int] = mapped_column(Whole)
    amount_minor: Mapped[int] = mapped_column(Whole)
    shared_minor: Mapped[int] = mapped_column(Whole)  # what its shares add up to


class AllocationShareRow(Base):
    """The part of one account, or of a customer, in a product's part. Of it leaves are made."""

    __tablename__ = "allocation_shares"
    period: Mapped[str] = mapped_column(primary_key=True)
    origin_period: Mapped[str] = mapped_column(primary_key=True)
    cost_centre_code: Mapped[str] = mapped_column(primary_key=True)
    driver_code: Mapped[str] = mapped_column(primary_key=True)
    product_code: Mapped[str] = mapped_column(primary_key=True)
    customer_number: Mapped[str] = mapped_column(primary_key=True)
    account_number: Mapped[str] = mapped_column(primary_key=True)
    weight: Mapped[int] = mapped_column(Whole)
    amount_minor: Mapped[int] = mapped_column(Whole)
    __table_args__ = (Index("allocation_shares_of_customer", "period", "customer_number"),)
