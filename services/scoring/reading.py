"""A batch of `bank.events` as columns: what the scanner takes at once, the rest one by one.

Taken at once is a transaction from a source, with a product, currency and channel that are known,
on a day that counts, with its price. All else goes the way of `columns.add`: whatever that finds
out about an event never depends on those of known customers and accounts, for nothing known is ever
changed by a later event. Those that bring a customer or an account keep their order with it.
"""

from array import array
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.scoring import account_rows, beginning, bookings, id_hash, scanning, uses
from services.scoring.columns import EARLIEST_DAY, FORWARD_DAYS, Columns, Context, Words, add
from services.scoring.partition import Partition
from services.scoring.records import (
    KEY,
    KEY_END,
    OFFSET,
    Delivered,
    Records,
    laid_out,
)
from services.scoring.rows import BY_CUSTOMER, HOME_CURRENCY, IN_LEDGER
from services.scoring.scanning import (
    ACCOUNT,
    AMOUNT,
    CHANNEL,
    CURRENCY,
    CUSTOMER,
    DAY,
    HOT,
    ID,
    ID_END,
    INITIATOR,
    KIND,
    KINDS,
    NONE,
    PRODUCT,
    SOURCE,
    TIME,
    VALUE_DAY,
)
from services.scoring.scores.contribution.rates import NEVER

Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]
_FIRST = 100  # events of a worker's first batch tell most words that follow
_ACTIONS = np.array([uses.ACTIONS.get(kind, uses.UNUSED[0]) for kind in KINDS], np.int64)


class Scanned:
    """The events of a batch as the scanner found them; `places` are those taken at once, of which
    the `fresh` bring a customer or an account."""

    def __init__(self, partition: Partition, records: Records) -> None:
        self.records = records
        places, text = records.places, records.letters()
        self.offsets = places[:, OFFSET]
        self.words = partition.words()
        self.found = np.empty((len(records), scanning.FOUND_WORDS), np.int64)
        open_objects = np.empty((scanning.LEVELS, 2), np.int64)
        scanning.scan(text, places, self.words.vocabulary, open_objects, self.found)
        self.rows = partition.numbers.find_all(text, places, KEY)
        self.accounts = np.empty(len(records), np.int64)
        account_rows.of_numbers(partition.account_rows(), text, self.found, ACCOUNT, self.accounts)
        self.uses = np.tile(np.array(uses.UNUSED, np.int64), (len(records), 1))
        self.is_priced = np.zeros(len(records), np.bool_)
        self.places = self.fresh = np.zeros(0, np.int64)

    def id_of(self, i: int) -> str:
        begin, end = self.found[i, ID], self.found[i, ID_END]
        return self.records.text[begin:end].decode()

    def source_of(self, i: int) -> str:
        return self.words.sources[int(self.found[i, SOURCE])]

    def choose(self, context: Context, partition: Partition, held: frozenset[int]) -> None:
        """Settles which events are taken at once."""
        found, accounts = self.found, self.accounts
        days = found[:, DAY]
        active_from = np.array(
            [context.sources[name].active_from if name in context.sources else 0
             for name in self.words.sources] or [0], np.int64,
        )  # fmt: skip
        taken = (
            (found[:, HOT] == 1)
            & (days >= EARLIEST_DAY) & (days <= context.latest_day)
            & (days >= active_from[found[:, SOURCE]])
            & (found[:, VALUE_DAY] <= days + FORWARD_DAYS)  # none told: 0
            & (found[:, TIME] < context.future_begins().timestamp())
        )  # fmt: skip
        if held:
            taken &= ~np.isin(self.offsets, list(held))
        if partition.books.rates.active:
            taken &= self._price(partition, taken, partition.currencies.get(context.currency, NONE))
        is_known = (
            (self.rows >= 0) & (accounts >= 0)
            & (partition.books.owners[accounts, account_rows.ROW] == self.rows)
            & (partition.books.owners[accounts, account_rows.PRODUCT] == found[:, PRODUCT])
            & (partition.currency_of[accounts] == found[:, CURRENCY])
        )  # fmt: skip
        strangers = np.flatnonzero(taken & (self.rows < 0))
        if len(strangers):
            taken[strangers] = self._partitions(strangers, context.partitions) == partition.number
        self.places = np.flatnonzero(taken)
        self.fresh = np.flatnonzero(taken & ~is_known)

    def _partitions(self, chosen: Ints, partitions: int) -> Ints:
        of_each: Ints = np.empty(len(chosen), np.int64)
        records = self.records
        beginning.partitions_of(records.letters(), records.places, chosen, partitions, of_each)
        return of_each

    def begin(self, partition: Partition, chosen: Ints) -> None:
        """The customers and accounts of so many fresh events."""
        places, words = self.records.places, self.words
        letters = int((places[chosen, KEY_END] - places[chosen, KEY]).sum())
        partition.make_room_for_customers(len(chosen), letters)
        partition.make_room_for_accounts(len(chosen), len(chosen) * beginning.TEXT_WORDS_MAX)
        known = len(partition.account_keys)
        laid_out: Ints = np.empty(beginning.TEXT_WORDS_MAX, np.int64)
        beginning.begin_all(
            self.records.letters(), places, self.found, chosen, words.vocabulary,
            partition.watches(words.products), partition.customer_rows(),
            partition.account_rows(), laid_out, laid_out.view(np.uint8), self.rows, self.accounts,
        )  # fmt: skip
        begun = chosen[self.accounts[chosen] >= known][::-1]  # of one account, the first stays
        partition.begun[self.accounts[begun]] = self.offsets[begun]

    def _price(self, partition: Partition, taken: Flags, home: int) -> Flags:
        """What each is to the ledgers; False: it has to wait for its price."""
        found, rates = self.found, partition.books.rates
        width = len(self.words.channels) + 1
        codes = (found[:, PRODUCT] * len(KINDS) + found[:, KIND]) * width + found[:, CHANNEL] + 1
        drivers, covered = np.empty_like(codes), np.full_like(codes, NEVER)
        chosen = codes[taken]
        counts = np.bincount(chosen)  # there are few: sorting them took longer
        prices: Ints = np.empty((len(counts), 2), np.int64)
        for code in np.flatnonzero(counts).tolist():
            prices[code] = rates.use(
                self.words.products[code // width // len(KINDS)], KINDS[code // width % len(KINDS)],
                self.words.channels[code % width - 1] if code % width else None,
            )  # fmt: skip
        drivers[taken], covered[taken] = prices[chosen].T
        days, value_days = found[:, DAY], found[:, VALUE_DAY]
        value_days = np.where(value_days > 0, value_days, days)
        self.is_priced = found[:, CURRENCY] == home
        used = np.stack((_ACTIONS[found[:, KIND]], value_days, drivers, np.full_like(days, -1)), 1)
        self.uses[:] = np.where(self.is_priced[:, None], used, np.array(uses.UNUSED))
        result: Flags = ~self.is_priced | (np.minimum(days, value_days) >= covered)
        return result

    def flags(self, chosen: Ints, home: int) -> Ints:
        """Of those taken at once, of which `chosen` has what was found."""
        flags: Ints = (
            BY_CUSTOMER * (chosen[:, INITIATOR] == CUSTOMER)
            + HOME_CURRENCY * (chosen[:, CURRENCY] == home)
            + IN_LEDGER * self.is_priced[self.places]
        )
        return flags

    def hashes(self, chosen: Ints) -> NDArray[np.uint64]:
        hashes = np.empty(len(chosen), np.uint64)
        whole = np.empty(id_hash.BYTES_MAX, np.uint8)
        id_hash.hashes(self.records.letters(), chosen, *self.words.prefixes, whole, hashes)
        return hashes


def read(context: Context, partition: Partition, delivered: Sequence[Delivered]) -> Columns:
    """The columns of a batch in partition order. Never raises for what a record holds."""
    held = partition.closes.refused()
    out = Columns()
    if not delivered:
        return out
    records = laid_out(delivered)
    if not partition.sources:  # the scanner knows no words yet: it would refuse all of them
        add(out, context, partition, [*records[:_FIRST]], held)
        records = records[_FIRST:]
        if not len(records):
            return out
    scanned = Scanned(partition, records)
    scanned.choose(context, partition, held)
    for is_fresh, run in _runs(scanned):
        if is_fresh:
            scanned.begin(partition, run)
        else:
            add(out, context, partition, [records[i] for i in run.tolist()], held)
    return _together(out, scanned, context, partition) if len(scanned.places) else out


def _runs(scanned: Scanned) -> Iterator[tuple[bool, Ints]]:
    """The events whose order matters, and whether they are fresh: else they are not taken at
    once."""
    is_fresh = np.zeros(len(scanned.records), np.bool_)
    is_fresh[scanned.fresh] = True
    is_other = np.ones(len(scanned.records), np.bool_)
    is_other[scanned.places] = False
    in_order = np.flatnonzero(is_fresh | is_other)
    kinds = is_fresh[in_order]
    for run in np.split(in_order, np.flatnonzero(kinds[1:] != kinds[:-1]) + 1):
        if len(run):
            yield bool(is_fresh[run[0]]), run


def _together(out: Columns, scanned: Scanned, context: Context, partition: Partition) -> Columns:
    """Both in the order of their offsets; mostly all were taken at once."""
    places, found = scanned.places, scanned.found[scanned.places]
    is_mixed = len(out.rows) > 0
    if is_mixed:
        order = np.argsort(np.concatenate((out.offsets, scanned.offsets[places])), kind="stable")

    def both(odd: Words, hot: NDArray[Any]) -> Words:
        if not is_mixed:
            return array(odd.typecode, hot.tobytes())
        width = len(hot) // len(places)
        joined = np.concatenate((np.asarray(odd, hot.dtype), hot)).reshape(-1, width)
        return array(odd.typecode, joined[order].tobytes())

    watches = bool(partition.watched.plan.products)
    kinds = bookings.flags_of_scanned(found) if watches else np.zeros_like(places)
    home = partition.currencies.get(context.currency, NONE)
    merged = Columns(
        rows=both(out.rows, scanned.rows[places]),
        accounts=both(out.accounts, scanned.accounts[places]),
        amounts=both(out.amounts, found[:, AMOUNT]),
        days=both(out.days, found[:, DAY]),
        offsets=both(out.offsets, scanned.offsets[places]),
        flags=both(out.flags, scanned.flags(found, home)),
        hashes=both(out.hashes, scanned.hashes(found)),
        uses=both(out.uses, scanned.uses[places].reshape(-1)),
        kinds=both(out.kinds, kinds),
        ids=out.ids, sources=out.sources, times=out.times, closes=out.closes,
        refused=out.refused, waiting=out.waiting, ignored=out.ignored,
        scanned=scanned,
        origins=both(array("q", range(len(out.rows))), ~places),
    )  # fmt: skip
    for close in merged.closes:
        close.before = int(np.searchsorted(merged.offsets, close.offset))
    return merged
