"""What a listener never gets to read: let go by compaction, or lost."""

from collections import Counter

import pytest
from kafka import KafkaAdminClient, TopicPartition

from deploy.local.topics import topics
from shared import positions
from shared.ids import partition_of
from shared.outbox import COMPACTED
from shared.positions import PositionLost
from shared.testing.space import ServiceUnderTest, Space
from shared.wire import Record, Span
from tests.ledger import contact, entries


def test_a_listener_stops_where_the_log_no_longer_has_its_position(
    space: Space, ledger: ServiceUnderTest
) -> None:
    """Also one that runs: the library would go on behind what was lost."""
    space.publish(contact(0))
    ledger.drain()
    space.publish(*[contact(n) for n in range(1, 60)])
    part = partition_of(b"C1", space.partitions["bank.events"])
    place = TopicPartition(f"{space.prefix}bank.events", part)
    admin = KafkaAdminClient(bootstrap_servers=space.servers.kafka)
    admin.delete_records({place: 50})
    admin.close()
    ledger.listener.source._consumer.seek(place, 1)  # type: ignore[attr-defined]
    with pytest.raises(PositionLost, match=r"position 1 is outside the log 50\.\.60"):
        ledger.drain()
    assert [value for _, value in entries(ledger.database)] == ["K0"]


def test_what_compaction_let_go_is_no_difference_and_what_is_lost_is(
    ledger: ServiceUnderTest,
) -> None:
    compacted, plain = ("staff.directory", 0), ("bank.events", 0)
    positions.place(ledger.database, dict.fromkeys((compacted, plain), Span("made", 0, 10)))
    records = [
        Record(*place, offset, b"k", b"v", 0)
        for place in (compacted, plain)
        for offset in (0, 5, 9)
    ]
    with ledger.database.transaction() as tx:
        fresh = positions.lock_and_filter(tx, records)
        positions.advance(tx, fresh)
        positions.tally(tx, Counter((r.topic, r.partition, "applied") for r in fresh))
    with ledger.database.read() as session:
        lines = {str(line["topic"]): line for line in positions.reconcile(session)}
    assert (lines["staff.directory"]["compacted"], lines["staff.directory"]["difference"]) == (7, 0)
    assert lines["bank.events"]["difference"] == 7


def test_the_topics_that_let_records_go_are_those_that_are_kept_so() -> None:
    assert {
        one.name for one in topics() if one.settings.get("cleanup.policy") == "compact"
    } == COMPACTED
