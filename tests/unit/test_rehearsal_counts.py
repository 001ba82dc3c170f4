"""Which alerts of a rehearsal count since the sets parted, and under whose name."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from types import MappingProxyType
from typing import Any, Final
from zoneinfo import ZoneInfo

import pytest

from services.scoring.absences import Away
from services.scoring.queries.rehearsals import Party
from services.scoring.rehearser import _Counted
from services.scoring.rule_set import first_thresholds
from services.scoring.rules.episodes import Crossing
from services.scoring.rules.outflows import Limits

ZONE: Final = ZoneInfo("Asia/Shanghai")
PARTED: Final = date(2025, 6, 10)
THROUGH: Final = date(2025, 8, 31)
FIRST: Final = Limits(0, "v1", first_thresholds())
NOW, PROPOSED = False, True


def _at(on: date, hour: int = 0) -> datetime:
    return datetime(on.year, on.month, on.day, hour, tzinfo=ZONE)


def _raised(on: date, number: str = "N1") -> Crossing:
    return Crossing(f"silence/{number}/{on}", number, "raised", _at(on), 1)


def _party(
    name: str, manager: str, found: dict[tuple[bool, str], list[Crossing]], *,
    carried: Sequence[str] = (), numbers: int = 1, moves: Sequence[tuple[date, int]] = (),
    away: Mapping[str, Away] = MappingProxyType({}),
) -> Party:  # fmt: skip
    active = {f"N{n}": date(2024, 1, 1) for n in range(1, numbers + 1)}
    return Party(name, manager, active, away, found, frozenset(carried), (), list(moves))


def _counted(*parties: Party) -> dict[str, Any]:
    one = _Counted(PARTED, THROUGH, ((FIRST,), (FIRST,)), ZONE)
    for party in parties:
        one.add(party)
    return one.result({NOW: {}, PROPOSED: {}})


def _alerts(result: dict[str, Any], rule: str) -> tuple[int, int, int]:
    found = result["rules"].get(rule)
    if found is None:
        return 0, 0, 0
    return found["now"]["alerts"], found["proposed"]["alerts"], found["both"]


@pytest.mark.parametrize(
    ("carried", "counts"), [((), 1), ((0,), 1), ((1,), 1), ((0, 1), 0)], ids=str
)
def test_an_episode_began_since_then_unless_all_that_raised_it_was_there_before(
    carried: tuple[int, ...], counts: int
) -> None:
    """Silence of two numbers begins with the later of the two."""
    crossings = [_raised(PARTED - timedelta(days=5)), _raised(PARTED + timedelta(days=3), "N2")]
    party = _party("P1", "RM-1", {(PROPOSED, "silence"): crossings}, numbers=2,
                   carried=[crossings[n].id for n in carried])  # fmt: skip
    assert _alerts(_counted(party), "silence") == (0, counts, 0)


@pytest.mark.parametrize(
    ("left", "counts"),
    [(None, 0), (PARTED - timedelta(days=1), 0), (PARTED, 1), (PARTED + timedelta(days=5), 1),
     (THROUGH, 1), (THROUGH + timedelta(days=1), 0)],
    ids=str,
)  # fmt: skip
def test_a_silence_that_begins_as_the_other_number_leaves_counts_from_the_first_day_on(
    left: date | None, counts: int
) -> None:
    """By a close of a day that both sides have judged. The silent number was so before."""
    silent = [_raised(PARTED - timedelta(days=20))]
    away: dict[str, Away] = {"N2": (left, None)} if left else {}
    party = _party("P1", "RM-1", {(NOW, "silence"): silent, (PROPOSED, "silence"): silent},
                   numbers=2, carried=[silent[0].id], away=away)  # fmt: skip
    assert _alerts(_counted(party), "silence") == (counts, counts, counts)


def test_a_silence_from_before_that_a_leaving_did_not_begin_does_not_count() -> None:
    """The number that leaves was silent, too."""
    silent = [_raised(PARTED - timedelta(days=20)), _raised(PARTED - timedelta(days=9), "N2")]
    party = _party("P1", "RM-1", {(PROPOSED, "silence"): silent}, numbers=2,
                   carried=[one.id for one in silent],
                   away={"N2": (PARTED + timedelta(days=5), None)})  # fmt: skip
    assert _alerts(_counted(party), "silence") == (0, 0, 0)


@pytest.mark.parametrize(("days", "counts"), [(-1, 0), (0, 1), (1, 1)])
def test_an_outflow_of_sums_counts_from_the_close_of_the_first_day_on(
    days: int, counts: int
) -> None:
    fell = PARTED + timedelta(days=days)
    usual = 8 * FIRST.thresholds.outflow_mean_min_minor
    moves = [(PARTED - timedelta(days=400), usual), (fell, -usual * 7 // 8)]
    result = _counted(_party("P1", "RM-1", {}, numbers=2, moves=moves))
    assert _alerts(result, "outflow") == (counts, counts, counts)
    assert {m: f["now"]["alerts"] for m, f in result["managers"].items()} == (
        {"RM-1": 1} if counts else {}
    )


def test_an_outflow_that_signals_tell_of_one_of_two_numbers_is_none_of_the_party() -> None:
    told = {(PROPOSED, "outflow"): [_raised(PARTED)]}
    assert _alerts(_counted(_party("P1", "RM-1", told, numbers=2)), "outflow") == (0, 0, 0)
    assert _alerts(_counted(_party("P1", "RM-1", told)), "outflow") == (0, 1, 0), "the control"


def test_each_alert_stands_under_its_own_manager_month_and_day() -> None:
    july, late = date(2025, 7, 3), date(2025, 6, 30)
    result = _counted(
        _party("P1", "RM-1", {(NOW, "silence"): [_raised(PARTED)],
                              (PROPOSED, "silence"): [_raised(PARTED)]}),
        _party("P2", "RM-2", {(PROPOSED, "silence"): [_raised(july)]}),
        _party("P3", "RM-2", {(PROPOSED, "collapse"): [_raised(july)],
                              (NOW, "silence"): [_raised(late)],
                              (PROPOSED, "silence"): [_raised(late)]}),
        _party("P4", "", {(NOW, "silence"): [_raised(july)],
                          (PROPOSED, "silence"): [_raised(PARTED)]}),
    )  # fmt: skip
    assert result["managers"] == {
        "": {"now": {"alerts": 1, "busiest_day": 1}, "proposed": {"alerts": 1, "busiest_day": 1}},
        "RM-1": {
            "now": {"alerts": 1, "busiest_day": 1}, "proposed": {"alerts": 1, "busiest_day": 1},
        },
        "RM-2": {
            "now": {"alerts": 1, "busiest_day": 1}, "proposed": {"alerts": 3, "busiest_day": 2},
        },
    }  # fmt: skip
    assert result["months"] == {
        "2025-06": {"now": 2, "proposed": 3}, "2025-07": {"now": 1, "proposed": 2},
    }  # fmt: skip
    assert _alerts(result, "silence") == (3, 4, 2), "of P4 each side says another instant"
    assert _alerts(result, "collapse") == (0, 1, 0)
