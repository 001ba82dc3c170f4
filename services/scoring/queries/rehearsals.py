"""What a rehearsal reads: the worker's refusals, stored events by customer, its own signals."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from services.scoring.absences import Away
from services.scoring.queries import outflows
from services.scoring.queries.outflows import Moves
from services.scoring.rules.episodes import Crossing

EVENTS_PAGE = 20_000
PARTIES_PAGE = 500
REFUSED = text(
    """
    select event_offset from worker_letters
     where topic = 'bank.events' and partition = :partition and state <> 'replayed'
    """
)
EVENTS = text(
    """
    select customer_number, event_offset, source, event_id, type, account_number, product_code,
           kind, initiated_by, businessdate, amount_minor
      from bank_events
     where (customer_number, event_offset) > (:customer, :at) and type = any(:types)
       and (currency is null or currency = :currency)
     order by customer_number, event_offset limit :rows
    """
)
SIGNALS = text(
    """
    select proposed, customer_number, account_number, product_code, rule, kind, carried, on_date,
           episode
      from rehearsed_signals
     where rehearsal_id = :rehearsal and customer_number = any(:numbers)
    """
)
PARTIES = text(
    """
    select distinct coalesce(n.party_id, s.customer_number) as party_id
      from rehearsed_signals s left join numbers n on n.customer_number = s.customer_number
     where s.rehearsal_id = :rehearsal
    union
    select party_id from alerts where valid and at >= :begin
    union
    select party_id from party_figures where numbers > 1
     order by 1
    """
)
OF_PARTIES = text(
    """
    select coalesce(n.party_id, s.customer_number) as party_id, s.proposed, s.id, s.rule, s.kind,
           s.carried, s.at, s.episode, s.customer_number, s.account_number, s.product_code
      from rehearsed_signals s left join numbers n on n.customer_number = s.customer_number
     where s.rehearsal_id = :rehearsal
       and s.customer_number in (
         select customer_number from numbers where party_id = any(:parties)
         union select unnest(cast(:parties as text[])))
    """
)
NUMBERS = text(
    """
    select n.party_id, n.customer_number, n.manager_code, c.first_on, c.left_on, c.back_on
      from numbers n left join customer_state c on c.customer_number = n.customer_number
     where n.party_id = any(:parties) order by n.customer_number
    """
)
# As `rule_precision` counts them: what staff found at the end of the work on an alert.
VERDICTS = text(
    """
    select a.party_id, a.rule, a.at,
           coalesce(bool_or(p.outcome_code in ('kept', 'recovering', 'lost')), false) as confirmed
      from alerts a
      join process_alerts x on x.alert_id = a.alert_id
      join processes p on p.process_instance_id = x.process_instance_id
     where a.valid and a.party_id = any(:parties) and a.at >= :begin
       and p.outcome_code in ('kept', 'recovering', 'lost', 'false_alarm')
     group by a.alert_id
    """
)
Reading = Callable[[], AbstractContextManager[Session]]


@dataclass(frozen=True, slots=True)
class Party:
    """One party of a rehearsal: crossings by (proposed, rule), and which of them were carried."""

    party_id: str
    manager_code: str
    active_from: Mapping[str, date | None]
    away: Mapping[str, Away]
    crossings: Mapping[tuple[bool, str], list[Crossing]]
    carried: frozenset[str]
    verdicts: Sequence[Any]
    moves: Moves  # of a party of several numbers


def refused(session: Session, partition: int) -> set[int]:
    """Places that the worker refused and that no replay has settled: they have no figure."""
    return set(session.execute(REFUSED, {"partition": partition}).scalars())


def events_by_customer(
    reading: Reading, types: Sequence[str], currency: str
) -> Iterator[tuple[str, list[Any]]]:
    """Each customer with all his events, page by page: no more than a page and one customer are in
    memory."""
    customer, at, own = "", -1, list[Any]()
    while True:
        with reading() as session:
            asked = {"customer": customer, "at": at, "types": list(types), "currency": currency,
                     "rows": EVENTS_PAGE}  # fmt: skip
            page = session.execute(EVENTS, asked).all()
        for row in page:
            if own and row.customer_number != own[0].customer_number:
                yield own[0].customer_number, own
                own = []
            own.append(row)
        if len(page) < EVENTS_PAGE:
            break
        customer, at = page[-1].customer_number, page[-1].event_offset
    if own:
        yield own[0].customer_number, own


def signals_of(session: Session, rehearsal: int, numbers: Sequence[str]) -> list[Any]:
    return list(session.execute(SIGNALS, {"rehearsal": rehearsal, "numbers": list(numbers)}))


def parties(reading: Reading, rehearsal: int, begin: datetime) -> Iterator[Party]:
    """All parties with a signal on either side, or with an alert that staff gave a verdict on, and
    those of several numbers, whose sums may fall without one."""
    with reading() as session:
        asked = {"rehearsal": rehearsal, "begin": begin}
        every = list(session.execute(PARTIES, asked).scalars())
    for n in range(0, len(every), PARTIES_PAGE):
        page = every[n : n + PARTIES_PAGE]
        with reading() as session:
            yield from _page(session, rehearsal, page, begin)


def _page(
    session: Session, rehearsal: int, page: list[str], begin: datetime
) -> Iterator[Party]:
    signals: dict[str, list[Any]] = {p: [] for p in page}
    for row in session.execute(OF_PARTIES, {"rehearsal": rehearsal, "parties": page}):
        if row.party_id in signals:
            signals[row.party_id].append(row)
    numbers: dict[str, list[Any]] = {p: [] for p in page}
    for row in session.execute(NUMBERS, {"parties": page}):
        numbers[row.party_id].append(row)
    verdicts: dict[str, list[Any]] = {p: [] for p in page}
    for row in session.execute(VERDICTS, {"parties": page, "begin": begin}):
        verdicts[row.party_id].append(row)
    moves = outflows.moves_of(session, [p for p in page if len(numbers[p]) > 1])
    for party in page:
        crossings: dict[tuple[bool, str], list[Crossing]] = {}
        for s in signals[party]:
            crossings.setdefault((s.proposed, s.rule), []).append(
                Crossing(s.id, s.customer_number, s.kind, s.at, s.episode, s.account_number,
                         s.product_code)
            )
        own = numbers[party]
        yield Party(
            party_id=party,
            manager_code=next((n.manager_code for n in own if n.manager_code), ""),
            active_from={n.customer_number: n.first_on for n in own} or {party: None},
            away={n.customer_number: (n.left_on, n.back_on) for n in own if n.left_on},
            crossings=crossings,
            carried=frozenset(s.id for s in signals[party] if s.carried),
            verdicts=verdicts[party],
            moves=moves.get(party, []),
        )
