"""A compiled reader of the records in a batch of Kafka (message format 2): it gives their places.

Nothing is believed: whatever does not lie within the batch, or is not all of it, is corrupt.
Headers are passed over unread: no topic of the worker has any that mean something.
"""

import numpy as np
from numpy.typing import NDArray

from services.scoring.records import KEY, NULL, OFFSET, VALUE
from services.scoring.scores.compiling import compiled, inlined

Ints = NDArray[np.int64]
Bytes = NDArray[np.uint8]
LEAST_BYTES = 7  # of a record: its length, attributes, two deltas, two lengths, count of headers
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
