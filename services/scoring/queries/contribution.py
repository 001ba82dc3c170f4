"""The contribution added up: kept totals for whoever sees all, leaves added up for the others.

Every way of adding up must give the bank's sum: `ways` says them, the residual is their spread.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from sqlalchemy import text
from sqlalchemy.orm import Session

from services.scoring.commands.contribution import open_values
from services.scoring.commands.parties import SLICE
from services.scoring.queries.reach import IN_REACH, parameters_of
from services.scoring.rules.concentration import Slice
from services.scoring.rules.scope import Reach

Dimension = Literal["component", "product", "line", "region", "branch", "manager", "supervisor",
                    "month"]  # fmt: skip
KEPT: Final = ("bank", "product", "region", "branch", "manager", "month")

_MINE = f"""(select n.customer_number from numbers n
              where n.party_id is not null and {IN_REACH.format(party="n.party_id")})"""
# Rows (dimension, code, component, posted_minor, accrued_minor) of what a reader reaches.
_TOTALS_OF_REACH = f"""
  select d.dimension, d.code, x.component, sum(x.posted) as posted_minor,
         sum(x.accrued) as accrued_minor
    from (
      select l.component, l.product_code, l.period, l.manager_code, l.branch_code, l.region_code,
             sum(l.amount_minor) as posted, 0 as accrued
        from leaves l where l.customer_number in {{mine}} group by 1, 2, 3, 4, 5, 6
      union all
      select v.component, v.product_code, '', o.manager_code, o.branch_code, o.region_code,
             0, sum(v.amount_minor)
        from open_leaves o {open_values("o.{name}")}
       where v.amount_minor <> 0 and o.customer_number in {{mine}} group by 1, 2, 3, 4, 5, 6) x
    cross join lateral (values
      ('bank', ''), ('product', x.product_code), ('region', x.region_code),
      ('branch', x.branch_code), ('manager', x.manager_code), ('month', x.period))
      d(dimension, code)
   group by d.dimension, d.code, x.component
"""
OF_ALL = text(
    """
    select dimension, code, component, posted_minor, accrued_minor from contribution_totals
     where dimension = any(:dimensions)
    """
)
OF_REACH = text(_TOTALS_OF_REACH.format(mine=_MINE))
OF_PARTY = text(
    _TOTALS_OF_REACH.format(
        mine="(select n.customer_number from numbers n where n.party_id = :party_id)"
    )
)
# Sums of posted and accrued together; customers without a party are counted beside the parties.
SLICES = text("select slice, parties, sum_minor from party_slices where parties > 0")
SLICES_OF_REACH = text(
    f"""
    select {SLICE.format(v="x.v")} as slice, count(*) as parties, sum(x.v) as sum_minor
      from (select f.posted_minor + f.accrued_minor as v from party_figures f
             where f.numbers > 0 and {IN_REACH.format(party="f.party_id")}) x
     group by 1
    """  # noqa: S608 - names are ours
)
WAYS = text(
    """
    select t.dimension, coalesce(sum(t.posted_minor), 0) as posted_minor,
           coalesce(sum(t.accrued_minor), 0) as accrued_minor
      from contribution_totals t group by t.dimension
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
        return Sum(
            self.posted_minor + other.posted_minor, self.accrued_minor + other.accrued_minor
        )


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums by (dimension, code, component) of one snapshot."""

    cells: Mapping[tuple[str, str, str], Sum]

    def by_code(self, dimension: str) -> dict[str, Sum]:
        return self._by(dimension, 1)

    def by_component(self, dimension: str = "bank", code: str | None = None) -> dict[str, Sum]:
        cells = {k: v for k, v in self.cells.items() if code is None or k[1] == code}
        return Totals(cells)._by(dimension, 2)

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


def totals(session: Session, reach: Reach, dimensions: Sequence[str] = KEPT) -> Totals:
    """All that the reader may see. Kept totals answer for the whole bank only."""
    if reach.everything:
        return _totals(session.execute(OF_ALL, {"dimensions": list(dimensions)}))
    return _totals(session.execute(OF_REACH, parameters_of(reach)))


def totals_of_party(session: Session, party_id: str) -> Totals:
    """One party's; the reader's right to it was checked before."""
    return _totals(session.execute(OF_PARTY, {"party_id": party_id}))


def _totals(rows: Any) -> Totals:
    return Totals(
        {
            (row.dimension, row.code, row.component): Sum(
                int(row.posted_minor), int(row.accrued_minor)
            )
            for row in rows
        }
    )


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
    found = dict.fromkeys((*KEPT, "customer", "party"), Sum())
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
