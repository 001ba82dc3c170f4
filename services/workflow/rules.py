"""Decisions of workflow: who gets a task, when it is due, whether an alert becomes work."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from shared.policy import within

ALERT_TASKS_PER_DAY = 5  # new retention processes for one desk and business day, if none is set
ALERT_TASKS_PER_DAY_MAX = 50  # of what may be set for one person
WORKDAY_ENDS = time(17, 30)
WORKDAY_STARTS = time(8, 30)
DAYS_AHEAD_MAX = 400

IsWorkday = Callable[[date], bool]


def becomes_work(alert_on: date, went_live_on: date | None) -> bool:
    """Alerts of the loaded history are recorded, but open no process."""
    return went_live_on is not None and alert_on >= went_live_on


def due_after(start: datetime, workdays: int, is_workday: IsWorkday, zone: ZoneInfo) -> datetime:
    """The close of business `workdays` working days after the start's day."""
    day = start.astimezone(zone).date()
    left = workdays
    for _ in range(DAYS_AHEAD_MAX):
        day += timedelta(days=1)
        if is_workday(day):
            left -= 1
        if left <= 0:
            return datetime.combine(day, WORKDAY_ENDS, zone)
    raise ValueError(f"no {workdays} working days within {DAYS_AHEAD_MAX} days of {start}")


def next_workday(day: date, is_workday: IsWorkday) -> date:
    """The day itself, if the bank works; else the next one on which it does."""
    for ahead in range(DAYS_AHEAD_MAX):
        if is_workday(day + timedelta(days=ahead)):
            return day + timedelta(days=ahead)
    raise ValueError(f"no working day within {DAYS_AHEAD_MAX} days of {day}")


def next_opening(now: datetime, is_workday: IsWorkday, zone: ZoneInfo) -> datetime:
    """When the desks open again: the next working day's start."""
    tomorrow = now.astimezone(zone).date() + timedelta(days=1)
    return datetime.combine(next_workday(tomorrow, is_workday), WORKDAY_STARTS, zone)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A possible next participant. `open_tasks`: what is on the desk now."""

    staff_id: str
    name: str
    org_path: str
    open_tasks: int
    absent_until: date | None = None
    deputy_id: str | None = None
    limit_minor: int | None = None


def by_load(candidates: Iterable[Candidate], near: str) -> list[Candidate]:
    """Present ones first, then one's own branch, then the smallest load; ids break ties."""
    return sorted(
        candidates,
        key=lambda c: (
            c.absent_until is not None,
            branch_of(c.org_path) != branch_of(near),
            c.open_tasks,
            c.staff_id,
        ),
    )


def may_take(scope: str, path: str, place: str) -> bool:
    """Does a permission that is held at `path` reach work of the department `place`?

    Colleagues of the same branch and below share its work, whatever their scope of customers: the
    task opens its party. From above only who oversees the place.
    """
    return (
        scope == "all"
        or within(path, branch_of(place))
        or (scope == "subtree" and within(place, path))
    )


def by_nearness(candidates: Iterable[Candidate], place: str) -> list[Candidate]:
    """Present ones first, then the same department, the branch, above it, elsewhere; among equals
    the smallest load."""

    def distance(path: str) -> int:
        if path == place:
            return 0
        if branch_of(path) == branch_of(place):
            return 1
        return 2 if within(place, path) else 3

    return sorted(
        candidates,
        key=lambda c: (
            c.absent_until is not None, distance(c.org_path), c.open_tasks, c.staff_id,
        ),
    )  # fmt: skip


def may_check(candidate: Candidate, maker_id: str, amount_minor: int) -> bool:
    """Four eyes and authority: another person, whose limit reaches the amount."""
    return (
        candidate.staff_id != maker_id
        and candidate.limit_minor is not None
        and candidate.limit_minor >= amount_minor
    )


def checker_for(
    candidates: Iterable[Candidate], maker_id: str, amount_minor: int, near: str
) -> Candidate | None:
    """The least loaded present person who may check; none: the order waits in the queue."""
    able = [c for c in candidates if may_check(c, maker_id, amount_minor) and not c.absent_until]
    return next(iter(by_load(able, near)), None)


def branch_of(org_path: str) -> str:
    """`/head/bj01/retail` -> `/head/bj01`; the head office itself stays what it is."""
    return "/".join(org_path.split("/")[:3])


def holds_on(from_on: date | None, until_on: date | None, day: date) -> bool:
    """Is an effective-dated fact in force that day? `until_on` is the first day it is not."""
    return (from_on is None or from_on <= day) and (until_on is None or day < until_on)


def overlaps(start: date, end: date, other_start: date, other_end: date) -> bool:
    """Do two spans share a day? The ends are the first days after them."""
    return start < other_end and other_start < end


def serves_queue(grants: Iterable[tuple[str, str, str]], role: str | None, org_path: str) -> bool:
    """May a person with these grants (role, scope, place) take work out of this queue?"""
    return any(
        role == granted
        and (
            scope == "all"
            or org_path == path
            or (scope == "subtree" and org_path.startswith(path.rstrip("/") + "/"))
        )
        for granted, scope, path in grants
    )
