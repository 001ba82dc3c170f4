"""Who gets a task, when it is due, and whether an alert becomes work."""

from datetime import date, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.workflow.rules import (
    Candidate,
    becomes_work,
    branch_of,
    by_load,
    by_nearness,
    checker_for,
    due_after,
    may_check,
    may_take,
    next_opening,
    overlaps,
    serves_queue,
)
from services.workflow.workdays import is_workday

ZONE = ZoneInfo("Asia/Shanghai")


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZONE)


def someone(staff_id: str, tasks: int = 0, path: str = "/head/SH01", **more: object) -> Candidate:
    return Candidate(staff_id, staff_id, path, tasks, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("alert_on", "live_on", "work"),
    [
        (date(2026, 3, 2), None, False),
        (date(2026, 3, 1), date(2026, 3, 2), False),
        (date(2026, 3, 2), date(2026, 3, 2), True),
        (date(2026, 3, 3), date(2026, 3, 2), True),
    ],
)
def test_alert_becomes_work_from_the_live_day_on(
    alert_on: date, live_on: date | None, work: bool
) -> None:
    assert becomes_work(alert_on, live_on) is work


@pytest.mark.parametrize(
    ("start", "workdays", "due"),
    [
        ("2026-03-02T10:00", 1, "2026-03-03T17:30"),  # Monday to Tuesday
        ("2026-03-06T10:00", 1, "2026-03-09T17:30"),  # over a weekend
        ("2026-02-13T10:00", 1, "2026-02-14T17:30"),  # a Saturday worked for the Spring Festival
        ("2026-02-14T10:00", 1, "2026-02-24T17:30"),  # the festival itself
        ("2025-09-30T23:59", 2, "2025-10-10T17:30"),  # National Day
    ],
)
def test_due_time_counts_working_days_of_the_chinese_calendar(
    start: str, workdays: int, due: str
) -> None:
    assert due_after(at(start), workdays, is_workday, ZONE) == at(due)


def test_calendar_beyond_what_is_announced_is_weekdays() -> None:
    assert is_workday(date(2041, 1, 2))
    assert not is_workday(date(2041, 1, 5))


def test_desks_open_again_on_the_next_working_day() -> None:
    assert next_opening(at("2026-03-06T20:00"), is_workday, ZONE) == at("2026-03-09T08:30")


def test_calendar_without_working_days_is_refused() -> None:
    with pytest.raises(ValueError, match="no working day"):
        next_opening(at("2026-03-06T20:00"), lambda _: False, ZONE)


def test_nearest_free_and_present_comes_first() -> None:
    away = someone("a", absent_until=date(2026, 4, 1))
    far, busy, free = someone("b", path="/head/BJ01"), someone("c", 7), someone("d", 2)
    ordered = by_load([away, far, busy, free], "/head/SH01/retail")
    assert [one.staff_id for one in ordered] == ["d", "c", "b", "a"]


@given(
    st.lists(
        st.builds(
            Candidate,
            st.sampled_from("abcdef"),
            st.just("name"),
            st.sampled_from(["/head", "/head/SH01", "/head/BJ01/retail"]),
            st.integers(0, 9),
            st.none() | st.just(date(2026, 4, 1)),
            st.none(),
            st.none() | st.integers(0, 10_000),
        )
    ),
    st.sampled_from("abcdef"),
    st.integers(0, 10_000),
)
def test_checker_is_never_the_maker_nor_absent_nor_without_authority(
    candidates: list[Candidate], maker_id: str, amount_minor: int
) -> None:
    chosen = checker_for(candidates, maker_id, amount_minor, "/head/SH01")
    fit = [c for c in candidates if may_check(c, maker_id, amount_minor) and not c.absent_until]
    assert (chosen is None) == (fit == [])
    if chosen is not None:
        assert chosen.staff_id != maker_id
        assert chosen.absent_until is None
        assert (chosen.limit_minor or 0) >= amount_minor


@pytest.mark.parametrize(
    ("grant", "role", "path", "serves"),
    [
        (("approver", "subtree", "/head/SH01"), "approver", "/head/SH01", True),
        (("approver", "subtree", "/head/SH01"), "approver", "/head/SH01/retail", True),
        (("approver", "subtree", "/head/SH0"), "approver", "/head/SH01", False),
        (("approver", "department", "/head"), "approver", "/head/SH01", False),
        (("approver", "all", "/head/it"), "approver", "/head/SH01", True),
        (("branch_head", "all", "/head"), "approver", "/head/SH01", False),
        (("approver", "all", "/head"), None, "/head/SH01", False),
    ],
)
def test_queue_is_served_by_its_role_within_its_place(
    grant: tuple[str, str, str], role: str | None, path: str, serves: bool
) -> None:
    assert serves_queue([grant], role, path) is serves


def test_branch_is_the_second_part_of_the_path() -> None:
    assert branch_of("/head/SH01/retail") == "/head/SH01"
    assert branch_of("/head") == "/head"


def test_spans_that_touch_do_not_overlap() -> None:
    first, second, third = date(2026, 3, 1), date(2026, 3, 5), date(2026, 3, 9)
    assert not overlaps(first, second, second, third)
    assert overlaps(first, third, second, third)


@pytest.mark.parametrize(
    ("scope", "path", "place", "may"),
    [
        ("own", "/head/SH01/retail", "/head/SH01/retail", True),
        ("own", "/head/SH01/retail", "/head/SH01", True),  # what waits in the branch's queue
        ("department", "/head/SH01", "/head/SH01/retail", True),
        ("own", "/head/BJ01/retail", "/head/SH01/retail", False),
        ("subtree", "/head/BJ01", "/head/SH01/retail", False),
        ("subtree", "/head/SH010", "/head/SH01/retail", False),
        ("subtree", "/head", "/head/SH01/retail", True),
        ("own", "/head", "/head/SH01/retail", False),  # above, and oversees nobody
        ("all", "/head/it", "/head/SH01/retail", True),
        ("own", "/head/SH01/retail", "/head", True),  # of no branch yet: anyone below
    ],
)
def test_work_is_taken_in_its_branch_or_by_who_oversees_it(
    scope: str, path: str, place: str, may: bool
) -> None:
    assert may_take(scope, path, place) is may


def test_the_nearest_come_first_and_among_them_the_least_loaded() -> None:
    place = "/head/SH01/retail"
    people = [
        someone("elsewhere", 0, "/head/BJ01"),
        someone("above", 0, "/head"),
        someone("branch", 0),
        someone("busy", 5, place),
        someone("away", 0, place, absent_until=date(2026, 3, 9)),
        someone("free", 1, place),
    ]
    order = [one.staff_id for one in by_nearness(people, place)]
    assert order == ["free", "busy", "branch", "above", "elsewhere", "away"]
