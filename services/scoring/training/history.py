"""What is learned from: a file of bank events, JSON Lines as `replay` takes it, by account.

In one currency, the bank's own: the scorer watches no other account. An account is what it is to
the scorer: a number of one customer, in one product.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from services.scoring import closings
from services.scoring.bookings import flags_of
from shared.events import Undecodable, UnknownType, UnknownVersion, decode
from shared.events.bank import (
    AccountClosed,
    AccountOpened,
    DayClosed,
    ProductDescribed,
    TransactionBooked,
)

Ints = NDArray[np.int64]
_TYPES = {
    fact.TYPE
    for fact in (AccountClosed, AccountOpened, DayClosed, ProductDescribed, TransactionBooked)
}
Key = tuple[str, str, str, str]  # number, product, currency, customer: an account


class TrainError(ValueError):
    """Nothing can be learned from this; the message says why, in one sentence."""


class _Head(msgspec.Struct):
    type: str


_head = msgspec.json.Decoder(_Head)


@dataclass(frozen=True, slots=True)
class Account:
    """One life of an account: opened again after its closing it begins anew, and it is closed from
    the business day on which that was told, as in the live scorer. Bookings in the order of days.
    What is after `until` is not known, which is no silence."""

    number: str
    product_code: str
    opened_on: int
    until: int
    closed_on: int | None
    days: Ints
    amounts: Ints
    flags: Ints


@dataclass(frozen=True, slots=True)
class History:
    """All accounts of a file, by product."""

    file_name: str
    sha256: str
    transactions: int
    first_on: int
    last_on: int
    accounts: tuple[Account, ...]
    products: Mapping[str, ProductDescribed]

    def purchase_like(self) -> dict[str, list[Account]]:
        """Accounts of each purchase-like product."""
        found: defaultdict[str, list[Account]] = defaultdict(list)
        for account in self.accounts:
            product = self.products.get(account.product_code)
            if product is not None and product.purchase_like:
                found[account.product_code].append(account)
        return dict(found)

    def current(self) -> list[Account]:
        """Accounts that money comes to and goes from at will: no purchases, loans or terms."""

        def is_current(product: ProductDescribed | None) -> bool:
            if product is None:
                return True
            other = product.purchase_like or product.demand_or_fixed == "fixed"
            return not other and product.line_code != "asset"

        return [a for a in self.accounts if is_current(self.products.get(a.product_code))]


class _Turn(NamedTuple):
    """An opening, or a closing. `named`: what it says of its account, which is one of `before` if
    any was told before it."""

    day: int
    opens_on: int | None  # none: a closing
    named: tuple[str, str | None, str | None, str]
    before: tuple[Key, ...]


@dataclass(slots=True)
class _Reading:
    currency: str
    products: dict[str, ProductDescribed] = field(default_factory=dict)
    turns: defaultdict[str, list[_Turn]] = field(default_factory=lambda: defaultdict(list))
    bookings: defaultdict[Key, list[tuple[int, int, int]]] = field(
        default_factory=lambda: defaultdict(list)
    )
    told: defaultdict[str, dict[Key, None]] = field(default_factory=lambda: defaultdict(dict))
    seen: set[tuple[str, str]] = field(default_factory=set)
    first_on: int = date.max.toordinal()
    last_on: int = 0

    def take(self, event: Any) -> None:
        fact, day = event.data, event.businessdate.toordinal()
        match fact:
            case TransactionBooked():
                key = self._met(fact)
                if fact.currency != self.currency or (event.source, event.id) in self.seen:
                    return
                self.seen.add((event.source, event.id))
                self.bookings[key].append((day, fact.amount_minor, flags_of(fact)))
                self.first_on = min(self.first_on, day)
                self.last_on = max(self.last_on, day)
            case AccountOpened():
                key = self._met(fact)
                turn = _Turn(day, fact.opened_on.toordinal(), key, (key,))
                self.turns[fact.account_number].append(turn)
            case AccountClosed():
                before = tuple(self.told[fact.account_number])
                turn = _Turn(day, None, _named(fact), before)
                self.turns[fact.account_number].append(turn)
            case ProductDescribed():
                self.products[fact.product_code] = fact
            case DayClosed():
                self.last_on = max(self.last_on, fact.day.toordinal())

    def _met(self, fact: AccountOpened | TransactionBooked) -> Key:
        key = (fact.account_number, fact.product_code, fact.currency, fact.customer_number)
        self.told[fact.account_number][key] = None
        return key

    def lives(self, key: Key, until: int) -> Iterator[Account]:
        """One after the other. What was opened or booked later changes no earlier one."""
        number, product, *_ = key
        rows = sorted(self.bookings[key], key=lambda row: row[0])
        begins, is_open, first = rows[0][0], True, True
        ends: int | None = None
        for turn in self._turns_of(key):
            if turn.opens_on is None:
                ends, is_open = (turn.day, False) if is_open else (ends, False)
            elif first and is_open:
                begins = min(begins, turn.opens_on)
            elif not is_open:
                of_one = [row for row in rows if row[0] < turn.day]
                yield _account(number, product, begins, until, ends, of_one)
                rows = rows[len(of_one) :]
                begins, ends, is_open = turn.day, None, True
            first = False
        yield _account(number, product, begins, until, ends, rows)

    def _turns_of(self, key: Key) -> list[_Turn]:
        """By day; those of one day as they were told."""
        number = key[0]
        own = [turn for turn in self.turns[number]
               if closings.ended(turn.named, turn.before, self.told[number]) == key]  # fmt: skip
        return sorted(own, key=lambda turn: turn.day)


def _named(fact: AccountClosed) -> tuple[str, str | None, str | None, str]:
    return fact.account_number, fact.product_code, fact.currency, fact.customer_number


def _account(  # noqa: PLR0917
    number: str, product: str, begins: int, until: int, ends: int | None,
    rows: list[tuple[int, int, int]],
) -> Account:  # fmt: skip
    columns = np.array([row for row in rows if row[0] <= until], np.int64).reshape(-1, 3).T
    of_each = (np.ascontiguousarray(column) for column in columns)
    return Account(number, product, begins, until, ends, *of_each)


def read(file: Path, currency: str, until: Mapping[str, date] | None = None) -> History:
    """The history in a file, in one currency. `until` names accounts of which the file does not
    know the end.

    Raises TrainError with the line that is no event.
    """
    reading, digest = _Reading(currency), hashlib.sha256()
    with file.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            digest.update(line)
            if line.strip():
                _take(reading, line, f"{file.name}:{number}")
    if not reading.bookings:
        kind = TransactionBooked.TYPE
        raise TrainError(f"{file.name} has no transaction ({kind}) in {currency}")
    last_on = reading.last_on
    ends = {number: day.toordinal() for number, day in (until or {}).items()}
    lives = [
        list(reading.lives(key, min(ends.get(key[0], last_on), last_on)))
        for key in sorted(reading.bookings)
    ]
    # First lives first: which row an account has does not depend on what was opened again.
    accounts = (*(of_one[0] for of_one in lives), *chain.from_iterable(x[1:] for x in lives))
    return History(
        file_name=file.name,
        sha256=digest.hexdigest(),
        transactions=len(reading.seen),
        first_on=reading.first_on,
        last_on=last_on,
        accounts=accounts,
        products=reading.products,
    )


def _take(reading: _Reading, line: bytes, place: str) -> None:
    try:
        if _head.decode(line).type in _TYPES:
            reading.take(decode(line))
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise TrainError(f"{place} is no event: {error}") from None
    except (Undecodable, UnknownType, UnknownVersion) as error:
        raise TrainError(f"{place} is no event of the catalogue: {error}") from None
