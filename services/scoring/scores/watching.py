"""The watch on one account: its features, its rules, and the next day on which it is looked at.

Inputs: bookings of the account; closed days; the methods of a model of risk.
State: HEAD words, then those of `purchase_features` or of `account_features`; and the bookings of
days that are still open, which wait: the features are settled through closed days only, so the
order inside the open days cannot matter.
Terms: a copy of the whole row with every crossing.
What is done on a closed day: `looking`.
"""

# ruff: noqa: PLR0917 - compiled: numba takes no keywords

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from services.scoring.scores import account_features as af
from services.scoring.scores import no_purchase, purchase_features, turns, waiting
from services.scoring.scores.alive import Process
from services.scoring.scores.compiling import allocating, compiled, inlined
from services.scoring.scores.decay import VALUE_MAX
from services.scoring.scores.waiting import Waiting

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

PURCHASES, ACCOUNTS = range(2)  # kinds of features
SLOTS: Final = 4  # rules of one account: of purchases the first only
NO_PURCHASE = 0
LINEAR, PROCESS = range(2)  # kinds of methods

# Columns of places: the begin in `pool`, -1: not watched; its set; and the day, 0: none, at whose
# end no rule changes if nothing comes before. No record has it: who does not know it asks again.
PLACE, OF_SET, QUIET_ON = range(3)
PLACE_WORDS: Final = 3

# Words of the head of a row
DUE, CLOSED_ON, TROUBLE_ON, EPISODES, MOVED = 0, 1, 2, 3, 7
# What moved the features last, as offset + 1: 0 is nothing
BY_ACTION, BY_CASH, BY_MONEY_IN, BY_MONEY_OUT, BY_TRANSFER, BY_PENALTY = range(6)
HEAD: Final = 13
WORDS: Final = (HEAD + purchase_features.WORDS, HEAD + af.WORDS)  # by kind
PURCHASE: Final = 16  # a flag of a booking, beside those of account_features
OPENS: Final = 32  # no booking: the account was opened, on the day above OPENED_SHIFT
OPENED_SHIFT: Final = 8
CLOSES: Final = 64

SUM_MAX: Final = VALUE_MAX >> 1  # of a decayed sum: there it stops growing

# Columns of a crossing; behind them the row as it was
C_ACCOUNT, C_METHOD, C_RAISED, C_EPISODE, C_ON, C_SECOND, C_OFFSET = range(7)
C_ROW: Final = 7
CROSSING_WORDS: Final = C_ROW + max(WORDS)


class Methods(NamedTuple):
    """The methods of a model, one row each; a linear one is a logit, the other a probability."""

    kinds: Ints
    weights: Ints
    means: Ints
    bases: Ints
    raises: Ints  # logit in millionths; of a process ppm
    clears: Ints
    processes: Floats  # r, alpha, a, b
    at_once: Ints
    horizons: Ints
    factors: Ints  # of the three time constants
    mass: Ints


class Watch(NamedTuple):
    """The watched accounts of a partition."""

    places: Ints  # of each account: PLACE, OF_SET, QUIET_ON
    pool: Ints
    looks: Ints  # of each customer: the earliest day of a look, 0: none
    sets: Ints  # of products: kind, then the method of each slot, -1: none
    methods: Methods
    waiting: Waiting
    crossings: Ints
    written: Ints


@compiled
def sooner(one: int, other: int) -> int:
    """The earlier of two days, where 0 is never."""
    if one == 0 or other == 0:
        return max(one, other)
    return min(one, other)


@inlined
def take(state: Ints, head: Ints, factors: Ints, kind: int, day: int, amount: int, flags: int,
         offset: int) -> None:  # fmt: skip
    """One booking of a closed day into the features."""
    if kind == PURCHASES:
        if flags & PURCHASE:
            purchase_features.after_purchase(state, factors, day, -amount)
            _bound(state, purchase_features.AMOUNTS, purchase_features.WORDS)
            head[MOVED] = max(head[MOVED], offset + 1)
        return
    _open(state, day)
    if state[af.BALANCE] < 0:
        head[TROUBLE_ON] = max(head[TROUBLE_ON], day - 1)
    if flags & af.PENALTY:
        head[TROUBLE_ON] = max(head[TROUBLE_ON], day)
        head[MOVED + BY_PENALTY] = max(head[MOVED + BY_PENALTY], offset + 1)
    af.after_booking(state, factors, day, amount, flags)
    _bound(state, af.INS, af.PENALTIES)
    if flags & af.BY_CUSTOMER:
        head[MOVED + BY_ACTION] = max(head[MOVED + BY_ACTION], offset + 1)
    if flags & af.CASH:
        head[MOVED + BY_CASH] = max(head[MOVED + BY_CASH], offset + 1)
    if flags & af.TRANSFER_IN:
        head[MOVED + BY_TRANSFER] = max(head[MOVED + BY_TRANSFER], offset + 1)
    if amount != 0:  # of bookings that waited together the first has all the money
        way = BY_MONEY_IN if amount > 0 else BY_MONEY_OUT
        head[MOVED + way] = max(head[MOVED + way], offset + 1)


@inlined
def _open(state: Ints, day: int) -> None:
    """The account is at least as old. What comes later moves nothing, so it need not wait."""
    if state[af.ON] == 0:
        af.opened(state, day)
    state[af.OPENED_ON] = min(state[af.OPENED_ON], day)


@inlined
def _bound(state: Ints, begin: int, end: int) -> None:
    for word in range(begin, end):
        state[word] = min(state[word], SUM_MAX)


@inlined
def settle(watch: Watch, account: int, through: int) -> None:
    """Takes what waits up to a day."""
    begin = watch.places[account, 0]
    kind = watch.sets[watch.places[account, 1], 0]
    head = watch.pool[begin : begin + HEAD]
    state = watch.pool[begin + HEAD : begin + WORDS[kind]]
    place = watch.waiting.heads[account]
    if place >= 0:
        watch.places[account, QUIET_ON] = 0
    while place >= 0 and waiting.day_of(watch.waiting, place) <= through:
        entry = watch.waiting.pool[place]
        day, flags = waiting.day_of(watch.waiting, place), waiting.flags_of(watch.waiting, place)
        take(state, head, watch.methods.factors, kind, day, entry[waiting.AMOUNT], flags,
             entry[waiting.OFFSET])  # fmt: skip
        for _ in range(1, entry[waiting.COUNT]):  # the money is all in the first
            take(state, head, watch.methods.factors, kind, day, 0, flags, entry[waiting.OFFSET])
        waiting.pop(watch.waiting, account)
        place = watch.waiting.heads[account]


@compiled
def ended(watch: Watch, account: int) -> int:
    """Forgets what is known of a closed account: who opens it again begins anew. Returns the day
    from which it is open again; 0: none is known."""
    begin = watch.places[account, 0]
    kind = watch.sets[watch.places[account, 1], 0]
    head = watch.pool[begin : begin + HEAD]
    state = watch.pool[begin + HEAD : begin + WORDS[kind]]
    head[TROUBLE_ON] = 0
    head[MOVED:] = 0
    state[:] = 0
    watch.places[account, QUIET_ON] = 0
    again = turns.open_since(head[CLOSED_ON])
    if again > 0 and kind != PURCHASES:
        _open(state, again)
    return again


@inlined
def follow(watch: Watch, account: int, closings: int) -> None:
    """When it was closed, and since when it is open again, stands in the account's own row: a
    booking of a later day opens it, too."""
    if turns.closed_on(closings) > 0:
        watch.pool[watch.places[account, 0] + CLOSED_ON] = closings


@inlined
def on_booking(
    watch: Watch, row: int, account: int, day: int, amount: int, flags: int, offset: int,
    watermark: int,
) -> None:  # fmt: skip
    """A booking comes: of an open day it waits, of a closed one it corrects. The account is looked
    at when the day is closed. Of a turn `follow` knows already."""
    begin = watch.places[account, 0]
    kind = watch.sets[watch.places[account, 1], 0]
    head = watch.pool[begin : begin + HEAD]
    watch.places[account, QUIET_ON] = 0
    if flags & OPENS and (kind != PURCHASES or head[CLOSED_ON] > 0):
        if kind != PURCHASES:
            since = flags >> OPENED_SHIFT if head[CLOSED_ON] == 0 else day
            _open(watch.pool[begin + HEAD : begin + WORDS[kind]], since)
    elif flags & CLOSES:
        pass  # the look on its day ends what holds
    elif kind == PURCHASES and not flags & PURCHASE:
        return
    elif day > watermark:
        waiting.add(watch.waiting, account, day, flags, amount, offset)
    else:
        settle(watch, account, watermark)
        state = watch.pool[begin + HEAD : begin + WORDS[kind]]
        take(state, head, watch.methods.factors, kind, day, amount, flags, offset)
    head[DUE] = sooner(head[DUE], max(day, watermark + 1))
    watch.looks[row] = sooner(watch.looks[row], head[DUE])


@allocating
def features_of(state: Ints, methods: Methods, kind: int, day: int) -> Ints:
    """Of a settled state at the end of a day."""
    if kind == PURCHASES:
        return purchase_features.features(state, methods.factors, day)
    return af.features(state, methods.factors, methods.mass, day)


@compiled
def logit_of(methods: Methods, method: int, features: Ints) -> int:
    logit = methods.bases[method]
    for i in range(features.shape[0]):
        logit += methods.weights[method, i] * (features[i] - methods.means[method, i]) // 1_000_000
    return logit  # type: ignore[no-any-return]


@compiled
def process_of(methods: Methods, method: int) -> Process:
    p = methods.processes[method]
    return Process(p[0], p[1], p[2], p[3], methods.at_once[method])


@compiled
def last_on(state: Ints, kind: int) -> int:
    """The day of the last booking, 0: none came."""
    if kind == PURCHASES:
        return state[purchase_features.LAST_ON]  # type: ignore[no-any-return]
    return state[af.ON]  # type: ignore[no-any-return]


@compiled
def process_ppm(state: Ints, methods: Methods, method: int, day: int) -> int:
    """P_H at the beginning of a day."""
    first = state[purchase_features.FIRST_ON]
    return no_purchase.risk_ppm(
        process_of(methods, method), state[purchase_features.COUNT] - 1,
        state[purchase_features.LAST_ON] - first, day - first, methods.horizons[method],
    )  # fmt: skip
