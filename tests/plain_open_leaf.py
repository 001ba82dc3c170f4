"""What one account has accrued and not posted, record by record in Python's own whole numbers: the
plain way that `state_columns` is held against."""

from collections.abc import Sequence

from services.scoring import rows as r
from services.scoring.open_leaf import CELL_MIN, COLUMNS, LIMB_BITS, UPKEEP, WIDE
from services.scoring.rows import LEDGER_FIELDS

_SETTLED = LEDGER_FIELDS.index("settled_on")


def settled_on(ledger: Sequence[int]) -> int:
    """Day number of the first day that is not accrued; 0: nothing is."""
    return ledger[_SETTLED]


def accrued(ledger: Sequence[int], entries: Sequence[int]) -> tuple[int, ...]:
    """Minor units by component, in the order of COLUMNS. `entries` are code and amount by turns."""
    cells = [0] * (r.USES + 1)
    for code, amount in zip(entries[::2], entries[1::2], strict=True):
        if code >= CELL_MIN:
            cells[code & 0xFF] += amount
    for component, high, low, posted, unit in WIDE:
        limbs_high = ledger[high] + cells[component]
        exact = (limbs_high << LIMB_BITS) + ledger[low] + cells[component + 1]
        cells[component] = half_even(exact, unit) - ledger[posted]
    cells[r.UPKEEP] += ledger[UPKEEP[0]] - ledger[UPKEEP[1]]
    return tuple(cells[component] for component in COLUMNS.values())


def half_even(value: int, unit: int) -> int:
    quotient, left = divmod(value, unit)
    return quotient + (2 * left > unit or (2 * left == unit and quotient & 1))
