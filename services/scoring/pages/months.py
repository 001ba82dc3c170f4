"""Which month or year a page is about, and whether the bank has closed it."""

from datetime import date, timedelta
from typing import Annotated

from fastapi import Query

Period = Annotated[str | None, Query(pattern=r"^[12]\d{3}-(0[1-9]|1[0-2])$")]
MonthOrNone = Annotated[str, Query(pattern=r"^([12]\d{3}-(0[1-9]|1[0-2]))?$")]
MonthOrYearOrNone = Annotated[str, Query(pattern=r"^([12]\d{3}(-(0[1-9]|1[0-2]))?)?$")]
MonthOrYear = Annotated[str | None, Query(pattern=r"^[12]\d{3}(-(0[1-9]|1[0-2]))?$")]
MONTHS_SHOWN = 12


def month_to_show(posted: set[str], closed: date | None, today: date) -> str:
    """The last month that is complete; before the first one the last that has entries."""
    complete = [period for period in posted if is_complete(period, closed)]
    return max(complete or posted, default=f"{today:%Y-%m}")


def is_complete(period: str, closed: date | None) -> bool:
    """All partitions have closed the last day of the month or year."""
    return closed is not None and f"{closed + timedelta(days=1)}"[: len(period)] > period


def is_year(period: str) -> bool:
    return len(period) == 4


def first_day(period: str) -> date:
    return date.fromisoformat(f"{period}-01")


def around(known: list[str], period: str) -> list[str]:
    """Some months to choose from, the asked one among them."""
    found = sorted({*known, period})
    at = found.index(period)
    first = max(min(at - MONTHS_SHOWN // 2, len(found) - MONTHS_SHOWN), 0)
    return found[first : first + MONTHS_SHOWN]
