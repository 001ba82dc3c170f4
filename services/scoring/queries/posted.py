"""Posted leaves added up by component, by product and by month: leaves are never rounded again."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from services.scoring.queries.reach import IN_REACH, parameters_of
from services.scoring.rules.scope import Reach

# One statement, hence one snapshot. The numbers of parties are joined first: leaves are many.
_SUMS = """
    with sums as (
      select l.component, l.product_code, l.period, sum(l.amount_minor) as amount_minor
        from leaves l where {mine}
       group by grouping sets ((l.component), (l.product_code), (l.period)))
    select s.*, p.names from sums s left join products p using (product_code)
     order by s.component, s.amount_minor desc, s.product_code, s.period
"""
_IN_REACH = IN_REACH.format(party="n.party_id")
OF_REACH = text(
    _SUMS.format(
        mine=f"""(:everything or l.customer_number in (
          select n.customer_number from numbers n
           where n.party_id is not null and {_IN_REACH}))"""  # noqa: S608 - names are ours
    )
)
OF_PARTY = text(
    _SUMS.format(
        mine="""l.customer_number in (
          select n.customer_number from numbers n where n.party_id = :party_id)"""
    )
)


@dataclass(frozen=True, slots=True)
class PostedPart:
    """One component, product or month (`way`)."""

    way: str
    code: str
    names: dict[str, str] | None
    amount_minor: int


@dataclass(frozen=True, slots=True)
class Posted:
    """What has been posted, three ways."""

    parts: list[PostedPart]

    @property
    def total_minor(self) -> int:
        return sum(part.amount_minor for part in self.parts if part.way == "component")

    @property
    def last_period(self) -> str:
        return max((part.code for part in self.parts if part.way == "period"), default="")


def of_reach(session: Session, reach: Reach) -> Posted:
    """All that the reader may see."""
    return _posted(session.execute(OF_REACH, parameters_of(reach)))


def of_party(session: Session, party_id: str) -> Posted:
    """One party's; the reader's right to it was checked before."""
    return _posted(session.execute(OF_PARTY, {"party_id": party_id}))


def _posted(rows: Any) -> Posted:
    parts = []
    for row in rows:
        if row.component is not None:
            way, code = "component", row.component
        elif row.product_code is not None:
            way, code = "product", row.product_code
        else:
            way, code = "period", row.period
        parts.append(PostedPart(way, code, row.names, int(row.amount_minor)))
    return Posted(parts)
