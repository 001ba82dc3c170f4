"""A worker that takes every repeat for something new: the negative control of its memory.

By default it forgets the sequence of inputs; `hashes` forgets the ids of events instead.
"""

import sys
from itertools import count
from typing import Any

from services.scoring import columns, inputs, reading
from services.scoring.worker import run

_numbers = count(1)


def always_new(event: Any) -> int:
    return next(_numbers)


if __name__ == "__main__":
    if sys.argv[1:] == ["hashes"]:
        columns.xxh3_64_intdigest = reading.xxh3_64_intdigest = always_new
    else:
        inputs.sequence_of = always_new
    run()
