"""A look at an account when a day is closed: the features are settled and the rules are asked.

Inputs, state, terms: those of `watching`.
After a look the rules are asked for one later day only, the next of a few fixed lengths of silence:
most customers come back before it. Where a rule would change by then, the next look is the day on
which it does. P_H has its instant in closed form of the state, so its look is on that day at once.
The day of a look follows from the row and the days closed: it need not be written.
"""

# ruff: noqa: PLR0917 - compiled: numba takes no keywords

from typing import Final

import numpy as np
from numpy.typing import NDArray

from services.scoring.scores import linear, no_purchase, purchase_features, questions, waiting
from services.scoring.scores.alive import DAY_S
from services.scoring.scores.compiling import allocating, compiled, inlined
from services.scoring.scores.turns import closes_after, is_closed
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
    QUIET_ON,
    SLOTS,
    TROUBLE_ON,
    WORDS,
    Watch,
    ended,
    features_of,
    last_on,
    process_of,
    process_ppm,
    settle,
    sooner,
)

Ints = NDArray[np.int64]
FIRST_PROBE_DAYS: Final = 4  # of a silence; then 8, 16, 32 ... 256, 512, 877
AGAIN_DAYS: Final = 365  # nobody is left alone for longer: the model of that day may say otherwise


@compiled
def _asked(factors: Ints, head: Ints, state: Ints, kind: int, slot: int, day: int) -> bool:
    if kind == PURCHASES:
        return True
    return questions.asked(state, factors, head[TROUBLE_ON], slot, day)


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
    for word in range(words):
        out[C_ROW + word] = watch.pool[begin + word]
    watch.written[0] += 1


@inlined
def _in_question(watch: Watch, account: int, day: int) -> int:
    """The slots, as bits, whose linear rules hold, or may begin to at the end of a day. Most cannot
    while an account is young, and what a day costs are the features."""
    begin, of_set = watch.places[account, 0], watch.places[account, 1]
    kind = watch.sets[of_set, 0]
    head = watch.pool[begin : begin + HEAD]
    state = watch.pool[begin + HEAD : begin + WORDS[kind]]
    found = 0
    for slot in range(SLOTS):
        holds = head[EPISODES + slot] % 2 == 1
        if watch.sets[of_set, 1 + slot] >= 0 and (
            holds or _asked(watch.methods.factors, head, state, kind, slot, day)
        ):
            found |= 1 << slot
    return found


@allocating
def _changing(watch: Watch, account: int, day: int) -> int:
    """The slots, as bits, whose linear rules would begin or end to hold at the end of a day."""
    asked = _in_question(watch, account, day)
    if asked == 0:
        return 0
    begin, of_set = watch.places[account, 0], watch.places[account, 1]
    kind = watch.sets[of_set, 0]
    head = watch.pool[begin : begin + HEAD]
    state = watch.pool[begin + HEAD : begin + WORDS[kind]]
    methods = watch.methods
    features = features_of(state, methods, kind, day)
    found = 0
    for slot in range(SLOTS):
        if not asked >> slot & 1:
            continue
        method = watch.sets[of_set, 1 + slot]
        holds = head[EPISODES + slot] % 2 == 1
        line = methods.clears[method] if holds else methods.raises[method]
        beyond = linear.reaches(
            features, methods.weights[method], methods.means[method], methods.bases[method], line
        )
        if holds != beyond:
            found |= 1 << slot
    return found


@compiled
def _ask(watch: Watch, account: int, day: int, offset: int) -> None:
    """The linear rules at the end of a day."""
    begin = watch.places[account, 0]
    changing = _changing(watch, account, day)
    for slot in range(SLOTS):
        if changing >> slot & 1:
            raised = 1 - watch.pool[begin + EPISODES + slot] % 2
            _cross(watch, account, slot, raised, day, 0, offset)


@compiled
def _probe_after(last: int, day: int) -> int:
    """The first of the fixed lengths of a silence that ends behind a day."""
    silence = FIRST_PROBE_DAYS
    while last + silence <= day:
        silence += min(silence, AGAIN_DAYS)
    return last + silence


@compiled
def next_look(watch: Watch, account: int, last: int, day: int) -> int:
    """Where nothing comes after the last booking: the next probe, or before it a day on which a
    rule changes and on the day before did not: the first such day where scores move one way."""
    probe = _probe_after(last, day)
    if not _changing(watch, account, probe):
        watch.places[account, QUIET_ON] = probe
        return probe
    low, high = day, probe
    while high - low > 1:
        middle = (low + high) // 2
        if _changing(watch, account, middle):
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
    """Nothing holds on a closed account. The day of the next look."""
    begin, of_set = watch.places[account, 0], watch.places[account, 1]
    for slot in range(SLOTS):
        if watch.sets[of_set, 1 + slot] >= 0 and watch.pool[begin + EPISODES + slot] % 2 == 1:
            _cross(watch, account, slot, 0, day, 0, offset)
    return ended(watch, account)


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
    if is_closed(head[CLOSED_ON], day):
        return _close(watch, account, day, offset)
    last = last_on(state, kind)
    if last == 0:
        return 0
    if _by_process(watch, account):
        return _look_at_process(watch, account, watch.sets[of_set, 1], day, offset)
    if watch.places[account, QUIET_ON] != day:  # else the look before has asked about this day
        _ask(watch, account, day, offset)
    watch.places[account, QUIET_ON] = 0
    return next_look(watch, account, last, day)


@compiled
def _first_wait(watch: Watch, account: int) -> int:
    """The earliest day of what waits, 0: nothing does."""
    place = watch.waiting.heads[account]
    return waiting.day_of(watch.waiting, place) if place >= 0 else 0


@compiled
def _known_after(watch: Watch, account: int, day: int) -> int:
    """The earliest day behind a look on which something happens that is known already: a booking
    that waits, or a closing that was told before its day. 0: none."""
    closing = closes_after(watch.pool[watch.places[account, 0] + CLOSED_ON], day)
    return sooner(closing, _first_wait(watch, account))


@compiled
def look(
    watch: Watch, row: int, first_account: Ints, next_account: Ints, watermark: int, offset: int
) -> bool:
    """The looks of a customer's accounts that a watermark has reached. Says whether a rule crossed:
    nothing else is to be written."""
    crossed, earliest = watch.written[0], 0
    account = first_account[row]
    while account >= 0:
        begin = watch.places[account, 0]
        if begin >= 0:
            due = watch.pool[begin + DUE]
            while 0 < due <= watermark:
                looked = due
                due = _look_on(watch, account, looked, offset)
                due = sooner(due, _known_after(watch, account, looked))
            watch.pool[begin + DUE] = due
            earliest = sooner(earliest, due)
        account = next_account[account]
    watch.looks[row] = earliest
    return bool(watch.written[0] > crossed)


@compiled
def most_crossings(
    watch: Watch, row: int, first_account: Ints, next_account: Ints, watermark: int
) -> int:
    """So many crossings at most can `look` write: of each rule one a day."""
    days = 0
    account = first_account[row]
    while account >= 0:
        if watch.places[account, 0] >= 0:
            due = watch.pool[watch.places[account, 0] + DUE]
            days += max(watermark + 1 - due, 0) if due > 0 else 0
        account = next_account[account]
    return SLOTS * days


@compiled
def _process_due_again(watch: Watch, account: int, watermark: int) -> int:
    begin = watch.places[account, 0]
    head = watch.pool[begin : begin + HEAD]
    state = watch.pool[begin + HEAD : begin + WORDS[PURCHASES]]
    due = head[DUE]
    while 0 < due <= watermark:
        looked, due = due, 0
        settle(watch, account, looked)
        if is_closed(head[CLOSED_ON], looked):
            due = ended(watch, account)
        elif state[purchase_features.LAST_ON] > 0 and head[EPISODES] % 2 == 0:
            second = _process_at(watch, account, watch.sets[watch.places[account, 1], 1])
            on = state[purchase_features.FIRST_ON] + second // DAY_S
            # A crossing would have been written: on the line itself the next close asks.
            due = min(on, looked + AGAIN_DAYS) if on > looked else watermark + 1
        due = sooner(due, _known_after(watch, account, looked))
    return due  # type: ignore[no-any-return]


@compiled
def _due_again(watch: Watch, account: int, watermark: int) -> int:
    """The next look of an account that was written before its last looks: nothing came of those.

    They are gone through again without asking, by the rules that were live up to this watermark, so
    that it is the very day of the worker that made them.
    """
    begin, of_set = watch.places[account, 0], watch.places[account, 1]
    head = watch.pool[begin : begin + HEAD]
    state = watch.pool[begin + HEAD : begin + WORDS[watch.sets[of_set, 0]]]
    due, looked, last = head[DUE], 0, 0
    if due == 0 or due > watermark:
        return due  # type: ignore[no-any-return]
    if _by_process(watch, account):
        return _process_due_again(watch, account, watermark)
    while 0 < due <= watermark:
        looked = due
        settle(watch, account, looked)
        if is_closed(head[CLOSED_ON], looked):
            last, due = 0, ended(watch, account)
        else:
            last = last_on(state, watch.sets[of_set, 0])
            due = _probe_after(last, looked) if last > 0 else 0
        due = sooner(due, _known_after(watch, account, looked))
    if last == 0:
        return due  # type: ignore[no-any-return]
    known = _known_after(watch, account, looked)
    found = sooner(next_look(watch, account, last, looked), known)
    return max(found, watermark + 1)


@compiled
def arm_anew(
    watch: Watch, first_account: Ints, next_account: Ints, customers: int, watermark: int
) -> None:
    """After a recovery: the next looks, all behind the watermark."""
    for row in range(customers):
        watch.looks[row] = 0
        account = first_account[row]
        while account >= 0:
            begin = watch.places[account, 0]
            if begin >= 0:
                watch.pool[begin + DUE] = _due_again(watch, account, watermark)
                watch.looks[row] = sooner(watch.looks[row], watch.pool[begin + DUE])
            account = next_account[account]
