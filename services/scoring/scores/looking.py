"""A look at an account when a day is closed: the features are settled and the rules are asked.

Inputs, state, terms: those of `watching`.
While a silence is young the next look is the day after; then the crossing is searched, once, and
the next look is that day: nothing looks in between. P_H has its instant in closed form of the
state, so the next look is on its day at once.
"""

# ruff: noqa: PLR0917 - compiled: numba takes no keywords

from typing import Final

import numpy as np
from numpy.typing import NDArray

from services.scoring.scores import no_purchase, purchase_features, questions, waiting
from services.scoring.scores.alive import DAY_S
from services.scoring.scores.compiling import compiled
from services.scoring.scores.watching import (
    C_ACCOUNT,
    C_EPISODE,
    C_METHOD,
    C_OFFSET,
    C_ON,
    C_RAISED,
    C_ROW,
    C_SECOND,
    CLOSED_ON,
    DUE,
    EPISODES,
    HEAD,
    NO_PURCHASE,
    PROCESS,
    PURCHASES,
    SLOTS,
    TROUBLE_ON,
    WORDS,
    Watch,
    features_of,
    last_on,
    logit_of,
    process_of,
    process_ppm,
    settle,
    sooner,
)

Ints = NDArray[np.int64]
YOUNG_DAYS: Final = 7  # of a silence: most customers come back within it and need no search
AGAIN_DAYS: Final = 365  # nobody is left alone for longer: the model of that day may say otherwise


@compiled
def _asked(watch: Watch, head: Ints, state: Ints, kind: int, slot: int, day: int) -> bool:
    if kind == PURCHASES:
        return True
    return questions.asked(state, watch.methods.factors, head[TROUBLE_ON], slot, day)


@compiled
def _cross(
    watch: Watch, account: int, slot: int, raised: int, on: int, second: int, offset: int
) -> None:
    begin, of_set = watch.places[account, 0], watch.places[account, 1]
    words = WORDS[watch.sets[of_set, 0]]
    watch.pool[begin + EPISODES + slot] += 1  # odd while it holds
    out = watch.crossings[watch.written[0]]
    out[C_ACCOUNT], out[C_METHOD] = account, watch.sets[of_set, 1 + slot]
    out[C_RAISED], out[C_EPISODE] = raised, (watch.pool[begin + EPISODES + slot] + 1) // 2
    out[C_ON], out[C_SECOND], out[C_OFFSET] = on, second, offset
    out[C_ROW : C_ROW + words] = watch.pool[begin : begin + words]
    watch.written[0] += 1


@compiled
def _ask(watch: Watch, account: int, day: int, offset: int) -> bool:
    """The linear rules at the end of a day. Says whether one crossed."""
    begin, of_set = watch.places[account, 0], watch.places[account, 1]
    kind = watch.sets[of_set, 0]
    head = watch.pool[begin : begin + HEAD]
    state = watch.pool[begin + HEAD : begin + WORDS[kind]]
    features = features_of(state, watch.methods, kind, day)
    crossed = False
    for slot in range(SLOTS):
        method = watch.sets[of_set, 1 + slot]
        if method < 0:
            continue
        logit = logit_of(watch.methods, method, features)
        if head[EPISODES + slot] % 2 == 1:
            if logit < watch.methods.clears[method]:
                _cross(watch, account, slot, 0, day, 0, offset)
                crossed = True
        elif logit >= watch.methods.raises[method] and _asked(watch, head, state, kind, slot, day):
            _cross(watch, account, slot, 1, day, 0, offset)
            crossed = True
    return crossed


@compiled
def _would_raise(watch: Watch, account: int, day: int) -> bool:
    begin, of_set = watch.places[account, 0], watch.places[account, 1]
    kind = watch.sets[of_set, 0]
    head = watch.pool[begin : begin + HEAD]
    state = watch.pool[begin + HEAD : begin + WORDS[kind]]
    features = features_of(state, watch.methods, kind, day)
    for slot in range(SLOTS):
        method = watch.sets[of_set, 1 + slot]
        if (
            method >= 0
            and head[EPISODES + slot] % 2 == 0
            and logit_of(watch.methods, method, features) >= watch.methods.raises[method]
            and _asked(watch, head, state, kind, slot, day)
        ):
            return True
    return False


@compiled
def _all_hold(watch: Watch, head: Ints, of_set: int) -> bool:
    for slot in range(SLOTS):
        if watch.sets[of_set, 1 + slot] >= 0 and head[EPISODES + slot] % 2 == 0:
            return False
    return True


@compiled
def crossing_after(watch: Watch, account: int, day: int) -> int:
    """A day on which a rule would be raised and on the day before would not, if nothing comes.

    A doubled bracket and a bisection: the first such day where the score rises all the way.
    """
    low, high, step = day, day + 1, 1
    while not _would_raise(watch, account, high):
        if high == day + AGAIN_DAYS:
            return high
        step *= 2
        low, high = high, min(high + step, day + AGAIN_DAYS)
    while high - low > 1:
        middle = (low + high) // 2
        if _would_raise(watch, account, middle):
            high = middle
        else:
            low = middle
    return high


@compiled
def _process_at(watch: Watch, account: int, method: int) -> int:
    """The second after the beginning of the first day at which P_H crosses."""
    begin = watch.places[account, 0]
    state = watch.pool[begin + HEAD : begin + WORDS[PURCHASES]]
    first = state[purchase_features.FIRST_ON]
    return no_purchase.second_at(
        process_of(watch.methods, method), state[purchase_features.COUNT] - 1,
        state[purchase_features.LAST_ON] - first, watch.methods.horizons[method],
        watch.methods.raises[method] / 1e6,
    )  # fmt: skip


@compiled
def _look_at_process(watch: Watch, account: int, method: int, day: int, offset: int) -> int:
    """P_H rises between purchases and has its instant: the next look is on that day."""
    begin = watch.places[account, 0]
    head = watch.pool[begin : begin + HEAD]
    state = watch.pool[begin + HEAD : begin + WORDS[PURCHASES]]
    if head[EPISODES] % 2 == 1:
        last = state[purchase_features.LAST_ON]
        if process_ppm(state, watch.methods, method, last) >= watch.methods.clears[method]:
            return 0  # only a purchase can lower it
        _cross(watch, account, NO_PURCHASE, 0, day, 0, offset)
    second = _process_at(watch, account, method)
    on = state[purchase_features.FIRST_ON] + second // DAY_S
    if on <= day:
        _cross(watch, account, NO_PURCHASE, 1, on, second % DAY_S, offset)
        return 0
    return min(on, day + AGAIN_DAYS)  # type: ignore[no-any-return]


@compiled
def _close(watch: Watch, account: int, day: int, offset: int) -> int:
    """Nothing holds on a closed account."""
    begin, of_set = watch.places[account, 0], watch.places[account, 1]
    for slot in range(SLOTS):
        if watch.sets[of_set, 1 + slot] >= 0 and watch.pool[begin + EPISODES + slot] % 2 == 1:
            _cross(watch, account, slot, 0, day, 0, offset)
    return 0


@compiled
def _by_process(watch: Watch, account: int) -> bool:
    of_set = watch.places[account, 1]
    if watch.sets[of_set, 0] != PURCHASES:
        return False
    return bool(watch.methods.kinds[watch.sets[of_set, 1]] == PROCESS)


@compiled
def _look_on(watch: Watch, account: int, day: int, offset: int) -> int:
    """One look at the end of a closed day. The day of the next; 0: none."""
    settle(watch, account, day)
    begin, of_set = watch.places[account, 0], watch.places[account, 1]
    kind = watch.sets[of_set, 0]
    head = watch.pool[begin : begin + HEAD]
    state = watch.pool[begin + HEAD : begin + WORDS[kind]]
    if 0 < head[CLOSED_ON] <= day:
        return _close(watch, account, day, offset)
    last = last_on(state, kind)
    if last == 0:
        return 0
    if _by_process(watch, account):
        return _look_at_process(watch, account, watch.sets[of_set, 1], day, offset)
    _ask(watch, account, day, offset)
    if day - last < YOUNG_DAYS:
        return day + 1
    return 0 if _all_hold(watch, head, of_set) else crossing_after(watch, account, day)


@compiled
def look(
    watch: Watch, row: int, first_account: Ints, next_account: Ints, watermark: int, offset: int
) -> bool:
    """The looks of a customer's accounts that a watermark has reached.

    Says whether something is to be written: a crossing, or a day that was searched for. The next
    day, and the instant of a process, follow from what is written already.
    """
    crossed, searched, earliest = watch.written[0], False, 0
    account = first_account[row]
    while account >= 0:
        begin = watch.places[account, 0]
        if begin >= 0:
            due = watch.pool[begin + DUE]
            while 0 < due <= watermark:
                looked = due
                due = _look_on(watch, account, looked, offset)
                searched |= due != looked + 1 and not _by_process(watch, account)
            waits = watch.waiting.heads[account]
            if waits >= 0:
                due = sooner(due, waiting.day_of(watch.waiting, waits))
            watch.pool[begin + DUE] = due
            earliest = sooner(earliest, due)
        account = next_account[account]
    watch.looks[row] = earliest
    return searched or watch.written[0] > crossed


@compiled
def arm_anew(
    watch: Watch, first_account: Ints, next_account: Ints, customers: int, watermark: int
) -> None:
    """After a recovery the next looks lie behind the watermark: those before it were made."""
    for row in range(customers):
        watch.looks[row] = 0
        account = first_account[row]
        while account >= 0:
            begin = watch.places[account, 0]
            if begin >= 0 and watch.pool[begin + DUE] > 0:
                watch.pool[begin + DUE] = max(watch.pool[begin + DUE], watermark + 1)
                watch.looks[row] = sooner(watch.looks[row], watch.pool[begin + DUE])
            account = next_account[account]
