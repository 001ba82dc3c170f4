"""Records of Kafka as places in one text: a batch needs no Python object for each of them."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple, Protocol, overload

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Bytes = NDArray[np.uint8]

# Columns of places. A key or value that is null begins and ends at NULL.
OFFSET, KEY, KEY_END, VALUE, VALUE_END = range(5)
PLACE_WORDS: Final = 5
NULL: Final = -1


class Delivered(Protocol):
    """What is read of a record."""

    @property
    def offset(self) -> int: ...
    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...


class Record(NamedTuple):
    """One record, taken out of its batch."""

    offset: int
    key: bytes | None
    value: bytes | None


class Records(Sequence[Record]):
    """Records of one partition in the order of their offsets; `places` has a row for each."""

    __slots__ = ("places", "text")

    def __init__(self, text: bytes, places: Ints) -> None:
        self.text = text
        self.places = places

    def __len__(self) -> int:
        return len(self.places)

    @overload
    def __getitem__(self, at: int) -> Record: ...
    @overload
    def __getitem__(self, at: slice) -> "Records": ...
    def __getitem__(self, at: int | slice) -> "Record | Records":
        if isinstance(at, slice):
            return Records(self.text, self.places[at])
        return self._record(self.places[at].tolist())

    def __iter__(self) -> Iterator[Record]:
        return map(self._record, self.places.tolist())

    def _record(self, place: list[int]) -> Record:
        offset, key, key_end, value, value_end = place
        text = self.text
        return Record(
            offset,
            None if key < 0 else text[key:key_end],
            None if value < 0 else text[value:value_end],
        )

    @property
    def first_offset(self) -> int:
        return int(self.places[0, OFFSET])

    @property
    def offset(self) -> int:
        """The last one's, as Kafka counts what was read."""
        return int(self.places[-1, OFFSET])

    def since(self, offset: int) -> "Records":
        """Those at this offset or after it."""
        return self[int(np.searchsorted(self.places[:, OFFSET], offset)) :]

    def letters(self) -> Bytes:
        return np.frombuffer(self.text or b"\0", np.uint8)


def laid_out(records: Sequence[Delivered]) -> Records:
    """The same records, one after the other in a text."""
    if isinstance(records, Records):
        return records
    texts: list[bytes] = []
    places = np.full((len(records), PLACE_WORDS), NULL, np.int64)
    at = 0
    for place, record in zip(places, records, strict=True):
        place[OFFSET] = record.offset
        for column, text in ((KEY, record.key), (VALUE, record.value)):
            if text is not None:
                texts.append(text)
                place[column : column + 2] = at, at + len(text)
                at += len(text)
    return Records(b"".join(texts), places)


def joined(parts: Iterable[Records]) -> Records:
    """Records that follow on each other; their text is copied only if it is not the same one."""
    parts = [part for part in parts if len(part)]
    if len(parts) == 1:
        return parts[0]
    if all(part.text is parts[0].text for part in parts):
        places = [part.places for part in parts] or [np.zeros((0, PLACE_WORDS), np.int64)]
        return Records(parts[0].text if parts else b"", np.concatenate(places))
    texts, shifted, at = [], [], 0
    for part in parts:
        ends = part.places[:, KEY:]
        begin, end = int(ends.min(where=ends >= 0, initial=len(part.text))), int(ends.max())
        texts.append(memoryview(part.text)[begin : max(begin, end)])
        moved = part.places.copy()
        moved[:, KEY:][ends >= 0] += at - begin
        shifted.append(moved)
        at += len(texts[-1])
    return Records(b"".join(texts), np.concatenate(shifted))


class StateRows(NamedTuple):
    """Records of state that are to be written, as kernels take them. A key is a text by number."""

    numbered: Ints
    letters: Bytes
    ends: Ints  # key n lies from ends[n] to ends[n + 1]
    values: Bytes
    begins: Ints
    lengths: Ints  # bytes


class Packed(Sequence[tuple[bytes, bytes | None]]):
    """Records of state in the order in which they are written: the few of `first`, then `rows`, of
    which one is an object only when somebody asks for it."""

    __slots__ = ("first", "rows")

    def __init__(self, first: list[tuple[bytes, bytes | None]], rows: StateRows) -> None:
        self.first = first
        self.rows = rows

    def __len__(self) -> int:
        return len(self.first) + len(self.rows.numbered)

    @overload
    def __getitem__(self, at: int) -> tuple[bytes, bytes | None]: ...
    @overload
    def __getitem__(self, at: slice) -> list[tuple[bytes, bytes | None]]: ...
    def __getitem__(
        self, at: int | slice
    ) -> tuple[bytes, bytes | None] | list[tuple[bytes, bytes | None]]:
        if isinstance(at, slice):
            return [self[i] for i in range(*at.indices(len(self)))]
        at = range(len(self))[at]
        if at < len(self.first):
            return self.first[at]
        i = at - len(self.first)
        number = int(self.rows.numbered[i])
        begin, end = self.rows.ends[number : number + 2].tolist()
        value = int(self.rows.begins[i])
        return (
            self.rows.letters[begin:end].tobytes(),
            self.rows.values[value : value + int(self.rows.lengths[i])].tobytes(),
        )
