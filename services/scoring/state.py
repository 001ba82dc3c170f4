"""The records of `scoring.state`: how they are written, and `unpack` for whoever folds them.

A record is little-endian 64-bit words; byte 0 is the version, byte 1 the kind.
Customer (key: the customer number):
    word 0    version | kind << 8 | number of accounts << 32
    word 1    number of ids of the open window | number of grades << 32
    18 words  the customer row, fields in the order of `rows.CUSTOMER_FIELDS`
    accounts  5 words each (`rows.ACCOUNT_FIELDS`), then one word: number of ledger entries |
              words of the ledger << 32 (0: none), one: words of the watch (0: not watched), one
              with the byte lengths of account number | product << 16 | currency << 32 | loan
              number << 48, then the texts, padded with zeros, then the ledger
              (`rows.LEDGER_FIELDS` without the zeros at its end) and its entries, two words
              each: code and amount
              (`scores/contribution/entries.py`), then the watch: a row of `scores/watching.py` and
              the bookings that wait, four words each (`scores/waiting.py`)
    ids       64-bit hashes of the (source, id) applied above the watermark, then their day
              numbers, two to a word
    grades    3 words each: place of the loan among the accounts, 0: of all; code and number of the
              grade (`scores/contribution/grades.py`)
Spilled ids (key: customer number + "/" + n): word 0, word 1, then hashes and days as above.
Partition (key: NUL + "partition/" + n): word 0, then JSON: what the closes have done.
Rate (key: NUL + "rate/" + n + "/" + key of `bank.reference`): word 0, then JSON: a rate that the
figures of the partition rest on; one that it refused is not there.
Version 1 had no ledgers, those of version 2 do not say which restatements they had, version 3 had
no features of risk, version 4 no charge for capital and no grades, version 5 did not say which
accounts were closed, version 6 not when a customer had come back, version 7 not on which days an
account was booked: their figures cannot be carried on, so they are refused; the state is rebuilt
from `bank.events`.
Day numbers are `date.toordinal()`. A record replaces the one before it when its place is not before
it: the offset of `bank.events`, then the sequence of the customer's inputs.
"""

import struct
from dataclasses import dataclass, field
from datetime import date
from struct import Struct
from typing import Final, NamedTuple

import msgspec

from services.scoring.rate import Rate
from services.scoring.rows import (
    ACCOUNT_FIELDS,
    ACCOUNT_WORDS,
    CUSTOMER_FIELDS,
    CUSTOMER_WORDS,
    HEAD_WORDS,
    KIND_CUSTOMER,
    KIND_PARTITION,
    KIND_RATE,
    KIND_SPILLED,
    LEDGER_WORDS,
    RECORD_VERSION,
)

PARTITION_KEY: Final = b"\x00partition/"
RATE_KEY: Final = b"\x00rate/%d/"
OFFSET_AT: Final = HEAD_WORDS * 8  # bytes
_HEAD = Struct("<BBHIII")
_CUSTOMER = Struct(f"<{CUSTOMER_WORDS}q")
_ACCOUNT = Struct(f"<{ACCOUNT_WORDS}qIIqHHHH")
_LEDGERS = [Struct(f"<{n}q") for n in range(LEDGER_WORDS + 1)]
_PLACE = Struct("<qq")


class UnreadableState(ValueError):
    """A record of another version, or one that is cut short."""


class AccountRecord(NamedTuple):
    """One account in a customer's record."""

    figures: tuple[int, ...]
    account_number: str
    product_code: str
    currency: str
    loan_number: str
    ledger: tuple[int, ...]
    entries: tuple[int, ...]
    watch: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class AccountState:
    """Exact figures of one account; `last_on` is the day of its latest transaction, `closed_on`
    what `scores/turns.py` knows of its closings.

    A loan's row has its number and no transactions. `ledger` is empty without a price, `watch`
    without a model of risk for the product.
    """

    account_number: str
    product_code: str
    currency: str
    sum_minor: int
    count: int
    last_on: date | None
    loan_number: str = ""
    ledger: tuple[int, ...] = ()
    entries: tuple[int, ...] = ()
    watch: tuple[int, ...] = ()
    closed_on: int = 0


@dataclass(frozen=True, slots=True)
class CustomerState:
    """One customer number as of `offset`. `sum_minor` is his balance in the bank's currency."""

    customer_number: str
    offset: int
    input_sequence: int
    count: int
    customer_count: int
    sum_minor: int
    activity: int  # 2**20 for one event of `activity_on`
    activity_on: date | None
    first_on: date | None
    last_on: date | None  # of a transaction that the customer initiated
    mean_minor: int
    mean_on: date | None
    outflow: bool
    outflow_episode: int
    recovers_on: date | None
    silence: bool
    silence_episode: int
    silent_on: date | None
    last_away: int  # what his accounts no longer say of his last absence: `leaving.kept`
    accounts: tuple[AccountState, ...]
    ids: tuple[tuple[int, int], ...] = field(repr=False, default=())  # hash, day number
    grades: tuple[tuple[str, int, int], ...] = ()  # loan number or "": all, code, grade


@dataclass(frozen=True, slots=True)
class SpilledIds:
    """Ids of a busy customer that did not fit into his record."""

    customer_number: str
    number: int
    ids: tuple[tuple[int, int], ...]


class SourceCloses(msgspec.Struct):
    """How far a source has closed the days of one partition; `held` wait for a gap to fill."""

    closed: int
    held: list[int] = msgspec.field(default_factory=list)


class PartitionState(msgspec.Struct):
    """What a partition's closes have done; `offset` is that of the last one."""

    partition: int
    offset: int
    watermark: int  # day number; 0: nothing is closed
    sources: dict[str, SourceCloses]
    quarantined: list[int] = msgspec.field(default_factory=list)  # offsets: a verdict stays
    replayed: list[int] = msgspec.field(default_factory=list)  # of those, what an input settled
    refused_inputs: list[tuple[str, int]] = msgspec.field(default_factory=list)  # key, sequence
    restated: int = 0  # the number of the last restatement that all ledgers had
    seed: str = ""  # the set of rules with which it began, by what it says
    sets: list[tuple[int, int]] = msgspec.field(default_factory=list)  # that followed: number,
    # and the first day that it judged
    given_up: list[int] = msgspec.field(default_factory=list)  # offsets that ops had discarded when
    # the state was made anew: before they are met

    def refused(self) -> frozenset[int]:
        """Offsets of events that have a verdict, and keep it."""
        return frozenset(self.quarantined).union(self.given_up)


State = CustomerState | SpilledIds | PartitionState | Rate


def unpack(key: bytes, value: bytes) -> State:
    """The record as plain data. Raises UnreadableState."""
    kind = kind_of(value)
    try:
        if kind == KIND_CUSTOMER:
            return _customer(key.decode(), value)
        if kind == KIND_SPILLED:
            number, _, n = key.decode().rpartition("/")
            _, _, _, _, count, _ = _HEAD.unpack_from(value)
            return SpilledIds(number, int(n), ids_at(value, HEAD_WORDS * 8, count))
        if kind == KIND_PARTITION:
            return msgspec.json.decode(value[8:], type=PartitionState)
        if kind == KIND_RATE:
            return msgspec.json.decode(value[8:], type=Rate)
    except (ValueError, OverflowError, msgspec.MsgspecError, IndexError, struct.error) as error:
        raise UnreadableState(f"{key!r}: {error}") from error
    raise UnreadableState(f"{key!r}: unknown kind {kind}")


def kind_of(value: bytes) -> int:
    """The kind of a record. Raises UnreadableState for another version or a stump."""
    if len(value) < 16 or value[0] != RECORD_VERSION:
        version = value[0] if value else None
        raise UnreadableState(f"version {version}, not {RECORD_VERSION}; {len(value)} bytes")
    return value[1]


def place_of(value: bytes) -> tuple[int, int]:
    """How far a customer's record has come: offset of `bank.events`, sequence of his inputs."""
    try:
        offset, sequence = _PLACE.unpack_from(value, OFFSET_AT)
    except struct.error as error:
        raise UnreadableState(f"{len(value)} bytes: {error}") from error
    return offset, sequence


def accounts_at(value: bytes) -> tuple[list[AccountRecord], int]:
    """The accounts of a customer's record and where its ids begin (byte)."""
    _, _, _, count, _, _ = _HEAD.unpack_from(value)
    at = (HEAD_WORDS + CUSTOMER_WORDS) * 8
    found = []
    for _ in range(count):
        *figures, entries, ledger_words, watch_words, number, product, currency, loan = (
            _ACCOUNT.unpack_from(value, at)
        )
        at += _ACCOUNT.size
        product_at = at + number
        currency_at = product_at + product
        loan_at = currency_at + currency
        end = loan_at + loan
        if end > len(value):
            raise IndexError("the record is cut short")
        texts = (
            value[at:product_at].decode(),
            value[product_at:currency_at].decode(),
            value[currency_at:loan_at].decode(),
            value[loan_at:end].decode(),
        )
        at += (end - at + 7) // 8 * 8
        ledger: tuple[int, ...] = ()
        if ledger_words:
            ledger = _LEDGERS[ledger_words].unpack_from(value, at)
            ledger += (0,) * (LEDGER_WORDS - ledger_words)
            at += 8 * ledger_words
        words = Struct(f"<{2 * entries}q").unpack_from(value, at)
        at += 16 * entries
        watch = Struct(f"<{watch_words}q").unpack_from(value, at)
        at += 8 * watch_words
        found.append(AccountRecord(tuple(figures), *texts, ledger, words, watch))
    return found, at


def ids_count(value: bytes) -> int:
    """How many ids of the open window a record carries."""
    return int(_HEAD.unpack_from(value)[4])


def ids_at(value: bytes, at: int, count: int) -> tuple[tuple[int, int], ...]:
    """Hashes and day numbers that begin at a byte."""
    if len(value) < at + count * 8 + (count + 1) // 2 * 8:
        raise IndexError("the record is cut short")
    hashes = Struct(f"<{count}q").unpack_from(value, at)
    days = Struct(f"<{count}i").unpack_from(value, at + count * 8)
    return tuple(zip(hashes, days, strict=True))


def grades_at(value: bytes, at: int) -> tuple[tuple[int, int, int], ...]:
    """The grades of a record whose ids begin at a byte: place of the loan, code, grade."""
    ids, count = ids_count(value), int(_HEAD.unpack_from(value)[5])
    begin = at + 8 * ids + (ids + 1) // 2 * 8
    words = Struct(f"<{3 * count}q").unpack_from(value, begin)
    return tuple(zip(words[::3], words[1::3], words[2::3], strict=True))


def pack_spilled(ids: list[tuple[int, int]]) -> bytes:
    """A record of spilled ids."""
    count = len(ids)
    head = _HEAD.pack(RECORD_VERSION, KIND_SPILLED, 0, 0, count, 0)
    hashes = Struct(f"<{count}q").pack(*(h for h, _ in ids))
    days = Struct(f"<{count}i").pack(*(d for _, d in ids))
    return head + hashes + days + b"\x00" * (-len(days) % 8)


def partition_record(state: PartitionState) -> tuple[bytes, bytes]:
    """Key and value of a partition's record."""
    return PARTITION_KEY + b"%d" % state.partition, pack_partition(state)


def pack_partition(state: PartitionState) -> bytes:
    """The value of a partition's record."""
    return _HEAD.pack(RECORD_VERSION, KIND_PARTITION, 0, 0, 0, 0)[:8] + msgspec.json.encode(state)


def rate_record(partition: int, rate: Rate) -> tuple[bytes, bytes]:
    """Key and value of the record of a rate that the partition has taken."""
    head = _HEAD.pack(RECORD_VERSION, KIND_RATE, 0, 0, 0, 0)[:8]
    return RATE_KEY % partition + rate.key.encode(), head + msgspec.json.encode(rate)


def account_text(account_number: str, product_code: str, currency: str, loan: str) -> bytes:
    """The text part of an account: lengths, texts, padding; whole words."""
    texts = [t.encode() for t in (account_number, product_code, currency, loan)]
    head = Struct("<HHHH").pack(*(len(t) for t in texts))
    body = b"".join(texts)
    return head + body + b"\x00" * (-len(body) % 8)


def _customer(number: str, value: bytes) -> CustomerState:
    row = dict(zip(CUSTOMER_FIELDS, _CUSTOMER.unpack_from(value, OFFSET_AT), strict=True))
    accounts, at = accounts_at(value)
    for name in ("activity_on", "first_on", "last_on", "mean_on", "recovers_on", "silent_on"):
        row[name] = day_of(row[name])
    return CustomerState(
        customer_number=number,
        **{**row, "outflow": bool(row["outflow"]), "silence": bool(row["silence"])},
        accounts=tuple(
            sorted(
                map(_account, accounts),
                key=lambda a: (a.account_number, a.product_code, a.currency, a.loan_number),
            )
        ),
        ids=ids_at(value, at, ids_count(value)),
        grades=tuple(sorted((accounts[of - 1].loan_number if of else "", code, grade)
                            for of, code, grade in grades_at(value, at))),
    )  # fmt: skip


def _account(record: AccountRecord) -> AccountState:
    named = dict(zip(ACCOUNT_FIELDS, record.figures, strict=True))
    return AccountState(
        account_number=record.account_number,
        product_code=record.product_code,
        currency=record.currency,
        sum_minor=named["sum_minor"],
        count=named["count"],
        last_on=day_of(named["last_on"]),
        loan_number=record.loan_number,
        ledger=record.ledger,
        entries=record.entries,
        watch=record.watch,
        closed_on=named["closed_on"],
    )


def day_of(number: int) -> date | None:
    """A day number as a date; 0 is none."""
    return date.fromordinal(number) if number > 0 else None
