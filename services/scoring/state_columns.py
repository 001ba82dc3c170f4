"""Many customers' records of `scoring.state` as columns: no object is made of an account.

The layout is that of `state`, which reads record by record; the words that make an amount are named
in `open_leaf`. Pure; numpy, nothing compiled.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final

import numpy as np
from numpy.typing import NDArray

from services.scoring import rows as r
from services.scoring.open_leaf import CELL_MIN, COLUMNS, LIMB_BITS, UPKEEP, WIDE
from services.scoring.rows import ACCOUNT_WORDS, CUSTOMER_WORDS, HEAD_WORDS, LEDGER_WORDS
from services.scoring.state import UnreadableState

Ints = NDArray[np.int64]
WORD: Final = 8
_ACCOUNT_HEAD: Final = ACCOUNT_WORDS + 3
_TEXTS: Final = 4  # account number, product, currency, loan number
_HALF: Final = LIMB_BITS // 2  # bits of a digit
_DIGIT: Final = (1 << _HALF) - 1
_SHIFTS: Final = np.arange(_TEXTS) * 16
_AMOUNTS: Final = tuple(COLUMNS.values())


@dataclass(frozen=True, slots=True)
class Columns:
    """Customers in the order of their records; accounts in any order."""

    rows: Ints  # of customers: their words, fields in the order of `rows.CUSTOMER_FIELDS`
    owners: Ints  # of accounts: the customer's place
    figures: Ints  # in the order of `rows.ACCOUNT_FIELDS`
    data: bytes  # all records
    text_begins: Ints  # in it: account number, product, currency, loan number; UTF-8
    text_lengths: Ints
    has_ledger: NDArray[np.bool_]
    settled_on: Ints  # day number; 0: nothing is accrued
    hashes: Ints  # of what is told of the ledger and its entries
    accrued: Ints  # in the order of `open_leaf.COLUMNS`


def read(values: Sequence[bytes]) -> Columns:
    """Reads customers' records. Raises UnreadableState: a half-read log would be silent loss."""
    sizes = np.fromiter(map(len, values), np.int64, len(values))
    if np.any(sizes % WORD) or np.any(sizes < (HEAD_WORDS + CUSTOMER_WORDS) * WORD):
        raise UnreadableState("a customer's record is cut short")
    data = b"".join(values)
    words = np.frombuffer(data, "<i8").astype(np.int64, copy=False)
    ends = np.cumsum(sizes) // WORD
    begins = ends - sizes // WORD
    rows = words[(begins + HEAD_WORDS)[:, None] + np.arange(CUSTOMER_WORDS)]
    owners, heads = _account_heads(words, begins, ends)
    read_heads = words[heads[:, None] + np.arange(_ACCOUNT_HEAD)]
    lengths = read_heads[:, -1:] >> _SHIFTS & 0xFFFF
    after = heads + _ACCOUNT_HEAD + _text_words(lengths)
    text_ends = ((heads + _ACCOUNT_HEAD) * WORD)[:, None] + np.cumsum(lengths, axis=1)
    sizes = read_heads[:, ACCOUNT_WORDS]
    ledgers, entries = _ledgers(words, after, sizes)
    return Columns(
        rows=rows,
        owners=owners,
        figures=read_heads[:, :ACCOUNT_WORDS],
        data=data,
        text_begins=text_ends - lengths,
        text_lengths=lengths,
        has_ledger=read_heads[:, ACCOUNT_WORDS] >> 32 != 0,
        settled_on=ledgers[:, 0],
        hashes=_hashes(data, after, after + (sizes >> 32) + 2 * (sizes & 0xFFFFFFFF)),
        accrued=accrued(ledgers, *entries),
    )


def _account_heads(words: Ints, begins: Ints, ends: Ints) -> tuple[Ints, Ints]:
    """Whose each account is and at which word it begins: all first accounts, all second ones."""
    left = words[begins] >> 32
    of, at = np.arange(len(begins)), begins + HEAD_WORDS + CUSTOMER_WORDS
    owners, heads = [of[:0]], [at[:0]]
    while True:
        more = left > 0
        of, at, left = of[more], at[more], left[more] - 1
        if not len(of):
            return np.concatenate(owners), np.concatenate(heads)
        _not_beyond(at + _ACCOUNT_HEAD, ends[of])
        sizes = words[at + ACCOUNT_WORDS]
        ledger_words, watch_words = sizes >> 32, words[at + ACCOUNT_WORDS + 1]
        lengths = words[at + ACCOUNT_WORDS + 2][:, None] >> _SHIFTS & 0xFFFF
        sizes_off = (ledger_words < 0) | (ledger_words > LEDGER_WORDS)
        if np.any(sizes_off | (watch_words < 0) | (watch_words > len(words))):
            raise UnreadableState("an account of a customer's record has impossible sizes")
        owners.append(of)
        heads.append(at)
        at = at + _ACCOUNT_HEAD + _text_words(lengths) + ledger_words
        at += 2 * (sizes & 0xFFFFFFFF) + watch_words
        _not_beyond(at, ends[of])


def _not_beyond(at: Ints, ends: Ints) -> None:
    if np.any(at > ends):
        raise UnreadableState("a customer's record is cut short")


def _text_words(lengths: Ints) -> Ints:
    words: Ints = (lengths.sum(axis=1) + WORD - 1) // WORD
    return words


def _ledgers(words: Ints, at: Ints, sizes: Ints) -> tuple[Ints, tuple[Ints, Ints, Ints]]:
    """The ledgers with the zeros that a record leaves out; of each entry the place of its account,
    code and amount."""
    ledger_words, counts = sizes >> 32, sizes & 0xFFFFFFFF
    fields = np.arange(LEDGER_WORDS)
    places = np.minimum(at[:, None] + fields, len(words) - 1)
    ledgers = np.where(fields < ledger_words[:, None], words[places], 0)
    of = np.repeat(np.arange(len(at)), counts)
    within = np.arange(len(of)) - np.repeat(np.cumsum(counts) - counts, counts)
    entries = np.repeat(at + ledger_words, counts) + 2 * within
    return ledgers, (of, words[entries], words[entries + 1])


def _hashes(data: bytes, begins: Ints, ends: Ints) -> Ints:
    """64 bits of each run of words. Kept in tables, so no hash that a process makes for itself."""
    view = memoryview(data)
    spans = zip((begins * WORD).tolist(), (ends * WORD).tolist(), strict=True)
    digests = b"".join(blake2b(view[a:b], digest_size=WORD).digest() for a, b in spans)
    found: Ints = np.frombuffer(digests, "<i8").astype(np.int64, copy=False)
    return found


def accrued(ledgers: Ints, of: Ints, codes: Ints, amounts: Ints) -> Ints:
    """Minor units of each ledger by component, in the order of `open_leaf.COLUMNS`. A sum of low
    limbs may leave 64 bits: they are added up in halves."""
    cells = codes >= CELL_MIN
    place = (of[cells], codes[cells] & 0xFF)
    if np.any(place[1] > r.USES):
        raise UnreadableState("an entry of a customer's record is of no component")
    whole = np.zeros((len(ledgers), r.USES + 1), np.int64)
    upper, lower = np.zeros_like(whole), np.zeros_like(whole)
    np.add.at(whole, place, amounts[cells])  # of limbs other than low ones, which fit
    np.add.at(upper, place, amounts[cells] >> _HALF)
    np.add.at(lower, place, amounts[cells] & _DIGIT)
    for component, high, low, posted, unit in WIDE:
        bottom = (ledgers[:, low] & _DIGIT) + lower[:, component + 1]
        middle = (ledgers[:, low] >> _HALF) + upper[:, component + 1] + (bottom >> _HALF)
        top = ledgers[:, high] + whole[:, component] + (middle >> _HALF)
        exact = half_even(top, middle & _DIGIT, bottom & _DIGIT, unit)
        whole[:, component] = exact - ledgers[:, posted]
    whole[:, r.UPKEEP] += ledgers[:, UPKEEP[0]] - ledgers[:, UPKEEP[1]]
    return whole[:, _AMOUNTS]


def half_even(top: Ints, middle: Ints, bottom: Ints, unit: int) -> Ints:
    """(top << 60 | middle << 30 | bottom) / unit, halves to the even side. `middle` and `bottom`
    are digits of 30 bits. Raises UnreadableState for what leaves 62 bits: no figure may."""
    step = _HALF if unit < 1 << (62 - _HALF) else _HALF // 3
    if unit >= 1 << (62 - step):
        raise ValueError(f"{unit} is too large a unit")
    quotient, left = np.divmod(top, unit)
    if np.any((quotient < -2) | (quotient > 1)):
        raise UnreadableState("an amount of a customer's record is beyond all range")
    for digit in (middle, bottom):
        for shift in range(_HALF - step, -1, -step):
            part, left = np.divmod((left << step) + (digit >> shift & (1 << step) - 1), unit)
            quotient = (quotient << step) + part
    rounded: Ints = quotient + ((2 * left > unit) | ((2 * left == unit) & (quotient & 1 != 0)))
    return rounded
