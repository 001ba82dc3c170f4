"""Pieces of SQL about leaves that writes and reads share. Names are ours, never from outside."""

from collections.abc import Mapping, Sequence
from typing import Final

from services.scoring.open_leaf import COLUMNS

# A component of the kernel, the name of its leaf, and whose product it is.
KERNEL_PARTS: Final = {
    "net": ("ftp", "product_code"),
    "debit": ("ftp", "below_product_code"),
    "loss": ("el", "below_product_code"),
    "capital": ("capital", "below_product_code"),
    "upkeep": ("abc_maint", "product_code"),
    "interest_paid": ("interest_paid", "product_code"),
    "interest_received": ("interest_recv", "below_product_code"),
    "fees": ("fee", "product_code"),
    "uses": ("abc_txn", "product_code"),
}
assert KERNEL_PARTS.keys() == COLUMNS.keys()
# Contacts are of a customer, not of an account: the query side adds them up itself.
OPEN_PARTS: Final = KERNEL_PARTS | {"contact": ("contact", "product_code")}
LEAF_KEY: Final = (
    "customer_number", "account_number", "loan_number", "product_code", "component", "period",
    "origin_period", "account_product_code", "owner_number",
)  # fmt: skip
# The same of an open leaf `o` and its value `v`.
ACCOUNT_PRODUCT: Final = (
    "case when v.product_code <> o.product_code then o.product_code else '' end"
)
PLACES: Final = ("manager_code", "branch_code", "region_code", "channel_code")
PLACE: Final = ", ".join(PLACES)
AT_PLACE: Final = ", ".join(f"at.{name}" for name in PLACES)


def _slice(growth: str) -> str:
    return f"""cast(case when {{v}} = 0 then 0 else sign({{v}})
  * (1 + floor(ln(cast(abs({{v}}) as float8)) / ln(cast({growth} as float8)))) end as integer)"""


# The slice of a contribution: 5 % wide, so a curve over some hundreds of them is the parties' own.
SLICE: Final = _slice("1.05")
# The band of a figure in a ranking: up to twice as much, so an event seldom moves a party to
# another, and only then its index is written. What moved today grows from nothing: wider.
BAND: Final = _slice("2")
MOVED_BAND: Final = _slice("4")
# Who answers for a number today; its whole contribution stands under him.
OWNER = "manager_now, staff_now, branch_now"


def owner(n: str) -> str:
    return f"""coalesce({n}.manager_code, '') as manager_now,
      coalesce({n}.manager_staff_id, '') as staff_now,
      coalesce({n}.branch_code, {n}.home_branch_code, '') as branch_now"""


def columns(alias: str, names: Sequence[str]) -> str:
    return ", ".join(f"{alias}.{name}" for name in names)


def owner_of(leaf: str) -> str:
    """Under whose number the events of a leaf's account are."""
    return f"coalesce(nullif({leaf}.owner_number, ''), {leaf}.customer_number)"


def product_of(leaf: str) -> str:
    """The product of a leaf's account, as far as the leaf says it."""
    return f"coalesce(nullif({leaf}.account_product_code, ''), {leaf}.product_code)"


def _is_of(product: str, loan: str) -> str:
    """How near an `opened` is to a leaf's account, the nearest first; null: it is of another, for
    several accounts may have one number. What an overdraft costs may not say the product of its
    account: it is of one that is overdrawn so. A loan's leaf never does: it is of whichever has the
    number. An account of which no opening was told is as if its number had none."""
    return f"""case when opened.product_code in ({product}, '') then 0
                when exists (select 1 from overdrafts d
                              where d.product_code = opened.product_code
                                and d.below_product_code = {product}) then 1
                when {loan} <> '' then 2 end"""  # noqa: S608 - names are ours


def place_of(
    number: str, account: str, product: str, on: str, owner: str = "", *, loan: str = "''"
) -> str:
    """Where a leaf belongs on a day, as laterals that give `at.manager_code` and so on.

    The placement of a customer before his first one is the first: a bank tells where he is when
    it begins to publish, not when he came. A manager answers from his own effective date only.
    The channel is that by which the account was opened. `owner`: of the account, if it is another.
    """
    is_of = _is_of(product, loan)
    return f"""
      left join lateral (
        select m.manager_code, m.branch_code from managers m
         where m.customer_number = {number} and m.effective_on <= {on}
         order by m.effective_on desc, m.share_ppm desc, m.manager_code limit 1) mg on true
      left join lateral (
        select p.region_code, p.branch_code from placements p
         where p.customer_number = {number}
         order by p.on_date <= {on} desc,
                  case when p.on_date <= {on} then p.on_date end desc, p.on_date limit 1) pl on true
      left join lateral (
        select opened.branch_code, opened.channel_code from account_openings opened
         where opened.customer_number = {owner or number} and opened.account_number = {account}
           and {is_of} is not null
         order by {is_of}, opened.event_offset limit 1) ab on true
      cross join lateral (
        select coalesce(mg.branch_code, pl.branch_code, ab.branch_code, '') as branch_code) br
      left join lateral (
        select b.region_code from branches b
         where b.branch_code = br.branch_code and b.from_on <= {on}
         order by b.from_on desc limit 1) rg on true
      cross join lateral (
        select coalesce(mg.manager_code, '') as manager_code, br.branch_code,
               coalesce(pl.region_code, rg.region_code, '') as region_code,
               coalesce(ab.channel_code, '') as channel_code) at
    """  # noqa: S608 - names are ours


def day_of(word: str) -> str:
    """A day number as a date; 0 is none."""
    return f"case when {word} > 0 then date '0001-01-01' + cast({word} - 1 as integer) end"


def opening_of(owner: str, account: str, product: str, loan: str, on: str) -> str:
    """The offset of the opening whose shares hold on a day: of those of the leaf's own account that
    were told by then the last one, before the first the first."""
    is_of = _is_of(product, loan)
    return f"""(
        select opened.event_offset from account_openings opened
         where opened.customer_number = {owner} and opened.account_number = {account}
           and {is_of} is not null
         order by {is_of}, opened.on_date <= {on} desc,
                  case when opened.on_date <= {on} then opened.on_date end desc, opened.on_date,
                  opened.event_offset desc limit 1)"""  # noqa: S608 - names are ours


def last_day(period: str) -> str:
    """The last day of a month that is written as 1994-03."""
    return f"cast(cast({period} || '-01' as date) + interval '1 month - 1 day' as date)"


def open_values(amount: str, parts: Mapping[str, tuple[str, str]] = OPEN_PARTS) -> str:
    """The columns of an open leaf as rows v(component, product_code, amount_minor)."""
    values = ", ".join(
        f"('{component}', o.{product}, {amount.format(name=name)})"
        for name, (component, product) in parts.items()
    )
    return f"cross join lateral (values {values}) v(component, product_code, amount_minor)"
