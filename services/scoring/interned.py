"""Texts by number, from 0 in the order they came: one run of bytes and a hash table of all.

Objects of Python for each of a million customers would take more memory than their figures do.
"""

from collections.abc import Iterable
from typing import Final, NamedTuple

import numpy as np

from services.scoring.growing import with_room
from services.scoring.json_text import Bytes, Ints, equal
from services.scoring.scores.compiling import compiled, inlined
from services.scoring.scores.prefetching import AHEAD, ask_for

HASH_SHIFT: Final = 32  # of a slot: above it the hash, below it the number plus one; 0: free
NUMBER: Final = (1 << HASH_SHIFT) - 1
_START: Final = 1024
_FNV_BASIS: Final = np.int64(-3750763034362895579)
_FNV_PRIME: Final = np.int64(1099511628211)


class Texts(NamedTuple):
    """As kernels take them."""

    letters: Bytes
    ends: Ints  # text n lies from ends[n] to ends[n + 1]
    slots: Ints
    used: Ints  # one word: how many texts there are


@inlined
def hash_of(text: Bytes, begin: int, end: int) -> int:
    """31 bits of FNV-1a."""
    mixed = _FNV_BASIS
    for at in range(begin, end):
        mixed = (mixed ^ np.int64(text[at])) * _FNV_PRIME
    return int((mixed ^ (mixed >> 32)) & 0x7FFFFFFF)


@inlined
def put(slots: Ints, mixed: int, number: int) -> None:
    """Those of one hash stand in the order in which they were put."""
    mask = slots.shape[0] - 1
    at = mixed & mask
    while slots[at] != 0:
        at = (at + 1) & mask
    slots[at] = mixed << HASH_SHIFT | (number + 1)


@inlined
def find(text: Bytes, begin: int, end: int, known: Texts) -> int:
    """The number of a text; -1: there is none."""
    return find_hashed(text, begin, end, hash_of(text, begin, end), known)


@inlined
def find_hashed(text: Bytes, begin: int, end: int, mixed: int, known: Texts) -> int:
    """The same, of a text whose hash is known."""
    letters, ends, slots = known.letters, known.ends, known.slots
    mask = slots.shape[0] - 1
    at = mixed & mask
    while slots[at] != 0:
        if slots[at] >> HASH_SHIFT == mixed:
            number = (slots[at] & NUMBER) - 1
            if equal(text, begin, end, letters, ends[number], ends[number + 1]):
                return number  # type: ignore[no-any-return]
        at = (at + 1) & mask
    return -1


@inlined
def has_room(known: Texts, texts: int, letters: int) -> bool:
    """For so many more?"""
    count = known.used[0] + texts
    fits = count < known.ends.shape[0] and 4 * count <= 3 * known.slots.shape[0]
    return bool(fits and known.ends[known.used[0]] + letters <= known.letters.shape[0])


@inlined
def add(text: Bytes, begin: int, end: int, known: Texts) -> int:
    """The number of a new text. The caller has seen to it that there is room."""
    number = known.used[0]
    at = known.ends[number]
    for k in range(end - begin):
        known.letters[at + k] = text[begin + k]
    known.ends[number + 1] = at + end - begin
    put(known.slots, hash_of(text, begin, end), number)
    known.used[0] = number + 1
    return number  # type: ignore[no-any-return]


@inlined
def likely(slots: Ints, mixed: int) -> int:
    """The number in the first slot of a hash: mostly it is the one that is looked for."""
    return max((slots[mixed & (slots.shape[0] - 1)] & NUMBER) - 1, 0)  # type: ignore[no-any-return]


@compiled
def find_one(text: Bytes, letters: int, known: Texts) -> int:
    return find(text, 0, letters, known)


@compiled
def find_all(text: Bytes, places: Ints, column: int, known: Texts, out: Ints) -> None:
    """The numbers of texts; a column of places says where each begins, the next one its end."""
    n, mask = places.shape[0], known.slots.shape[0] - 1
    for k in range(n + 3 * AHEAD):
        if k < n:  # what each look-up reads is asked for in turn: slot, place, letters
            out[k] = hash_of(text, places[k, column], places[k, column + 1])
            ask_for(known.slots, out[k] & mask, 1)
        if AHEAD <= k < n + AHEAD:
            ask_for(known.ends, likely(known.slots, out[k - AHEAD]), 1)
        if 2 * AHEAD <= k < n + 2 * AHEAD:
            ask_for(known.letters, known.ends[likely(known.slots, out[k - 2 * AHEAD])], 1)
        at = k - 3 * AHEAD
        if at >= 0:
            out[at] = find_hashed(text, places[at, column], places[at, column + 1], out[at], known)


@compiled
def _put_all(known: Texts) -> None:
    for number in range(known.used[0]):
        mixed = hash_of(known.letters, known.ends[number], known.ends[number + 1])
        put(known.slots, mixed, number)


class Interned:
    """Texts and their numbers."""

    def __init__(self) -> None:
        self.texts = Texts(
            np.zeros(16 * _START, np.uint8), np.zeros(_START + 1, np.int64),
            np.zeros(2 * _START, np.int64), np.zeros(1, np.int64),
        )  # fmt: skip

    def __len__(self) -> int:
        return int(self.texts.used[0])

    def __getitem__(self, number: int) -> bytes:
        begin, end = self.texts.ends[number : number + 2].tolist()
        return self.texts.letters[begin:end].tobytes()

    def many(self, numbers: Ints) -> list[bytes]:
        """The texts of so many numbers."""
        letters, ends = self.texts.letters.data, self.texts.ends
        return [
            bytes(letters[begin:end])
            for begin, end in zip(ends[numbers].tolist(), ends[numbers + 1].tolist(), strict=True)
        ]

    def find(self, text: bytes) -> int:
        """The number of a text; -1: there is none."""
        return find_one(np.frombuffer(text or b"\0", np.uint8), len(text), self.texts)

    def find_all(self, text: Bytes, places: Ints, column: int) -> Ints:
        """The numbers of texts; -1: there is none. Each begins where the column says, and ends
        where the next one does: one column alone is another type to numba if it has one row."""
        found: Ints = np.empty(len(places), np.int64)
        find_all(text, places, column, self.texts, found)
        return found

    def make_room(self, texts: int, letters: int) -> None:
        """For so many more, of so many letters together."""
        known, count = self.texts, len(self)
        end = int(known.ends[count])
        fits = count + texts < len(known.ends) and end + letters < len(known.letters)
        if fits and 4 * (count + texts) <= 3 * len(known.slots):
            return
        self.texts = known = known._replace(
            letters=with_room(known.letters, end, letters),
            ends=with_room(known.ends, count + 1, texts),
        )
        slots = slots_for(known.slots, count + texts)
        if slots is not known.slots:
            self.texts = known._replace(slots=slots)
            _put_all(self.texts)


def slots_for(slots: Ints, count: int) -> Ints:
    """The slots, or new and empty ones where so many would fill more than three quarters."""
    size = len(slots)
    while 3 * size < 4 * count:
        size *= 2
    return slots if size == len(slots) else np.zeros(size, np.int64)


def joined(texts: Iterable[bytes]) -> tuple[Bytes, Ints]:
    """One after the other, and where each ends."""
    every = list(texts)
    ends = np.cumsum([len(text) for text in every], dtype=np.int64)
    return np.frombuffer(b"".join(every) or b"\0", np.uint8), ends
