"""Every reason for which a message is put aside is said in both languages. The reasons are made by
the code that finds them, so a changed wording fails here."""

import json
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from services.scoring import uses, verdicts
from services.scoring.rows import BEYOND_HISTORY, BEYOND_RANGE, CLOSED_LATER, NOT_OPEN, OPENED_LATER
from services.scoring.scores.contribution.rates import NEVER
from shared.events import envelope
from shared.events.bank import DayClosed
from shared.reasons import OTHER, in_words, taken_apart
from shared.sources import EARLIEST_ON, Window
from shared.web.translations import CHINESE, ENGLISH, shared_texts

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


NEVER_ENDS = datetime.max.replace(tzinfo=UTC)


def untimely(
    last_on: date = date.max, ends: datetime = NEVER_ENDS, active_from: date = date.min
) -> str:
    found = Window(last_on, ends, {EVENT.source: active_from}).refuses(EVENT)
    assert found is not None
    return found[1]


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
        "future time": untimely(ends=EVENT.time),
        "inactive": untimely(active_from=date.max),
        "parked": repr(KeyError("x")),
        "again": repr(ValueError(f"still dead: {misplaced(key=b'X')}")),
        "short": refused(with_data(account_number="")),
        "long": refused(with_data(account_number="x" * 300)),
        "instant": refused(SAMPLE.replace(b'"time": "2026', b'"time": "x')),
        "cut": refused(SAMPLE[:-9]),
        "sum": verdicts.BEYOND[BEYOND_RANGE][-1],
        "history": verdicts.BEYOND[BEYOND_HISTORY][-1],
        "not open": verdicts.BEYOND[NOT_OPEN][-1],
        "closed later": verdicts.BEYOND[CLOSED_LATER][-1],
        "opened later": verdicts.BEYOND[OPENED_LATER][-1],
        "rate": uses._no_rate("loan", EVENT.businessdate.toordinal(), NEVER),
        "rate from": uses._no_rate("loan", 1, EVENT.businessdate.toordinal()),
        "stopped": "1001 messages parked within an hour",
        "behind": "waits behind a parked message",
    }


DECODERS_WORDS = ("`", "int", "str", "float", "null", "RFC3339", "malformed", "Expected")


@pytest.mark.parametrize("name", sorted(reasons()))
def test_a_reason_is_said_in_chinese_with_what_it_names(name: str) -> None:
    reason = reasons()[name]
    code, values = taken_apart(reason)
    assert code != OTHER, reason
    said = in_words(reason, shared_texts(CHINESE).gettext)
    assert said != in_words(reason, shared_texts(ENGLISH).gettext)
    assert any(ord(c) in CHINESE_CHARACTERS for c in said)
    for named, value in values.items():
        assert value in reason
        if named not in ("wanted", "found", "why"):  # words, and said as words
            assert value in said
    left = said
    for value in values.values():
        left = left.replace(value, "")
    assert not [word for word in DECODERS_WORDS if word in left], said


def test_the_right_sentence_is_found_for_what_looks_alike() -> None:
    found = {name: taken_apart(reason).code for name, reason in reasons().items()}
    assert len(set(found.values())) == len(found), found


@pytest.mark.parametrize(
    ("reason", "chinese", "english"),
    [
        ("Expected `int`, got `float`", "应为整数,实为小数",
         "expected a whole number, found a number with decimals"),
        ("Expected `date | null`, got `int`", "应为日期或空值,实为整数",
         "expected a date or nothing, found a whole number"),
        ("Expected `int` <= 9007199254740992", "不得大于 9007199254740992",
         "it must be at most 9007199254740992"),
        ("ValueError(\"still dead: Expected `str`, got `null`\")", "仍未处理:应为文本,实为空值",
         "still not applied: expected a text, found nothing"),
    ],
)  # fmt: skip
def test_words_of_the_decoder_are_said_in_the_readers_language(
    reason: str, chinese: str, english: str
) -> None:
    assert in_words(reason, shared_texts(CHINESE).gettext) == chinese
    assert in_words(reason, shared_texts(ENGLISH).gettext) == english


@pytest.mark.parametrize("reason", ["something new", "Expected `decimal`, got `int`"])
def test_a_reason_of_which_a_part_is_not_known_is_not_said_by_halves(reason: str) -> None:
    assert taken_apart(reason) == (OTHER, {})
    said = in_words(reason, shared_texts(CHINESE).gettext)
    assert any(ord(c) in CHINESE_CHARACTERS for c in said)
    assert reason not in said
