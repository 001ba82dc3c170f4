"""A compiled reader of the one event type that is hot: a transaction as banks usually write it.

It takes what it knows exactly and says no to all else: an escape, an unknown field, a field twice,
a number that is no plain integer, a value that the catalogue might refuse. Whatever it says no to,
the catalogue decides (`columns.add`), so it may be narrow but never wrong: a differential test
holds it against the catalogue. Values stay where they are; what it gives are places in the text.
"""

# ruff: noqa: PLR0917 - columns are passed one by one: numba unboxes no objects

from collections.abc import Iterable
from itertools import islice
from typing import Final, NamedTuple, get_args

import numpy as np

from services.scoring.json_text import (
    BRACE,
    COLON,
    COMMA,
    END,
    QUOTE,
    Bytes,
    Ints,
    date,
    equal,
    instant,
    integer,
    is_null,
    spaces,
    string,
)
from services.scoring.records import KEY, KEY_END, VALUE, VALUE_END
from services.scoring.scores.compiling import compiled, inlined
from shared.events.bank import TransactionBooked

KINDS: Final = get_args(TransactionBooked.__annotations__["kind"])
INITIATORS: Final = get_args(TransactionBooked.__annotations__["initiated_by"])
CUSTOMER: Final = INITIATORS.index("customer")

# Columns of what is found of an event: texts as begin and end, known words by their number
(
    HOT, ID, ID_END, ACCOUNT, ACCOUNT_END,
    SOURCE, PRODUCT, CURRENCY, CHANNEL, KIND, INITIATOR,  # in the order of a vocabulary
    REVERSES, AMOUNT, DAY, VALUE_DAY, TIME,
) = range(16)  # fmt: skip
FOUND_WORDS: Final = 16
NONE: Final = -1  # an optional field that is not there

# What a field may hold
(
    _IGNORED,  # 1 to 100 bytes of text
    _SAME,  # one certain text
    _NUMBER_TEXT,  # the customer's number: that of the key
    _TEXT,  # its place is kept
    _WORD,  # of a vocabulary
    _DATE, _INSTANT, _AMOUNT, _COUNT, _OBJECT, _REFUSED,
) = range(11)  # fmt: skip
_WORDS_MAX: Final = 64  # of one list: they are looked through one by one
TEXT_MAX: Final = 100  # bytes: the least of the limits of ids, numbers and codes
_AMOUNT_DIGITS: Final = 15  # below MINOR_MAX
_COUNT_DIGITS: Final = 9  # below 2**31

# Of each object first what is required, then what may be left out or null.
_ENVELOPE = (
    {"type": (_SAME, 0), "specversion": (_SAME, 1), "id": (_TEXT, ID), "source": (_WORD, SOURCE),
     "subject": (_NUMBER_TEXT, 0), "time": (_INSTANT, TIME), "datacontenttype": (_SAME, 2),
     "businessdate": (_DATE, DAY), "data": (_OBJECT, 0)},
    {"sequence": (_COUNT, 0), "correlationid": (_IGNORED, 0), "causationid": (_IGNORED, 0),
     "rootat": (_INSTANT, NONE)},
)  # fmt: skip
_DATA = (
    {"customer_number": (_NUMBER_TEXT, 0), "transaction_id": (_IGNORED, 0),
     "account_number": (_TEXT, ACCOUNT), "product_code": (_WORD, PRODUCT),
     "amount_minor": (_AMOUNT, 0), "currency": (_WORD, CURRENCY), "kind": (_WORD, KIND),
     "initiated_by": (_WORD, INITIATOR), "booked_on": (_DATE, NONE)},
    {"value_on": (_DATE, VALUE_DAY), "channel_code": (_WORD, CHANNEL), "branch_code": (_IGNORED, 0),
     "purpose_code": (_IGNORED, 0), "counterparty": (_OBJECT, 0), "loan_number": (_REFUSED, 0),
     "payment_reference": (_IGNORED, 0), "order_in_day": (_COUNT, 0),
     "reverses": (_IGNORED, REVERSES)},
)  # fmt: skip
_PARTY: tuple[dict[str, tuple[int, int]], ...] = (
    {}, {"bank_code": (_IGNORED, 0), "account_number": (_IGNORED, 0)},
)  # fmt: skip
_OBJECTS = (_ENVELOPE, _DATA, _PARTY)
LEVELS: Final = len(_OBJECTS)
_SAMES = (TransactionBooked.TYPE, "1.0", "application/json")


class Vocabulary(NamedTuple):
    """The words that an event may hold and be hot: one list for each column from SOURCE on."""

    letters: Bytes
    spans: Ints
    firsts: Ints  # of each list, its first word; and the end


class Known:
    """The words that a partition has met: a word's number is its place in its list."""

    def __init__(
        self, sources: Iterable[str], products: Iterable[str], currencies: Iterable[str],
        channels: Iterable[str],
    ) -> None:  # fmt: skip
        self.sources, self.products, self.currencies, self.channels = (
            list(islice(of, _WORDS_MAX)) for of in (sources, products, currencies, channels)
        )
        lists = [
            self.sources, self.products, self.currencies, self.channels, KINDS, INITIATORS
        ]  # fmt: skip
        self.vocabulary = Vocabulary(
            *words(word for one in lists for word in one),
            np.cumsum([0, *map(len, lists)]).astype(np.int64),
        )
        self.prefixes = words(f"{source}\0" for source in self.sources)  # of identities


def words(texts: Iterable[str]) -> tuple[Bytes, Ints]:
    """The letters one after the other, and where each text begins and ends."""
    raw = [text.encode() for text in texts]
    ends = np.cumsum([0, *(len(text) for text in raw)]).astype(np.int64)
    letters = np.frombuffer(b"".join(raw) or b"\0", np.uint8)
    return letters, np.stack([ends[:-1], ends[1:]], axis=1)


_FIELDS = [
    (name, *what) for of_object in _OBJECTS for part in of_object for name, what in part.items()
]
_LETTERS, _SPANS = words(name for name, _, _ in _FIELDS)
_WHATS = np.array([what for _, *what in _FIELDS], np.int64)
_COUNTS = [[len(required), len(optional)] for required, optional in _OBJECTS]
_FIRSTS = np.cumsum([0, *map(sum, _COUNTS)]).astype(np.int64)  # field of each object, and the end
_REQUIRED = np.array([required for required, _ in _COUNTS], np.int64)
_S_LETTERS, _S_SPANS = words(_SAMES)


@inlined
def _number_of(
    text: Bytes, begin: int, end: int, letters: Bytes, spans: Ints, first: int, last: int
) -> int:
    """Which word of a list it is; -1: none of them."""
    for word in range(first, last):
        if equal(text, begin, end, letters, spans[word, 0], spans[word, 1]):
            return word - first
    return -1


@inlined
def _text_value(
    text: Bytes, begin: int, end: int, what: int, which: int, letters: Bytes, spans: Ints,
    firsts: Ints, found: Ints,
) -> bool:  # fmt: skip
    """Takes a field whose value is the text begin..end; False: not as it should be."""
    if what == _WORD:
        first, last = firsts[which - SOURCE], firsts[which - SOURCE + 1]
        found[which] = _number_of(text, begin, end, letters, spans, first, last)
        return bool(found[which] >= 0)
    if what == _TEXT:
        found[which], found[which + 1] = begin, end
        return True
    if what == _DATE:
        day = date(text, begin, end)
        if which >= 0:
            found[which] = day
        return day > 0
    if what == _INSTANT:
        second = instant(text, begin, end)
        if which >= 0:
            found[which] = second
        return second > 0
    if what == _SAME:
        return equal(text, begin, end, _S_LETTERS, _S_SPANS[which, 0], _S_SPANS[which, 1])
    if which == REVERSES:
        found[REVERSES] = 1
    return what == _IGNORED


@inlined
def _value(
    text: Bytes, at: int, end: int, field: int, is_optional: bool, key: Bytes, key_begin: int,
    key_end: int, letters: Bytes, spans: Ints, firsts: Ints, found: Ints,
) -> int:  # fmt: skip
    """Takes a field's value, which is no object; returns the place after it, -1: not plain."""
    what, which = _WHATS[field, 0], _WHATS[field, 1]
    if is_optional and is_null(text, at, end):
        return at + 4
    if what == _AMOUNT:
        return integer(text, at, end, _AMOUNT_DIGITS, True, found, AMOUNT)
    if what == _COUNT:
        return integer(text, at, end, _COUNT_DIGITS, False, found, NONE)
    close = string(text, at, end)
    if close < 0 or close == at + 1 or close - at - 1 > TEXT_MAX:
        return -1
    if what == _NUMBER_TEXT:
        fits = equal(text, at + 1, close, key, key_begin, key_end)
    else:
        fits = _text_value(text, at + 1, close, what, which, letters, spans, firsts, found)
    return close + 1 if fits else -1


@inlined
def _stands(text: Bytes, at: int, end: int, field: int) -> bool:
    """Does this field's name stand in quotes at a place?"""
    begin, n = _SPANS[field, 0], _SPANS[field, 1] - _SPANS[field, 0]
    if at + n + 2 > end or text[at] != QUOTE or text[at + n + 1] != QUOTE:
        return False
    for k in range(n):  # noqa: SIM110 - no generators in compiled code
        if text[at + 1 + k] != _LETTERS[begin + k]:
            return False
    return True


@inlined
def _field_at(text: Bytes, at: int, end: int, first: int, last: int, likely: int) -> int:
    """The field of an object whose name stands at a place; -1: none. Most follow in our order."""
    for field in range(likely, last):
        if _stands(text, at, end, field):
            return field
    for field in range(first, min(likely, last)):
        if _stands(text, at, end, field):
            return field
    return -1


@inlined
def _is_hot(
    text: Bytes, at: int, end: int, key: Bytes, key_begin: int, key_end: int, letters: Bytes,
    spans: Ints, firsts: Ints, found: Ints, open_objects: Ints,
) -> bool:  # fmt: skip
    """Reads one event. Objects lie in each other in the order of their numbers; of each that is
    open `open_objects` has the fields seen and the one that is likely to follow."""
    level, opens = -1, True
    while True:
        if opens:
            if at >= end or text[at] != BRACE:
                return False
            level += 1
            open_objects[level, 0], open_objects[level, 1] = 0, _FIRSTS[level]
            at = spaces(text, at + 1, end)
        first = _FIRSTS[level]
        field = _field_at(text, at, end, first, _FIRSTS[level + 1], open_objects[level, 1])
        if field < 0 or open_objects[level, 0] >> (field - first) & 1:
            return False
        open_objects[level, 0] |= 1 << (field - first)
        open_objects[level, 1] = field + 1
        at = spaces(text, at + 2 + _SPANS[field, 1] - _SPANS[field, 0], end)
        if at >= end or text[at] != COLON:
            return False
        at = spaces(text, at + 1, end)
        is_optional = field - first >= _REQUIRED[level]
        opens = _WHATS[field, 0] == _OBJECT and not (is_optional and is_null(text, at, end))
        if opens:
            continue
        at = _value(
            text, at, end, field, is_optional, key, key_begin, key_end, letters, spans, firsts,
            found,
        )  # fmt: skip
        if at < 0:
            return False
        at = spaces(text, at, end)
        while at < end and text[at] == END:
            required = (1 << _REQUIRED[level]) - 1
            if open_objects[level, 0] & required != required:
                return False
            at = spaces(text, at + 1, end)
            level -= 1
            if level < 0:
                return bool(at == end)
        if at >= end or text[at] != COMMA:
            return False
        at = spaces(text, at + 1, end)


@compiled
def scan(text: Bytes, places: Ints, known: Vocabulary, open_objects: Ints, found: Ints) -> None:
    """Reads the events whose keys and values lie at these places; `found` has a row for each."""
    letters, spans, firsts = known.letters, known.spans, known.firsts
    for i in range(places.shape[0]):
        place, one = places[i], found[i]
        end = place[VALUE_END]
        one[:] = 0
        one[CHANNEL] = NONE
        if _is_hot(
            text, spaces(text, place[VALUE], end), end, text, place[KEY], place[KEY_END], letters,
            spans, firsts, one, open_objects,
        ):  # fmt: skip
            one[HOT] = 1
