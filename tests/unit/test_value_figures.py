"""The figures of the contribution's page, each by hand: charts, the 80/20 measured, whose is what.

Who reads a chart believes its bars and points: that they are drawn is not enough.
"""

import pytest

from services.scoring.pages.value import POINTS_MAX, points, waterfall
from services.scoring.queries.contribution import Sum
from services.scoring.rules.concentration import Curve, Slice, curve_of
from services.scoring.rules.hierarchy import staff_of_codes, supervisors_of

# Ten parties: two earn 800 together, three 200, four nothing, one costs 100.
SLICES = [Slice(2, 800), Slice(3, 200), Slice(4, 0), Slice(1, -100)]


def test_each_bar_of_a_waterfall_begins_where_the_one_before_ends() -> None:
    components = {
        "tax": Sum(-150, 0), "fee": Sum(300, 50), "ftp": Sum(1_000, 0), "of_the_bank": Sum(0, 25),
        "el": Sum(-10, 10),
    }  # fmt: skip
    assert waterfall(components, 100) == [
        {"code": "ftp", "from": 0.0, "to": 10.0},
        {"code": "fee", "from": 10.0, "to": 13.5},
        {"code": "tax", "from": 13.5, "to": 12.0},
        {"code": "of_the_bank", "from": 12.0, "to": 12.25},
        {"code": "", "from": 0, "to": 12.25},
    ]  # fmt: skip
    assert waterfall({"fee": Sum(7, -7)}, 100) == []


def test_the_points_of_the_curve_are_sums_of_all_parties_so_far() -> None:
    assert curve_of(SLICES) == Curve(
        points=((0, 0), (200_000, 800_000), (500_000, 1_000_000), (900_000, 1_000_000),
                (1_000_000, 900_000)),
        parties=10, below_zero=1, positive_minor=1_000, negative_minor=-100,
    )  # fmt: skip


def test_where_nobody_earns_there_is_no_curve() -> None:
    curve = curve_of([Slice(3, 0), Slice(1, -5)])
    assert (curve.points, curve.parties, curve.below_zero) == (((0, 0),), 4, 1)
    assert curve.share_of_first(200_000) is None


@pytest.mark.parametrize(
    ("parties_ppm", "share_ppm"),
    [(0, 0), (50_000, 200_000), (200_000, 800_000), (350_000, 900_000), (500_000, 1_000_000),
     (950_000, 950_000), (1_000_000, 900_000)],
)  # fmt: skip
def test_between_two_points_the_share_is_on_their_line(parties_ppm: int, share_ppm: int) -> None:
    assert curve_of(SLICES).share_of_first(parties_ppm) == share_ppm


def test_a_chart_has_some_points_only_and_always_both_ends() -> None:
    curve = curve_of([Slice(1, 1_000 - n) for n in range(1_000)])
    drawn = points(curve)
    assert POINTS_MAX <= len(drawn) <= POINTS_MAX + 10
    assert (drawn[0], drawn[-1]) == ([0, 0], [100, 100])
    assert set(map(tuple, drawn)) <= {(x / 10_000, y / 10_000) for x, y in curve.points}
    few = curve_of(SLICES)
    assert points(few) == [[x / 10_000, y / 10_000] for x, y in few.points]


STAFF = {
    "S1": {"staff_codes": ["RM1", "RM1b"], "department_id": "D1", "supervisor_staff_id": "S9"},
    "S2": {"staff_codes": ["RM2"], "department_id": "D1"},
    "S3": {"staff_codes": ["RM3"], "department_id": "D2"},
    "S4": {"staff_codes": ["RM4"]},
    "S8": {"staff_codes": ["RM8"], "department_id": "D1"},
    "S9": {"staff_codes": None, "department_id": "D1"},
}
DEPARTMENTS = [{"department_id": "D1", "head_staff_id": "S8"}, {"department_id": "D2"}]


def test_a_manager_s_own_supervisor_comes_before_the_head_of_his_department() -> None:
    assert supervisors_of(STAFF, DEPARTMENTS) == {
        "RM1": "S9", "RM1b": "S9", "RM2": "S8", "RM8": "S8",
    }  # fmt: skip
    assert staff_of_codes(STAFF) == {
        "RM1": "S1", "RM1b": "S1", "RM2": "S2", "RM3": "S3", "RM4": "S4", "RM8": "S8",
    }  # fmt: skip
