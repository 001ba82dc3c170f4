"""Ids of the open window: a hash table of all, and a list for each row that its record carries."""

# ruff: noqa: PLR0917 - columns are passed one by one: numba unboxes no objects

from typing import Final

import numpy as np
from numpy.typing import NDArray

from services.scoring.scores.compiling import compiled

Ints = NDArray[np.int64]
SPILLED: Final = -2  # instead of the next id of the list
_MIX: Final = np.int64(-7046029254386353131)  # 2**64 / golden ratio, as a signed word


@compiled
def find(slots: Ints, ids: Ints, row: int, id_hash: int) -> int:
    """Where this (row, hash) stands in the table of ids, or the free place for it."""
    mask = slots.shape[0] - 1
    mixed = (id_hash ^ (np.int64(row) * _MIX)) & np.int64(0x7FFFFFFFFFFFFFFF)
    at = mixed & mask
    while slots[at] >= 0:
        known = slots[at]
        if ids[known, 0] == id_hash and ids[known, 2] == row:
            return at  # type: ignore[no-any-return]
        at = (at + 1) & mask
    return at  # type: ignore[no-any-return]


@compiled
def remember(slots: Ints, ids: Ints, heads: Ints, row: int, id_hash: int, day: int, n: int) -> int:
    """Adds an id of the open window to the row's list. Returns the number of ids afterwards."""
    at = find(slots, ids, row, id_hash)
    if slots[at] >= 0:
        known = slots[at]
        ids[known, 1] = max(ids[known, 1], day)
        return n
    slots[at] = n
    ids[n, 0] = id_hash
    ids[n, 1] = day
    ids[n, 2] = row
    ids[n, 3] = heads[row, 0]
    heads[row, 0] = n
    heads[row, 1] += 1
    return n + 1


@compiled
def forget(slots: Ints, ids: Ints, heads: Ints, n: int, watermark: int) -> int:
    """Drops ids of closed days and links the rest anew. Returns how many are left."""
    slots[:] = -1
    heads[:, 0] = -1
    heads[:, 1] = 0
    kept = 0
    for i in range(n):
        if ids[i, 1] > watermark:
            row = ids[i, 2]
            spilled = ids[i, 3] == SPILLED
            kept = remember(slots, ids, heads, row, ids[i, 0], ids[i, 1], kept)
            if spilled:
                unlink(ids, heads, kept - 1)
    return kept


@compiled
def unlink(ids: Ints, heads: Ints, entry: int) -> None:
    """The newest of a row's list stands in a record of its own: known, but not in the list."""
    row = ids[entry, 2]
    heads[row, 0] = ids[entry, 3]
    heads[row, 1] -= 1
    ids[entry, 3] = SPILLED


@compiled
def spill(ids: Ints, heads: Ints, row: int, out: Ints) -> int:
    """Takes all ids off the row's list into `out` (hash, day). Returns how many."""
    n = 0
    entry = heads[row, 0]
    while entry >= 0:
        out[n, 0] = ids[entry, 0]
        out[n, 1] = ids[entry, 1]
        n += 1
        following = ids[entry, 3]
        ids[entry, 3] = SPILLED
        entry = following
    heads[row, 0] = -1
    heads[row, 1] = 0
    return n
