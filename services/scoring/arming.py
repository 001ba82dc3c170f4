"""The timer of a customer: when the watermark has something to do for it."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.scoring.scores.compiling import inlined
from services.scoring.scores.watching import sooner

Ints = NDArray[np.int64]
Rows = NDArray[Any]  # structured


@inlined
def due_on(customers: Rows, looks: Ints, row: int) -> int:
    """The day on which the watermark has something to do for this customer, whatever accounts he
    closes; 0: never."""
    due = looks[row]
    if customers[row].silence == 0:
        due = sooner(due, customers[row].silent_on)
    return sooner(due, customers[row].recovers_on)


@inlined
def arm(  # noqa: PLR0917 - numba unboxes no objects
    customers: Rows, looks: Ints, armed: Ints, arms: Ints, n: int, row: int, closing: int
) -> int:
    """One timer per customer: put earlier at once, put later only when it is looked at. `closing`:
    a day on which a silence of his may end, 0: none."""
    due = sooner(due_on(customers, looks, row), closing)
    if due > 0 and (armed[row] == 0 or due < armed[row]):
        armed[row] = due
        arms[n, 0] = row
        arms[n, 1] = due
        return n + 1
    return n
