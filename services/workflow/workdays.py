"""The working calendar: Chinese holidays and make-up days where published, weekdays beyond."""

from datetime import date

import chinese_calendar


def is_workday(day: date) -> bool:
    """Does the bank work that day?"""
    try:
        return bool(chinese_calendar.is_workday(day))
    except NotImplementedError:  # the State Council has not announced that year yet
        return day.weekday() < 5
