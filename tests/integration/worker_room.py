"""The whole scorer on real servers: workers as processes, the query side in the test's own."""

import json
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from services.scoring import state
from services.scoring.__main__ import SERVICE
from shared import positions
from shared.policy import Actor
from shared.testing.servers import Servers
from shared.testing.space import Space
from tests.workers import FIRST_DAY, Worker, WorkerSpace, described

PARTITIONS = 4  # as the space has
OPS = Actor("S900", permissions=frozenset({"ops.view", "ops.act"}))


class Room:
    """The whole scorer: its query side in this process, its workers beside it, one bank's clock."""

    def __init__(self, space: Space, workers: WorkerSpace, clock_file: Path) -> None:
        self.space = space
        self.workers = workers
        self._clock_file = clock_file
        self.stand_at(FIRST_DAY)
        self.scoring = space.service(SERVICE)
        self.ops = self.scoring.client(OPS)

    def stand_at(self, day: date) -> None:
        now = datetime(day.year, day.month, day.day, 4, tzinfo=UTC)
        self.space.clock.bank = now
        self._clock_file.write_text(
            json.dumps({"origin": now.isoformat(), "since": now.isoformat(), "factor": 0})
        )

    def start(self, instance: str = "a", *command: str, **environment: str) -> Worker:
        worker = self.begin(instance, *command, **environment)
        worker.wait_ready()
        return worker

    def begin(self, instance: str = "a", *command: str, **environment: str) -> Worker:
        settings = {
            "GUANXI_CLOCK_FILE": str(self._clock_file),
            "GUANXI_WORKER_EVENT_STORE": "1",
            "GUANXI_DATABASE": self.scoring.runtime.settings.database,
        }
        chosen = (command,) if command else ()
        return self.workers.start(instance, *chosen, **(settings | environment))

    def settle(self) -> None:
        """Until the worker and the query side have taken all that was sent and said."""
        deadline = time.monotonic() + 60
        while True:
            self.scoring.drain()
            if self.workers.at_end():
                break
            assert time.monotonic() < deadline, self.workers.workers[-1].tail()
            time.sleep(0.1)
        self.scoring.drain()

    def letters(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.ops.get("/ops/state").json()["letters"]
        return found

    def replay(self, letter: dict[str, Any]) -> int:
        return int(self.ops.post(f"/ops/{letter['path']}/replay").status_code)

    def discard(self, letter: dict[str, Any]) -> int:
        said = {"reason": "the bank took it back"}
        return int(self.ops.post(f"/ops/{letter['path']}/discard", data=said).status_code)

    def send_inputs_again(self) -> int:
        """What a relay does that dies before it has deleted what it sent."""
        found = self.workers.read("scoring.inputs")
        return self.workers.send(
            [(p, key, value or b"") for p, key, value in found], topic="scoring.inputs"
        )

    def customer(self, number: str) -> state.CustomerState:
        return self.workers.customers()[number]

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        with self.scoring.database.read() as session:
            return [tuple(row) for row in session.execute(text(sql))]

    def folded(self) -> list[tuple[Any, ...]]:
        return self.rows("select customer_number, count, sum_minor from customer_state order by 1")

    def balanced(self) -> None:
        with self.scoring.database.read() as session:
            told = {row["topic"]: row for row in positions.reconcile(session)}
        assert {row["difference"] for row in told.values()} == {0}
        empty = self.rows("select count(*) from bank_events where type is null")[0][0]
        assert told["bank.events"].get("refused", 0) == empty


@pytest.fixture
def room(space: Space, servers: Servers, tmp_path: Path) -> Iterator[Room]:
    workers = WorkerSpace(servers, tmp_path, PARTITIONS, prefix=space.prefix)
    workers.describe(described())
    yield Room(space, workers, tmp_path / "clock.json")
    workers.close()
