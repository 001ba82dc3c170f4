"""The CloudEvents library as the other side: it reads what we write, we read what it writes."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cloudevents.core.bindings.kafka import KafkaMessage, from_structured_event, to_structured_event
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent

from shared.events import CATALOGUE, bank, decode, encode

GOLDEN = Path(__file__).parent / "golden"


def golden(name: str) -> bytes:
    return (GOLDEN / f"{name}.json").read_bytes()


@pytest.mark.parametrize("name", sorted(CATALOGUE))
def test_the_library_reads_ours_and_we_read_it_back(name: str) -> None:
    ours = decode(golden(name))
    headers = {"content-type": b"application/cloudevents+json"}
    theirs = from_structured_event(KafkaMessage(headers, None, encode(ours)))
    assert (theirs.get_id(), theirs.get_source()) == (ours.id, ours.source)
    assert (theirs.get_type(), theirs.get_subject()) == (name, ours.subject)
    assert theirs.get_time() == ours.time
    assert theirs.get_extension("businessdate") == ours.businessdate.isoformat()
    assert theirs.get_extension("sequence") == ours.sequence
    assert theirs.get_data() == json.loads(golden(name))["data"]
    assert decode(JSONFormat().write(theirs)) == ours


def test_we_read_an_event_that_the_library_built() -> None:
    attributes: dict[str, Any] = {
        "id": "txn-1",
        "source": "core-banking",
        "type": "bank.transaction_booked.v1",
        "specversion": "1.0",
        "subject": "C-1",
        "time": datetime(2026, 3, 2, 1, 30, tzinfo=UTC),
        "datacontenttype": "application/json",
        "businessdate": "2026-03-02",
    }
    data = {
        "transaction_id": "1",
        "account_number": "A-1",
        "customer_number": "C-1",
        "product_code": "CA",
        "amount_minor": -1230,
        "currency": "CNY",
        "kind": "card",
        "initiated_by": "customer",
        "booked_on": "2026-03-02",
    }
    message = to_structured_event(CloudEvent(attributes, data))
    assert message.headers["content-type"] == b"application/cloudevents+json"
    event = decode(message.value)
    assert isinstance(event.data, bank.TransactionBooked)
    assert (event.data.amount_minor, event.subject, event.sequence) == (-1230, "C-1", None)
