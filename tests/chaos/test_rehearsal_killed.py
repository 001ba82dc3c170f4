"""A rehearsal whose process is killed goes on by itself in the next one, to the same result."""

import time
from typing import Any

from sqlalchemy import text

from services.scoring.commands.rehearsals import LOST_AFTER
from tests.integration import test_rehearsal, worker_room
from tests.integration.test_rehearsal import ask, last, propose, rehearse, said
from tests.integration.worker_room import Room
from tests.rule_sets import day, stricter

room, begun = worker_room.room, test_rehearsal.begun
model, bank = test_rehearsal.model, test_rehearsal.bank
FROM = 20
REHEARSE = ("services.scoring", "rehearse")
DONE_S = 120.0


def killed_at(room: Room, failpoint: str) -> None:
    doomed = room.begin("r", *REHEARSE, GUANXI_FAILPOINT=failpoint)
    assert doomed.wait_dead() == -9, doomed.tail()


def forgotten(room: Room) -> None:
    """Its last beat lies so far back that it counts as lost, without our waiting for it."""
    with room.scoring.database.transaction() as tx:
        tx.session.execute(
            text("update rehearsals set beat_at = beat_at - cast(:lost as interval)"),
            {"lost": LOST_AFTER},
        )


def until_done(room: Room, number: int) -> Any:
    runner = room.begin("r", *REHEARSE)
    deadline = time.monotonic() + DONE_S
    while last(room, number).state == "running":
        assert runner.process.poll() is None, runner.tail()
        assert time.monotonic() < deadline, runner.tail()
        time.sleep(0.2)
    runner.stop()
    return last(room, number)


def kept_parts(room: Room, rehearsal: int) -> int:
    sql = f"select count(*) from rehearsal_parts where rehearsal_id = {rehearsal} and done"  # noqa: S608
    return int(room.rows(sql)[0][0])


def test_a_rehearsal_killed_at_each_stage_ends_with_the_identical_result(
    begun: Room, figure: Any
) -> None:
    room = begun
    number = propose(room, stricter())
    undisturbed = ask(room, number, day(FROM))
    rehearse(room)
    whole = last(room, number)
    assert whole.state == "done"
    rehearsal = ask(room, number, day(FROM))
    killed_at(room, "rehearsal.stepped:2")  # in the midst of a partition
    first = kept_parts(room, rehearsal)
    forgotten(room)
    killed_at(room, "rehearsal.partition_kept:2")
    second = kept_parts(room, rehearsal)
    assert first < second < worker_room.PARTITIONS, "what was kept is not stepped again"
    forgotten(room)
    killed_at(room, "rehearsal.before_end")  # all is counted, nothing is told
    assert kept_parts(room, rehearsal) == worker_room.PARTITIONS
    assert last(room, number).result is None
    began = time.monotonic()
    ended = until_done(room, number)  # nobody helps: after a while it counts as lost
    took_s = time.monotonic() - began
    assert ended.id == rehearsal
    assert (ended.state, ended.result) == ("done", whole.result)
    for proposed in (False, True):
        assert said(room, rehearsal, proposed=proposed) == said(
            room, undisturbed, proposed=proposed
        )
    figure(f"rehearsal killed three times: the same result, {took_s:.0f} s after the last")


def test_a_part_that_was_lost_would_be_seen(begun: Room) -> None:
    """The negative control: a run that counts a partition as kept of which nothing was."""
    room = begun
    number = propose(room, stricter())
    ask(room, number, day(FROM))
    rehearse(room)
    whole = last(room, number)
    ask(room, number, day(FROM))
    killed_at(room, "rehearsal.stepped:2")
    with room.scoring.database.transaction() as tx:
        tx.session.execute(text("update rehearsal_parts set done = true"))
    forgotten(room)
    assert until_done(room, number).result != whole.result
