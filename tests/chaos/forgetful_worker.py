"""A worker that takes every input for a new one: the negative control of the sequence check."""

from itertools import count
from typing import Any

from services.scoring import inputs
from services.scoring.worker import run

_numbers = count(1)


def always_new(event: Any) -> int:
    return next(_numbers)


if __name__ == "__main__":
    inputs.sequence_of = always_new
    run()
