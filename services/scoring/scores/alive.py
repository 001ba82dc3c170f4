"""P(alive): does the customer of a purchase-like product still buy here at all?

Inputs: days with a purchase, merged per customer-day.
State: first day, last day and number of purchase days, from which x (repeat purchases, the number
less one), tx (last - first) and T (now - first) follow; it moves with an event only.
Terms: x, tx, T, and the age at which P(alive) will have fallen to a threshold.
Formulas: BG/NBD, Fader, Hardie, Lee 2005, Marketing Science 24:275; MBG/NBD, Batislam, Denizel,
Filiztekin 2007, IJRM 24:201. 1 - P(alive) is no risk of silence: rank by `no_purchase`.
"""

import math
from typing import Final, NamedTuple

from services.scoring.scores.compiling import compiled

DAY_S: Final = 86_400
NEVER: Final = 1 << 62  # a second, or day, that no watermark reaches
_EXPONENT_MAX: Final = 40.0  # e^40 days: past any watermark, and far from overflow


class Process(NamedTuple):
    """How the customers of a product buy and leave.

    Purchases of one customer come at a rate drawn from Gamma(r, alpha); after a purchase he leaves
    with a probability drawn from Beta(a, b). `alpha` is in the unit of tx and T.
    """

    r: float
    alpha: float
    a: float
    b: float
    at_once: int  # 1: he may leave after the first purchase too (MBG/NBD); 0: BG/NBD


@compiled
def _stays(process: Process, x: int) -> float:
    """Weight of staying against `a` of leaving after x repeat purchases; 0: he cannot have left."""
    if x == 0 and process.at_once == 0:
        return 0.0
    return process.b + x + process.at_once - 1


@compiled
def probability(process: Process, x: int, tx: float, age: float) -> float:
    """P(alive) at an age at or after tx. BG/NBD: 1 for who has bought once only."""
    stays = _stays(process, x)
    if stays <= 0.0:
        return 1.0
    # In logs: the power itself overflows for who bought often and long ago.
    gone = math.log(process.a / stays)
    gone += (process.r + x) * math.log1p((age - tx) / (process.alpha + tx))
    part = math.exp(-abs(gone))
    return part / (1.0 + part) if gone > 0.0 else 1.0 / (1.0 + part)


@compiled
def age_at(process: Process, x: int, tx: float, theta: float) -> float:
    """The age T* at which P(alive) falls to theta: tx if it stands under it already.

    Right after a purchase P(alive) = s / (a + s), s = b + x - 1 (MBG/NBD: b + x), so a theta above
    it is met at once. Infinite where it is never met.
    """
    stays = _stays(process, x)
    if stays <= 0.0:
        return math.inf
    exponent = (math.log((1.0 - theta) / theta) + math.log(stays / process.a)) / (process.r + x)
    if exponent > _EXPONENT_MAX:
        return math.inf
    return max((process.alpha + tx) * math.exp(exponent) - process.alpha, tx)


@compiled
def second_at(process: Process, x: int, tx_days: int, theta: float) -> int:
    """The first whole second after the beginning of the first day with P(alive) <= theta.

    `alpha` in days. NEVER where it is never met.
    """
    age = age_at(process, x, float(tx_days), theta)
    if math.isinf(age):
        return NEVER
    return math.ceil(age * DAY_S)
