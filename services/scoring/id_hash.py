"""The hash that stands for an event's identity: XXH3, 64 bits, no seed.

It is kept in records, so what is compiled must stay what the library gives: a test holds them
against each other. Only up to 240 bytes: what is scanned is a source and an id of at most 100 each.
"""

# ruff: noqa: PLR0917 - columns are passed one by one: numba unboxes no objects

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from xxhash import xxh3_64_intdigest

from services.scoring.scanning import ID, ID_END, SOURCE
from services.scoring.scores.compiling import compiled, inlined

Ints = NDArray[np.int64]
Bytes = NDArray[np.uint8]
Hashes = NDArray[np.uint64]
BYTES_MAX: Final = 240
_SECRET: Final = np.frombuffer(
    bytes.fromhex(
        "b8fe6c3923a44bbe7c01812cf721ad1cded46de9839097db7240a4a4b7b3671f"
        "cb79e64eccc0e578825ad07dccff7221b8084674f743248ee03590e6813a264c"
        "3c2852bb91c300cb88d0658b1b532ea371644897a20df94e3819ef46a9deacd8"
        "a8fa763fe39c343ff9dcbbc7c70b4f1d8a51e04bcdb45931c89f7ec9d9787364"
        "eac5ac8334d3ebc3c581a0fffa1363eb170ddd51b7f0da49d316552629d4689e"
        "2b16be587d47a1fc8ff8b8d17ad031ce45cb3a8f95160428afd7fbcabb4b407e"
    ),
    np.uint8,
)


def _words(*values: int) -> Hashes:
    return np.array(values, np.uint64)


_PRIMES: Final = _words(
    0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0x165667919E3779F9,
    0x9FB21C651E98DF25,
)  # fmt: skip
_LOW: Final = np.uint64(0xFFFFFFFF)
_HALF: Final = np.uint64(32)


def of_one(source: str, event_id: str) -> int:
    return xxh3_64_intdigest(f"{source}\0{event_id}".encode())


@inlined
def _read(text: Bytes, at: int, n: int) -> Any:
    """n bytes as a number, the least first."""
    word = np.uint64(0)
    for k in range(n):
        word |= np.uint64(text[at + k]) << np.uint64(8 * k)
    return word


@inlined
def _secret(at: int, n: int) -> Any:
    return _read(_SECRET, at, n)


@inlined
def _right(word: Any, bits: int) -> Any:
    return word ^ (word >> np.uint64(bits))


@inlined
def _folded(a: Any, b: Any) -> Any:
    """Both halves of the product of 128 bits, one laid on the other."""
    a_low, a_high, b_low, b_high = a & _LOW, a >> _HALF, b & _LOW, b >> _HALF
    low, mid, other = a_low * b_low, a_high * b_low, a_low * b_high
    cross = (low >> _HALF) + (mid & _LOW) + other
    high = a_high * b_high + (mid >> _HALF) + (cross >> _HALF)
    return high ^ ((cross << _HALF) | (low & _LOW))


@inlined
def _mixed(text: Bytes, at: int, secret: int) -> Any:
    return _folded(
        _read(text, at, 8) ^ _secret(secret, 8), _read(text, at + 8, 8) ^ _secret(secret + 8, 8)
    )


@inlined
def _finished(word: Any) -> Any:
    return _right(_right(word, 37) * _PRIMES[3], 32)


@inlined
def _short(text: Bytes, n: int) -> Any:
    """Of 1 to 16 bytes."""
    length = np.uint64(n)
    if n > 8:
        low = _read(text, 0, 8) ^ _secret(24, 8) ^ _secret(32, 8)
        high = _read(text, n - 8, 8) ^ _secret(40, 8) ^ _secret(48, 8)
        turned = np.uint64(0)
        for k in range(8):
            turned |= ((low >> np.uint64(8 * k)) & np.uint64(255)) << np.uint64(56 - 8 * k)
        return _finished(length + turned + high + _folded(low, high))
    if n > 3:
        word = _read(text, n - 4, 4) + (_read(text, 0, 4) << _HALF)
        word ^= _secret(8, 8) ^ _secret(16, 8)
        word ^= ((word << np.uint64(49)) | (word >> np.uint64(15))) ^ (
            (word << np.uint64(24)) | (word >> np.uint64(40))
        )
        word *= _PRIMES[4]
        word ^= (word >> np.uint64(35)) + length
        return _right(word * _PRIMES[4], 28)
    word = (
        np.uint64(text[0]) << np.uint64(16) | np.uint64(text[n >> 1]) << np.uint64(24)
        | np.uint64(text[n - 1]) | length << np.uint64(8)
    )  # fmt: skip
    word ^= _secret(0, 4) ^ _secret(4, 4)
    return _right(_right(_right(word, 33) * _PRIMES[1], 29) * _PRIMES[2], 32)


@inlined
def _hash(text: Bytes, n: int) -> Any:
    """Of the first 1 to 240 bytes."""
    if n <= 16:
        return _short(text, n)
    word = np.uint64(n) * _PRIMES[0]
    if n <= 128:
        for k in range((n - 1) // 32, -1, -1):
            word += _mixed(text, 16 * k, 32 * k)
            word += _mixed(text, n - 16 * (k + 1), 32 * k + 16)
        return _finished(word)
    for k in range(8):
        word += _mixed(text, 16 * k, 16 * k)
    word = _finished(word)
    for k in range(8, n // 16):
        word += _mixed(text, 16 * k, 16 * (k - 8) + 3)
    return _finished(word + _mixed(text, n - 16, 119))


@compiled
def hashes(
    text: Bytes, events: Ints, sources: Bytes, spans: Ints, whole: Bytes, found: Hashes
) -> None:
    """Of each event that was scanned: of its source with what ends it, and its id, which are laid
    out in `whole`."""
    for i in range(events.shape[0]):
        n = 0
        source = events[i, SOURCE]
        for k in range(spans[source, 0], spans[source, 1]):
            whole[n] = sources[k]
            n += 1
        for k in range(events[i, ID], events[i, ID_END]):
            whole[n] = text[k]
            n += 1
        found[i] = _hash(whole, n)
