"""A partition from its records: what a worker that begins takes from the log of `scoring.state`.

Raises `state.UnreadableState` for the first record that cannot be read: half a recovery would be
silent loss.
"""

import struct
from collections.abc import Iterable, Sequence
from typing import Final, NoReturn

import numpy as np
from numpy.typing import NDArray

from services.scoring import applied_ids, kernel, state, unpacking
from services.scoring.interned import Interned, joined
from services.scoring.partition import Partition, Record
from services.scoring.rate import Rate
from services.scoring.rows import (
    ACCOUNT_WORDS,
    CUSTOMER_WORDS,
    KIND_CUSTOMER,
    KIND_RATE,
    KIND_SPILLED,
    RECORD_VERSION,
)
from services.scoring.unpacking import Found, Kinds

Ints = NDArray[np.int64]
_CUSTOMER: Final = bytes((RECORD_VERSION, KIND_CUSTOMER))


def restore(partition: Partition, records: Iterable[Record]) -> None:
    """Takes records in the order of the log; of one key the greatest place stays."""
    customers: list[tuple[bytes, bytes]] = []
    for key, value in records:
        if value is None:
            continue  # a spilled record whose days are closed
        if value.startswith(_CUSTOMER):
            customers.append((key, value))
        else:
            _restore_other(partition, key, value)
    if customers:
        _restore_customers(partition, *zip(*customers, strict=True))


def _restore_other(partition: Partition, key: bytes, value: bytes) -> None:
    kind = state.kind_of(value)
    found = state.unpack(key, value)
    if kind == KIND_SPILLED:
        assert isinstance(found, state.SpilledIds)
        _restore_spilled(partition, found)
    elif kind == KIND_RATE:
        assert isinstance(found, Rate)
        partition.books.rates.take(found)
    else:
        assert isinstance(found, state.PartitionState)
        if found.partition != partition.number:
            raise state.UnreadableState(f"{key!r} in partition {partition.number}")
        if found.offset >= partition.closes.offset:
            partition.closes = found


def _restore_spilled(partition: Partition, found: state.SpilledIds) -> None:
    row = partition.row(found.customer_number)
    partition.make_room(len(found.ids))
    for id_hash, day in reversed(found.ids):
        known = int(partition.counters[kernel.IDS])
        now = applied_ids.remember(
            partition.slots, partition.ids, partition.heads, row, id_hash, day, known
        )
        partition.counters[kernel.IDS] = now
        if now > known:
            applied_ids.unlink(partition.ids, partition.heads, known)
    latest = max((day for _, day in found.ids), default=0)
    others = [entry for entry in partition.spills.get(row, []) if entry[0] != found.number]
    partition.spills[row] = sorted([*others, (found.number, latest)])


def _restore_customers(
    partition: Partition, keys: Sequence[bytes], values: Sequence[bytes]
) -> None:
    numbers, number_ends = joined(keys)
    if (numbers >= 0x80).any():
        for key, value in zip(keys, values, strict=True):
            _look_at_texts(key, value)
    found, kinds, totals = _checked(partition, keys, values)
    books, watched = partition.books, partition.watched
    partition.make_room_for_customers(len(keys), len(numbers))
    partition.make_room_for_accounts(
        int(totals[unpacking.ACCOUNTS]), int(totals[unpacking.TEXT_WORDS])
    )
    books.make_room_for(int(totals[unpacking.ENTRIES]), int(totals[unpacking.GRADES]))
    partition.make_room(int(max(totals[unpacking.IDS], totals[unpacking.WAITING])))
    totals[unpacking.RECOVERED_TO] = partition.recovered_to
    taken = unpacking.take(
        found, numbers, number_ends, kinds, partition.numbers.texts, partition.account_rows(),
        partition.customers.view(np.int64).reshape(-1, CUSTOMER_WORDS),
        partition.accounts.view(np.int64).reshape(-1, ACCOUNT_WORDS), books.ledgers,
        books.book().tail, books.grades, watched.watch(), partition.heads, partition.slots,
        partition.ids, partition.counters, totals,
    )  # fmt: skip
    if taken < len(keys):
        raise state.UnreadableState(
            f"{keys[taken].decode()}: its features are not those that model {watched.plan.version}"
            " asks for: rebuild the state from bank.events"
        )
    partition.recovered_to = int(totals[unpacking.RECOVERED_TO])


def _checked(
    partition: Partition, keys: Sequence[bytes], values: Sequence[bytes]
) -> tuple[Found, Kinds, Ints]:
    """The records' words, the places of their accounts, and what their texts are here."""
    lengths = np.array([len(value) for value in values], np.int64)
    for i in np.flatnonzero(lengths % 8).tolist():
        _refuse(keys[i], values[i])
    words = np.frombuffer(bytearray(b"").join(values), np.int64)
    most = len(words) // unpacking.ACCOUNT_WORDS_MIN
    found = Found(
        words, words.view(np.uint8), np.cumsum(lengths // 8),
        np.empty((most, unpacking.FOUND_WORDS), np.int64), np.empty(len(values), np.int64),
    )  # fmt: skip
    products, currencies = Interned(), Interned()
    verdicts: Ints = np.empty(len(values), np.int64)
    totals: Ints = np.zeros(unpacking.TOTALS, np.int64)
    done = 0
    while (
        done := unpacking.check(done, found, products.texts, currencies.texts, verdicts, totals)
    ) < len(values):
        for texts in (products, currencies):
            texts.make_room(int(lengths[done]), int(lengths[done]))
    for i in np.flatnonzero(verdicts).tolist():
        _look_at_texts(keys[i], values[i])
        if verdicts[i] == unpacking.BAD:
            _refuse(keys[i], values[i])
    return found, _kinds(partition, products, currencies), totals


def _look_at_texts(key: bytes, value: bytes) -> None:
    """Letters beyond ASCII may be none at all."""
    try:
        key.decode()
        state.accounts_at(value)
    except (ValueError, IndexError, struct.error) as error:
        raise state.UnreadableState(f"{key!r}: {error}") from error


def _refuse(key: bytes, value: bytes) -> NoReturn:
    state.unpack(key, value)
    raise state.UnreadableState(f"{key!r}: {len(value)} bytes are not what its head says")


def _kinds(partition: Partition, products: Interned, currencies: Interned) -> Kinds:
    names = [products[n].decode() for n in range(len(products))]
    codes = [currencies[n].decode() for n in range(len(currencies))]
    return Kinds(
        np.array([partition.books.rates.index(name) for name in names], np.int64),
        np.array([partition.currency(code) for code in codes], np.int64),
        np.array(
            [[partition.set_of(name, code) for code in codes] for name in names], np.int64
        ).reshape(len(names), len(codes)),
    )
