"""Decayed rate: events a day of the customer, each weighing e^-(age/tau).

Inputs: business dates of his purchases, or of what he initiates.
State: `activity` of scores/activity.py (the sum of the weights, 2**20 for one event today) and its
day.
Terms: the rate in events per million days, the last day, the instant of crossing.
Between events lambda(t) = lambda_last * e^-((t - t_last)/tau), so it falls to a threshold once, at
t_last + tau * ln(lambda_last / threshold).
"""

import math

from services.scoring.scores.activity import EVENT
from services.scoring.scores.alive import DAY_S
from services.scoring.scores.compiling import compiled


@compiled
def per_million_days(activity: int, tau_days: int) -> int:
    """The rate on the day of the activity, in events per million days."""
    return activity * 1_000_000 // (tau_days * EVENT)


@compiled
def second_at(rate: int, threshold: int, tau_days: int) -> int:
    """Whole seconds after the beginning of the day of `rate` until it has fallen to a threshold.

    Both in the same unit, the threshold above 0. 0 where it stands there already: it fires at once.
    """
    if rate <= threshold:
        return 0
    return math.ceil(tau_days * DAY_S * math.log(rate / threshold))
