"""Keys and texts that no database can keep: one record costs itself, never its listener."""

import pytest
from sqlalchemy.exc import OperationalError

from shared.db import is_world_down
from shared.events import bank
from shared.testing.space import ServiceUnderTest, Space
from tests.chaos import test_bad_input as room
from tests.chaos.test_bad_input import contact, encoded, entries, letters, line, send

ledger = room.ledger


@pytest.mark.parametrize("body", [b"not json", b""])
@pytest.mark.parametrize("key", [b"C\0001", b"C1" * 4_500, b"\xff\xfe\0"], ids=repr)
def test_a_key_that_cannot_be_stored_is_a_dead_letter_and_the_next_flows_on(
    space: Space, ledger: ServiceUnderTest, key: bytes, body: bytes
):
    partition = space.sender.send("bank.events", key, body).result(10).partition
    space.publish(contact(1))
    space.sender.send("bank.events", key, encoded(space, contact(2)), partition=partition).result(
        10
    )
    ledger.drain()
    assert [v for _, v in entries(ledger.database)] == ["K1"]
    assert [(r.kind, r.state) for r in letters(ledger)] == [("dead", "waiting")] * 2
    assert line(ledger)["difference"] == 0


def test_a_tombstone_and_a_record_of_another_topic_are_dead(space: Space, ledger: ServiceUnderTest):
    send(space, None)  # type: ignore[arg-type] - what a compacted topic would carry
    send(
        space, encoded(space, bank.CustomerRecorded(customer_number="C1", kind="person", name="x"))
    )
    ledger.drain()
    assert [r.kind for r in letters(ledger)] == ["dead", "dead"]
    assert line(ledger)["difference"] == 0


def test_an_unknown_version_that_cannot_be_stored_is_quarantined_and_holds_nobody(
    space: Space, ledger: ServiceUnderTest
):
    send(space, encoded(space, contact(1)).replace(b"recorded.v1", b"recorded.v\\u00002"))
    space.publish(contact(2))
    ledger.drain()
    assert [v for _, v in entries(ledger.database)] == ["K2"]
    assert [r.kind for r in letters(ledger)] == ["quarantined"]


def test_what_the_server_says_of_one_statement_is_not_the_world_going_down():
    class Said(Exception):
        def __init__(self, sqlstate: str | None) -> None:
            self.sqlstate = sqlstate

    def error(sqlstate: str | None) -> OperationalError:
        return OperationalError("insert", {}, Said(sqlstate))

    down = {None: True, "57P01": True, "53300": True, "08006": True, "40P01": True, "54000": False}
    assert {state: is_world_down(error(state)) for state in down} == down
