"""The Chinese calendar: working days with their make-up Saturdays, and how busy a day is."""

from datetime import date, timedelta
from functools import lru_cache

import chinese_calendar

# The State Council announces a year's holidays in the autumn before; beyond what the library
# knows, only weekends and the holidays of a fixed date are free.
_FIXED_HOLIDAYS = {(1, 1), (5, 1), (5, 2), (10, 1), (10, 2), (10, 3), (10, 4), (10, 5)}
_SHOPPING_DAYS = {(6, 18): 1.5, (11, 11): 1.7, (12, 12): 1.3, (2, 14): 1.2, (5, 20): 1.2}


@lru_cache(maxsize=4096)
def is_working_day(day: date) -> bool:
    try:
        return bool(chinese_calendar.is_workday(day))
    except NotImplementedError:
        return day.weekday() < 5 and (day.month, day.day) not in _FIXED_HOLIDAYS


def working_day_at_or_before(day: date) -> date:
    while not is_working_day(day):
        day -= timedelta(days=1)
    return day


def person_season(day: date) -> float:
    """How active persons are on this day, 1 = usual."""
    factor = 1.0 if is_working_day(day) else 1.18
    factor *= _SHOPPING_DAYS.get((day.month, day.day), 1.0)
    if _days_to_spring_festival(day) in range(15):
        factor *= 1.35
    return factor


def firm_season(day: date) -> float:
    """How active firms are on this day, 1 = a usual working day."""
    if not is_working_day(day):
        return 0.12
    last_days = (day + timedelta(days=4)).month != day.month
    factor = 1.3 if last_days else 1.0
    return factor * (0.6 if _days_to_spring_festival(day) in range(-10, 1) else 1.0)


@lru_cache(maxsize=4096)
def _days_to_spring_festival(day: date) -> int:
    """Negative after it; a far number when the year's date is not known."""
    known = {
        2022: (2, 1), 2023: (1, 22), 2024: (2, 10), 2025: (1, 29), 2026: (2, 17),
        2027: (2, 6), 2028: (1, 26), 2029: (2, 13), 2030: (2, 3),
    }  # fmt: skip
    festival = known.get(day.year)
    return (date(day.year, *festival) - day).days if festival else 999
