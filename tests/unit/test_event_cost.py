"""The measure of an event's cost takes the phases that it names, and gives them back."""

from services.scoring import stepping
from tests.load.event_cost import measure


def test_each_event_moves_one_row_and_has_its_phases() -> None:
    before = stepping.Run.step
    found = measure(200, 10, days=2)
    assert found["rows_an_event"] == 1.0
    assert all(found["by_phase"][phase] > 0 for phase in ("decode", "find", "step", "pack"))
    assert stepping.Run.step is before
