"""Where the looks at a silent account stand: as good as a look on every day, at a few days only."""

from random import Random

import msgspec
import numpy as np
import pytest

from services.scoring import risk_plan
from services.scoring.risk_model import RiskModel
from services.scoring.scores import account_features as af
from services.scoring.scores import linear, looking, questions, waiting, watching
from services.scoring.scores.watching import HEAD, Watch
from services.scoring.watched import Watched
from tests.risk_live import hand_made

BEGIN = 739_000
UNTIL = 877  # days of silence
DISTRESS = questions.DISTRESS


def rising(rng: Random) -> RiskModel:
    """One rule that rises all the way through a silence."""
    weights = {
        "silent_gaps": rng.randrange(1_500_000),
        "silent_days": rng.randrange(1_500_000),
        "actions_long": -rng.randrange(1_500_000),
        "cash_short": -rng.randrange(900_000),
    }
    whole = hand_made("CA-P")
    (score,) = (s for s in whole.scores if s.goal == "distress")
    linear = score.methods["linear"]
    by_name = tuple(weights.get(name, 0) for name in af.NAMES)
    method = msgspec.structs.replace(
        linear, weights_micro=by_name, base_micro=-rng.randrange(12_000_000)
    )
    one = msgspec.structs.replace(score, methods={"linear": method})
    return msgspec.structs.replace(whole, scores=(one,))


def account_of(rng: Random) -> tuple[Watch, int]:
    """An account with a past, settled; and the day of its last booking."""
    watched = Watched(risk_plan.plan_of(rising(rng)))
    watched.heads[0] = -1
    watched.make_room(100)
    watch, day = watched.watch(), BEGIN
    pace = rng.choice((1, 3, 10, 40))
    for _ in range(rng.randrange(1, 60)):
        flags = rng.choice((0, af.BY_CUSTOMER, af.BY_CUSTOMER | af.CASH))
        watching.on_booking(watch, 0, 0, day, rng.randrange(1, 90_000), flags, 0, BEGIN - 1)
        day += rng.randrange(pace + 1)
    watching.settle(watch, 0, day)
    assert watch.waiting.heads[0] == -1
    return watch, int(watch.pool[HEAD + af.ON])


def raised_on(watch: Watch, day: int) -> bool:
    """Said by hand from the features of that day."""
    state = watch.pool[HEAD : watching.WORDS[watching.ACCOUNTS]]
    found = watching.features_of(state, watch.methods, watching.ACCOUNTS, day)
    asked = questions.asked(
        state, watch.methods.factors, watch.pool[watching.TROUBLE_ON], DISTRESS, day
    )
    return bool(asked and watching.logit_of(watch.methods, 0, found) >= watch.methods.raises[0])


def by_every_day(watch: Watch, last: int) -> int:
    return next((day for day in range(last, last + UNTIL + 1) if raised_on(watch, day)), 0)


def by_doubled_brackets(watch: Watch, last: int) -> int:
    """Each of seven days, then one search: how it was done before there were probes."""
    for day in range(last, last + 8):
        if raised_on(watch, day):
            return day
    low, step = last + 7, 1
    high = low + step
    while not raised_on(watch, high):
        if high >= last + UNTIL:
            return 0
        step *= 2
        low, high = high, high + step
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if raised_on(watch, middle) else (middle, high)
    return high if high <= last + UNTIL else 0


def by_probes(watch: Watch, last: int) -> tuple[int, int]:
    """The day and how many looks it took."""
    day, looks = last, 1
    while not raised_on(watch, day):
        if day >= last + UNTIL:
            return 0, looks
        day = int(looking.next_look(watch, 0, last, day))
        looks += 1
    return day, looks


def test_probes_find_the_day_that_a_look_on_every_day_finds() -> None:
    rng, found, between = Random(13), 0, 0
    for _ in range(400):
        watch, last = account_of(rng)
        day, looks = by_probes(watch, last)
        assert day == by_every_day(watch, last) == by_doubled_brackets(watch, last)
        assert looks <= 12
        found += day > last
        between += day > last and day - last not in {4, 8, 16, 32, 64, 128, 256, 512}
    assert found > 100
    assert between > 80, "else a look at the probes alone would pass"


@pytest.mark.parametrize("waits", [False, True])
def test_a_row_written_before_its_last_looks_is_due_on_the_day_it_would_have_been(
    waits: bool,
) -> None:
    """The same row at every watermark of a silence: lived through, and recovered at once."""
    rng, compared = Random(14), 0
    first, none = np.zeros(1, np.int64), np.full(1, -1, np.int64)
    for _ in range(60):
        watch, last = account_of(rng)
        if waits:
            for ahead in (1, 2, 6, 30):
                watching.on_booking(watch, 0, 0, last + ahead, 500, af.BY_CUSTOMER, 9, last)
        watch.pool[watching.DUE] = last + 1
        written, waited = watch.pool.copy(), [c.copy() for c in watch.waiting]
        for mark in range(last + 1, last + 400):
            crossed = int(watch.written[0])
            looking.look(watch, 0, first, none, mark, 7)
            if watch.written[0] > crossed:
                break  # written anew
            again = Watched(risk_plan.NO_PLAN)
            recovered = watch._replace(
                pool=written.copy(), looks=again.looks, places=watch.places.copy(),
                waiting=waiting.Waiting(*(c.copy() for c in waited)),
            )  # fmt: skip
            looking.arm_anew(recovered, first, none, 1, mark)
            assert recovered.pool[watching.DUE] == watch.pool[watching.DUE] > mark
            assert recovered.looks[0] == watch.looks[0]
            compared += 1
    assert compared > 5_000


def copy_of(watch: Watch) -> Watch:
    """Another account that lives on by itself."""
    columns = {name: getattr(watch, name).copy()
               for name in ("pool", "looks", "places", "crossings", "written")}  # fmt: skip
    waits = waiting.Waiting(*(column.copy() for column in watch.waiting))
    return watch._replace(waiting=waits, **columns)


def test_a_probe_is_not_asked_about_again_unless_something_came() -> None:
    """Three that live alike: one as it is, one that asks at every look, and one that never does
    where it was asked about a silence before: what waited for that very day is lost on it."""
    rng, skipped, crossed, lost = Random(16), 0, 0, 0
    first, none = np.zeros(1, np.int64), np.full(1, -1, np.int64)
    for _ in range(80):
        watch, last = account_of(rng)
        watch.pool[watching.DUE] = last + 1
        asking, deaf = copy_of(watch), copy_of(watch)
        for mark in range(last + 1, last + 150):
            if rng.random() < 0.02:
                day = mark + rng.choice((0, 0, 3, 4, 8, -1, -5, -9))
                amount = rng.randrange(-90_000, 90_000)
                for one in (watch, asking, deaf):
                    watching.on_booking(one, 0, 0, day, amount, af.BY_CUSTOMER, 9, mark - 1)
            if watch.places[0, watching.QUIET_ON] == mark and rng.random() < 0.5:  # a late event
                day, amount = mark - rng.choice((1, 5)), rng.randrange(-90_000, 90_000)
                for one in (watch, asking, deaf):
                    watching.on_booking(one, 0, 0, day, amount, af.BY_CUSTOMER, 9, mark - 1)
            asking.places[0, watching.QUIET_ON] = 0
            deaf.places[0, watching.QUIET_ON] = deaf.pool[watching.DUE]
            skipped += 0 < watch.places[0, watching.QUIET_ON] == watch.pool[watching.DUE] == mark
            for one in (watch, asking, deaf):
                one.written[0] = 0
                looking.look(one, 0, first, none, mark, 7)
            n = int(asking.written[0])
            assert watch.written[0] == n
            assert (watch.crossings[:n] == asking.crossings[:n]).all()
            assert (watch.pool == asking.pool).all()
            assert (watch.waiting.heads == asking.waiting.heads).all()
            crossed += n
            lost += n > deaf.written[0]
    assert skipped > 100, "else nothing is saved"
    assert crossed > 50
    assert lost > 20, "else nothing would be missed by who never asks"


def test_one_division_of_the_sum_says_what_the_sum_of_rounded_terms_says() -> None:
    """At the line itself and within the roundings of it too."""
    rng, near = Random(15), 0
    for _ in range(3_000):
        n = rng.choice((1, 17, 68))
        features, weights, means = (
            np.array([rng.randrange(-(10**9), 10**9) // 100 for _ in range(n)]) for _ in range(3)
        )
        base = rng.randrange(-(10**9), 10**9)
        logit = linear.logit_micro(base, linear.terms(features, weights, means))
        whole = base + int((weights * (features - means)).sum()) // 1_000_000
        for line in (logit - n, logit - 1, logit, logit + 1, whole, logit + n + 1):
            assert linear.reaches(features, weights, means, base, line) == (logit >= line)
        near += whole > logit
    assert near > 1_000, "else the roundings play no part"


def test_weights_whose_sum_could_leave_the_exact_figures_are_no_model() -> None:
    method = hand_made("CA-P").scores[0].methods["linear"]
    with pytest.raises(ValueError, match="weights are too great"):
        msgspec.structs.replace(method, weights_micro=(10**9,) * len(af.NAMES))
