"""Two sources that set one rate: the last word holds, wherever the worker meets it."""

from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from shared.events import Event, wrap
from shared.events.bank import ProductDescribed
from tests.ledger_bank import FIRST_DAY, instant
from tests.unit.test_contribution_rules import JAN, RATES, Book, rate
from tests.unit.test_replay_late_reference import Told, day, live, replayed
from tests.workers import closed

PRICED = RATES[1:]  # all but the price of CA
TEN_THOUSANDTH = 36_500  # ppm of a year: of each day's balance
# Of one place and day: what each of two sources says, one after the other.
WORDS = list(product(product(("core", "gl"), (1, 2)), repeat=3))
Words = tuple[tuple[str, int], ...]


def price(source: str, parts: int, on: int = 1) -> Event[Any]:
    fact = rate("transfer_price", parts * TEN_THOUSANDTH, on=day(on)).data
    return wrap(fact, id=f"{source}-{parts}", source=source, time=instant(FIRST_DAY),
                businessdate=FIRST_DAY)  # fmt: skip


def compacted(said: Words) -> list[tuple[str, int]]:
    """The last word of each source, where it stood."""
    last = {source: n for n, (source, _) in enumerate(said)}
    return [word for n, word in enumerate(said) if last[word[0]] == n]


def earned(book: Book) -> int:
    return book.leaves()["CA", "ftp", JAN, JAN]


@pytest.mark.parametrize("met", ["one by one", "at once", "compacted"])
def test_before_there_is_an_event_the_last_word_holds(met: str) -> None:
    for said in WORDS:
        book = Book(PRICED)
        for word in compacted(said) if met == "compacted" else said:
            book.scored.tell(price(*word))
            if met == "one by one":
                book.tell()
        book.tell(book.booked(10_000_000, day(1)))
        book.close(day(1), day(10))
        assert earned(book) == 10 * 1_000 * said[-1][1], said


@pytest.mark.parametrize("restated_after", [0, 1, 2])
def test_of_days_behind_the_last_word_holds(restated_after: int) -> None:
    """Whatever of it the ledgers were corrected by before the rest was met; after a restart too."""
    for said in WORDS:
        book = Book([*PRICED, price("core", 3)])
        book.tell(book.booked(10_000_000, day(1)))
        book.close(day(1), day(9))
        for n, word in enumerate(said):
            book.scored.tell(price(*word, on=5))
            if n < restated_after:
                book.tell()
        book.close(day(10), day(10))
        assert earned(book) == 4 * 3_000 + 6 * 1_000 * said[-1][1], said
        book.scored.restart()
        book.close(day(11), day(60))
        assert earned(book) == 4 * 3_000 + 27 * 1_000 * said[-1][1], said
        book.scored.restart()  # it is met again, and no longer kept as far back
        book.close(day(61), day(61))
        assert earned(book) == 4 * 3_000 + 27 * 1_000 * said[-1][1], said
        assert book.scored.alarms == []


@pytest.mark.parametrize("at_once", [False, True])
@pytest.mark.parametrize("last", ["core", "gl"])
@pytest.mark.parametrize("is_behind", [False, True])
def test_a_word_that_is_no_rate_takes_nothing_back(
    is_behind: bool, last: str, at_once: bool
) -> None:
    """`gl` says what lies beyond 100 %: what it said before holds, or what `core` said since."""
    beyond = price("gl", 28)
    book = Book([*PRICED, price("core", 3)] if is_behind else PRICED)
    if is_behind:
        book.tell(book.booked(10_000_000, day(1)))
        book.close(day(1), day(2))
    for n, word in enumerate([("core", 1), ("gl", 2), (last, 1 if last == "core" else 2)]):
        book.scored.tell(price(*word))
        if n < 2 or not at_once:
            book.tell()
    book.scored.tell(beyond)
    book.tell()
    if not is_behind:
        book.tell(book.booked(10_000_000, day(1)))
        book.close(day(1), day(2))
    book.close(day(3), day(10))
    assert earned(book) == 10 * 1_000 * (1 if last == "core" else 2)
    assert ["is not within" in alarm for alarm in book.scored.alarms] == [True]


def test_a_word_that_is_no_rate_and_was_corrected_is_no_alarm() -> None:
    """Each worker that takes over a partition hears both again, until the broker lets one go."""
    book = Book(PRICED)
    for on in (28, 2):
        book.scored.tell(price("gl", on))
    book.tell()
    assert book.scored.alarms == []


def test_replay_of_two_sources_is_live(tmp_path: Path) -> None:
    found: dict[Words, Told] = {}
    for said in [(("core", 1), ("gl", 2), ("core", 3)), (("core", 1), ("gl", 2), ("core", 1))]:
        told = [*PRICED, *(price(*word) for word in said)]
        events = [Book().booked(10_000_000, day(1)), *(closed(day(n)) for n in range(1, 70))]
        found[said] = live(told, events)
        assert replayed(tmp_path, told, events) == found[said]
    first, second = (by["1", "CA", "ftp", JAN, JAN] for by, _ in found.values())
    assert (first, second) == (3 * 31_000, 31_000)


def described(source: str, below: str) -> Event[Any]:
    fact = ProductDescribed(product_code="CA", names={"zh-CN": "活期", "en": "Current"},
                            line_code="liability", overdraft_product_code=below)  # fmt: skip
    return wrap(fact, id=f"{source}-{below}", source=source, time=instant(FIRST_DAY),
                businessdate=FIRST_DAY)  # fmt: skip


@pytest.mark.parametrize("one_by_one", [False, True])
@pytest.mark.parametrize(
    "said", [(("core", "OD"), ("gl", "OE"), ("core", "OD")), (("core", "OD"), ("gl", "OE"))]
)
def test_the_product_of_an_overdraft_is_the_last_words(
    said: Sequence[tuple[str, str]], one_by_one: bool
) -> None:
    book = Book([*RATES[:2], rate("transfer_price", TEN_THOUSANDTH, product="OE")])
    for word in said:
        book.scored.tell(described(*word))
        if one_by_one:
            book.tell()
    book.tell(book.booked(-10_000_000, day(1)))
    book.close(day(1), day(10))
    found = {product for product, component, *_ in book.leaves() if component == "ftp"}
    assert found == {said[-1][1]}
