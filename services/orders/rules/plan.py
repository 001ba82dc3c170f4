"""The execution plan: steps, and the dates they are due on."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

import chinese_calendar

OPENS_AT = time(9, 0)  # the bank's counters open: what falls due on a date is due from here


def is_bank_day(day: date) -> bool:
    """Working day with China's holidays and make-up days; beyond their table, Monday to Friday."""
    try:
        return bool(chinese_calendar.is_workday(day))
    except NotImplementedError:
        return day.weekday() < 5


def bank_days_after(day: date, count: int) -> date:
    """The count-th bank day after a date; 0 is the date itself if it is one, else the next."""
    while not is_bank_day(day):
        day += timedelta(days=1)
    for _ in range(count):
        day += timedelta(days=1)
        while not is_bank_day(day):
            day += timedelta(days=1)
    return day


def bank_day_before(day: date) -> date:
    day -= timedelta(days=1)
    while not is_bank_day(day):
        day -= timedelta(days=1)
    return day


def opening_of(day: date, zone: ZoneInfo) -> datetime:
    """The instant from which a date's dues are due."""
    return datetime.combine(day, OPENS_AT, zone)


@dataclass(frozen=True, slots=True)
class PlannedStep:
    """A step of an execution plan with the date it is due."""

    step_no: int
    kind: Literal["deliver", "collect"]
    due_on: date


def planned_steps(effective_on: date, deliver_days: int, collect_days: int) -> list[PlannedStep]:
    """Deliver so many bank days after the effective date, collect so many after that."""
    deliver_on = bank_days_after(effective_on, deliver_days)
    return [
        PlannedStep(1, "deliver", deliver_on),
        PlannedStep(2, "collect", bank_days_after(deliver_on, collect_days)),
    ]


def remind_on(due_on: date, effective_on: date) -> date:
    """One bank day before collection, but never before the order is in effect."""
    return max(bank_day_before(due_on), effective_on)


def plan_is_done(done: Mapping[str, bool]) -> bool:
    """Step kind -> done. An order without steps is not done by accident."""
    return bool(done) and all(done.values())
