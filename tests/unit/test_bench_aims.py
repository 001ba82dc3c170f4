"""What the bench of the scorer says of its aims, and which paces it takes."""

import pytest
import typer

from tests.load.aims import AIMS, table
from tests.load.pace import whole_ticks
from tests.load.scoring import PARTS


def test_an_aim_that_is_missed_and_one_that_was_not_measured_are_told_apart() -> None:
    fast = {"workers": 2, "polls_of": 20_000, "events_per_s": 250_000, "events_per_round": 1_999}
    small = {"workers": 2, "polls_of": 500, "events_per_s": 90_000, "events_per_round": 500}
    of_pace = {row.split("  ")[0]: row.split()[-1] for row in table({"pace": [fast, small]})}
    assert of_pace["pace: events/s, 2 workers"] == "yes"
    assert of_pace["pace: events in a round, 2 workers"] == "NO"
    assert of_pace["pace: events per core-second of workers, 2 workers"] == "-"


def test_the_worst_page_counts_and_growth_is_by_size() -> None:
    pages = [{"p99_ms": 20}, {"p99_ms": 201}, {"what": "filled"}]
    sizes = [{"customers": 10**6, "us_an_event": 9.0}, {"customers": 10**4, "us_an_event": 6.0}]
    rows = list(table({"pages": pages, "event-cost": sizes}))
    assert [row.split()[-2:] for row in rows[1:]] == [["1.5", "NO"], ["201", "NO"]]


def test_of_a_lag_the_customers_and_rows_are_told_beside_the_records() -> None:
    lag = {"records_per_s": 60_000, "customers_per_s": 9_000, "table_rows_per_s": 30_000}
    told = {tuple(row.split()[-2:]) for row in table({"lag": [lag]})}
    assert {("60,000", "yes"), ("9,000.00", "-"), ("30,000.00", "-")} <= told


def test_every_aim_is_of_a_part_and_a_part_that_did_not_run_has_no_row() -> None:
    assert {aim.part for aim in AIMS} <= {part.name for part in PARTS}
    assert list(table({"idle": []})) == []


def test_a_pace_that_would_be_cut_is_refused() -> None:
    assert whole_ticks([50, 10_000]) == [50, 10_000]
    assert whole_ticks(None) is None
    for rate in (1_234, 49, 0, -50):
        with pytest.raises(typer.BadParameter, match="multiple of 50"):
            whole_ticks([1_000, rate])
