"""The state built anew from the log is the live one; as of a past day it is what it was then."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from services.scoring import rebuild, risk_model
from services.scoring.__main__ import app
from services.scoring.canonical import Digest
from services.scoring.rebuild import Rebuild, Rebuilt
from tests.integration import worker_room
from tests.integration.worker_room import Room
from tests.risk_live import hand_made
from tests.rule_sets import PRODUCT, day
from tests.workers import opened_long_ago, small_bank

room = worker_room.room
FIRST, LAST = 40, 70


def whole(parts: Iterator[Rebuilt]) -> Digest:
    found = Digest()
    for part in parts:
        found = found.plus(part.digest)
    return found


def test_the_rebuilt_state_is_the_live_one_now_and_as_of_a_past_day(
    room: Room, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "first.json"
    risk_model.save(hand_made(PRODUCT), file)
    monkeypatch.setenv("GUANXI_RISK_MODEL", str(file))
    building = Rebuild(room.scoring.runtime.settings, room.scoring.database)
    bank = small_bank(customers=40, days=LAST + 1, per_day=20)
    bank.events[:0] = opened_long_ago(bank)
    cut = next(n for n, e in enumerate(bank.events) if e.id == f"close-core-{day(FIRST)}") + 1
    room.stand_at(day(LAST))
    room.workers.publish(bank.events[:cut])
    store_off = {"GUANXI_WORKER_EVENT_STORE": "0"}
    worker = room.start(**store_off)
    room.settle()
    then = {part.partition: part for part in building.live()}
    assert {part.closed_on for part in then.values()} == {day(FIRST)}

    room.workers.publish(bank.events[cut:])
    room.settle()
    worker.kill()  # and what the next one writes by other batches is the same
    room.start(GUANXI_WORKER_RECORDS_MAX="90", **store_off)
    room.settle()
    now, rebuilt = whole(building.live()), whole(building.from_log())
    assert now.customers == len(bank.counts)
    assert rebuilt == now
    assert {part.partition: part for part in building.from_log(day(FIRST))} == then
    assert whole(building.from_log(day(FIRST))) != now

    settings = room.scoring.runtime.settings
    monkeypatch.setenv("GUANXI_KAFKA", settings.kafka)
    monkeypatch.setenv("GUANXI_DATABASE", settings.database)
    monkeypatch.setenv("GUANXI_TOPIC_PREFIX", settings.topic_prefix)
    monkeypatch.setenv("GUANXI_DB_SCHEMA", settings.schema_name)
    said = CliRunner().invoke(app, ["rebuild"])
    assert said.exit_code == 0, said.output
    assert said.output.count(now.text) == 2

    # The negative control: one event of the log is missing.
    monkeypatch.setattr(rebuild.queries, "refused", lambda session, number: {30 + number})
    lacking = whole(building.from_log())
    assert (lacking.customers, lacking.hash != now.hash) == (now.customers, True)
    assert CliRunner().invoke(app, ["rebuild"]).exit_code == 1
