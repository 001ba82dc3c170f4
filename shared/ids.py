"""Names of things: new ids, order references that survive typing, hashes of content, partitions."""

import dataclasses
import hashlib
import os
import re
import threading
import time
import unicodedata
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import Any, Final

import msgspec

# New ids ---------------------------------------------------------------------------------------

_CROCKFORD: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_RANDOM_BITS: Final = 80
_lock = threading.Lock()
_last = 0


def new_id(prefix: str = "") -> str:
    """`<prefix>-<ULID>`: 48 bits of wall milliseconds, 80 random ones; sorts by age as text.

    Ids of one process always grow, also within a millisecond and when the clock steps back.
    """
    global _last  # noqa: PLW0603 - ids of a process grow
    fresh = (time.time_ns() // 1_000_000) << _RANDOM_BITS | int.from_bytes(os.urandom(10), "big")
    with _lock:
        _last = value = max(fresh, _last + 1)
    text = "".join(_CROCKFORD[value >> shift & 31] for shift in range(125, -5, -5))
    return f"{prefix}-{text}" if prefix else text


# Order references ------------------------------------------------------------------------------

# Damm's quasigroup: one digit that catches every single wrong digit and every swap of neighbours.
# Begun at the row of the length, it also catches a zero too many at the end, which Damm does not.
_DAMM: Final = (
    (0, 3, 1, 7, 5, 9, 8, 6, 4, 2),
    (7, 0, 9, 2, 1, 5, 4, 8, 6, 3),
    (4, 2, 0, 6, 8, 7, 1, 3, 5, 9),
    (1, 7, 5, 0, 9, 8, 3, 4, 2, 6),
    (6, 1, 2, 3, 0, 4, 5, 9, 7, 8),
    (3, 6, 7, 4, 2, 0, 9, 5, 8, 1),
    (5, 8, 6, 9, 7, 2, 0, 1, 3, 4),
    (8, 9, 4, 5, 3, 6, 2, 0, 1, 7),
    (9, 4, 3, 8, 6, 1, 7, 2, 0, 5),
    (2, 5, 8, 1, 4, 3, 6, 7, 9, 0),
)
_DIGITS_MIN: Final = 8
_DIGITS_MAX: Final = 18
# The dash may be any that a keyboard or a form makes of it, a space, or gone.
_REFERENCE = re.compile(
    rf"(?<![A-Z0-9])ORD[-_ \u2010-\u2015\u2212]?(\d{{{_DIGITS_MIN + 1},{_DIGITS_MAX + 1}}})(?!\d)",
    re.ASCII,
)


def order_reference(number: int) -> str:
    """The reference that a payer writes: `ORD-`, the number in 8 digits or more, a check digit."""
    if not 0 < number < 10**_DIGITS_MAX:
        raise ValueError(f"an order number has up to {_DIGITS_MAX} digits, not {number}")
    digits = f"{number:0{_DIGITS_MIN}d}"
    return f"ORD-{digits}{_check_digit(digits)}"


def is_order_reference(reference: str) -> bool:
    """Is it written exactly as `order_reference` writes it, with the right check digit?"""
    return order_references_in(reference) == [reference]


def order_references_in(text: str) -> list[str]:
    """References found in free text, as they should be written, without repeats.

    Takes full-width characters, lower case and other dashes; a wrong check digit is no reference.
    """
    plain = unicodedata.normalize("NFKC", text).upper()
    return list(dict.fromkeys(f"ORD-{d}" for d in _REFERENCE.findall(plain) if _is_right(d)))


def _is_right(digits: str) -> bool:
    padded = len(digits) > _DIGITS_MIN + 1 and digits[0] == "0"  # never written like this
    return not padded and _check_digit(digits[:-1]) == int(digits[-1])


def _check_digit(digits: str) -> int:
    row = len(digits) % 10
    for digit in digits:
        row = _DAMM[row][int(digit)]
    return row


# Content ---------------------------------------------------------------------------------------


def content_hash(value: Any) -> str:
    """SHA-256 (hex) of canonical JSON: sorted keys, no spaces, UTC. Floats raise TypeError.

    Equal content has an equal hash whatever the order of keys or the zone of an instant.
    """
    return hashlib.sha256(msgspec.json.encode(_plain(value), order="sorted")).hexdigest()


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise TypeError("an instant without a time zone has no canonical form")
        return value.astimezone(UTC)
    if isinstance(value, date):
        return value
    if isinstance(value, Mapping):
        if not all(isinstance(key, str) for key in value):
            raise TypeError("keys are text")
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, msgspec.Struct):
        return {name: _plain(getattr(value, name)) for name in value.__struct_fields__}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: _plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Sequence) and not isinstance(value, (bytes, bytearray, memoryview)):
        return [_plain(item) for item in value]
    raise TypeError(f"{type(value).__name__} has no canonical form")


# Partitions ------------------------------------------------------------------------------------

_MASK: Final = 0xFFFFFFFF
_M: Final = 0x5BD1E995


def partition_of(key: str | bytes, partitions: int) -> int:
    """Kafka's own default partition of a key: murmur2(key) & 0x7fffffff mod partitions."""
    return _positive_murmur2(key.encode() if isinstance(key, str) else key) % partitions


@lru_cache(maxsize=1 << 16)
def _positive_murmur2(data: bytes) -> int:
    length = len(data)
    h = 0x9747B28C ^ length
    whole = length & ~3
    for at in range(0, whole, 4):
        k = int.from_bytes(data[at : at + 4], "little") * _M & _MASK
        k = (k ^ k >> 24) * _M & _MASK
        h = h * _M & _MASK ^ k
    if whole < length:
        h = (h ^ int.from_bytes(data[whole:], "little")) * _M & _MASK
    h = (h ^ h >> 13) * _M & _MASK
    return (h ^ h >> 15) & 0x7FFFFFFF
