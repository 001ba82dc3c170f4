"""What one account has accrued and not posted, read off its state record. Pure, nothing compiled.

The same sum that the worker's close would post: exact over all origins, then rounded once, less
what stands in posted leaves. Days that are not settled yet are not in it.
"""

from collections.abc import Sequence

from services.scoring import rows as r
from services.scoring.rows import LEDGER_FIELDS

UNIT = 365 * 10**6  # as in `scores/contribution/ledger.py`, which is compiled
LOSS_UNIT = 365 * 10**12
LIMB_BITS = 60
CELL_MIN = 1 << 32  # codes of entries below it are days
# Column of `open_leaves` -> component of the kernel
COLUMNS = {
    "net": r.NET, "debit": r.DEBIT, "loss": r.LOSS, "capital": r.CAPITAL, "upkeep": r.UPKEEP,
    "interest_paid": r.INTEREST_PAID, "interest_received": r.INTEREST_RECEIVED, "fees": r.FEES,
    "uses": r.USES,
}  # fmt: skip
_AT = {name: n for n, name in enumerate(LEDGER_FIELDS)}
_WIDE = (  # component, high limb, low limb, posted, unit
    (r.NET, _AT["net_high"], _AT["net_low"], _AT["net_posted"], UNIT),
    (r.DEBIT, _AT["debit_high"], _AT["debit_low"], _AT["debit_posted"], UNIT),
    (r.LOSS, _AT["loss_high"], _AT["loss_low"], _AT["loss_posted"], LOSS_UNIT),
    (r.CAPITAL, _AT["capital_high"], _AT["capital_low"], _AT["capital_posted"], LOSS_UNIT),
)
_SETTLED, _UPKEEP, _UPKEEP_POSTED = _AT["settled_on"], _AT["upkeep"], _AT["upkeep_posted"]


def settled_on(ledger: Sequence[int]) -> int:
    """Day number of the first day that is not accrued; 0: nothing is."""
    return ledger[_SETTLED]


def accrued(ledger: Sequence[int], entries: Sequence[int]) -> tuple[int, ...]:
    """Minor units by component, in the order of COLUMNS. `entries` are code and amount by turns."""
    cells = [0] * (r.USES + 1)
    for code, amount in zip(entries[::2], entries[1::2], strict=True):
        if code >= CELL_MIN:
            cells[code & 0xFF] += amount
    for component, high, low, posted, unit in _WIDE:
        limbs_high = ledger[high] + cells[component]
        exact = (limbs_high << LIMB_BITS) + ledger[low] + cells[component + 1]
        cells[component] = half_even(exact, unit) - ledger[posted]
    cells[r.UPKEEP] += ledger[_UPKEEP] - ledger[_UPKEEP_POSTED]
    return tuple(cells[component] for component in COLUMNS.values())


def half_even(value: int, unit: int) -> int:
    quotient, left = divmod(value, unit)
    return quotient + (2 * left > unit or (2 * left == unit and quotient & 1))
