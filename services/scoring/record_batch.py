"""Compiled reading and writing of the records in a batch of Kafka (message format 2).

Of what is read nothing is believed: whatever does not lie within the batch, or is not all of it,
is corrupt. Headers are passed over unread: no topic of the worker has any that mean something.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from services.scoring.records import KEY, NULL, OFFSET, VALUE, StateRows
from services.scoring.scores.compiling import compiled, inlined

Ints = NDArray[np.int64]
Bytes = NDArray[np.uint8]
LEAST_BYTES: Final = 7  # of a record: length, attributes, two deltas, two lengths, its headers
MOST_BYTES: Final = 5 + 1 + 1 + 5 + 5 + 5 + 1  # the same of one that is written
_POSITIVE = 0x7FFFFFFFFFFFFFFF


@inlined
def _varint(text: Bytes, at: int, end: int) -> tuple[int, int]:
    """A number in zigzag, and the place after it; -1: it does not end in time."""
    value, shift = 0, 0
    while 0 <= at < end and shift < 70:
        byte = int(text[at])
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return ((value >> 1) & _POSITIVE) ^ -(value & 1), at
        shift += 7
    return 0, -1


@inlined
def _text(text: Bytes, at: int, end: int, place: Ints, column: int) -> int:
    """Notes where a text lies that may be null; returns the place after it, -1: beyond the end."""
    n, at = _varint(text, at, end)
    if at < 0 or n > end - at:
        return -1
    if n < 0:
        place[column] = place[column + 1] = NULL
        return at
    place[column], place[column + 1] = at, at + n
    return at + n


@inlined
def _after_headers(text: Bytes, at: int, end: int) -> int:
    """The place after the headers; -1: they do not end in time."""
    count, at = _varint(text, at, end)
    if count < 0:
        return -1
    for _ in range(count):
        name, at = _varint(text, at, end)
        if at < 0 or name < 0 or name > end - at:
            return -1
        value, at = _varint(text, at + name, end)
        if at < 0 or value > end - at:
            return -1
        at += max(value, 0)
    return at


@compiled
def locate(text: Bytes, begin: int, end: int, base_offset: int, places: Ints) -> bool:
    """Finds a batch's records, as many as `places` has rows; False: it is corrupt."""
    at, known = begin, -1
    for i in range(places.shape[0]):
        place = places[i]
        n, at = _varint(text, at, end)
        if at < 0 or n < 1 or n > end - at:
            return False
        stop = at + n
        _, at = _varint(text, at, stop)  # attributes, which nobody sets
        _, at = _varint(text, at, stop)  # the time
        delta, at = _varint(text, at, stop)
        if at < 0 or delta <= known:
            return False
        known = delta
        place[OFFSET] = base_offset + delta
        at = _text(text, at, stop, place, KEY)
        at = _text(text, at, stop, place, VALUE)
        at = _after_headers(text, at, stop)
        if at != stop:
            return False
    return at == end


@inlined
def _size(value: int) -> int:
    """Bytes of a number that is not negative."""
    n, rest = 1, value >> 6
    while rest > 0:
        n, rest = n + 1, rest >> 7
    return n


@inlined
def _put(out: Bytes, at: int, value: int) -> int:
    """Writes a number that is not negative; returns the place after it."""
    rest = value << 1
    while rest >= 0x80:
        out[at] = (rest & 0x7F) | 0x80
        at, rest = at + 1, rest >> 7
    out[at] = rest
    return at + 1


@inlined
def _copy(out: Bytes, at: int, text: Bytes, begin: int, end: int) -> int:
    n = end - begin
    to, of = out[at : at + n], text[begin:end]  # counted from 0 it takes many bytes at a time
    for k in range(n):
        to[k] = of[k]
    return at + n


@compiled
def write(packed: StateRows, begin: int, end: int, out: Bytes, at: int) -> int:
    """Writes rows begin..end as a batch has them, all at the batch's own time; returns the place
    after them. There is room: MOST_BYTES for each beside its key and value."""
    for i in range(begin, end):
        row = packed.numbered[i]
        key, key_end = packed.ends[row], packed.ends[row + 1]
        value = packed.begins[i]
        value_end = value + packed.lengths[i]
        own = 3 + _size(i - begin) + _size(key_end - key) + key_end - key
        at = _put(out, at, own + _size(value_end - value) + value_end - value)
        out[at] = out[at + 1] = 0  # no attributes, no time apart
        at = _put(out, at + 2, i - begin)
        at = _copy(out, _put(out, at, key_end - key), packed.letters, key, key_end)
        at = _copy(out, _put(out, at, value_end - value), packed.values, value, value_end)
        out[at] = 0  # no headers
        at += 1
    return at
