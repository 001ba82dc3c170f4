"""Where an event belongs: its topic, its key, its partition; the same answer as Kafka's client."""

import json
import os
from datetime import UTC, date, datetime
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from kafka.partitioner.default import DefaultPartitioner, murmur2

from shared.events import CATALOGUE, bank, customer, decode, key_of, misplaced, orders, wrap
from shared.events.envelope import Event
from shared.ids import partition_of

GOLDEN = Path(__file__).parent / "golden"
AT = datetime(2026, 3, 2, 1, 30, tzinfo=UTC)
DAY = date(2026, 3, 2)


def golden(name: str) -> Event[Any]:
    return decode((GOLDEN / f"{name}.json").read_bytes())


@pytest.mark.parametrize("name", sorted(CATALOGUE))
def test_subject_is_the_key_and_the_event_is_in_its_place(name: str) -> None:
    event = golden(name)
    assert event.subject == key_of(event)
    key = event.subject.encode()
    right = partition_of(key, 8)
    if name == "bank.day_closed.v1":
        right = event.data.partition
    assert misplaced(event, event.data.TOPIC, key, right, 8) is None


def test_wrong_topic_key_subject_and_partition_are_told() -> None:
    event = golden("bank.transaction_booked.v1")
    right = partition_of(event.subject, 8)
    assert "belongs on bank.events" in (misplaced(event, "bank.customers", b"C-10086") or "")
    assert "no key" in (misplaced(event, "bank.events", None) or "")
    assert "'C-1' is not 'C-10086'" in (misplaced(event, "bank.events", b"C-1") or "")
    assert misplaced(event, "bank.events", b"\xff") is not None
    wrong = misplaced(event, "bank.events", b"C-10086", (right + 1) % 8, 8)
    assert wrong is not None
    assert f"belongs in {right}" in wrong
    raw = json.loads((GOLDEN / "bank.transaction_booked.v1.json").read_bytes())
    raw["subject"] = "C-2"
    assert "subject" in (misplaced(decode(json.dumps(raw)), "bank.events", b"C-2") or "")


def test_day_closed_is_exempt_from_the_key_but_not_from_its_partition() -> None:
    fact = bank.DayClosed(day=DAY, partition=3)
    event = wrap(fact, id=fact.event_id("core"), source="core", time=AT, businessdate=DAY)
    assert event.id == "close-core-2026-03-02-3"
    assert misplaced(event, "bank.events", None, 3, 8) is None
    assert misplaced(event, "bank.events", None, 4, 8) is not None
    assert bank.DayClosed(day=DAY).event_id("core") == "close-core-2026-03-02"


def test_a_prospect_is_keyed_by_its_party_and_a_customer_by_his_number() -> None:
    said = {"kind": "person", "customer_numbers": ()}
    prospect = customer.PartyRecorded(party_id="P-1", **said)
    known = customer.PartyRecorded(party_id="P-1", customer_number="C-1", **said)
    assert (prospect.key("guanxi/customer"), known.key("guanxi/customer")) == ("P-1", "C-1")


def test_reference_records_of_two_days_or_sources_do_not_replace_each_other() -> None:
    def key(source: str, **rate: Any) -> str:
        return bank.RateSet(value=1, kind="transfer_price", **rate).key(source)

    first = key("core", product_code="CA", from_on=DAY)
    assert first == "transfer_price/CA/2026-03-02/core"
    assert first != key("ftp", product_code="CA", from_on=DAY)
    assert first != key("core", product_code="CA", from_on=date(2026, 3, 3))
    assert first != key("core", driver_code="CA", from_on=DAY)


def test_rates_of_two_places_have_two_keys_and_those_without_a_plus_keep_theirs() -> None:
    def entry(*place: str | None) -> str:
        of, driver, grade = place
        return bank.RateSet(value=1, kind="pd", from_on=DAY, product_code=of,
                            driver_code=driver, grade_code=grade).entry  # fmt: skip

    assert entry("OD", None, "A") == "pd/OD++A/2026-03-02"
    assert entry("OD", "card", "A") == "pd/OD+card+A/2026-03-02"
    assert entry(None, "card/atm", None) == "pd/+card/atm/2026-03-02"
    assert entry("50%", None, None) == "pd/50%/2026-03-02"
    assert entry(None, None, None) == "pd/-/2026-03-02"
    assert entry("OD", None, "A+") == "pd/OD++A%2B+/2026-03-02"
    texts = (None, "A", "+", "A+", "AA+", "A++", "+A", "A+A", "A%2B", "%", "%+", "A%2B+")
    places = list(product(texts, repeat=3))
    assert len({entry(*place) for place in places}) == len(places)


def test_wrap_refuses_a_naive_instant_and_writes_utc() -> None:
    fact = orders.OrderClosed(order_id="O-1", outcome_code="settled")
    with pytest.raises(ValueError, match="time zone"):
        wrap(fact, id="1", source="s", time=AT.replace(tzinfo=None), businessdate=DAY)
    event = wrap(fact, id="1", source="s", time=AT, businessdate=DAY, rootat=AT)
    assert event.time.utcoffset() == event.rootat.utcoffset()  # type: ignore[union-attr]
    assert (event.subject, event.type) == ("O-1", "orders.order_closed.v1")


class OneTopic:
    """As much of the client's cluster metadata as its partitioner asks for."""

    def __init__(self, partitions: int) -> None:
        self._members = set(range(partitions))

    def topics(self) -> set[str]:
        return {"bank.events"}

    def partitions_for_topic(self, topic: str) -> set[int]:
        return self._members

    available_partitions_for_topic = partitions_for_topic


def test_partition_is_the_one_that_kafka_chooses() -> None:
    choose = DefaultPartitioner().partition
    for length in range(64):
        for _ in range(20):
            key = os.urandom(length)
            assert partition_of(key, 2**31) == murmur2(key) & 0x7FFFFFFF
            for partitions in (1, 3, 8, 24):
                chosen = choose("bank.events", None, key, None, b"", OneTopic(partitions))
                assert partition_of(key, partitions) == chosen
    assert partition_of("客户-1", 24) == partition_of("客户-1".encode(), 24)
