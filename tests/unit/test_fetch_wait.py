"""How long the broker holds a fetch: at rest four a second, and no partition waits for others."""

from types import SimpleNamespace

import pytest

from shared.fetching import rest_when_all_is_asked
from shared.wire import FETCH_WAIT_MS

REST_WAIT_MS = 250


@pytest.mark.parametrize(
    ("asked", "wait"),
    [([["A", "B", "C"]], REST_WAIT_MS), ([["A", "B"], ["C"]], REST_WAIT_MS),
     ([["A", "C"]], FETCH_WAIT_MS), ([["A"], ["C"]], FETCH_WAIT_MS), ([], None)],
    ids=["all", "all of two brokers", "B is being read", "B, of two brokers", "none"],
)  # fmt: skip
def test_only_a_fetch_of_everything_waits_long(asked: list[list[str]], wait: int | None) -> None:
    requests = {
        node: (SimpleNamespace(max_wait_ms=FETCH_WAIT_MS), dict.fromkeys(of_node, 0))
        for node, of_node in enumerate(asked)
    }
    fetcher = SimpleNamespace(_create_fetch_requests=lambda: requests)
    consumer = SimpleNamespace(_fetcher=fetcher, assignment=lambda: {"A", "B", "C"})
    rest_when_all_is_asked(consumer, REST_WAIT_MS)
    found = fetcher._create_fetch_requests()
    assert {one.max_wait_ms for one, _ in found.values()} == ({wait} if asked else set())
