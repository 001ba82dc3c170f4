"""A worker that takes every repeat for something new: the negative control of its memory.

By default it forgets the sequence of inputs, and what they have settled on closed days; `hashes`
forgets the ids of events instead.
"""

import sys
from itertools import count
from typing import Any

from services.scoring import id_hash, inputs, seen
from services.scoring.worker import run

_numbers = count(1)


def always_new(*_: Any) -> int:
    return next(_numbers)


def all_new(*columns_in: Any) -> None:
    found = columns_in[-1]
    found[:] = [next(_numbers) for _ in found]


if __name__ == "__main__":
    if sys.argv[1:] == ["hashes"]:
        id_hash.of_one, id_hash.hashes = always_new, all_new
    else:
        inputs.sequence_of = always_new
        seen.is_repeat = lambda one, copies: False
    run()
