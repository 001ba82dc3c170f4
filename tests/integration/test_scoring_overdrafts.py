"""Whose product an overdraft is: on the query side as the worker took it, whenever it is heard."""

import html
import re
from datetime import date, timedelta
from decimal import Decimal
from importlib import import_module
from random import Random

import pytest
from sqlalchemy import text

from services.scoring.commands import open_leaves, outcomes
from services.scoring.commands.leaves import keep_leaves
from shared.events.bank import AccountOpened, Holder, ProductDescribed
from shared.testing.space import ServiceUnderTest, Space
from tests.integration import rolls_room, scoring_room
from tests.integration.ledger_room import leaves_of, reference, told
from tests.integration.rolls_room import Log, all_sums, cuts, idle_bank
from tests.integration.scoring_room import HEAD, party, rows
from tests.integration.test_scoring_totals import all_leaves, residual
from tests.ledger_bank import FIRST_DAY, Bank, event_of, stream
from tests.scored import Scored
from tests.unit.test_contribution_rules import RATES, Book, rate

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


MARCH = date(2025, 3, 10)
# Two thousandths a day of what is overdrawn: month -> what CA's account and CB's cost in it
COSTS = {"2025-01": (-20_000, -42_000), "2025-02": (-28_000, -56_000), "": (-10_000, -20_000)}


def overdrawn_twice() -> Scored:
    """One number, an account of CA and one of CB, both with OD for overdrafts; into March."""
    other = ProductDescribed(product_code="CB", names={"zh-CN": "乙", "en": "B"},
                             line_code="liability", overdraft_product_code="OD")  # fmt: skip
    book = Book([*RATES, rate("transfer_price", 365_000, product="CB"),
                 event_of(other, "product-CB", FIRST_DAY)])  # fmt: skip
    turn, february = date(2025, 1, 11), date(2025, 2, 1)
    book.tell(book.booked(-1_000_000, FIRST_DAY))
    book.close(FIRST_DAY, turn - timedelta(days=1))
    book.tell(book.booked(1_000_000, turn), book.booked(-1_000_000, turn, product_code="CB"))
    book.close(turn, date(2025, 1, 31))
    book.tell(book.booked(-500_000, february))
    book.close(february, MARCH)
    book.tell(book.booked(0, MARCH + timedelta(days=1)),
              book.booked(0, MARCH + timedelta(days=1), product_code="CB"))  # fmt: skip
    return book.scored


def opened_in_halves(space: Space, *products: str) -> None:
    halves = tuple(Holder(customer_number=c, role="holder", share_ppm=500_000) for c in ("C", "D"))
    names = {"customer_number": "C", "account_number": "1", "currency": "CNY"}
    for product in products:
        space.publish(AccountOpened(**names, product_code=product, opened_on=FIRST_DAY,
                                    holders=halves))  # fmt: skip


@pytest.mark.parametrize("joint", [False, True])
def test_two_accounts_of_one_number_with_one_product_for_overdrafts_are_both_counted(
    space: Space, scoring: ServiceUnderTest, joint: bool
) -> None:
    """Each has its own leaves: on the pages, in the sheet, and each half of a joint one."""
    party(space, "P0", "C")
    party(space, "P1", "D")
    if joint:
        opened_in_halves(space, "CA", "CB")
    scoring.drain()
    scored = overdrawn_twice()
    for _ in range(2):  # the worker says it again after a crash
        told(scoring, scored)
    assert products_of(scoring) == by_product(scored) == {"OD": -176_000}
    assert residual(scoring) == 0
    part = 2 if joint else 1
    costs = sorted(cost // part for pair in COSTS.values() for cost in pair for _ in range(part))
    client = scoring.client(HEAD)
    found, own = [], []
    for state in ("posted", "accrued"):
        asked = {"by": "product", "code": "OD", "state": state}
        own += all_leaves(client, asked)
        page = client.get("/contribution/leaves", params=asked).text
        for door in re.findall(r'href="/scoring(/contribution/leaf\?[^"]*)"', page):
            leaf = client.get(html.unescape(door)).text
            code = re.search(r"account_product_code=(C[AB])", door)
            assert code is not None
            assert f"the account is {code[1]}" in leaf or f"账户产品为 {code[1]}" in leaf
            found.append(door)
    assert len(set(found)) == len(found) == len(costs)
    assert sorted(int(Decimal(row[-2]) * 100) for row in own) == costs
    of_cb = [row for row in own if row[14] == "CB"]
    assert sum(Decimal(row[-2]) for row in of_cb) * 100 == sum(b for _, b in COSTS.values())


@pytest.mark.parametrize("filled", [True, False])
def test_a_leaf_of_before_the_accounts_products_is_known_again(
    scoring: ServiceUnderTest, scored: Scored, filled: bool
) -> None:
    """The worker says it once more after a release. Without what the migration fills in the
    negative control: it would be counted twice."""
    told(scoring, scored)
    kept = "select customer_number, account_product_code, count(*) from leaves group by 1, 2"
    before, products = sorted(rows(scoring, kept)), products_of(scoring)
    assert any(code == "CA" for _, code, _ in before)
    fill = import_module("services.scoring.migrations.0034_products_of_accounts").FILL
    with scoring.database.transaction() as tx:
        tx.session.execute(text("update leaves set account_product_code = ''"))
        tx.session.execute(text(fill if filled else "select 1"))
    told(scoring, scored)
    assert (sorted(rows(scoring, kept)) == before) is filled
    assert (products_of(scoring) == products) is filled
    assert residual(scoring) == 0
