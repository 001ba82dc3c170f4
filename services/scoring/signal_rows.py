"""How a compiled loop writes a signal of the small rules. `rows` names the columns."""

# ruff: noqa: PLR0917 - compiled: numba takes no keywords

import numpy as np
from numpy.typing import NDArray

from services.scoring.rows import (
    S_BALANCE,
    S_EPISODE,
    S_EVENT,
    S_GAP,
    S_KIND,
    S_LAST_ON,
    S_MEAN,
    S_OFFSET,
    S_ON,
    S_ROW,
    S_RULE,
)
from services.scoring.scores.compiling import compiled

Ints = NDArray[np.int64]


@compiled
def signal(
    signals: Ints, n: int, event: int, row: int, rule: int, kind: int, episode: int, on: int,
    balance_minor: int, mean_minor: int, last_on: int, gap: int, offset: int,
) -> int:  # fmt: skip
    """Returns how many there are now."""
    signals[n, S_EVENT] = event
    signals[n, S_ROW] = row
    signals[n, S_RULE] = rule
    signals[n, S_KIND] = kind
    signals[n, S_EPISODE] = episode
    signals[n, S_ON] = on
    signals[n, S_BALANCE] = balance_minor
    signals[n, S_MEAN] = mean_minor
    signals[n, S_LAST_ON] = last_on
    signals[n, S_GAP] = gap
    signals[n, S_OFFSET] = offset
    return n + 1
