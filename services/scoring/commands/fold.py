"""Folds `scoring.state` into tables: conflated per poll, set-based, the greater position wins.

A state record is the whole truth of its number as of a position in `bank.events` and a sequence of
its inputs; between two of the same place the later one in the log has seen more (a close).
"""

import struct
from collections.abc import Iterable, Iterator, Sequence

import msgspec
import numpy as np
from prometheus_client import Counter
from sqlalchemy import text

from services.scoring import state
from services.scoring.commands import alerts, open_leaves, parties, pools, rule_sets
from services.scoring.commands.copying import copy_lines, copy_rows, staged
from services.scoring.rate import Rate
from services.scoring.rows import (
    ACCOUNT_FIELDS,
    CUSTOMER_FIELDS,
    CUSTOMER_WORDS,
    KIND_CUSTOMER,
    KIND_RATE,
)
from shared.db import Tx
from shared.wire import Record

ROWS = Counter("guanxi_rows_folded_total", "Records of scoring.state folded, since the start")

_WORDS = ", ".join(f"{name}_n bigint" for name in CUSTOMER_FIELDS)
STAGED = f"customer_number text, partition int, state_offset bigint, {_WORDS}"
STAGED_COLUMNS = (
    "customer_number", "partition", "state_offset", *(f"{name}_n" for name in CUSTOMER_FIELDS),
)  # fmt: skip
STAGED_ACCOUNTS = (
    "customer_number text, account_number text, product_code text, currency text, "
    "sum_minor bigint, count bigint, last_on_n bigint"
)
ACCOUNT_COLUMNS = (
    "customer_number", "account_number", "product_code", "currency", "sum_minor", "count",
    "last_on_n",
)  # fmt: skip

_CUSTOMER_COUNT = CUSTOMER_FIELDS.index("count")
_COUNT = ACCOUNT_FIELDS.index("count")
DAYS = ("activity_on", "first_on", "last_on", "mean_on", "recovers_on", "silent_on")
FLAGS = ("outflow", "silence")
NAMES = {"offset": "position"}  # word -> column


def _day(word: str) -> str:
    """A day number as a date; 0 is none."""
    return f"case when {word} > 0 then date '0001-01-01' + cast({word} - 1 as integer) end"


def _value(word: str) -> str:
    if word in DAYS:
        return _day(f"{word}_n")
    return f"{word}_n <> 0" if word in FLAGS else f"{word}_n"


_COLUMNS = [NAMES.get(name, name) for name in CUSTOMER_FIELDS]
FRESHLY_ACTIVE = text(
    f"""
    select s.customer_number from folded_customers s
      left join customer_state c on c.customer_number = s.customer_number
     where c.first_on is distinct from {_day("s.first_on_n")}
    """  # noqa: S608 - names are ours
)
FOLD = text(
    f"""
    insert into customer_state (customer_number, partition, state_offset, {", ".join(_COLUMNS)})
    select customer_number, partition, state_offset,
           {", ".join(_value(name) for name in CUSTOMER_FIELDS)}
      from folded_customers order by customer_number
    on conflict (customer_number) do update
       set state_offset = excluded.state_offset,
           {", ".join(f"{name} = excluded.{name}" for name in _COLUMNS)}
     where (customer_state.position, customer_state.input_sequence, customer_state.state_offset)
           < (excluded.position, excluded.input_sequence, excluded.state_offset)
    returning customer_number
    """  # noqa: S608 - names are ours
)
KEEP_TOTALS = text(
    """
    insert into control_totals (partition, position, count, sums, watermark_on)
    values (:partition, :position, :count, cast(:sums as jsonb), :watermark_on)
    on conflict (partition) do update
       set position = excluded.position, count = excluded.count, sums = excluded.sums,
           watermark_on = excluded.watermark_on
     where control_totals.position <= excluded.position
    """
)
FOLD_ACCOUNTS = text(
    f"""
    insert into account_figures (customer_number, account_number, product_code, currency,
                                 sum_minor, count, last_on)
    select customer_number, account_number, product_code, currency, sum_minor, count,
           {_day("last_on_n")}
      from folded_accounts join unnest(cast(:won as text[])) as w(customer_number)
           using (customer_number)  -- a join: a prepared plan goes through an array row by row
     order by customer_number, account_number
    on conflict (customer_number, account_number, product_code, currency) do update
       set sum_minor = excluded.sum_minor, count = excluded.count, last_on = excluded.last_on
     where (account_figures.sum_minor, account_figures.count)
           is distinct from (excluded.sum_minor, excluded.count)
    """  # noqa: S608 - names are ours
)


def fold_state(tx: Tx, records: list[Record]) -> None:
    """Takes a poll's records. Raises UnreadableState: a half-read log would be silent loss."""
    rule_sets.note_partitions(tx, records)
    newest = conflated(records)
    ROWS.inc(len(records))
    pools.note_taken(tx, list(_rates(records)))
    if not newest:
        return
    open_leaves.keep_open_leaves(tx, newest)
    _stage(tx, newest)
    freshly_active = set(tx.session.execute(FRESHLY_ACTIVE).scalars())
    won = sorted(tx.session.execute(FOLD).scalars())
    if not won:
        return
    tx.session.execute(FOLD_ACCOUNTS, {"won": won})
    party_of = parties.hold_numbers(tx, won)
    touched = {party for party in party_of.values() if party is not None}
    parties.lock_parties(tx, touched)
    parties.recompute(tx, touched)
    released = alerts.release(tx, won)
    began = {p for n in freshly_active & set(won) if (p := party_of[n]) is not None}
    changed = {p for n in released if (p := party_of.get(n)) is not None}
    alerts.refresh(tx, changed | alerts.with_signals(tx, began))


class TotalsIn(msgspec.Struct, frozen=True):
    """What is read of a record of `scoring.totals`; `watermark` is a day number, 0: none."""

    partition: int
    position: int
    count: int
    sum_minor: dict[str, int]  # by currency
    watermark: int = 0


_totals_decoder = msgspec.json.Decoder(TotalsIn)


def keep_totals(tx: Tx, records: list[Record]) -> None:
    """Takes a poll of `scoring.totals`; of each partition the newest stays."""
    newest: dict[int, TotalsIn] = {}
    for record in records:
        totals = _totals_decoder.decode(record.value or b"")
        known = newest.get(totals.partition)
        if known is None or known.position <= totals.position:
            newest[totals.partition] = totals
    tx.session.execute(
        KEEP_TOTALS,
        [
            {
                "partition": t.partition,
                "position": t.position,
                "count": t.count,
                "sums": msgspec.json.encode({c: str(v) for c, v in t.sum_minor.items()}).decode(),
                "watermark_on": state.day_of(t.watermark),
            }
            for _, t in sorted(newest.items())
        ],
    )


def conflated(records: Sequence[Record]) -> list[Record]:
    """The last customer record of each key; records stand in partition order."""
    newest: dict[bytes, Record] = {}
    for record in records:
        if record.key is None or record.value is None:
            continue  # spilled ids that are no longer needed
        if state.kind_of(record.value) != KIND_CUSTOMER:
            continue  # the worker's own memory
        known = newest.get(record.key)
        if known is None or (state.place_of(known.value or b""), known.offset) < (
            state.place_of(record.value),
            record.offset,
        ):
            newest[record.key] = record
    return list(newest.values())


def _rates(records: Iterable[Record]) -> Iterator[Rate]:
    for record in records:
        if record.value and state.kind_of(record.value) == KIND_RATE:
            found = state.unpack(record.key or b"", record.value)
            assert isinstance(found, Rate)
            yield found


def _stage(tx: Tx, records: Sequence[Record]) -> None:
    """The records as two temporary tables, read without making an object of each."""
    begin, end = state.OFFSET_AT, state.OFFSET_AT + 8 * CUSTOMER_WORDS
    values = [record.value or b"" for record in records]
    if any(len(value) < end for value in values):
        raise state.UnreadableState("a customer's record is cut short")
    words = np.frombuffer(b"".join(v[begin:end] for v in values), "<i8")
    customers, accounts = [], []
    rows = words.reshape(-1, CUSTOMER_WORDS).tolist()
    for record, value, row in zip(records, values, rows, strict=True):
        if not row[_CUSTOMER_COUNT]:
            continue  # only opened an account: nothing to score yet
        number = (record.key or b"").decode()
        customers.append((number, record.partition, record.offset, *row))
        accounts += [
            (number, a.account_number, a.product_code, a.currency, *a.figures)
            for a in _accounts(number, value)
        ]
    staged(tx, "folded_customers", STAGED)
    staged(tx, "folded_accounts", STAGED_ACCOUNTS)
    lines = "".join(
        "\t".join((_escaped(number), *map(str, figures))) + "\n" for number, *figures in customers
    )
    copy_lines(tx, "folded_customers", STAGED_COLUMNS, lines.encode())
    copy_rows(tx, "folded_accounts", ACCOUNT_COLUMNS, accounts)


def _accounts(number: str, value: bytes) -> list[state.AccountRecord]:
    """Accounts with a transaction: of loans and of those just opened only a ledger is kept."""
    try:
        found = state.accounts_at(value)[0]
    except (ValueError, IndexError, struct.error) as error:
        raise state.UnreadableState(f"{number}: {error}") from error
    return [account for account in found if account.figures[_COUNT]]


def _escaped(value: str) -> str:
    return (
        value.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r")
    )
