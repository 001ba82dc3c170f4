"""Tells what parties' figures have become, conflated: `scoring.score_updated`.

When a party's turn comes is said by `parties.WAIT_FOR_TURN`. The relay asks for those whose turn it
is and has them made then, from one moment's tables: no row of the outbox, and nobody is held up.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec
import structlog
from sqlalchemy import text
from sqlalchemy.orm import Session

from services.scoring.commands import stakes
from services.scoring.commands.copying import BY_KEY, as_array
from services.scoring.queries.risks import Risk as Holding
from services.scoring.queries.risks import holding
from services.scoring.queries.rule_sets import live_version
from services.scoring.settings import home_currency
from shared.clock import business_date
from shared.db import Database, Tx
from shared.events import envelope
from shared.events.envelope import Event
from shared.events.scoring import Contribution, Risk, ScoreUpdated, Term
from shared.money import MINOR_MAX
from shared.outbox import Telling, source_of

log = structlog.get_logger()
_ppm_decoder = msgspec.json.Decoder(dict[str, int])

DUE = text("select exists (select 1 from scores_waiting where due_at <= :wall_now)")
# Whose open alerts may have another margin by now. Who is being folded is told again anyway.
WITH_ALERTS = text(
    """
    select f.party_id from scores_waiting w join party_figures f using (party_id)
     where w.due_at <= :wall_now
       and exists (select 1 from alerts a
                    where a.party_id = w.party_id and a.valid and a.ended_at is null)
     order by w.due_at limit :limit for update of f skip locked
    """
)
FIGURES = text(
    """
    select f.party_id, f.version, w.version as version_in_line, f.figures_at, f.sum_minor,
           f.count as transactions, f.customer_count, f.mean_minor,
           cast(f.risk_ppm as text) as risk_ppm,
           f.margin_at_risk_minor, f.posted_minor, f.accrued_minor, f.last_12_months_minor,
           f.published_at is not null as is_heard_of,
           f.numbers > 0 or f.published_at is not null as has_hearers
      from scores_waiting w join party_figures f using (party_id)
     where w.due_at <= :wall_now order by w.due_at limit :limit
    """
)
POSITIONS = text(
    """
    select n.party_id, n.customer_number, s.position
      from numbers n left join customer_state s on s.customer_number = n.customer_number
     where n.party_id = any(cast(:parties as text[])) order by n.customer_number
    """
)
COMPONENTS = text(
    """
    select n.party_id, c.component, sum(c.posted_minor) as minor
      from numbers n join customer_components c using (customer_number)
     where n.party_id = any(cast(:parties as text[]))
     group by n.party_id, c.component order by c.component
    """
)
# Before anybody hears of them: from now on they are told when nothing is left of them.
HEARD_OF = text(
    """
    with held as materialized (
      select party_id from party_figures
       where party_id = any(cast(:parties as text[])) order by party_id for update)
    update party_figures f set published_at = :wall_now
      from held h where f.party_id = h.party_id and f.published_at is null
    """
)
# Whoever changes a party's figures writes their version into the line in the same transaction: so
# the version seen here, with the row held, is the last, and who writes after us finds the party out
# of the line.
TOLD = text(
    """
    with held as materialized (
      select w.party_id, w.version = x.version as whole
        from unnest(cast(:parties as text[]), cast(:versions as bigint[]))
             as x(party_id, version)
        join scores_waiting w using (party_id)
       order by w.party_id for update of w),
    again as (
      update scores_waiting w set due_at = cast(:wall_now as timestamptz) + interval '250 ms'
        from held h where w.party_id = h.party_id and not h.whole)
    delete from scores_waiting w using held h where w.party_id = h.party_id and h.whole
    """
)


class ScoresLine:
    """The line of `score.updates`: see `shared.outbox.Line`."""

    def take(self, database: Database, limit: int) -> list[Telling]:
        asked = {"wall_now": database.clock.wall_now(), "limit": limit}
        with database.transaction() as tx:
            if not tx.session.execute(DUE, asked).scalar_one():
                return []
            tx.session.execute(BY_KEY)
            with_alerts = list(tx.session.execute(WITH_ALERTS, asked).scalars())
            if with_alerts:
                stakes.follow(tx, with_alerts)
        with database.read() as session:
            session.execute(BY_KEY)
            rows = session.execute(FIGURES, asked).all()
            made = list(_tellings(database, session, rows))
        left_out = {row.party_id: row.version_in_line for row in rows}
        for one in made:
            del left_out[one.key]
        new = [row.party_id for row in rows
               if not row.is_heard_of and row.party_id not in left_out]  # fmt: skip
        if left_out or new:
            with database.transaction() as tx:
                # Rows of parties before those of the line: as whoever changes a party takes them.
                if new:
                    heard = {"parties": as_array(new), "wall_now": tx.wall_now}
                    tx.session.execute(HEARD_OF, heard)
                if left_out:
                    _take_out(tx, left_out)
        return made

    def told(self, tx: Tx, reported: list[Telling]) -> None:
        _take_out(tx, {one.key: one.version for one in reported})


def _take_out(tx: Tx, versions: Mapping[str, int]) -> None:
    tx.session.execute(BY_KEY)
    ordered = sorted(versions)  # as `as_array` has them
    asked = {
        "parties": as_array(ordered),
        "versions": f"{{{','.join(str(versions[one]) for one in ordered)}}}",
        "wall_now": tx.wall_now,
    }
    tx.session.execute(TOLD, asked)


def _tellings(database: Database, session: Session, rows: Sequence[Any]) -> Iterator[Telling]:
    """Not of a party that lost its numbers before anybody heard of it, nor where no event may carry
    its sums."""
    rows = [row for row in rows if row.has_hearers]
    if not rows:
        return
    parties = [row.party_id for row in rows]
    asked = {"parties": as_array(parties)}
    version = live_version(session)
    numbers: defaultdict[str, dict[str, int | None]] = defaultdict(dict)
    for party_id, number, position in session.execute(POSITIONS, asked).all():
        numbers[party_id][number] = position
    components: defaultdict[str, dict[str, int]] = defaultdict(dict)
    for party_id, component, minor in session.execute(COMPONENTS, asked).all():
        components[party_id][component] = int(minor)
    risks = holding(session, parties)
    by_rule = {told: _ppm_decoder.decode(told) for told in {row.risk_ppm for row in rows}}
    for row in rows:
        of, ppm = row.party_id, by_rule[row.risk_ppm]
        fact = score_of(
            row, ppm, components[of], numbers[of], risks=risks.get(of, ()), version=version
        )
        if fact is not None:
            payload = envelope.encode(_event(database, row, fact))
            yield Telling(ScoreUpdated.TOPIC, of, payload, row.version_in_line)


def _event(database: Database, row: Any, fact: ScoreUpdated) -> Event[ScoreUpdated]:
    """All of it follows from the row's version, so that a second telling has the same bytes."""
    event_id = f"{ScoreUpdated.TOPIC}:{row.party_id}:{row.version}"
    changed_at = row.figures_at
    return envelope.wrap(
        fact,
        id=event_id,
        source=source_of(database.settings.service),
        time=changed_at,
        businessdate=business_date(changed_at, database.clock.zone),
        correlationid=event_id,
    )


def score_of(
    row: Any, risk_ppm: dict[str, int], components: dict[str, int],
    positions: dict[str, int | None], *, risks: Sequence[Holding], version: str,
) -> ScoreUpdated | None:  # fmt: skip
    """The fact of one party; none for sums that no event may carry (2**53), with an alarm."""
    sum_minor, mean_minor = int(row.sum_minor), int(row.mean_minor)
    margin = int(row.margin_at_risk_minor)
    earned = (int(row.posted_minor), int(row.accrued_minor), int(row.last_12_months_minor))
    if max(map(abs, (sum_minor, mean_minor, margin, *earned, *components.values()))) > MINOR_MAX:
        log.error("score_beyond_range", party_id=row.party_id)
        return None
    posted, accrued, lately = earned
    return ScoreUpdated(
        party_id=row.party_id,
        customer_numbers=tuple(positions),
        contribution=Contribution(
            currency=home_currency(),
            posted_minor=posted,
            accrued_minor=accrued,
            by_component=components,
            last_12_months_minor=lately,
        ),
        model_version="+".join(sorted({version, *(one.model_version for one in risks)})),
        risk_ppm=risk_ppm,
        risks=tuple(_told(one) for one in risks),
        figures={
            "net_transactions_minor": sum_minor,
            "transactions": row.transactions,
            "customer_transactions": row.customer_count,
            "mean_balance_minor": mean_minor,
            "margin_at_risk_minor": margin,
        },
        positions={n: at for n, at in positions.items() if at is not None and at >= 0},
    )


def _told(one: Holding) -> Risk:
    return Risk(
        rule=one.rule,
        customer_number=one.customer_number,
        account_number=one.account_number or None,
        product_code=one.product_code or None,
        at=one.at,
        risk_ppm=one.risk_ppm,
        terms=tuple(Term(code=code, value=value) for code, value in one.terms.items()),
        model_version=one.model_version,
    )
