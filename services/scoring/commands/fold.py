"""Folds `scoring.state` into tables: conflated per poll, set-based, the greater position wins.

A state record is the whole truth of its number as of a position in `bank.events` and a sequence of
its inputs; between two of the same place the later one in the log has seen more (a close).
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date

import msgspec
import numpy as np
from prometheus_client import Counter
from sqlalchemy import text

from services.scoring import absences, state, state_columns
from services.scoring.commands import (
    alerts,
    contribution,
    open_leaves,
    outflows,
    parties,
    pools,
    rolling,
    rule_sets,
    sharing,
)
from services.scoring.commands.copying import (
    BY_KEY,
    Texts,
    as_array,
    copy_columns,
    staged,
    texts_first,
)
from services.scoring.leaf_sql import columns, day_of
from services.scoring.rate import Rate
from services.scoring.rows import (
    ACCOUNT_FIELDS,
    CUSTOMER_FIELDS,
    KIND_CUSTOMER,
    KIND_PARTITION,
    KIND_RATE,
    RECORD_VERSION,
)
from shared.db import Tx
from shared.wire import Record

ROWS = Counter("guanxi_rows_folded_total", "Records of scoring.state folded, since the start")
CUSTOMERS = Counter(
    "guanxi_customers_folded_total",
    "Customers written from them: several records of one in a batch are one",
)

# What is told stands in two temporary tables, of the accounts in `told_accounts`.
ABSENCE = ("left_on", "back_on")
CUSTOMER_COLUMNS = (
    "customer_number", "partition", "state_offset",
    *(f"{name}_n" for name in (*CUSTOMER_FIELDS, *ABSENCE)),
)  # fmt: skip

# Else the joins are planned blind; only of what is joined or asked for: a tenth of the work.
ANALYZE = text(
    "analyze told_customers (customer_number), told_accounts (customer_number, has_ledger, count_n)"
)
CUSTOMERS_TOLD = texts_first(CUSTOMER_COLUMNS, 1)
_CUSTOMER_COUNT = CUSTOMER_FIELDS.index("count")
_LAST_AWAY = CUSTOMER_FIELDS.index("last_away")
_CLOSED_ON = ACCOUNT_FIELDS.index("closed_on")
CUSTOMER_HEAD = bytes((RECORD_VERSION, KIND_CUSTOMER))
DAYS = ("activity_on", "first_on", "last_on", "mean_on", "recovers_on", "silent_on", *ABSENCE)
FLAGS = ("outflow", "silence")
NAMES = {"offset": "position"}  # word -> column


def _value(word: str) -> str:
    if word in DAYS:
        return day_of(f"{word}_n")
    return f"{word}_n <> 0" if word in FLAGS else f"{word}_n"


_SET = [(NAMES.get(name, name), _value(name)) for name in (*CUSTOMER_FIELDS, *ABSENCE)
        if name != "last_away"]  # the worker's; `ABSENCE` has what it comes to
# Both are safe as merges: whoever writes a number's figures holds the number.
FOLD = text(
    f"""
    merge into customer_state c using told_customers t on c.customer_number = t.customer_number
     when matched and (c.position, c.input_sequence, c.state_offset)
                      < (t.offset_n, t.input_sequence_n, t.state_offset)
     then update set state_offset = t.state_offset,
                     {", ".join(f"{name} = {value}" for name, value in _SET)}
     when not matched
     then insert (customer_number, partition, state_offset, {", ".join(n for n, _ in _SET)})
          values (t.customer_number, t.partition, t.state_offset,
                  {", ".join(value for _, value in _SET)})
    returning t.customer_number,
              (old.first_on, old.left_on, old.back_on)
              is distinct from (new.first_on, new.left_on, new.back_on) as counts_anew,
              coalesce(old.state_offset = -1, false) as is_anew
    """  # noqa: S608 - names are ours
)
# Whose leaving or coming back these closes decide; `rolls` has those before them.
DECIDED = text(
    """
    select s.customer_number
      from unnest(cast(:partitions as int[]), cast(:days as date[])) as x(partition, closed_on)
      left join rolls r using (partition)
     cross join lateral (
       select customer_number from customer_state
        where partition = x.partition and left_on <= x.closed_on
          and left_on > coalesce(r.closed_on, date '0001-01-01')
       union all
       select customer_number from customer_state
        where partition = x.partition and back_on <= x.closed_on
          and back_on > coalesce(r.closed_on, date '0001-01-01')) s
    """
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
# Of a state that was made anew, an account may have nothing that it had before.
_ACCOUNT = ("customer_number", "account_number", "product_code", "currency")
_GONE = f"""
    delete from account_figures a using customer_state s
     where a.customer_number = any(cast(:anew as text[])) and s.customer_number = a.customer_number
       and not exists (select 1 from told_accounts t
                        where ({columns("t", _ACCOUNT)}) = ({columns("a", _ACCOUNT)})
                          and t.count_n > 0)
    returning s.partition, a.product_code, a.currency, -a.sum_minor as sum_minor,
              -a.count as count, -1 as is_new"""  # noqa: S608 - names are ours
# Accounts with a transaction: of loans and of those just opened only a ledger is kept. What they
# add up to is kept too: a bank's rows are too many to be added up for a page.
FOLD_ACCOUNTS = text(
    f"""
    with changed as (
    merge into account_figures a
    using (select * from told_accounts join unnest(cast(:won as text[])) as w(customer_number)
                  using (customer_number)  -- not any(:won): it is gone through row by row
            where count_n > 0) t
       on ({columns("a", _ACCOUNT)}) = ({columns("t", _ACCOUNT)})
     when matched and (a.sum_minor, a.count) is distinct from (t.sum_minor_n, t.count_n)
     then update set sum_minor = t.sum_minor_n, count = t.count_n, last_on = {day_of("t.last_on_n")}
     when not matched
     then insert (customer_number, account_number, product_code, currency, sum_minor, count,
                  last_on)
          values (t.customer_number, t.account_number, t.product_code, t.currency, t.sum_minor_n,
                  t.count_n, {day_of("t.last_on_n")})
    returning t.partition, new.product_code, new.currency,
              new.sum_minor - coalesce(old.sum_minor, 0) as sum_minor,
              new.count - coalesce(old.count, 0) as count,
              case when old.customer_number is null then 1 else 0 end as is_new),
    gone as ({_GONE})
    insert into folded_totals as f (partition, product_code, currency, sum_minor, count, accounts)
    select partition, product_code, currency, sum(sum_minor), sum(count), sum(is_new)
      from (select * from changed union all select * from gone) y
     group by 1, 2, 3 order by 1, 2, 3
    on conflict (partition, product_code, currency) do update
       set sum_minor = f.sum_minor + excluded.sum_minor, count = f.count + excluded.count,
           accounts = f.accounts + excluded.accounts
    """  # noqa: S608 - names are ours
)

def fold_state(tx: Tx, records: list[Record]) -> None:
    """Takes a poll's records. Raises UnreadableState: a half-read log would be silent loss."""
    newest, others = conflated(records)
    ROWS.inc(len(records))
    CUSTOMERS.inc(len(newest))
    partitions = _partitions(others)
    rule_sets.note_partitions(tx, partitions)
    decided = _decided(tx, partitions)
    rolling.note_closed(tx, partitions)
    rates = list(_rates(others))
    pools.note_taken(tx, rates)
    open_leaves.note_overdrafts(tx, rates)
    if not newest and not decided:
        return
    numbers = [(record.key or b"").decode() for record in newest]
    party_of = sharing.hold_numbers(tx, {*numbers, *decided})
    asked = _parties(party_of, decided)
    if not newest:
        parties.lock_parties(tx, asked)
        alerts.refresh(tx, alerts.with_signals(tx, asked))
        return
    told = state_columns.read([record.value or b"" for record in newest])
    _stage(tx, newest, told)
    accrues = bool(told.has_ledger.any())
    touched = open_leaves.keep_open_leaves(tx) if accrues else set()
    folded = tx.session.execute(FOLD).all()
    won = [row.customer_number for row in folded]
    anew = [row.customer_number for row in folded if row.is_anew]
    tx.session.execute(FOLD_ACCOUNTS, {"won": as_array(won), "anew": as_array(anew)})
    touched |= _parties(party_of, won)
    parties.lock_parties(tx, touched | asked)
    parties.recompute(tx, touched)
    if accrues:
        contribution.add_to_totals(tx)
    if partitions:  # these numbers may rest on the very days that were closed with them
        outflows.ask_anew(tx, touched)
    released = alerts.release(tx, won)
    away = _parties(party_of, (row.customer_number for row in folded if row.counts_anew))
    alerts.refresh(tx, _parties(party_of, released) | alerts.with_signals(tx, away | asked))


def _decided(tx: Tx, partitions: Iterable[state.PartitionState]) -> set[str]:
    """The numbers whose absences begin or end by days that are closed with this poll. What the poll
    itself says of a number is seen as it is folded."""
    closed = [(one.partition, date.fromordinal(one.watermark)) for one in partitions
              if one.watermark]  # fmt: skip
    if not closed:
        return set()
    told, days = zip(*closed, strict=True)
    asked = {"partitions": list(told), "days": list(days)}
    return set(tx.session.execute(DECIDED, asked).scalars())


def _parties(party_of: Mapping[str, str | None], numbers: Iterable[str]) -> set[str]:
    return {party for number in numbers if (party := party_of[number]) is not None}


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


def conflated(records: Iterable[Record]) -> tuple[list[Record], list[Record]]:
    """The last record of each customer, and those that are of no customer. Records stand in
    partition order; all but the last ones of a customer are never read."""
    newest: dict[bytes, Record] = {}
    others: list[Record] = []
    for record in records:
        key, value = record.key, record.value
        if key is None or value is None:
            continue  # spilled ids that are no longer needed
        if value[:2] != CUSTOMER_HEAD and state.kind_of(value) != KIND_CUSTOMER:
            others.append(record)  # the worker's own memory
            continue
        known = newest.get(key)
        if known is None or state.place_of(known.value or b"") <= state.place_of(value):
            newest[key] = record
    return list(newest.values()), others


def _partitions(records: Iterable[Record]) -> list[state.PartitionState]:
    """What the worker says of each partition; of each the last."""
    newest: dict[int, state.PartitionState] = {}
    for record in records:
        if record.value and state.kind_of(record.value) == KIND_PARTITION:
            found = state.unpack(record.key or b"", record.value)
            assert isinstance(found, state.PartitionState)
            newest[found.partition] = found
    return [one for _, one in sorted(newest.items())]


def _rates(records: Iterable[Record]) -> Iterator[tuple[int, Rate]]:
    """With the partitions that took them."""
    for record in records:
        if record.value and state.kind_of(record.value) == KIND_RATE:
            found = state.unpack(record.key or b"", record.value)
            assert isinstance(found, Rate)
            yield record.partition, found


def _stage(tx: Tx, records: Sequence[Record], told: state_columns.Columns) -> None:
    """What is told as two temporary tables; a customer who only opened an account has no score."""
    numbers = Texts.of([record.key or b"" for record in records])
    places = np.array([(record.partition, record.offset) for record in records], np.int64)
    scored = told.rows[:, _CUSTOMER_COUNT] > 0
    away = absences.of_accounts(
        told.owners, told.figures[:, _CLOSED_ON], told.rows[:, _LAST_AWAY]
    )
    staged(tx, "told_customers", CUSTOMERS_TOLD)
    copy_columns(
        tx, "told_customers", CUSTOMER_COLUMNS, [numbers.taken(scored)],
        np.column_stack((places, told.rows, away))[scored],
    )  # fmt: skip
    open_leaves.stage_accounts(tx, records, told, told.accrued)
    tx.session.execute(ANALYZE)
    tx.session.execute(BY_KEY)
