"""Columns that grow to twice their length, while only what was written of them is memory.

Large ones are mapped for themselves: what the allocator was given back and hands out again is
filled with zeros, so that the free half of a column would be memory too.
"""

import mmap
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

_MAPPED_FROM: Final = 1 << 17  # bytes
_HUGE: Final = 1 << 21  # a large page: its memory comes at once, and a look-up finds it sooner


def with_room(column: NDArray[Any], used: int, more: int) -> NDArray[Any]:
    """The column with room for so many more and one."""
    needed = used + more + 1
    if needed <= len(column):
        return column
    grown = _zeros(max(needed, 2 * len(column)), column)
    grown[:used] = column[:used]
    return grown


def _zeros(length: int, like: NDArray[Any]) -> NDArray[Any]:
    shape = (length, *like.shape[1:])
    size = length * like[:1].nbytes
    if size < _MAPPED_FROM:
        return np.zeros(shape, like.dtype)
    is_large = size >= _HUGE
    whole = -(-size // _HUGE) * _HUGE if is_large else size
    pages = mmap.mmap(-1, whole, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if is_large:
        pages.madvise(mmap.MADV_HUGEPAGE)
    return np.frombuffer(pages, like.dtype, size // like.itemsize).reshape(shape)
