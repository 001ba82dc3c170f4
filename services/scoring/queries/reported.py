"""The leaves behind a figure of a month's report or of a plan.

Such a figure counts a leaf under who answered at the end of its origin month. Who sees only a part
of the bank finds behind it the leaves of those of its customers for whom he answers today.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy.orm import Session

from services.scoring.leaf_sql import LEAF_KEY, PLACES, columns
from services.scoring.queries.earned import PAGE_ROWS, described, place_after
from services.scoring.queries.reach import by_reach, parameters_of
from shared.reach import Reach

# A figure of a place is that of some managers or branches; any other one of some products.
PLACED: Final = {
    "branch": "branch_code", "manager": "manager_code", "supervisor": "manager_code",
}  # fmt: skip
# Of so many codes or cells the leaves stand close together in their own order: it is gone through.
MANY = 500
_KEY: Final = columns("x", LEAF_KEY)
_LEAVES: Final = f"select {_KEY}, x.amount_minor, {columns('x', PLACES)} from leaves x"  # noqa: S608
_PAGE: Final = f"{place_after('x')} order by {_KEY} limit :limit"
_PARTS: Final = "x.component = any(:components) and x.period = any(:periods)"
_THEN: Final = "(x.manager_code = any(:manager_codes) or x.branch_code = any(:branch_codes))"


def _of_each(each: str, only: str) -> str:
    """A page of the leaves of each code or cell, then of all of them: so each finds its index."""
    return f"""
      select x.* from {each} cross join lateral ({_LEAVES} where {only} and {_PAGE}) x
       order by {_KEY} limit :limit"""  # noqa: S608 - names are ours


def _whole(column: str) -> str:
    """Of the whole bank: of each code, or of each cell of a product."""
    if column != "product_code":
        each = "unnest(cast(:codes as text[])) c(code)"
        return _of_each(each, f"x.{column} = c.code and {_PARTS}")
    return _of_each(
        """unnest(cast(:periods as text[])) m(period)
        cross join unnest(cast(:components as text[])) k(component)
        cross join unnest(cast(:codes as text[])) c(code)""",
        "(x.period, x.component, x.product_code) = (m.period, k.component, c.code)",
    )


def _sql(column: str) -> dict[str, Any]:
    of_codes = f"{_LEAVES} where x.{column} = any(:codes) and {_PARTS} and {{mine}}"
    number = "x.customer_number"
    walked = by_reach(described(f"{of_codes} and {_PAGE}"), number=number)
    mine = by_reach(described(f"{of_codes} and {_THEN} and {_PAGE}"), number=number)
    each = by_reach(described(_whole(column)), number=number)
    return {"few": each[True], "many": walked[True], "mine": mine[False]}


LEAVES = {column: _sql(column) for column in (*dict.fromkeys(PLACED.values()), "product_code")}


@dataclass(frozen=True, slots=True)
class Cells:
    """What a figure is of: months, components, and managers, branches or products (`by`)."""

    by: str
    periods: Sequence[str]
    components: Sequence[str]
    codes: Sequence[str]

    @property
    def many(self) -> bool:
        parts = 1 if self.by in PLACED else len(self.periods) * len(self.components)
        return parts * len(self.codes) > MANY


def leaves(
    session: Session, reach: Reach, cells: Cells, after: Sequence[str] | None = None
) -> list[Any]:
    """The leaves that a figure is made of, by their key; `after` is the last one's key."""
    place = tuple(after) if after else ("",) * len(LEAF_KEY)
    way = "mine" if not reach.everything else "many" if cells.many else "few"
    return list(
        session.execute(
            LEAVES[PLACED.get(cells.by, "product_code")][way],
            {
                **parameters_of(reach),
                "codes": sorted(cells.codes),
                "periods": sorted(cells.periods),
                "components": sorted(cells.components),
                "goes_on": after is not None,
                "limit": PAGE_ROWS,
                **{f"after_{n}": value for n, value in enumerate(place)},
            },
        )
    )
