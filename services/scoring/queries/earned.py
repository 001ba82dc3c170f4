"""Who earns what: ranking, concentration, who moved it today, and a total's leaves."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from sqlalchemy import text
from sqlalchemy.orm import Session

from services.scoring.leaf_sql import (
    ACCOUNT_PRODUCT,
    BAND,
    LEAF_KEY,
    PLACES,
    columns,
    last_day,
    open_values,
    opening_of,
    owner_of,
    product_of,
)
from services.scoring.queries.events import ANSWERED, BOOKED, CONTACTED
from services.scoring.queries.reach import NUMBERS_REACHED, by_reach, parameters_of
from services.scoring.rules.concentration import MILLION
from services.scoring.settings import home_currency
from shared.reach import Reach

PAGE_ROWS = 50
RANKING_ROWS = 20
MOVERS = 10
# Which leaves a total is made of. Lines and supervisors are sets of products and of managers.
ONLY: Final = {
    "component": "x.component {is_code}",
    "product": "x.product_code {is_code}",
    "line": "x.product_code {is_code}",
    "region": "x.region_code {is_code}",
    "branch": "x.branch_code {is_code}",
    "manager": "x.manager_code {is_code}",
    "supervisor": "x.manager_code {is_code}",
    "channel": "x.channel_code {is_code}",
    "month": "x.period {is_code}",
    "party": """x.customer_number in (
      select n.customer_number from numbers n where n.party_id = :code and {mine})""",
    "manager_now": """x.customer_number in (
      select customer_number from numbers where coalesce(manager_code, '') = :code)""",
    "branch_now": """x.customer_number in (
      select customer_number from numbers where coalesce(branch_code, home_branch_code, '')
        = :code)""",
}
OPEN = ""  # the period of a leaf that is not posted


_SHARE = "share.ppm as share_ppm, share.refused as shares_refused"


def share_of(leaf: str, product: str, on: str) -> str:
    """What part of a joint account a leaf is, as a lateral `share`: ppm is null for one holder."""
    owner, account, loan = owner_of(leaf), f"{leaf}.account_number", f"{leaf}.loan_number"
    return f"""left join lateral (
        select cast(round(coalesce(max(h.weight) filter (
                 where h.holder_number = {leaf}.customer_number), 0) * numeric '{MILLION}'
                 / sum(h.weight)) as integer) as ppm, max(told.shares_refused) as refused
          from account_openings told
          left join account_holders h
            on (h.owner_number, h.account_number, h.event_offset)
               = (told.customer_number, told.account_number, told.event_offset)
         where told.customer_number = {owner} and told.account_number = {account}
           and told.event_offset = {opening_of(owner, account, product, loan, on)}) share on true"""  # noqa: S608


def place_after(leaf: str) -> str:
    """The leaves behind the last one that was seen."""
    places = ", ".join(f":after_{n}" for n in range(len(LEAF_KEY)))
    return f"(not :goes_on or ({columns(leaf, LEAF_KEY)}) > ({places}))"


def described(found: str) -> str:
    """Leaves, in the order of their key, with what a page says of them."""
    on = "coalesce(" + last_day("nullif(y.origin_period, '')") + ", 'infinity')"
    return f"""
        select y.*, n.party_id, p.names, {_SHARE} from ({found}) y
          left join numbers n on n.customer_number = y.customer_number
          left join products p on p.product_code = y.product_code
          {share_of("y", product_of("y"), on)}
         order by {columns("y", LEAF_KEY)}
        """  # noqa: S608 - names are ours


def _leaves_sql(dimension: str, in_month: str) -> Any:
    """A page of leaves by key, posted and open ones apart: an open one has no period."""
    key = columns("x", LEAF_KEY)
    # Equality keeps the order of an index, a set of codes does not.
    grouped = dimension in ("line", "supervisor")
    only = ONLY[dimension].replace("{is_code}", "= any(:codes)" if grouped else "= :code")
    if dimension != "party":
        only += " and {mine}"
    after = place_after("x")
    return by_reach(
        described(
            f"""
          (select {key}, x.amount_minor, {columns("x", PLACES)}
             from leaves x where :posted and {only} and {in_month} and {after}
            order by {key} limit :limit)
          union all
          (select {key}, x.amount_minor, {columns("x", PLACES)}
             from (select o.customer_number, o.account_number, o.loan_number, v.product_code,
                          v.component, '' as period, '' as origin_period, {ACCOUNT_PRODUCT}
                          as account_product_code, o.owner_number, v.amount_minor,
                          {columns("o", PLACES)}
                     from open_leaves o {open_values("o.{name}")}) x
            where not :posted and x.amount_minor <> 0 and {only} and {after}
            order by {key} limit :limit)"""  # noqa: S608 - names are ours
        ),
        **({"party": "n.party_id"} if dimension == "party" else {"number": "x.customer_number"}),
    )


# One month of a total, or all of them: a statement of its own, so that each finds its index.
LEAVES = {
    (dimension, bool(only)): _leaves_sql(dimension, only or "true")
    for dimension in ONLY
    for only in ("", "x.period = :month")
}
# By bands first: the sums themselves have no index, every event changes them.
RANKING = by_reach(
    f"""
    select f.party_id, f.posted_minor, f.accrued_minor from party_figures f
     where f.numbers > 0 and {{mine}}
       and (f.posted_minor <> 0 or f.accrued_minor <> 0)
       and (cast(:after_value as numeric) is null
            or (f.earned_band, f.posted_minor + f.accrued_minor, f.party_id)
               < ({BAND.format(v="cast(:after_value as numeric)")},
                  cast(:after_value as numeric), :after_party))
     order by f.earned_band desc, f.posted_minor + f.accrued_minor desc, f.party_id desc
     limit :limit
    """,  # noqa: S608 - names are ours
    party="f.party_id",
)
MOVED = {
    True: text(
        """
        select n.party_id, sum(m.moved_minor) as moved_minor
          from (select * from moved where on_date = :today
                 order by moved_band desc, abs(moved_minor) desc limit 200) m
          join numbers n on n.customer_number = m.customer_number
         where n.party_id is not null
         group by n.party_id having sum(m.moved_minor) <> 0
         order by abs(sum(m.moved_minor)) desc, n.party_id limit :limit
        """
    ),
    False: text(
        f"""
        select n.party_id, sum(m.moved_minor) as moved_minor
          from {NUMBERS_REACHED} mine
          join moved m on m.on_date = :today and m.customer_number = mine.customer_number
          join numbers n on n.customer_number = mine.customer_number
         where n.party_id is not null
         group by n.party_id having sum(m.moved_minor) <> 0
         order by abs(sum(m.moved_minor)) desc, n.party_id limit :limit
        """  # noqa: S608 - names are ours
    ),
}
LEAF = by_reach(
    f"""
    select x.*, n.party_id, p.names, {_SHARE} from leaves x
      join numbers n using (customer_number) left join products p using (product_code)
      {share_of("x", product_of("x"), last_day("x.origin_period"))}
     where ({columns("x", LEAF_KEY)}) = ({", ".join(f":{name}" for name in LEAF_KEY)})
       and {{mine}}
    """,  # noqa: S608 - names are ours
    party="n.party_id",
    number="n.customer_number",
)
OPEN_LEAF = by_reach(
    f"""
    select o.customer_number, o.account_number, o.loan_number, v.product_code, v.component,
           '' as period, '' as origin_period, {ACCOUNT_PRODUCT} as account_product_code,
           o.owner_number, v.amount_minor, {columns("o", PLACES)}, n.party_id, p.names, {_SHARE}
      from open_leaves o {open_values("o.{name}")}
      join numbers n using (customer_number)
      left join products p on p.product_code = v.product_code
      {share_of("o", "o.product_code", "date 'infinity'")}
     where (o.customer_number, o.account_number, o.loan_number, v.product_code, v.component,
            {ACCOUNT_PRODUCT}, o.owner_number)
           = (:customer_number, :account_number, :loan_number, :product_code, :component,
              :account_product_code, :owner_number)
       and v.amount_minor <> 0 and {{mine}}
    """,  # noqa: S608 - names are ours
    party="n.party_id",
    number="n.customer_number",
)
# A fee is made of fees; what a balance earns is made of whatever moved the balance, and what may
# be lost of it of the customer's grades too.
KINDS_OF: Final = {
    "fee": ("fee",), "interest_paid": ("interest_paid",), "interest_recv": ("interest_received",),
}  # fmt: skip
# The day by which an event belongs to a leaf: a use costs when it is booked, money counts from its
# value day, and of a closed month it is in the leaf that corrects it. What was stored before value
# days were kept goes by its booking.
_ON_DAY = "case when :booked_only then e.businessdate else coalesce(e.value_on, e.businessdate) end"
# An overdraft's leaf is of the account that is overdrawn, a loan's of whatever it is paid by.
_IS_OF_PRODUCT = """(:of_loan or e.product_code is null or e.product_code = :product_code
      or exists (select 1 from overdrafts d where d.product_code = e.product_code
                   and d.below_product_code = :product_code))"""
EVENTS = text(
    f"""
    select e.* from bank_events e
     where e.customer_number = :customer_number
       and case when :contacts then e.type = '{CONTACTED}'
                when :graded and e.type = '{ANSWERED}' then true
                else e.account_number = :account_number and e.type is not null
                     and {_IS_OF_PRODUCT} and (e.currency is null or e.currency = :currency)
                     and (:all_kinds or e.kind = any(:kinds)) end
       and (not :booked_only or e.type = '{BOOKED}')
       and (:begin = '' or {_ON_DAY} >= cast(:begin || '-01' as date))
       and (:end = '' or greatest({_ON_DAY}, e.businessdate) <= {last_day("nullif(:end, '')")})
       and (cast(:after_on as date) is null
            or (e.businessdate, e.event_offset) < (:after_on, :after_offset))
       and not exists (select 1 from bank_events b where b.source = e.source
             and b.event_id = e.event_id and b.partition = e.partition
             and b.event_offset < e.event_offset and b.type is not null)
     order by e.businessdate desc, e.event_offset desc limit :limit
    """  # noqa: S608 - names are ours
)


@dataclass(frozen=True, slots=True)
class Selection:
    """Which total: a dimension and the codes of it, posted or not yet; of what is posted all, or
    the leaves of one month."""

    dimension: str
    codes: tuple[str, ...]
    posted: bool = True
    month: str = ""


def leaves(
    session: Session,
    reach: Reach,
    selection: Selection,
    after: Sequence[str] | None = None,
    limit: int = PAGE_ROWS,
) -> list[Any]:
    """The leaves that a total is made of, by their key; `after` is the last one's key."""
    place = tuple(after) if after else ("",) * len(LEAF_KEY)
    return list(
        session.execute(
            LEAVES[selection.dimension, bool(selection.month)][reach.everything],
            {
                **parameters_of(reach),
                "codes": list(selection.codes),
                "code": next(iter(selection.codes), ""),
                "posted": selection.posted,
                "month": selection.month,
                "goes_on": after is not None,
                "limit": limit,
                **{f"after_{n}": value for n, value in enumerate(place)},
            },
        )
    )


def ranking(
    session: Session, reach: Reach, after: tuple[int, str] | None, limit: int = PAGE_ROWS
) -> list[Any]:
    """Parties by contribution, posted and accrued, greatest first."""
    value, party = after or (None, None)
    return list(
        session.execute(
            RANKING[reach.everything],
            {**parameters_of(reach), "after_value": value, "after_party": party, "limit": limit},
        )
    )


def moved_most(session: Session, reach: Reach, today: date) -> list[Any]:
    """Whose contribution moved most on a day of the bank, up or down.

    For the whole bank the candidates are the 200 numbers that moved most: a party of many
    numbers, none of which is among them, is not looked for.
    """
    asked = {**parameters_of(reach), "today": today, "limit": MOVERS}
    return list(session.execute(MOVED[reach.everything], asked))


def leaf(session: Session, reach: Reach, key: dict[str, str]) -> Any | None:
    """One leaf; none when unknown or out of the reader's scope."""
    statement = (OPEN_LEAF if key["period"] == OPEN else LEAF)[reach.everything]
    return session.execute(statement, {**parameters_of(reach), **key}).first()


def events_of_leaf(session: Session, row: Any, after: tuple[date, int] | None) -> list[Any]:
    """The events of its account in its months, latest first."""
    kinds = KINDS_OF.get(row.component, ("loan_instalment",) if row.loan_number else ())
    return list(
        session.execute(
            EVENTS,
            {
                "customer_number": row.owner_number or row.customer_number,
                "account_number": row.account_number,
                "product_code": row.account_product_code or row.product_code,
                "of_loan": bool(row.loan_number),
                "currency": home_currency(),
                "all_kinds": not kinds,
                "kinds": list(kinds),
                "booked_only": row.component == "abc_txn",
                "contacts": row.component == "contact",
                "graded": row.component == "el",
                "begin": row.origin_period,
                "end": row.period,
                "after_on": after[0] if after else None,
                "after_offset": after[1] if after else None,
                "limit": PAGE_ROWS,
            },
        )
    )
