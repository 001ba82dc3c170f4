"""kill -9 of the relay while it tells scores: none is lost, none goes back, an id has one body."""

import os
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import text

from deploy.local.children import free_port
from services.scoring.commands import parties
from shared.testing.space import ServiceUnderTest, Space
from tests.integration import scoring_room
from tests.integration.scoring_room import due_now, rows
from tests.processes import Forked

scoring = scoring_room.scoring
PARTIES = [f"P{n}" for n in range(20)]
PATIENCE_S = 120.0
POINTS = ("line.after_take", "line.after_produce", "line.after_told")
RELAY = "from services.scoring.__main__ import app; app()"
# Out of the line first, then to the broker.
TOLD_FIRST = (
    """
from services.scoring.commands import publishing
take = publishing.ScoresLine.take
def taken_out(self, database, limit):
    tellings = take(self, database, limit)
    if tellings:
        with database.transaction() as tx:
            self.told(tx, tellings)
    return tellings
publishing.ScoresLine.take = taken_out
"""
    + RELAY
)


class Relay:
    """`python -m services.scoring relay`, killed by itself or by the test."""

    def __init__(self, space: Space) -> None:
        settings = space.settings("scoring")
        self._environment = {
            **os.environ,
            "GUANXI_ENVIRONMENT": "local",
            "GUANXI_KAFKA": settings.kafka,
            "GUANXI_DATABASE": settings.database,
            "GUANXI_REDIS": settings.redis,
            "GUANXI_TOPIC_PREFIX": settings.topic_prefix,
        }
        self._folder = tempfile.TemporaryDirectory()
        self._process: Forked | None = None

    def start(self, failpoint: str = "", code: str = RELAY) -> Forked:
        own = {"GUANXI_FAILPOINT": failpoint, "GUANXI_HTTP_PORT": str(free_port())}
        log = Path(self._folder.name) / "relay.log"
        self._process = Forked(("-c", code, "relay"), self._environment | own, log)
        return self._process

    def kill(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait(10)


@pytest.fixture
def relay(space: Space) -> Iterator[Relay]:
    found = Relay(space)
    yield found
    found.kill()


def change(scoring: ServiceUnderTest, which: list[str], minor: int) -> None:
    """What is told of these parties becomes this, and it is their turn."""
    with scoring.database.transaction() as tx:
        parties.lock_parties(tx, which)
        tx.session.execute(
            text(
                "insert into numbers (customer_number, party_id, accrued_minor)"
                " select 'C' || p, p, :minor from unnest(cast(:parties as text[])) as x(p)"
                " on conflict (customer_number) do update set accrued_minor = :minor"
            ),
            {"parties": which, "minor": minor},
        )
        parties.recompute(tx, which)
    due_now(scoring)


def settled(scoring: ServiceUnderTest) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while rows(scoring, "select 1 from scores_waiting limit 1"):
        assert time.monotonic() < deadline, "somebody still stands in line"
        time.sleep(0.05)


def verdict(space: Space, scoring: ServiceUnderTest) -> dict[str, int]:
    bodies: defaultdict[str, set[bytes]] = defaultdict(set)
    versions: defaultdict[str, list[int]] = defaultdict(list)
    last: dict[str, int] = {}
    for event in space.read("score.updates"):
        party_id = event.data.party_id
        bodies[event.id].add(msgspec.json.encode(event))
        versions[party_id].append(int(event.id.rpartition(":")[2]))
        last[party_id] = event.data.contribution.accrued_minor
    figures = dict(rows(scoring, "select party_id, cast(accrued_minor as bigint)"
                                 " from party_figures"))  # fmt: skip
    return {
        "lost": sum(last.get(party_id) != minor for party_id, minor in figures.items()),
        "gone back": sum(found != sorted(found) for found in versions.values()),
        "another body": sum(len(found) > 1 for found in bodies.values()),
    }


def killed(scoring: ServiceUnderTest, relay: Relay, failpoint: str, code: str = RELAY) -> None:
    """Everybody is told once; the second figures meet the kill, and some become others then."""
    change(scoring, PARTIES, 1)
    relay.start()
    settled(scoring)
    relay.kill()
    change(scoring, PARTIES, 2)
    assert relay.start(failpoint, code).wait(PATIENCE_S) == -9
    change(scoring, PARTIES[:5], 3)
    relay.start()
    settled(scoring)
    relay.kill()


@pytest.mark.parametrize("failpoint", POINTS)
def test_a_relay_killed_at_this_point_loses_no_score(
    space: Space, scoring: ServiceUnderTest, relay: Relay, failpoint: str
) -> None:
    killed(scoring, relay, failpoint)
    assert verdict(space, scoring) == {"lost": 0, "gone back": 0, "another body": 0}


def test_a_relay_that_takes_out_first_is_found_out(
    space: Space, scoring: ServiceUnderTest, relay: Relay
) -> None:
    killed(scoring, relay, "line.after_take", TOLD_FIRST)
    found = verdict(space, scoring)
    assert found == {"lost": len(PARTIES) - 5, "gone back": 0, "another body": 0}
