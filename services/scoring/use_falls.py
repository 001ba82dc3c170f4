"""Use of a product falls (使用情况跟踪): the pace of 45 days against the account's own of 180.

A rule set by hand, not learned: a linear score of two features, so it has its day, its terms and
its clearing change as the others have. It goes into the file that `train` writes, where a bank can
change its lines.
"""

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from services.scoring.risk_model import DAY_FACTORS, TAUS_DAYS, Linear, Score, Threshold
from services.scoring.scores import account_features

GOAL: Final = "use"
RULE: Final = "use_falls"
# ln(1 + a month's actions) by 45 days less that by 180: at ten a month the score is a half when the
# quick pace is six and a half of ten. It is there some two months after the use fell to a third.
CHANGE: Final = "actions_change_middle"
CHANGE_MICRO: Final = -2_000_000
# Chance moves a small pace more: below six a month more must be gone, below one and a half nothing
# is said. Of who comes at random it is said in vain once in 7 years at six a month, in 12 at ten.
SMALL: Final = "actions_under_6"
SMALL_MICRO: Final = -150_000
BASE_MICRO: Final = -800_000
RAISE_PPM: Final = 500_000
CLEAR_PPM: Final = 410_000
PACE_DAYS: Final = 45


def score_of(product_codes: tuple[str, ...]) -> Score:
    """The rule for these products, none of them purchase-like."""
    names = account_features.NAMES
    weights = {CHANGE: CHANGE_MICRO, SMALL: SMALL_MICRO}
    method = Linear(
        features="account",
        taus_days=TAUS_DAYS,
        day_factors=DAY_FACTORS,
        names=names,
        weights_micro=tuple(weights.get(name, 0) for name in names),
        means_micro=(0,) * len(names),
        base_micro=BASE_MICRO,
    )
    return Score(
        goal=GOAL,
        product_codes=product_codes,
        horizon_days=PACE_DAYS,
        method="linear",
        methods={"linear": method},
        measured=(),
        refused={},
        threshold=Threshold(RAISE_PPM, CLEAR_PPM, rows=0, came_true=0),
    )


def paces(features: NDArray[np.int64]) -> dict[str, int]:
    """What a sentence says of it: thousandths of an action a month, now and as usual."""
    now, usual = (
        round(math.expm1(int(features[account_features.NAMES.index(name)]) / 1e6) * 1000)
        for name in ("actions_middle", "actions_long")
    )
    return {"pace_milli": now, "usual_pace_milli": usual}
