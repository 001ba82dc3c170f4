"""What a listener takes together: it rests after little, it halves what is too much or fails."""

import threading
import time

import pytest
from sqlalchemy import select

from shared.consumer import RECORDS_MAX, SMALL
from shared.db import DeadLetterRow
from shared.gathering import MOST
from shared.wire import Record
from tests.ledger import BROKEN, contact, entries


def test_a_listener_rests_after_a_small_batch_only(space, ledger):
    space.publish(contact(1))
    rests = []
    while not entries(ledger.database):
        ledger.listen_once()
        rests.append(ledger.listener.rest_s)
    assert rests[:-1] == [0.0] * (len(rests) - 1)
    assert 0 < rests[-1] <= ledger.runtime.settings.rest_max_s
    space.publish(*[contact(n) for n in range(2, 2 + RECORDS_MAX)])
    time.sleep(0.5)  # all are at the broker's end: the next poll is a full one
    while ledger.listen_once() < SMALL:
        pass
    assert ledger.listener.rest_s == 0.0


def test_what_is_too_much_together_is_taken_in_halves(space, ledger, monkeypatch):
    """A batch that the database has no time for would be asked for ever."""
    apply, sizes = ledger.listener._apply_together, []

    def in_time(records):
        sizes.append(len(records))
        if len(records) > 100:
            raise TimeoutError("canceling statement due to statement timeout")
        apply(records)

    monkeypatch.setattr(ledger.listener, "_apply_together", in_time)
    space.publish(*[contact(n) for n in range(600)])
    time.sleep(0.5)
    deadline = time.monotonic() + 60
    while len(entries(ledger.database)) < 600:
        assert time.monotonic() < deadline, sizes
        try:
            ledger.listen_once()
        except TimeoutError:
            ledger.listener.source.rewind()
    assert max(sizes) > 100, "nothing was too much: the test proves nothing"
    assert ledger.listener._at_most > 100, "it never asks for more again"


def test_a_running_listener_takes_a_batch_that_failed_again(space, ledger, monkeypatch):
    """The broker would go on behind it, and its events would be lost in silence."""
    apply, failed = ledger.listener._apply_together, []

    def world_down_once(records):
        if not failed:
            failed.extend(records)
            raise TimeoutError("canceling statement due to statement timeout")
        apply(records)

    monkeypatch.setattr(ledger.listener, "_apply_together", world_down_once)
    space.publish(*[contact(n) for n in range(300)])
    stop = threading.Event()
    running = threading.Thread(target=ledger.listener.run, args=(stop,))
    running.start()
    deadline = time.monotonic() + 30
    try:
        while len(entries(ledger.database)) < 300 and time.monotonic() < deadline:
            time.sleep(0.1)
    finally:
        stop.set()
        running.join(30)
    assert failed, "nothing failed: the test proves nothing"
    assert [value for _, value in entries(ledger.database)] == [f"K{n}" for n in range(300)]


def test_one_bad_message_of_many_costs_itself_only(space, ledger, monkeypatch):
    """And some transactions, not one for each message."""
    apply, sizes = ledger.listener._apply_together, []

    def counted(records):
        sizes.append(len(records))
        apply(records)

    monkeypatch.setattr(ledger.listener, "_apply_together", counted)
    BROKEN.add("K400")
    space.publish(*[contact(n, f"C{n}") for n in range(800)])
    time.sleep(0.5)
    ledger.drain()
    assert len(entries(ledger.database)) == 799
    with ledger.database.read() as session:
        (letter,) = session.scalars(select(DeadLetterRow)).all()
    assert letter.kind == "parked"
    assert sum(sizes) > 400, "no batch failed: the test proves nothing"
    assert len(sizes) < 100


def test_a_batch_that_fails_is_half_of_what_was_asked_for_not_of_what_came(ledger, monkeypatch):
    """Of states a poll brings more than it was asked for: half of that may be more again."""
    asked = []

    def poll(_, records_max):
        asked.append(records_max)
        return [Record("bank.events", 0, n, b"k", b"", 0) for n in range(MOST * records_max)]

    def fail(_):
        raise TimeoutError("canceling statement due to statement timeout")

    monkeypatch.setattr(ledger.listener.source, "poll", poll)
    monkeypatch.setattr(ledger.listener, "_apply_together", fail)
    for _ in range(4):
        with pytest.raises(TimeoutError):
            ledger.listen_once()
    assert asked == [RECORDS_MAX, RECORDS_MAX // 2, RECORDS_MAX // 4, RECORDS_MAX // 8]
