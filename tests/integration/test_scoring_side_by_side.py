"""Two listeners of scoring fold at once: the sums that all customers share are taken last."""

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from services.scoring.commands import contribution, fold, parties
from shared.db import Tx
from shared.testing.space import ServiceUnderTest
from shared.wire import Record
from tests.integration import scoring_room
from tests.integration.scoring_room import rows
from tests.integration.test_scoring_totals import residual
from tests.load.fold_rate import accounts, bookings, states, told
from tests.load.query_rooms import make_parties

scoring = scoring_room.scoring
CUSTOMERS = 6


def _parted(records: list[Record]) -> list[list[Record]]:
    """As if customers lay on two partitions; only what is told of customers."""
    return [
        [r._replace(partition=n) for r in records if r.key is not None and r.key[-1] % 2 == n
         and r.key[:1] == b"C"]
        for n in range(2)
    ]  # fmt: skip


def _folds_beside(scoring: ServiceUnderTest, first: list[Record], second: list[Record]) -> None:
    """The second folds all but the last while the first has not committed; then both do it all.
    Raises OperationalError where it would have to wait."""
    inside: list[str] = []

    class Enough(Exception):
        """The second has come as far as it has to."""

    whole = parties.recompute

    def beside(tx: Tx, touched: set[str]) -> None:
        inside.append("reached")
        if len(inside) == 2:
            raise Enough
        with pytest.raises(Enough), scoring.database.transaction() as other:
            other.session.execute(text("set local lock_timeout = '300ms'"))
            fold.fold_state(other, second)
        whole(tx, touched)

    with pytest.MonkeyPatch.context() as patched, scoring.database.transaction() as tx:
        patched.setattr(parties, "recompute", beside)
        fold.fold_state(tx, first)
    assert inside == ["reached", "reached"]
    with scoring.database.transaction() as tx:
        fold.fold_state(tx, second)


@pytest.mark.parametrize("totals_first", [False, True])
def test_a_listener_waits_for_no_total_until_the_end_of_its_fold(
    scoring: ServiceUnderTest, monkeypatch: pytest.MonkeyPatch, totals_first: bool
) -> None:
    """Negative control: who took the totals as soon as he knew them held up the other."""
    make_parties(scoring.database, [f"C{n:07d}" for n in range(CUSTOMERS)])
    began = states(told(accounts(CUSTOMERS)), rates=True)
    for part in _parted(began):
        with scoring.database.transaction() as tx:
            fold.fold_state(tx, part)
    every = _parted(states(told([*accounts(CUSTOMERS), *bookings(40, CUSTOMERS)]), rates=True))
    if totals_first:
        to_numbers = contribution.add_to_numbers

        def with_totals(tx: Tx, **options: bool) -> set[str]:
            touched = to_numbers(tx, **options)
            tx.session.execute(contribution.TO_TOTALS)
            return touched

        monkeypatch.setattr(contribution, "add_to_numbers", with_totals)
        with pytest.raises(OperationalError):
            _folds_beside(scoring, *every)
        return
    _folds_beside(scoring, *every)
    assert residual(scoring) == 0
    assert rows(scoring, "select * from contribution_totals where accrued_minor <> 0")
