"""Every reason for which a message is put aside is said in both languages. The reasons are made by
the code that finds them, so a changed wording fails here."""

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from shared.events import envelope
from shared.events.bank import DayClosed
from shared.reasons import in_words
from shared.sources import EARLIEST_ON, Window
from shared.web.translations import CHINESE, shared_texts

GOLDEN = Path(__file__).parents[1] / "contract" / "golden"
SAMPLE = (GOLDEN / "bank.transaction_booked.v1.json").read_bytes()
EVENT = envelope.decode(SAMPLE)
KEY = envelope.key_of(EVENT).encode()
CHINESE_CHARACTERS = range(0x4E00, 0x9FFF)


def with_data(**data: Any) -> str:
    """The sample with some fields of its data as given; `...` leaves one out."""
    event = json.loads(SAMPLE)
    event["data"] = {n: v for n, v in {**event["data"], **data}.items() if v is not ...}
    return json.dumps(event)


def refused(value: bytes | str) -> str:
    with pytest.raises((envelope.Undecodable, envelope.UnknownVersion)) as caught:
        envelope.decode(value)
    error = caught.value
    return error.reason if isinstance(error, envelope.Undecodable) else str(error)


def misplaced(**place: Any) -> str:
    where = {"topic": "bank.events", "key": KEY, "partition": None, "partitions": None, **place}
    event = where.pop("event", EVENT)
    found = envelope.misplaced(event, **where)
    assert found is not None
    return found


def untimely(last_on: date = date.max, active_from: date = date.min) -> str:
    found = Window(last_on, {EVENT.source: active_from}).refuses(EVENT)
    assert found is not None
    return found


def closed(partition: int) -> Any:
    fact = DayClosed(day=date(2026, 3, 2), partition=partition)
    return envelope.wrap(
        fact, id="c", source="s", time=EVENT.time, businessdate=date(2026, 3, 2)
    )


def reasons() -> dict[str, str]:
    right = envelope.partition_of(KEY, 8)
    return {
        "missing": refused(with_data(account_number=...)),
        "mistyped": refused(with_data(amount_minor="12")),
        "beyond": refused(with_data(amount_minor=2**60)),
        "code": refused(with_data(kind="barter")),
        "date": refused(with_data(booked_on="yesterday")),
        "not json": refused(b"not json"),
        "zero": refused(with_data(purpose_code="a\0")),
        "version": refused(SAMPLE.replace(b"booked.v1", b"booked.v9")),
        "topic": misplaced(topic="customer.events"),
        "key": misplaced(key=b"X"),
        "no key": misplaced(key=None),
        "partition": misplaced(partition=(right + 1) % 8, partitions=8),
        "copy": misplaced(event=closed(3), partition=1),
        "future": untimely(last_on=EARLIEST_ON),
        "inactive": untimely(active_from=date.max),
        "parked": repr(KeyError("x")),
        "behind": "waits behind a parked message",
    }


@pytest.mark.parametrize("name", sorted(reasons()))
def test_a_reason_is_said_in_chinese_with_what_it_names(name: str) -> None:
    reason = reasons()[name]
    msgid, values = in_words(reason)
    assert msgid, reason
    said = shared_texts(CHINESE).gettext(msgid)
    assert said != msgid
    assert any(ord(c) in CHINESE_CHARACTERS for c in said)
    for value in values.values():
        assert value in said % values
        assert value in reason


def test_the_right_sentence_is_found_for_what_looks_alike() -> None:
    found = {name: in_words(reason)[0] for name, reason in reasons().items()}
    assert len(set(found.values())) == len(found), found


def test_a_reason_that_is_not_known_stays_as_it_is() -> None:
    assert in_words("something new") == ("", {})
