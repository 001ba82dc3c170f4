"""The contribution added up: kept totals for whoever sees all, leaves added up for the others.

Every way of adding up must give the bank's sum: `ways` says them, the residual is their spread.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from sqlalchemy import text
from sqlalchemy.orm import Session

from services.scoring.leaf_sql import SLICE, open_values
from services.scoring.queries.reach import PARTIES_REACHED, by_reach, parameters_of
from services.scoring.rules.concentration import Slice
from shared.reach import Reach

Dimension = Literal["component", "product", "line", "region", "branch", "manager", "supervisor",
                    "channel", "month"]  # fmt: skip
KEPT: Final = ("bank", "product", "region", "branch", "manager", "channel", "month", "manager_now",
               "branch_now")  # fmt: skip

# Codes only of the dimensions that are shown by code: there are thousands of managers.
_CODED = """case when dimension = any(:coded) then code else '' end as code,
           case when dimension = 'bank' then component else '' end as component,
           sum(posted_minor) as posted_minor, sum(accrued_minor) as accrued_minor"""
_NOW = """
    select 'manager_now' as dimension,
           case when 'manager_now' = any(:coded) then manager_now else '' end as code,
           '' as component, sum(posted_minor), sum(accrued_minor)
      from owner_totals where dimension = 'bank' and {mine} group by 2
    union all
    select 'branch_now', case when 'branch_now' = any(:coded) then branch_now else '' end, '',
           sum(posted_minor), sum(accrued_minor)
      from owner_totals where dimension = 'bank' and {mine} group by 2
"""
_MINE = """(manager_now = any(:manager_codes) or staff_now = any(:staff_ids)
            or branch_now = any(:branch_codes))"""
OF_BANK = text(
    """
    select dimension, code, component, posted_minor, accrued_minor from contribution_totals
     where dimension = 'bank'
    """
)
OF_ALL = text(
    f"""
    select dimension, {_CODED} from contribution_totals group by 1, 2, 3
    union all {_NOW.format(mine="true")}
    """  # noqa: S608 - names are ours
)
OF_REACH = text(
    f"""
    select dimension, {_CODED} from owner_totals where {_MINE} group by 1, 2, 3
    union all {_NOW.format(mine=_MINE)}
    """  # noqa: S608 - names are ours
)
OF_PARTY = by_reach(
    f"""
    with sums as (
      select l.component, l.product_code, l.period, l.amount_minor as posted, 0 as accrued
        from leaves l join numbers n using (customer_number)
       where n.party_id = :party_id and {{mine}}
      union all
      select v.component, v.product_code, '', 0, v.amount_minor
        from open_leaves o join numbers n using (customer_number) {open_values("o.{name}")}
       where v.amount_minor <> 0 and n.party_id = :party_id and {{mine}})
    select d.dimension, d.code, case when d.dimension = 'bank' then x.component else '' end
             as component, sum(x.posted) as posted_minor, sum(x.accrued) as accrued_minor
      from sums x cross join lateral (values
        ('bank', ''), ('product', x.product_code), ('month', x.period)) d(dimension, code)
     group by 1, 2, 3
    """,  # noqa: S608 - names are ours
    party="n.party_id",
)
# Sums of posted and accrued together; customers without a party are counted beside the parties.
SLICES = text("select slice, parties, sum_minor from party_slices where parties > 0")
SLICES_OF_REACH = text(
    f"""
    select {SLICE.format(v="x.v")} as slice, count(*) as parties, sum(x.v) as sum_minor
      from (select f.posted_minor + f.accrued_minor as v from party_figures f
             where f.numbers > 0 and f.party_id in {PARTIES_REACHED}) x
     group by 1
    """  # noqa: S608 - names are ours
)
WAYS = text(
    """
    select t.dimension, coalesce(sum(t.posted_minor), 0) as posted_minor,
           coalesce(sum(t.accrued_minor), 0) as accrued_minor
      from contribution_totals t group by t.dimension
    union all
    select 'owner of ' || dimension, sum(posted_minor), sum(accrued_minor)
      from owner_totals group by dimension
    union all
    select 'month and place', coalesce(sum(posted_minor), 0), coalesce(sum(accrued_minor), 0)
      from month_totals
    union all
    select 'customer', coalesce(sum(posted_minor), 0), coalesce(sum(accrued_minor), 0)
      from numbers
    union all
    select 'party', coalesce(sum(x.posted_minor), 0), coalesce(sum(x.accrued_minor), 0)
      from (select posted_minor, accrued_minor from party_figures
            union all
            select posted_minor, accrued_minor from numbers where party_id is null) x
    """
)
WITHOUT_PARTY = text(
    """
    select coalesce(sum(posted_minor + accrued_minor), 0) from numbers where party_id is null
    """
)
LEAVES = text(
    f"""
    select coalesce((select sum(amount_minor) from leaves), 0) as posted_minor,
           coalesce((select sum(v.amount_minor)
                       from open_leaves o {open_values("o.{name}")}), 0) as accrued_minor
    """  # noqa: S608 - names are ours
)


@dataclass(frozen=True, slots=True)
class Sum:
    """Posted beside accrued, never mixed."""

    posted_minor: int = 0
    accrued_minor: int = 0

    @property
    def both_minor(self) -> int:
        return self.posted_minor + self.accrued_minor

    def plus(self, other: "Sum") -> "Sum":
        return Sum(self.posted_minor + other.posted_minor, self.accrued_minor + other.accrued_minor)


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums by (dimension, code, component) of one snapshot."""

    cells: Mapping[tuple[str, str, str], Sum]

    def by_code(self, dimension: str) -> dict[str, Sum]:
        return self._by(dimension, 1)

    def by_component(self) -> dict[str, Sum]:
        return self._by("bank", 2)

    def whole(self, dimension: str = "bank") -> Sum:
        found = Sum()
        for value in self.by_code(dimension).values():
            found = found.plus(value)
        return found

    def _by(self, dimension: str, at: int) -> dict[str, Sum]:
        found: dict[str, Sum] = {}
        for key, value in self.cells.items():
            if key[0] == dimension:
                found[key[at]] = found.get(key[at], Sum()).plus(value)
        return found


def totals(session: Session, reach: Reach, coded: Sequence[str] = KEPT) -> Totals:
    """All that the reader may see; kept totals answer for the whole bank only.

    `coded`: whose codes are told apart; of the other dimensions there is the sum alone.
    """
    if reach.everything:
        return _totals(session.execute(OF_ALL, {"coded": list(coded)}))
    return _totals(session.execute(OF_REACH, {**parameters_of(reach), "coded": list(coded)}))


def totals_of_party(session: Session, reach: Reach, party_id: str) -> Totals:
    """One party's; nothing when it is out of the reader's scope."""
    return _totals(
        session.execute(OF_PARTY[reach.everything], {**parameters_of(reach), "party_id": party_id})
    )


def _totals(rows: Any) -> Totals:
    return Totals(
        {
            (row.dimension, row.code, row.component): Sum(
                int(row.posted_minor), int(row.accrued_minor)
            )
            for row in rows
        }
    )


def bank(session: Session) -> Sum:
    """The whole bank's sum, whoever asks: what a share is a share of."""
    return _totals(session.execute(OF_BANK)).whole()


def components(session: Session) -> list[str]:
    """All components that the bank has leaves of."""
    return sorted(_totals(session.execute(OF_BANK)).by_component())


def without_party(session: Session) -> int:
    """What customer numbers earn that are nobody's yet."""
    return int(session.execute(WITHOUT_PARTY).scalar_one())


def slices(session: Session, reach: Reach) -> list[Slice]:
    """Parties by what they earn, greatest first."""
    if reach.everything:
        found = session.execute(SLICES)
    else:
        found = session.execute(SLICES_OF_REACH, parameters_of(reach))
    rows = sorted(found, key=lambda row: -row.slice)
    return [Slice(row.parties, int(row.sum_minor)) for row in rows]


def ways(session: Session) -> dict[str, Sum]:
    """The whole bank, once per way of adding it up."""
    kept = [one for one in KEPT if not one.endswith("_now")]
    owned = [f"owner of {one}" for one in kept]
    found = dict.fromkeys((*kept, *owned, "month and place", "customer", "party"), Sum())
    for row in session.execute(WAYS):
        found[row.dimension] = Sum(int(row.posted_minor), int(row.accrued_minor))
    return found


def of_leaves(session: Session) -> Sum:
    """The leaves themselves, one by one: what all kept sums must equal. Reads every leaf."""
    row = session.execute(LEAVES).one()
    return Sum(int(row.posted_minor), int(row.accrued_minor))


def residual_minor(sums: Mapping[str, Sum]) -> int:
    """The greatest difference between two ways, of posted and of accrued; must be 0."""
    return max(
        max(values) - min(values)
        for values in (
            [s.posted_minor for s in sums.values()],
            [s.accrued_minor for s in sums.values()],
        )
    )
