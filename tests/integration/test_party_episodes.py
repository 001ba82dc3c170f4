"""`replay --parties`: the final episodes by party are the alerts that the live system has."""

import json
from datetime import timedelta
from pathlib import Path

from typer.testing import CliRunner

from services.scoring.__main__ import app
from shared.events import customer
from shared.events.bank import DayClosed
from shared.events.envelope import encode
from shared.testing.space import ServiceUnderTest, Space
from tests.integration import scoring_room
from tests.integration.scoring_room import a_small_bank, asked, day, party, rows
from tests.scoring_bank import ScoredBank
from tests.workers import closed, described

scoring, scored = scoring_room.scoring, scoring_room.scored
ALERTS = "select alert_id, party_id, rule, episode, ended_at is null from alerts where valid"


def merged(space: Space) -> None:
    """P3 is P2: whether the party is silent or loses its money is asked of both numbers."""
    space.clock.bank += timedelta(seconds=1)
    space.publish(
        *(customer.IdentityMerged(party_id="P2", customer_number=n, merge_id="M1",
                                  former_party_id="P3", customer_numbers=("C2", "C3"))
          for n in ("C2", "C3")),
        source="guanxi/customer",
    )  # fmt: skip


def two_families(scored: ScoredBank, space: Space) -> None:
    """Of two numbers each. From one of each goes nearly all; in the first family it comes to the
    other number."""
    for name in ("C5", "C6", "C7", "C8"):
        scored.days(name, day(151), day(230), 5, 2_000_000)
    for number, amount in (("C5", -30_000_000), ("C6", 30_000_000), ("C7", -30_000_000),
                           ("C8", -20_000_000)):  # fmt: skip
        scored.book(number, amount, day(232))
    scored.close_through(day(240), day(151))
    party(space, "P5", "C5", "C6")
    party(space, "P7", "C7", "C8")


def test_the_final_episodes_are_the_alerts_of_the_live_system(
    space: Space, scoring: ServiceUnderTest, scored: ScoredBank, tmp_path: Path
) -> None:
    a_small_bank(scored, space)
    two_families(scored, space)
    scored.score()
    scoring.drain()
    asked(scoring)
    before = {tuple(row) for row in rows(scoring, ALERTS)}
    merged(space)
    scoring.drain()
    asked(scoring)
    live = {tuple(row) for row in rows(scoring, ALERTS)}
    assert len(live) > 1
    assert live != before, "the merge changes nothing"

    told = space.read("bank.events")
    days = {e.data.day for e in told if isinstance(e.data, DayClosed)}  # a line for all partitions
    events, facts = tmp_path / "events.jsonl", tmp_path / "parties.jsonl"
    lines = [described(from_on=day(0)), *(e for e in told if not isinstance(e.data, DayClosed)),
             *map(closed, sorted(days))]  # fmt: skip
    for file, of in ((events, lines), (facts, space.read("customer.events"))):
        file.write_bytes(b"".join(encode(event) + b"\n" for event in of))
    signals, both = tmp_path / "signals.jsonl", tmp_path / "both.jsonl"
    until = ["--until", "2026-12-31", "--currency", "CNY"]
    for out, more in ((signals, []), (both, ["--parties", str(facts)])):
        command = ["replay", str(events), *until, "--alerts", str(out), *more]
        done = CliRunner().invoke(app, command)
        assert done.exit_code == 0, done.output
    alone, found = signals.read_text().splitlines(), both.read_text().splitlines()
    assert found[: len(alone)] == alone
    episodes = [json.loads(line) for line in found[len(alone) :]]
    assert {(e["alert_id"], e["party_id"], e["rule"], e["episode"], e["ended_at"] is None)
            for e in episodes} == live  # fmt: skip
    raised = {json.loads(line)["id"] for line in alone}
    assert all(set(e["raised_by"]) <= raised for e in episodes)
    of_sums = [e for e in episodes if e["rule"] == "outflow"]
    assert [e["party_id"] for e in of_sums] == ["P7"]
    left = {json.loads(line)["customer_number"] for line in alone if "outflow/" in line}
    assert left >= {"C3", "C5", "C7"}, "numbers of all three parties have lost their money"
    assert not any(e["raised_by"] for e in of_sums)
