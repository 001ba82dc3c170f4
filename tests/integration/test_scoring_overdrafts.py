"""Whose product an overdraft is: on the query side as the worker took it, whenever it is heard."""

from random import Random

import pytest
from sqlalchemy import text

from services.scoring.commands import open_leaves, outcomes
from services.scoring.commands.leaves import keep_leaves
from shared.events.bank import ProductDescribed
from shared.testing.space import ServiceUnderTest, Space
from tests.integration import rolls_room, scoring_room
from tests.integration.ledger_room import leaves_of, reference
from tests.integration.rolls_room import Log, all_sums, cuts, idle_bank
from tests.integration.scoring_room import rows
from tests.integration.test_scoring_totals import residual
from tests.ledger_bank import FIRST_DAY, Bank, event_of, stream
from tests.scored import Scored

scoring = scoring_room.scoring
made, scored = rolls_room.made, rolls_room.scored


def products_of(scoring: ServiceUnderTest) -> dict[str, int]:
    """The totals as they are kept."""
    kept = """select code, sum(posted_minor + accrued_minor) from contribution_totals
               where dimension = 'product' group by code"""
    return {code: int(amount) for code, amount in rows(scoring, kept) if amount}


def by_product(scored: Scored) -> dict[str, int]:
    found: dict[str, int] = {}
    for (_, product, _), amount in scored.sums().items():
        found[product] = found.get(product, 0) + amount
    return found


def fold_and_post(log: Log, scored: Scored, rng: Random) -> None:
    for _, end in cuts(rng, len(log.records)):
        log.fold(end)
    log.roll()
    with log.scoring.database.transaction() as tx:
        keep_leaves(tx, leaves_of(scored))


@pytest.mark.parametrize("taken", [True, False])
@pytest.mark.parametrize("heard", ["first", "last", "never"])
def test_the_leaves_by_product_are_the_workers_whenever_the_description_is_heard(
    space: Space, scoring: ServiceUnderTest, made: Bank, scored: Scored,
    monkeypatch: pytest.MonkeyPatch, heard: str, taken: bool,
) -> None:  # fmt: skip
    """With the negative control: what the worker says of it is not taken."""
    if not taken:
        monkeypatch.setattr(open_leaves, "OVERDRAFT", text("select :partition, :product_code,"
                                                           " :below_product_code"))  # fmt: skip
    if heard == "first":
        reference(space, made)
        scoring.drain()
    fold_and_post(Log(scoring, scored, monkeypatch), scored, Random(heard))
    if heard == "last":
        with scoring.database.transaction() as tx:
            for event in made.rates:
                if isinstance(event.data, ProductDescribed):
                    outcomes.note_product(tx, event.data, 1)
    assert "OD" in by_product(scored)
    assert (all_sums(scoring) == scored.sums()) is taken
    assert (products_of(scoring) == by_product(scored)) is taken
    assert sum(products_of(scoring).values()) == sum(scored.sums().values())
    assert residual(scoring) == 0


def test_a_description_that_the_worker_refuses_moves_nothing(
    space: Space, scoring: ServiceUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It came when the accounts had figures: overdrafts stay the account's own product."""
    bank = idle_bank(5)
    bank.rates = [e for e in bank.rates if not isinstance(e.data, ProductDescribed)]
    told = stream(bank, Random(5))
    late = ProductDescribed(product_code="CA", names={"zh-CN": "活期", "en": "Current"},
                            line_code="liability", overdraft_product_code="OD")  # fmt: skip
    scored = Scored(bank).run(told[: len(told) // 2], 20)
    scored.tell(event_of(late, "product-CA", FIRST_DAY))
    scored.feed(0, [])
    assert ["figures already" in alarm for alarm in scored.alarms] == [True]
    space.publish(late)
    scoring.drain()
    fold_and_post(Log(scoring, scored, monkeypatch), scored, Random(1))
    assert products_of(scoring) == by_product(scored)
    assert "OD" not in products_of(scoring)
    assert all_sums(scoring) == scored.sums()
