"""Which account a closing ends, where a number has several: of other products, in other currencies,
of other owners. Never one of them by chance: not by the order of rows, partitions or restarts."""

from collections import Counter, defaultdict
from datetime import date, timedelta
from typing import Any

import pytest

from services.scoring.replay import Line
from shared.events import Event
from shared.events.bank import AccountClosed, AccountOpened, TransactionBooked
from shared.events.envelope import encode
from shared.ids import partition_of
from tests.ledger_bank import FIRST_DAY, Bank, event_of
from tests.scored import Scored
from tests.unit.test_contribution_bad_input import LATEST, replay
from tests.unit.test_contribution_rules import RATES, Book, rate
from tests.workers import closed

DAYS = 59
PRICED = [*RATES, rate("transfer_price", 1, product="SA")]
SEVERAL = ("account 1 is CA CNY, SA CNY: its closing must say product_code and currency",)
Told = tuple[int, Event[Any]]


def day(n: int) -> date:
    return FIRST_DAY + timedelta(days=n - 1)


def opened(n: int, product: str = "CA", currency: str = "CNY", customer: str = "C") -> Told:
    fact = AccountOpened(customer_number=customer, account_number="1", product_code=product,
                         currency=currency, opened_on=day(n))  # fmt: skip
    return n, event_of(fact, f"opened-{customer}-{product}-{currency}-{n}", day(n))


def ended(
    n: int, product: str | None = None, currency: str | None = None, customer: str = "C"
) -> Told:
    fact = AccountClosed(customer_number=customer, account_number="1", product_code=product,
                         currency=currency, closed_on=day(n))  # fmt: skip
    return n, event_of(fact, f"closed-{customer}-{product}-{currency}-{n}", day(n))


def moved(n: int, customer: str) -> Told:
    fact = TransactionBooked(
        customer_number=customer, account_number="1", product_code="CA", currency="CNY",
        kind="transfer_in", initiated_by="customer", transaction_id=f"{customer}{n}",
        amount_minor=0, booked_on=day(n),
    )  # fmt: skip
    return n, event_of(fact, f"moved-{customer}-{n}", day(n))


class Lived:
    """Two months at one a day for each open account; `restarts` after each day from the compacted
    log."""

    def __init__(self, *told: Told, partitions: int = 1, restarts: bool = False,
                 twice: bool = False) -> None:  # fmt: skip
        self.scored = Scored(Bank(rates=PRICED), partitions)
        self._placed: Counter[int] = Counter()
        self._twice = twice
        for n in range(1, DAYS + 1):
            today = [event for on, event in told if on == n]
            for partition in range(partitions):
                own = [e for e in today if partition_of(e.subject, partitions) == partition]
                self._tell(partition, [*own, closed(day(n))])
            if restarts:
                self._compact()
                self.scored.restart()

    def _tell(self, partition: int, events: list[Event[Any]]) -> None:
        lines = []
        for event in events:
            key = None if event.type == "bank.day_closed.v1" else event.subject.encode()
            lines.append(Line(self._placed[partition], key, encode(event)))
            self._placed[partition] += 1
        if self._twice:  # as the driver does where a batch has a close
            self.scored.engine.read(partition, lines, LATEST)
        self.scored.feed(partition, lines)

    def _compact(self) -> None:
        for partition, log in self.scored._log.items():
            last = {key: at for at, (key, _) in enumerate(log)}
            self.scored._log[partition] = [log[at] for at in sorted(last.values())]

    def upkeep(self) -> dict[tuple[str, str], int]:
        """By owner and product."""
        found: defaultdict[tuple[str, str], int] = defaultdict(int)
        for (customer, _, _, product, component, *_), minor in self.scored.leaves().items():
            if component == "abc_maint":
                found[customer, product] += minor
        return dict(found)

    def refused(self) -> tuple[str, ...]:
        assert all(one.kind == "quarantined" for one in self.scored.refused)
        return tuple(one.reason for one in self.scored.refused)


WAYS: list[dict[str, Any]] = [{}, {"restarts": True}, {"partitions": 3}, {"twice": True},
                              {"twice": True, "restarts": True}]  # fmt: skip
EACH_WAY = pytest.mark.parametrize("way", WAYS, ids=str)


@EACH_WAY
def test_an_account_that_becomes_another_product_ends_with_that_product(
    way: dict[str, Any],
) -> None:
    told = [opened(3), ended(10, "CA", "CNY"), opened(10, "SA"), ended(20, "SA")]
    lived = Lived(*told, **way)
    assert lived.refused() == ()
    assert lived.upkeep() == {("C", "CA"): -7, ("C", "SA"): -10}


@EACH_WAY
@pytest.mark.parametrize("order", [(0, 1), (1, 0)], ids=str)
def test_a_closing_ends_the_account_in_the_currency_that_it_names(
    way: dict[str, Any], order: tuple[int, ...]
) -> None:
    accounts = [opened(3), opened(3, currency="USD")]
    both = [accounts[n] for n in order]
    own = Lived(*both, ended(10, "CA", "CNY"), **way)
    assert (own.refused(), own.upkeep()) == ((), {("C", "CA"): -7})
    other = Lived(*both, ended(10, currency="USD"), **way)
    assert (other.refused(), other.upkeep()) == ((), {("C", "CA"): -57})


@EACH_WAY
def test_a_number_that_two_owners_have_ends_for_the_one_that_is_named(way: dict[str, Any]) -> None:
    told = [opened(3, customer="A"), opened(5, customer="B"), moved(8, "A"),
            ended(30, customer="A"), ended(40, customer="B")]  # fmt: skip
    lived = Lived(*told, **way)
    assert lived.refused() == ()
    assert lived.upkeep() == {("A", "CA"): -27, ("B", "CA"): -35}


@EACH_WAY
def test_of_anothers_account_a_closing_ends_nothing_and_waits(way: dict[str, Any]) -> None:
    lived = Lived(opened(3, customer="A"), ended(10, customer="B"), **way)
    assert lived.upkeep() == {("A", "CA"): -57}
    assert lived.refused() == ("account 1 is not known",)
    right = Lived(opened(3, customer="A"), ended(10, customer="A"), **way)  # the control
    assert (right.refused(), right.upkeep()) == ((), {("A", "CA"): -7})


@EACH_WAY
@pytest.mark.parametrize(("product", "currency"), [("SA", None), (None, "USD"), ("SA", "CNY")])
def test_of_an_account_that_is_not_there_it_waits_with_what_it_named(
    way: dict[str, Any], product: str | None, currency: str | None
) -> None:
    lived = Lived(opened(3), ended(10, product, currency), **way)
    assert lived.upkeep() == {("C", "CA"): -57}
    named = " ".join(filter(None, ("1", product, currency)))
    assert lived.refused() == (f"account {named} is not known",)


@EACH_WAY
def test_one_that_names_too_little_is_refused_by_name(way: dict[str, Any]) -> None:
    lived = Lived(opened(3), opened(4, "SA"), ended(10), ended(11, currency="CNY"), **way)
    assert lived.refused() == SEVERAL * 2
    assert lived.upkeep() == {("C", "CA"): -57, ("C", "SA"): -56}
    enough = Lived(opened(3), opened(4, "SA"), ended(10, "SA"), **way)  # the control
    assert (enough.refused(), enough.upkeep()) == ((), {("C", "CA"): -57, ("C", "SA"): -6})


@EACH_WAY
def test_what_begins_behind_a_closing_leaves_it_what_it_was(way: dict[str, Any]) -> None:
    """In one batch, too, that is read twice; and when it is met again after a crash."""
    told = [opened(3), ended(10), opened(10, "SA")]
    lived = Lived(*told, **way)
    assert (lived.refused(), lived.upkeep()) == ((), {("C", "CA"): -7, ("C", "SA"): -50})
    late = Lived(opened(3, "SA"), ended(3, "CA"), opened(3), **way)
    assert late.refused() == ("account 1 CA is not known",)
    assert late.upkeep() == {("C", "CA"): -57, ("C", "SA"): -57}


def test_one_that_is_met_again_is_not_refused_for_what_came_behind_it() -> None:
    book = Book(PRICED)
    for _, event in (opened(3), ended(10), opened(10, "SA")):
        book.tell(event)
    book.scored.restart()
    again = [Line(1, b"C", encode(ended(10)[1])), Line(3, b"C", encode(ended(12)[1]))]
    batch = book.scored.engine.read(0, again, LATEST)
    assert [one.offset for one in batch.columns.refused] == [3], "and a new one is"
    outcome = book.scored.engine.apply(batch, set())
    assert outcome.counts == Counter(redelivered=1, quarantined=1)


def test_one_that_waited_is_judged_by_all_that_is_known_when_it_is_replayed() -> None:
    book = Book(PRICED)
    for _, event in (ended(10, "SA"), opened(3), opened(4, "SA")):
        book.tell(event)
    assert book.told() == [("quarantined", "account 1 SA is not known")]
    replay(book, ended(10, "SA")[1], 0, 1)
    book.close(FIRST_DAY, day(DAYS))
    upkeep: Counter[str] = Counter()
    for (_, product, component, _), minor in book.scored.by_origin().items():
        if component == "abc_maint":
            upkeep[product] += minor
    assert upkeep == {"CA": -57, "SA": -6}
