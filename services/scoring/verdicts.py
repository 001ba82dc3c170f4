"""What became of the events of a batch: what a partition remembers of it, and the outcomes."""

from collections import Counter

import numpy as np
from numpy.typing import NDArray

from services.scoring.columns import Columns
from services.scoring.rows import (
    APPLIED,
    BEYOND_HISTORY,
    BEYOND_RANGE,
    CLOSED_LATER,
    DUPLICATE,
    NOT_OPEN,
    OPENED_LATER,
    REDELIVERED,
)
from services.scoring.state import PartitionState

Ints = NDArray[np.int64]
KEPT = 1000  # of a partition, the newest, beside those of one batch: redeliveries meet them
BEYOND = {
    BEYOND_RANGE: ("data.amount_minor", "a sum would leave the range of exact figures"),
    BEYOND_HISTORY: ("data.value_on", "the balances of that day are no longer kept"),
    NOT_OPEN: ("businessdate", "the account was not open on that day"),
    CLOSED_LATER: ("businessdate", "the account was closed on a later day"),
    OPENED_LATER: ("businessdate", "the account was opened on a later day"),
}
_NAMES = {
    APPLIED: "applied",
    REDELIVERED: "redelivered",
    DUPLICATE: "duplicate",
    **dict.fromkeys(BEYOND, "dead"),
}


def note_refused(columns: Columns, closes: PartitionState, *, of_inputs: bool) -> bool:
    """Notes what was refused by what is known now, before any row moves; says whether it is news.

    Read again after a crash, by a rate that came meanwhile, such an event would be one that its row
    has passed: never counted, and nobody told.
    """
    closes.quarantined, closes.refused_inputs = (
        closes.quarantined[-KEPT:], closes.refused_inputs[-KEPT:]
    )  # fmt: skip
    if not of_inputs:
        return _quarantine(closes, [r.offset for r in columns.refused if r.kind == "quarantined"])
    again = [(r.key.decode(), r.sequence) for r in columns.refused if r.key and r.sequence]
    known = dict.fromkeys([*closes.refused_inputs, *again])
    is_news = len(known) > len(closes.refused_inputs)
    closes.refused_inputs = list(known)
    return is_news


def keep(columns: Columns, closes: PartitionState, judged: Ints, *, of_inputs: bool) -> bool:
    """Notes what no sum could take and what inputs have settled; says whether it is news."""
    if not of_inputs:
        return _quarantine(closes, [columns.offsets[i] for i in np.flatnonzero(is_beyond(judged))])
    settled = [columns.offsets[i] for i in np.flatnonzero(~is_beyond(judged)).tolist()]
    closes.replayed = sorted({*closes.replayed, *settled})[-KEPT:]
    return bool(settled)


def _quarantine(closes: PartitionState, refused: list[int]) -> bool:
    known = {*closes.quarantined, *refused}
    is_news = len(known) > len(closes.quarantined)
    closes.quarantined = sorted(known)
    return is_news


def is_beyond(judged: Ints) -> NDArray[np.bool_]:
    """Those of `BEYOND`: they are numbered behind all others."""
    found: NDArray[np.bool_] = judged >= BEYOND_RANGE
    return found


def counts(columns: Columns, judged: Ints) -> Counter[str]:
    """Outcomes of the whole batch: every record is in exactly one of them."""
    found: Counter[str] = Counter()
    for verdict, n in enumerate(np.bincount(judged).tolist()):
        if n:
            found[_NAMES[verdict]] += n
    found["applied"] += len(columns.closes)
    found["ignored"] += columns.ignored.total()
    for refused in columns.refused:
        found[refused.kind] += 1
    return found
