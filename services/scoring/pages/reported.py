"""What a figure of the month's report or of plans is made of: the door to its leaves."""

from typing import Any, Final

from sqlalchemy.orm import Session

from services.scoring.pages import value as values
from services.scoring.pages.months import is_year
from services.scoring.queries import contribution, month_report, months
from services.scoring.queries.contribution import Sum
from services.scoring.queries.months import COSTS
from services.scoring.queries.reported import Cells
from shared.errors import Invalid
from shared.reach import Reach

UNKNOWN: Final = {"zh-CN": "没有这样的数字", "en": "There is no such figure"}
OF_REPORT: Final = ("component", "product")
OF_PLANS: Final = ("bank", "branch", "supervisor", "manager", "line")
_GROUPED: Final = ("line", "supervisor")


def cells(session: Session, mine: Reach, groups: values.Groups, part: Any) -> tuple[Cells, Sum]:
    """The cells of a figure, and what it is, from the totals that its page shows.

    Raises Invalid.
    """
    if part.by in OF_REPORT and part.month and not is_year(part.month):
        return _of_report(session, mine, part)
    if part.by in OF_PLANS and part.month and not part.component:
        return _of_plans(session, mine, groups, part)
    raise Invalid("figure", UNKNOWN)


def _of_report(session: Session, mine: Reach, part: Any) -> tuple[Cells, Sum]:
    """A component, or a product of one or of all."""
    found, whole = [], Sum()
    for cell in month_report.cells(session, mine, part.month, part.month):
        code = cell.component if part.by == "component" else cell.product_code
        if code == part.code and part.component in ("", cell.component):
            found.append(cell)
            whole = whole.plus(Sum(cell.posted_minor, cell.accrued_minor))
    components = sorted({cell.component for cell in found})
    products = sorted({cell.product_code for cell in found})
    return Cells(part.by, (part.month,), components, products), whole


def _of_plans(
    session: Session, mine: Reach, groups: values.Groups, part: Any
) -> tuple[Cells, Sum]:
    """Managers, branches, or products, in a month or in a year so far. Costs are leaves below
    zero, also of a budget, whose page shows what is spent."""
    by, spent = part.by, part.figure == "cost"
    codes, whole = [], Sum()
    found = months.actuals(
        session, mine, "budget" if spent else "plan", "line" if by == "bank" else by, part.month,
        only=part.code if by in ("branch", "manager") else None,
    )  # fmt: skip
    for code, value in found.items():
        if by == "bank" or (groups.group_of(by, code) if by in _GROUPED else code) == part.code:
            codes.append(code)
            whole = whole.plus(value)
    if spent:
        whole = Sum(-whole.posted_minor, -whole.accrued_minor)
    components = COSTS if spent else contribution.components(session)
    periods: tuple[str, ...] = (part.month,)
    if is_year(part.month):
        periods = tuple(f"{part.month}-{month:02d}" for month in range(1, 13))
    return Cells(by, periods, components, codes), whole
