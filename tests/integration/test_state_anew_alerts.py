"""The runbook's *The state anew*: the alerts are those of the new signals, and nobody is told
on the way of one that comes again."""

from collections.abc import Iterator
from datetime import date
from typing import Any

import pytest

from services.scoring import model, state
from services.scoring.commands import alerts_anew, forgetting_state, outflows
from services.scoring.commands.forgetting_state import forget_state
from services.scoring.replay import Replay
from services.scoring.watermark import Source
from shared.testing.space import ServiceUnderTest, Space
from tests.integration import scoring_room
from tests.integration.scoring_room import (
    asked,
    compared,
    day,
    party,
    read_through,
    relayed,
    rows,
)
from tests.integration.test_scoring_absences import ReplayedBank
from tests.scoring_bank import FIRST_DAY, SOURCE, ZONE

scoring = scoring_room.scoring
# `replay` is told no part of a second.
ALERTS = """select party_id, rule, date_trunc('second', at), date_trunc('second', ended_at)
              from alerts where valid order by 1, 2, 3"""
HELD = "select count(*) from alerts_held"
HELD_BACK = "select count(*) from outflows_waiting where due_on = '9999-12-31'"
READY = outflows.READY.text


class RefusingBank(ReplayedBank):
    """What is booked on SV-C waits for its rate, until that has come."""

    waits = True

    def _polls(self) -> Iterator[tuple[int, list[Any]]]:
        for partition, records in super()._polls():
            yield partition, [r for r in records if not (self.waits and b"SV-C" in r.value)]

    def episodes(self) -> list[tuple]:
        """The alerts of all that is on the log, by `replay`."""
        one = Replay(
            model.load(), currency="CNY", zone=ZONE, until=day(3000), parties={"P1": {"C"}}
        )  # fmt: skip
        one.engine.describe(SOURCE, Source(True, FIRST_DAY.toordinal()))
        one.feed(self.lines)
        one.finish()
        return [(e["party_id"], e["rule"], e["at"], e["ended_at"]) for e in one.episodes()]


def forgotten(scoring: ServiceUnderTest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forgetting_state, "PLACES_IN_LOGS", ())  # here the topics stay
    assert sum(forget_state(scoring.database)) > 0


def told(space: Space, scoring: ServiceUnderTest) -> list[tuple[str, date]]:
    relayed(scoring)
    return [(type(e.data).__name__, e.data.at.date()) for e in space.read("score.alerts")]


def test_alerts_that_no_longer_hold_go_and_those_that_were_missing_come_with_the_new_signals(
    space: Space, scoring: ServiceUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without what waited C seemed silent in the middle, and so was so for the second time."""
    party(space, "P1", "C")
    bank = RefusingBank(space)
    for n in range(260):
        if n % 3 == 0 and (n <= 60 or 153 <= n <= 180):
            bank.book("C", 1000, day(n))
        if n % 3 == 0 and 63 <= n <= 150:
            bank.book("C", 1000, day(n), account="SV-C", product="SV-P")
        bank.close(day(n))
    bank.score()
    scoring.drain()
    bank.shut()
    before, said = rows(scoring, ALERTS), told(space, scoring)
    assert before != bank.episodes(), "the test proves nothing"
    forgotten(scoring, monkeypatch)
    anew = RefusingBank(space)
    anew.waits, anew.lines, anew._number = False, bank.lines, bank._number
    records, found = anew.score(write=False)
    anew.write(records, [])
    scoring.drain()
    assert compared(scoring) == 0, "what moved a rule last may be behind the last close"
    anew.write([], found)
    read_through(scoring)
    assert compared(scoring) == 0, "the signals are not read yet"
    scoring.drain()
    assert (rows(scoring, ALERTS), told(space, scoring)) == (before, said), "they stand still"
    assert compared(scoring) > 0
    assert rows(scoring, ALERTS) == anew.episodes()
    assert len(told(space, scoring)) > len(said)
    assert rows(scoring, HELD) == [(0,)]
    assert not rows(scoring, "select 1 from signals where of_before")
    for n in range(260, 300):
        if n % 3 == 0:
            anew.book("C", 1000, day(n))
        anew.close(day(n))
    anew.score()
    scoring.drain()
    anew.shut()
    assert rows(scoring, ALERTS) == anew.episodes()
    assert anew.episodes()[-1][-1] is not None, "its end was not to be seen"


@pytest.mark.parametrize("steps", [1, 3, 12])
def test_nobody_is_told_of_alerts_that_come_again_as_they_were(
    space: Space, scoring: ServiceUnderTest, monkeypatch: pytest.MonkeyPatch, steps: int
) -> None:
    """Silence by leaving and coming back, and an outflow of sums: as the days close again, the last
    number of a party seems to have gone, or nothing to have gone yet."""
    party(space, "P1", "C", "D")
    party(space, "P2", "E", "F", "G")
    party(space, "P3", "H", "I")
    bank = a_bank_of_leavers(space, scoring)
    asked(scoring)
    before, said = rows(scoring, ALERTS), told(space, scoring)
    assert {rule for _, rule, _, _ in before} == {"outflow", "silence"}
    forgotten(scoring, monkeypatch)
    monkeypatch.setattr(alerts_anew, "NUMBERS", 1)
    bank.shut()
    anew = ReplayedBank(space)
    by_partition: dict[int, list[Any]] = {}
    for partition, records in anew._polls():
        by_partition.setdefault(partition, []).extend(records)
    reached: dict[int, int] = {}
    for step in range(steps):
        for partition, records in by_partition.items():
            size = len(records)
            part = records[step * size // steps : (step + 1) * size // steps]
            scored(anew, partition, part)
            if part:
                reached[partition] = part[-1].offset
        scoring.drain()
        read_through(scoring, reached)
        asked(scoring)
        assert rows(scoring, READY, many=9, many_held=9) == [], "each round would meet them"
        compared(scoring)
    anew.shut()
    assert rows(scoring, HELD_BACK) == [(0,)]
    assert rows(scoring, HELD) == [(0,)]
    asked(scoring)
    assert told(space, scoring) == said
    assert rows(scoring, ALERTS) == before


def a_bank_of_leavers(space: Space, scoring: ServiceUnderTest) -> ReplayedBank:
    bank = ReplayedBank(space)
    last = {"D": 60, "C": 118, "E": 60, "F": 118, "G": 60}
    for number, until in last.items():
        bank.days(number, day(0), day(until), 3, 1_000_000)
    for number, amount, n in (("H", 10**7, 0), ("I", 10**7, 0), ("H", -9_500_000, 60),
                              ("I", -6_000_000, 61)):  # fmt: skip
        bank.book(number, amount, day(n))
    ends = {69: "E", 119: "CF", 149: ""}
    first = 0
    for until, left in ends.items():
        bank.close_through(day(until), day(first))
        for number in left:
            bank.end(number, day(until + 1))
        first = until + 1
    bank.open("C", "A2-C", day(150))
    for n in range(150, 220):
        if n % 3 == 0:
            bank.book("C", 1_000_000, day(n), account="A2-C")
        bank.close(day(n))
    bank.score()
    scoring.drain()
    return bank


def scored(bank: ReplayedBank, partition: int, records: list[Any]) -> None:
    """One poll of the worker."""
    if not records:
        return
    batch = bank.engine.read(partition, records, date(2100, 1, 1).toordinal())
    outcome = bank.engine.apply(batch, set())
    out = [(partition, key, value) for key, value in outcome.records]
    if batch.columns.closes:
        closes = state.pack_partition(bank.engine.partition(partition).closes)
        out.append((partition, state.PARTITION_KEY + b"%d" % partition, closes))
    bank.write(out, [(partition, signal) for signal in outcome.signals])


def scored_in_two(bank: ReplayedBank, last: date) -> Iterator[dict[int, int]]:
    """All that is on the log but for what was booked on the last day, then that. Says each time,
    when it is written, the last offset of each partition."""
    records = [(partition, r) for partition, polled in bank._polls() for r in polled]
    booked = b'"booked_on":"' + last.isoformat().encode()
    for is_last in (False, True):
        part = [(p, r) for p, r in records if (booked in r.value) == is_last]
        for partition in range(4):
            scored(bank, partition, [r for p, r in part if p == partition])
        yield {p: r.offset for p, r in part}
