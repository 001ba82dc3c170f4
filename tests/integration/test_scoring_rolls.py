"""What idle accounts earn is in the live totals at each close, to the minor unit."""

from datetime import date, timedelta
from random import Random

import pytest
from sqlalchemy import text

from services.scoring.commands import open_leaves, rolling
from services.scoring.commands.leaves import keep_leaves
from services.scoring.roller import Roller
from services.scoring.rules.allocating import shared_out
from shared.testing.space import ServiceUnderTest, Space
from tests.golden import day_by_day
from tests.integration import joint_room, rolls_room, scoring_room
from tests.integration.joint_room import JOINT, Opening, tell
from tests.integration.ledger_room import leaves_of, reference, states_of
from tests.integration.rolls_room import (
    LAST,
    Log,
    added,
    all_sums,
    cuts,
    open_sums,
    scored_bank,
    through,
)
from tests.integration.scoring_room import party, rows
from tests.integration.test_scoring_totals import residual
from tests.ledger_bank import FIRST_DAY, Bank, plain
from tests.scored import Scored, Sums
from tests.unit.test_contribution_rules import Book
from tests.unit.test_contribution_two_sources import PRICED, price
from tests.unit.test_replay_late_reference import day

scoring = scoring_room.scoring
made, scored = rolls_room.made, rolls_room.scored
HALVES = Opening(FIRST_DAY, (("C0", 333_333), ("C1", 666_667)), 1)


@pytest.fixture
def log(
    space: Space, scoring: ServiceUnderTest, made: Bank, scored: Scored,
    monkeypatch: pytest.MonkeyPatch,
) -> Log:  # fmt: skip
    reference(space, made)
    scoring.drain()
    return Log(scoring, scored, monkeypatch)


def post(scoring: ServiceUnderTest, scored: Scored) -> None:
    with scoring.database.transaction() as tx:
        keep_leaves(tx, leaves_of(scored))


def test_the_totals_at_the_close_are_those_of_the_day_by_day_loop(
    space: Space, scoring: ServiceUnderTest, made: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    reference(space, made)
    scoring.drain()
    scored = scored_bank(made, 5, later=False)
    log = Log(scoring, scored, monkeypatch)
    log.fold(len(log.records))
    post(scoring, scored)
    truth = day_by_day.leaves(plain(made.rates), plain([e for _, e in made.events]), LAST)
    assert truth == scored.sums(), "the loop and the worker disagree: no truth to hold against"
    short = sum(truth.values()) - sum(all_sums(scoring).values())
    assert all_sums(scoring) != truth, "no account was idle: the test proves nothing"
    assert short != 0
    log.roll()
    assert all_sums(scoring) == truth
    assert residual(scoring) == 0
    assert through(scoring) == [(0, LAST, LAST, None)]
    components = {component for _, _, component in truth}
    assert {"ftp", "el", "capital", "abc_maint"} <= components
    assert {"CA", "OD", "SA", "LN"} <= {product for _, product, _ in truth}


def test_each_closed_day_is_exact_when_it_is_rolled(
    scoring: ServiceUnderTest, log: Log, made: Bank
) -> None:
    """Posted leaves come by another topic: held against what is posted by then."""
    log.records = states_of(scored_bank(made, 5, walks=False))
    before: dict[tuple[str, str, str], int] = {}
    for back in (40, 20, 0):
        log.fold(log.close_of(LAST - timedelta(days=back)))  # or a day that closed with it
        log.roll()
        ((_, closed_on, day, _),) = through(scoring)
        assert day == closed_on
        found = open_sums(scoring)
        assert found == open_at(made, day, walks=False)
        assert found != before
        before = found


def open_at(made: Bank, day: date, *, walks: bool) -> Sums:
    """What a worker has open at the close of a day, of the same stream cut off there."""
    one = Scored(made)
    one.walks = walks
    one.run(rolls_room.stream_until(made, 5, day), 20)
    return added(*(
        {(account, product, component): amount}
        for key, amount in one.leaves().items()
        if key not in one.posted
        for _, account, _, product, component, *_ in [key]
    ))  # fmt: skip


@pytest.mark.parametrize("seed", range(6))
def test_any_order_of_folds_rolls_kills_and_redeliveries_ends_at_the_same_numbers(
    scoring: ServiceUnderTest, log: Log, scored: Scored, seed: int
) -> None:
    wander(scoring, log, scored, Random(seed))
    assert all_sums(scoring) == scored.sums()
    assert residual(scoring) == 0
    assert through(scoring) == [(0, LAST, LAST, None)]


def wander(scoring: ServiceUnderTest, log: Log, scored: Scored, rng: Random) -> None:
    """The log in batches; between them some steps of a roll, which dies now and then; the last
    events of the log come when its last close is rolled."""
    closed = log.close_of(LAST)
    batches = [(a, b) for a, b in cuts(rng, closed)] + [(closed, len(log.records))]
    one = Roller(scoring.runtime)
    shares_at = rng.randrange(len(batches))
    for n, (begin, end) in enumerate(batches):
        if n == len(batches) - 1:
            log.roll()
        if n == shares_at:
            tell(scoring, HALVES)
        log.fold(end)
        for _ in range(rng.randrange(4)):
            one.step()
        if rng.random() < 0.3:
            one = Roller(scoring.runtime)
        if rng.random() < 0.3:
            log.fold_again(rng.randrange(begin, end), end)
    log.roll()
    log.fold_again(0, len(log.records))  # the topic is read again from its beginning
    log.roll()
    post(scoring, scored)


@pytest.mark.parametrize("guarded", [True, False])
def test_an_event_takes_nothing_back_from_the_other_accounts_of_its_customer(
    scoring: ServiceUnderTest, log: Log, scored: Scored, guarded: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """With the negative control of the fold's guard: the record tells them as they were."""
    if not guarded:
        always = text(str(open_leaves.KEEP).replace(open_leaves.CHANGED, "true"))
        monkeypatch.setattr(open_leaves, "KEEP", always)
    log.fold(log.walked(log.close_of(LAST)))
    log.roll()
    log.fold(len(log.records))  # nothing is rolled any more
    post(scoring, scored)
    assert (all_sums(scoring) == scored.sums()) == guarded
    assert (through(scoring) == [(0, LAST, LAST, None)]) == guarded, "that it was put back is told"
    log.roll()
    assert all_sums(scoring) == scored.sums()


@pytest.mark.parametrize("guarded", [True, False])
def test_a_roll_that_read_before_an_event_does_not_undo_it(
    scoring: ServiceUnderTest, log: Log, scored: Scored, guarded: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """With its negative control."""
    if not guarded:
        anyway = str(rolling.ROLLED).replace("o.told_hash = t.told_hash", "true")
        monkeypatch.setattr(rolling, "ROLLED", text(anyway))
    log.fold(log.close_of(LAST))
    one = Roller(scoring.runtime)
    assert one.step()  # the log is read, the first customer is done
    log.fold(len(log.records))  # all of them have had an event since
    while one.step():
        pass
    post(scoring, scored)
    assert (all_sums(scoring) == scored.sums()) == guarded


def test_an_account_that_the_fold_has_yet_to_come_to_is_waited_for(
    scoring: ServiceUnderTest, log: Log, scored: Scored
) -> None:
    """As when compaction has taken the record that the fold took last."""
    log.fold(log.close_of(LAST))
    whole = log.records
    numbers = {record.key for record in whole[log.folded :] if record.key}
    log.records = [record for record in whole if record.offset >= log.folded
                   or record.key not in numbers]  # fmt: skip
    log.roll()
    assert through(scoring)[0][2] is None
    log.records = whole
    log.fold(len(whole))
    log.roll()
    post(scoring, scored)
    assert all_sums(scoring) == scored.sums()
    assert through(scoring) == [(0, LAST, LAST, None)]


@pytest.mark.parametrize("put_back", [True, False])
def test_a_month_that_is_posted_after_a_later_day_was_rolled_is_rolled_again(
    scoring: ServiceUnderTest, log: Log, made: Bank, put_back: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """The worker walks a month up to its end only: such a row is no further than that. With its
    negative control."""
    if not put_back:
        never = str(open_leaves.KEEP).replace("k.day < r.through_on", "false")
        monkeypatch.setattr(open_leaves, "KEEP", text(never))
    closed = log.close_of(date(2025, 3, 1))  # February is walked behind it
    log.fold(closed)
    log.roll()
    ((_, day, rolled, _),) = through(scoring)
    assert day == rolled
    assert log.walked(closed) > closed
    log.fold(log.walked(closed))
    assert (through(scoring)[0][2] < day) is put_back
    log.roll()
    assert (open_sums(scoring) == open_at(made, day, walks=True)) is put_back
    assert through(scoring) == [(0, day, day, None)]


def test_days_that_went_by_move_nobody_today(scoring: ServiceUnderTest, log: Log) -> None:
    log.fold(log.close_of(LAST))
    before = rows(scoring, "select * from moved order by 1, 2")
    accrued = rows(scoring, "select sum(accrued_minor) from numbers")
    log.roll()
    assert rows(scoring, "select * from moved order by 1, 2") == before
    assert rows(scoring, "select sum(accrued_minor) from numbers") != accrued


def test_holders_have_their_parts_of_what_a_joint_account_earns_while_idle(
    scoring: ServiceUnderTest, log: Log
) -> None:
    tell(scoring, HALVES)
    log.fold(log.close_of(LAST))
    idle = joint_room.open_rows(scoring)
    log.roll()
    found = joint_room.open_rows(scoring)
    assert found != idle
    whole: dict[tuple[str, ...], list[int]] = {}
    for key, amounts in found.items():
        if key[1] == JOINT[1] and (key[4] or key[0]) == JOINT[0]:
            cells = whole.setdefault(key[1:4], [0] * len(amounts))
            whole[key[1:4]] = [a + b for a, b in zip(cells, amounts, strict=True)]
    weights = joint_room.weights_at([HALVES], None)
    assert whole
    for key, cells in whole.items():
        for number, owner in (("C0", ""), ("C1", "C0")):
            own = tuple(shared_out(cell, weights).get(number, 0) for cell in cells)
            assert found[number, *key, owner] == own
    assert residual(scoring) == 0


def test_a_row_without_a_hash_is_rolled_from_the_record_of_its_place(
    scoring: ServiceUnderTest, log: Log, scored: Scored
) -> None:
    """As rows are that were folded before there were hashes."""
    log.fold(log.close_of(LAST))
    with scoring.database.transaction() as tx:
        tx.session.execute(text("update open_leaves set told_hash = null"))
    log.roll()
    log.fold(len(log.records))
    post(scoring, scored)
    assert all_sums(scoring) == scored.sums()


def test_no_day_is_rolled_while_history_is_loaded(scoring: ServiceUnderTest, log: Log) -> None:
    log.fold(log.close_of(date(2025, 2, 1)))
    scoring.runtime.behind = {"scoring.state": 10**6}
    log.roll()
    assert through(scoring)[0][2] is None
    scoring.runtime.behind = {}
    log.roll()
    assert through(scoring)[0][2] == through(scoring)[0][1]


@pytest.mark.parametrize("said", [(("core", 1), ("gl", 2), ("core", 3)), (("core", 1), ("gl", 2))])
def test_of_two_sources_that_set_one_rate_the_last_word_is_rolled_by(
    space: Space, scoring: ServiceUnderTest, monkeypatch: pytest.MonkeyPatch,
    said: tuple[tuple[str, int], ...],
) -> None:  # fmt: skip
    """The account is idle, so pages show what was rolled."""
    party(space, "P", "C")
    scoring.drain()
    book = Book(PRICED)
    for word in said:
        book.scored.tell(price(*word))
        book.tell()
    book.tell(book.booked(10_000_000, day(1)))
    book.close(day(1), day(20))
    log = Log(scoring, book.scored, monkeypatch)
    log.fold(len(log.records))
    log.roll()
    assert all_sums(scoring) == book.scored.sums()
    assert all_sums(scoring)["1", "CA", "ftp"] == 20 * 1_000 * said[-1][1]
    assert residual(scoring) == 0
