"""What an account has accrued and not posted: which words of its ledger make it, by component.

The same sum that the worker's close would post: exact over all origins, then rounded once, less
what stands in posted leaves. Days that are not settled yet are not in it. `state_columns` adds up.
"""

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
WIDE = (  # component, high limb, low limb, posted, unit
    (r.NET, _AT["net_high"], _AT["net_low"], _AT["net_posted"], UNIT),
    (r.DEBIT, _AT["debit_high"], _AT["debit_low"], _AT["debit_posted"], UNIT),
    (r.LOSS, _AT["loss_high"], _AT["loss_low"], _AT["loss_posted"], LOSS_UNIT),
    (r.CAPITAL, _AT["capital_high"], _AT["capital_low"], _AT["capital_posted"], LOSS_UNIT),
)
UPKEEP = _AT["upkeep"], _AT["upkeep_posted"]
