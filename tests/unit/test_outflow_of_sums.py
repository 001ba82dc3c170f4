"""Outflow of a party of several numbers: asked of the sums at each close."""

from datetime import date, timedelta
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from services.scoring import model as models
from services.scoring.queries import outflows as queries
from services.scoring.rule_set import first_thresholds
from services.scoring.rules.outflows import Fall, Judged, Limits, judge
from services.scoring.scores import balance, outflow

MODEL = models.load()
LEFT = queries.factors()
FIRST = Limits(0, "v1", first_thresholds())
BEGIN = date(2025, 6, 2)
ZONE = ZoneInfo("Asia/Shanghai")
LEAST = FIRST.thresholds.outflow_mean_min_minor
Moves = list[tuple[int, int]]


def day(n: int) -> date:
    return BEGIN + timedelta(days=n)


def judged(moves: Moves, through: int, sets: tuple[Limits, ...] = (FIRST,)) -> Judged:
    return judge([(day(n), amount) for n, amount in moves], sets, LEFT, day(through))


def spans(found: Judged) -> list[tuple[int, int | None]]:
    """From the close that showed it to the day on which it was over."""
    return [
        ((f.closed_on - BEGIN).days, None if f.ended_on is None else (f.ended_on - BEGIN).days)
        for f in found.falls
    ]


def test_the_factors_are_those_of_the_kernel() -> None:
    assert list(LEFT) == MODEL.balance_factors.tolist()


def test_two_numbers_of_which_neither_matters_alone_fall_together() -> None:
    """Each usual balance is below what matters; their sum is not."""
    own = [(0, LEAST * 2 // 3), (400, -LEAST * 2 // 3)]
    assert spans(judged(own, 500)) == []
    assert spans(judged(own * 2, 400)) == [(400, None)]


def test_a_deposit_ends_it_at_the_close_of_its_day() -> None:
    moves = [(0, 8 * LEAST), (400, -7 * LEAST), (410, 7 * LEAST)]
    before, after = judged(moves[:2], 409), judged(moves, 410)
    assert spans(before) == [(400, None)]
    assert before.next_on is not None
    assert spans(after) == [(400, 411)]
    assert after.next_on is None
    episode = after.falls[0].episode(1, ZONE)
    assert (episode.at.astimezone(ZONE).isoformat(), episode.ended_at) == (
        f"{day(401)}T00:00:00+08:00", episode.at + timedelta(days=10),
    )  # fmt: skip


def test_it_ends_by_itself_and_says_when_to_ask() -> None:
    moves = [(0, 8 * LEAST), (400, -5 * LEAST)]
    waits = judged(moves, 400)
    assert waits.next_on is not None
    at = (waits.next_on - BEGIN).days
    assert spans(judged(moves, at - 1)) == [(400, None)]
    over = judged(moves, at)
    assert spans(over) == [(400, at + 1)]
    assert over.next_on is None
    (fall,) = waits.falls
    expected = outflow.recovers_on(
        MODEL.balance_factors, fall.balance_minor, fall.mean_minor, 400, MODEL.outflow_clear_ppm,
        LEAST,
    )  # fmt: skip
    assert expected == at + 1


@pytest.mark.parametrize(("gone", "sank"), [(8, True), (5, False)])
def test_it_tells_whether_it_ended_without_a_recovery(gone: int, sank: bool) -> None:
    """All is gone, so the mean sinks below what matters; or it sinks to what is left."""
    (fall,) = judged([(0, 8 * LEAST), (400, -gone * LEAST)], 3000).falls
    assert fall.ended_on is not None
    assert bool(fall.terms_of_end()) == sank
    if sank:
        at_end = fall.lacked_minor * 1_000_000 // MODEL.outflow_clear_ppm
        assert LEAST * 9 // 10 < at_end < LEAST, "a share of the mean of that day"


def test_what_is_booked_for_later_waits_for_its_close() -> None:
    found = judged([(0, 8 * LEAST), (400, -7 * LEAST)], 399)
    assert (spans(found), found.next_on) == ([], day(400))


def test_terms_and_risk_are_those_of_one_number_with_the_same_sums() -> None:
    (fall,) = judged([(0, 8 * LEAST), (400, -7 * LEAST)], 400).falls
    left, mean = fall.balance_minor, fall.mean_minor
    assert left == LEAST
    assert fall.risk_ppm == outflow.risk_ppm(left, mean, LEAST)
    assert fall.terms() == {
        "balance_minor": left,
        "mean_minor": mean,
        "clear_deposit_minor": outflow.deposit_to_clear(left, mean, MODEL.outflow_clear_ppm),
    }


@pytest.mark.parametrize(("of", "expected"), [(399, []), (400, []), (401, [(400, None)])])
def test_a_set_judges_the_close_of_its_day_and_what_follows(
    of: int, expected: list[tuple[int, int | None]]
) -> None:
    """From its day on, a set under which a half that is gone is no outflow."""
    kind = msgspec.structs.replace(
        FIRST.thresholds, outflow_ppm=100_000, outflow_clear_ppm=100_000
    )
    kinder = Limits(day(of).toordinal(), "set-1", kind)
    moves = [(0, 8 * LEAST), (400, -6 * LEAST)]
    assert spans(judged(moves, 400, (FIRST, kinder))) == expected
    assert spans(judged(moves, 400)) == [(400, None)]


def test_another_set_is_asked_where_an_outflow_would_be_over() -> None:
    strict = msgspec.structs.replace(
        FIRST.thresholds, outflow_clear_ppm=FIRST.thresholds.outflow_clear_ppm + 100_000
    )
    moves = [(0, 8 * LEAST), (400, -5 * LEAST)]
    (alone,) = judged(moves, 3000).falls
    (later,) = judged(moves, 3000, (FIRST, Limits(day(401).toordinal(), "set-1", strict))).falls
    assert alone.ended_on is not None
    assert later.ended_on is not None
    assert later.ended_on > alone.ended_on
    assert later.limits.version == "v1", "it began by the set of its day"


@pytest.mark.parametrize(("before", "longer"), [(0, False), (1, True)])
def test_what_is_over_when_a_day_begins_is_so_by_the_set_of_the_close_before(
    before: int, longer: bool
) -> None:
    """A stricter set that judges from the close of that very day on comes too late to hold it."""
    strict = msgspec.structs.replace(
        FIRST.thresholds, outflow_clear_ppm=FIRST.thresholds.outflow_clear_ppm + 100_000
    )
    moves = [(0, 8 * LEAST), (400, -5 * LEAST)]
    (alone,) = judged(moves, 3000).falls
    assert alone.ended_on is not None
    other = Limits(alone.ended_on.toordinal() - before, "set-1", strict)
    (found,) = judged(moves, 3000, (FIRST, other)).falls
    assert found.ended_on is not None
    assert (found.ended_on > alone.ended_on) == longer


def slowly(moves: Moves, through: int) -> list[tuple[int, int | None]]:
    """The same close by close, with the kernel's own functions."""
    factors, of_day = MODEL.balance_factors, dict[int, int]()
    for n, amount in moves:
        of_day[n] = of_day.get(n, 0) + amount
    left = mean = since = 0
    found: list[tuple[int, int | None]] = []
    for n in range(through + 1):
        moved = of_day.get(n, 0)
        if moved:
            mean, since = balance.mean_on(factors, mean, since, left, n), n
            left += moved
        at_close = balance.mean_on(factors, mean, since, left, n + 1)
        still = outflow.holds(left, at_close, MODEL.outflow_clear_ppm, LEAST)
        if found and found[-1][1] is None:
            if not still:
                found[-1] = found[-1][0], n + 1
        elif moved and still and outflow.holds(left, mean, MODEL.outflow_ppm, LEAST):
            found.append((n, None))
    return found


AMOUNTS = st.integers(-40, 40).map(lambda n: n * LEAST // 4)
MOVES = st.lists(st.tuples(st.integers(0, 120), AMOUNTS), max_size=12)


@given(MOVES, st.integers(0, 260))
@example([(0, 8 * LEAST), (90, -7 * LEAST), (95, 6 * LEAST), (99, -6 * LEAST)], 200)
def test_it_is_the_rule_of_one_number_asked_at_every_close(moves: Moves, through: int) -> None:
    of_day: dict[int, int] = {}
    for n, amount in moves:
        of_day[n] = of_day.get(n, 0) + amount
    sums = [(n, amount) for n, amount in of_day.items() if amount]
    assert spans(judged(sums, through)) == slowly(moves, through)


# Sets of rules: the close from which each judges, and how much less strict it is, in ppm.
SETS = st.lists(
    st.tuples(st.integers(0, 260), st.integers(-4, 4).map(lambda n: n * 50_000)), max_size=2
).map(sorted)


def limits(more: list[tuple[int, int]]) -> tuple[Limits, ...]:
    first, found = FIRST.thresholds, [FIRST]
    for of, less in more:
        clear = first.outflow_clear_ppm - less
        other = msgspec.structs.replace(
            first, outflow_clear_ppm=clear, outflow_ppm=min(first.outflow_ppm, clear)
        )
        found.append(Limits(day(of).toordinal(), f"set-{len(found)}", other))
    return tuple(found)


@given(MOVES, st.integers(0, 200), st.integers(0, 60), SETS)
@example([(0, 8 * LEAST), (100, -5 * LEAST)], 190, 60, [(101, -100_000)])
def test_what_was_told_of_a_day_is_never_told_otherwise_later(
    moves: Moves, through: int, more: int, sets: list[tuple[int, int]]
) -> None:
    """A later close adds to what an earlier one has shown, and nobody is asked twice for one."""

    def until(found: Judged) -> list[tuple[int, int | None]]:
        return [
            (begin, end if end is not None and end <= through + 1 else None)
            for begin, end in spans(found)
            if begin <= through
        ]

    once, later = (judged(moves, at, limits(sets)) for at in (through, through + more))
    assert once.next_on is None or once.next_on > day(through)
    assert until(once) == until(later)
    if once.next_on is None or once.next_on > day(through + more):
        assert [_bare(f) for f in once.falls] == [_bare(f) for f in later.falls]


def _bare(fall: Fall) -> tuple[date, date | None]:
    return fall.closed_on, fall.ended_on
