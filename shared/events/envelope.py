"""CloudEvents 1.0 in structured mode: the Kafka value, or a line of a file, is the whole event.

Decoding is one pass into the union of all event classes, chosen by `type`. Attributes and fields
that we do not know are ignored; whatever is known is checked here and nowhere again.
"""

import functools
import operator
import re
import types
from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Annotated, Any, Generic, Literal, TypeVar

import msgspec
from msgspec import Meta, Struct

from shared.events import bank, customer, notify, orders, scoring, workflow
from shared.events.fact import Fact, Id, Instant
from shared.ids import partition_of

__all__ = [
    "CATALOGUE",
    "EARLIEST_ON",
    "Event",
    "Fact",
    "Undecodable",
    "UnknownType",
    "UnknownVersion",
    "decode",
    "encode",
    "key_of",
    "misplaced",
    "wrap",
]

F = TypeVar("F", bound=Fact)

# The far past: no system that publishes to us kept books before; it is a date gone wrong.
EARLIEST_ON = date(1970, 1, 1)

# A CloudEvents Integer is 32 bits; on our topics it counts the events of one key: 1, 2, 3 ...
Sequence = Annotated[int, Meta(ge=0, le=2**31 - 1)]


class Event(Struct, Generic[F], kw_only=True, frozen=True, omit_defaults=True, gc=False):
    """One fact in its envelope. `(source, id)` is its identity; made by `wrap` or `decode`."""

    specversion: Literal["1.0"]
    id: Id
    source: Id
    subject: Id
    time: Instant
    datacontenttype: Literal["application/json"]
    businessdate: date
    sequence: Sequence | None = None
    correlationid: Id | None = None
    causationid: Id | None = None
    rootat: Instant | None = None  # the broker's time of the event that began the story
    data: F

    @property
    def type(self) -> str:
        """`<owner>.<noun_past_verb>.v<n>`, on the wire the tag that chooses the class."""
        return self.data.TYPE


class Undecodable(ValueError):
    """Not an envelope, or a field is missing or mistyped. `field` is a path, "" for the whole."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}" if field else reason)
        self.field = field
        self.reason = reason


class UnknownType(ValueError):
    """A type that is not in the catalogue: not meant for us."""

    def __init__(self, type_: str) -> None:
        super().__init__(f"unknown type {type_}")
        self.type = type_


class UnknownVersion(ValueError):
    """A version of a known type that this release does not read yet, or no longer writes."""

    def __init__(self, type_: str) -> None:
        super().__init__(f"unknown version {type_}")
        self.type = type_


def _facts() -> Iterator[type[Fact]]:
    for module in (bank, customer, orders, workflow, scoring, notify):
        for found in vars(module).values():
            if isinstance(found, type) and issubclass(found, Fact) and "TYPE" in vars(found):
                yield found


CATALOGUE: dict[str, type[Fact]] = {fact.TYPE: fact for fact in _facts()}

_NAMES = frozenset(name.rpartition(".v")[0] for name in CATALOGUE)


def _event_class(fact: type[Fact]) -> type[Event[Any]]:
    made = types.new_class(
        f"{fact.__name__}Event",
        (Event[fact],),  # type: ignore[valid-type]  # the same generic, filled in at run time
        {"kw_only": True, "frozen": True, "tag_field": "type", "tag": fact.TYPE},
    )
    made.__module__ = __name__
    return made


EVENT_CLASSES: dict[type[Fact], type[Event[Any]]] = {f: _event_class(f) for f in CATALOGUE.values()}

_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[Event[Any]] = msgspec.json.Decoder(
    functools.reduce(operator.or_, EVENT_CLASSES.values())
)


class _Header(Struct):
    type: str


_header = msgspec.json.Decoder(_Header)
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def _unreadable(error: Exception) -> Undecodable:
    if isinstance(error, RecursionError):
        return Undecodable("", "nested too deeply")
    return Undecodable("", f"not JSON: {error}")


def decode(value: bytes | str) -> Event[Any]:
    """The event in a Kafka value or a line. Raises Undecodable, UnknownType, UnknownVersion."""
    try:
        event: Event[Any] = _decoder.decode(value)
    except msgspec.ValidationError as error:
        field, reason = _located(str(error))
        if field == "type":
            _raise_if_unknown(value)
        raise Undecodable(field, reason) from None
    except _UNREADABLE as error:
        raise _unreadable(error) from None
    for name, instant in (("time", event.time), ("rootat", event.rootat)):
        if instant is not None:
            _refuse_far_year(name, instant)
    text = value.encode() if isinstance(value, str) else value
    if rb"\u0000" in text:  # or a backslash and the same letters
        zero = _zero_character(msgspec.to_builtins(event))
        if zero is not None:
            raise Undecodable(zero, "a zero character, which no database here can store")
    return event


def _refuse_far_year(name: str, instant: datetime) -> None:
    """We write instants in UTC; beyond these years another time zone may have no such year."""
    year = instant.year
    if EARLIEST_ON.year < year < date.max.year - 1:
        return
    if date.min.year < year < date.max.year:
        year = instant.astimezone(UTC).year
    if not EARLIEST_ON.year <= year < date.max.year:
        raise Undecodable(name, f"the year {year} is a date gone wrong")


def encode(event: Event[Any]) -> bytes:
    """The event as bytes. Raises Undecodable when its readers would refuse it: a bug of ours."""
    value = _encoder.encode(event)
    decode(value)
    return value


def wrap(
    fact: F,
    *,
    id: str,  # noqa: A002 - the attribute's name
    source: str,
    time: datetime,
    businessdate: date,
    sequence: int | None = None,
    correlationid: str | None = None,
    causationid: str | None = None,
    rootat: datetime | None = None,
) -> Event[F]:
    """A fact in its envelope; subject is the fact's key. Instants are aware, written in UTC."""
    if time.tzinfo is None or (rootat is not None and rootat.tzinfo is None):
        raise ValueError("an instant without a time zone")
    return EVENT_CLASSES[type(fact)](
        specversion="1.0",
        id=id,
        source=source,
        subject=fact.key(source),
        time=time.astimezone(UTC),
        datacontenttype="application/json",
        businessdate=businessdate,
        sequence=sequence,
        correlationid=correlationid,
        causationid=causationid,
        rootat=None if rootat is None else rootat.astimezone(UTC),
        data=fact,
    )


def key_of(event: Event[Any]) -> str:
    """The Kafka key that the contract asks for, from the data."""
    return event.data.key(event.source)  # type: ignore[no-any-return]


def misplaced(
    event: Event[Any],
    topic: str,
    key: bytes | None,
    partition: int | None = None,
    partitions: int | None = None,
) -> str | None:
    """Why an event may not stand at this place; none when it may.

    The partition is checked when it and the topic's number of partitions are given.
    """
    data = event.data
    if topic != data.TOPIC:
        return f"{data.TYPE} belongs on {data.TOPIC}"
    if isinstance(data, bank.DayClosed):  # one copy for each partition, set explicitly
        if data.partition is not None and partition is not None and partition != data.partition:
            return f"partition {partition} holds the copy for partition {data.partition}"
        return None
    expected = key_of(event)
    if event.subject != expected:
        return f"subject {event.subject!r} is not the key {expected!r} of its data"
    if key is None:
        return f"no key, expected {expected!r}"
    if key != expected.encode():
        return f"key {key.decode(errors='replace')!r} is not {expected!r}"
    if partition is not None and partitions is not None:
        right = partition_of(key, partitions)
        if partition != right:
            return f"partition {partition} of {partitions}, key {expected!r} belongs in {right}"
    return None


def _zero_character(value: Any, path: str = "") -> str | None:
    """The first field whose text holds one; none if no field that we know does."""
    if isinstance(value, str):
        return path if "\0" in value else None
    items = value.items() if isinstance(value, dict) else ()
    places = [(f"{path}.{name}" if path else name, one) for name, one in items]
    if isinstance(value, list):
        places = [(f"{path}[{n}]", one) for n, one in enumerate(value)]
    found = (_zero_character(one, place) for place, one in places)
    return next((field for field in found if field is not None), None)


_PLACE = re.compile(r"^(?P<reason>.*?)(?: - at (?:`key` in )?`(?P<path>\$.*)`)?$", re.DOTALL)
_MISSING = re.compile(r"missing required field `(?P<field>[^`]+)`")


def _located(message: str) -> tuple[str, str]:
    """msgspec's message as (field path, reason); a missing field is named as the field."""
    match = _PLACE.match(message)
    reason, path = (match["reason"], match["path"]) if match else (message, None)
    field = (path or "$").removeprefix("$").removeprefix(".")
    missing = _MISSING.search(reason)
    if missing:
        field = f"{field}.{missing['field']}" if field else missing["field"]
    return field, reason


def _raise_if_unknown(value: bytes | str) -> None:
    try:
        name = _header.decode(value).type
    except msgspec.ValidationError:
        return  # no `type`, or not a text: the first verdict stands
    except _UNREADABLE as error:
        raise _unreadable(error) from None  # further on, where the first verdict did not look
    if name.rpartition(".v")[0] in _NAMES:
        raise UnknownVersion(name)
    raise UnknownType(name)
