"""Months as numbers (year * 12 + month - 1) and days as `date.toordinal` numbers, both ways."""

from services.scoring.scores.compiling import compiled

_MARCH = 305  # day numbers count from 0001-01-01; the years below begin in March
_ERA_DAYS = 146_097  # of 400 years


@compiled
def month_of(day: int) -> int:
    """The month that a day lies in."""
    z = day + _MARCH
    era = z // _ERA_DAYS
    of_era = z - era * _ERA_DAYS
    year = (of_era - of_era // 1460 + of_era // 36_524 - of_era // 146_096) // 365
    of_year = of_era - (365 * year + year // 4 - year // 100)
    from_march = (5 * of_year + 2) // 153
    if from_march < 10:
        return (year + era * 400) * 12 + from_march + 2
    return (year + era * 400 + 1) * 12 + from_march - 10


@compiled
def first_day(month: int) -> int:
    """The first day of a month."""
    year, of_year = month // 12, month % 12
    from_march = of_year - 2
    if of_year < 2:
        year -= 1
        from_march = of_year + 10
    era = year // 400
    in_era = year - era * 400
    days = in_era * 365 + in_era // 4 - in_era // 100 + (153 * from_march + 2) // 5
    return era * _ERA_DAYS + days - _MARCH


def period_of(month: int) -> str:
    """As files and topics write it: 1994-03."""
    return f"{month // 12:04d}-{month % 12 + 1:02d}"
