"""Signals of numbers turned into alerts of parties; the difference is told to the others."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Literal

import msgspec
import structlog
from sqlalchemy import select, text
from sqlalchemy.dialects.postgresql import insert as upsert

from services.scoring.commands import causes, outcomes, parties, stakes
from services.scoring.commands.copying import as_array
from services.scoring.queries import alerts as queries
from services.scoring.rules import episodes, recovery, stake, wording
from services.scoring.rules.episodes import Crossing, Episode, Known
from services.scoring.rules.recovery import Outcomes
from services.scoring.rules.stake import Evidence
from services.scoring.rules.wording_of_use import advice_of
from services.scoring.settings import home_currency
from services.scoring.tables import AlertRow, CustomerStateRow, NumberRow, SignalRow
from shared import outbox
from shared.clock import business_date
from shared.db import Message, Tx
from shared.events.scoring import AlertCleared, AlertRaised, Term
from shared.money import MINOR_MAX
from shared.wire import Record

log = structlog.get_logger()


class PlaceIn(msgspec.Struct, frozen=True):
    """The record of `bank.events` that moved the rule."""

    partition: int
    offset: int
    moved: dict[str, int] = {}


class SignalIn(msgspec.Struct, frozen=True):
    """What is read of a record of `scoring.signals`; `score` is the rule's risk in ppm."""

    id: str
    customer_number: str
    rule: str
    kind: Literal["raised", "cleared"]
    at: datetime
    on: date
    episode: int
    score: int
    terms: dict[str, Any]
    model_version: str
    events: tuple[str, ...] = ()
    account_number: str = ""
    position: PlaceIn | None = None


_decoder = msgspec.json.Decoder(SignalIn)
KEEP = upsert(SignalRow).on_conflict_do_nothing()

# A signal counts once the state that raised it has been folded: what is at stake is then known.
RELEASE = text(
    """
    update signals g set pending = false from customer_state s
     where g.customer_number = any(cast(:numbers as text[])) and g.pending
       and s.customer_number = g.customer_number
       and case g.rule
             when 'silence' then s.silence_episode > g.episode
               or (s.silence_episode = g.episode and (g.kind = 'raised' or not s.silence))
             when 'outflow' then s.outflow_episode > g.episode
               or (s.outflow_episode = g.episode and (g.kind = 'raised' or not s.outflow))
             else s.position >= coalesce(g.event_offset, 0) end
    returning g.customer_number
    """
)
WITH_SIGNALS = text(
    """
    select n.party_id from numbers n
     where n.party_id = any(cast(:parties as text[]))
       and exists (select 1 from signals g where g.customer_number = n.customer_number)
    """
)
WITH_SIGNALS_OR_ALERTS = text(
    """
    select n.party_id from numbers n
     where n.party_id = any(:parties)
       and exists (select 1 from signals g where g.customer_number = n.customer_number)
    union select a.party_id from alerts a where a.party_id = any(:parties)
    """
)
LINE_OF = text(
    """
    select p.line_code from account_figures f join products p on p.product_code = f.product_code
     where f.customer_number = :number and f.account_number = :account
     order by f.product_code limit 1
    """
)


@dataclass
class _Party:
    """What is known of one party while its alerts are compared."""

    party_id: str
    contribution_minor: int = 0  # of twelve months, with what is not posted yet
    at_stake_minor: int = 0
    active_from: dict[str, datetime | None] = field(default_factory=dict)
    signals: dict[str, list[SignalRow]] = field(default_factory=lambda: defaultdict(list))
    alerts: dict[str, list[AlertRow]] = field(default_factory=lambda: defaultdict(list))


def keep_signals(tx: Tx, records: list[Record]) -> None:
    """Takes a poll of `scoring.signals`; the same signal again changes nothing."""
    rows = []
    for record in records:
        signal = _decoder.decode(record.value or b"")
        rows.append(
            {
                "id": signal.id,
                "customer_number": signal.customer_number,
                "rule": signal.rule,
                "kind": signal.kind,
                "at": signal.at,
                "on_date": signal.on,
                "episode": signal.episode,
                "score_ppm": signal.score,
                "terms": signal.terms,
                "event_ids": list(signal.events),
                "model_version": signal.model_version,
                "pending": True,
                "partition": signal.position.partition if signal.position else None,
                "event_offset": signal.position.offset if signal.position else None,
                "account_number": signal.account_number,
                "moved": signal.position.moved if signal.position else {},
            }
        )
    tx.session.execute(KEEP, rows)
    party_of = parties.hold_numbers(tx, {str(row["customer_number"]) for row in rows})
    touched = {party for party in party_of.values() if party is not None}
    parties.lock_parties(tx, touched)
    released = release(tx, party_of)
    refresh(tx, {p for n in released if (p := party_of[n]) is not None})


def release(tx: Tx, numbers: Iterable[str]) -> set[str]:
    """Signals of these numbers whose state is here now. Returns the numbers that had some."""
    return set(tx.session.execute(RELEASE, {"numbers": as_array(numbers)}).scalars())


def with_signals(tx: Tx, party_ids: Collection[str]) -> set[str]:
    """Those parties that have a signal at all: only they can have an episode."""
    if not party_ids:
        return set()
    return set(tx.session.execute(WITH_SIGNALS, {"parties": as_array(party_ids)}).scalars())


def refresh_joined(tx: Tx, told: Mapping[str, Message]) -> None:
    """Numbers came to these locked parties or left them; an alert belongs to who said so."""
    found = tx.session.execute(WITH_SIGNALS_OR_ALERTS, {"parties": sorted(told)}).scalars()
    for party_id in sorted(found):
        tx.message = told[party_id]
        refresh(tx, {party_id})
    tx.message = None


def refresh(tx: Tx, party_ids: Collection[str]) -> None:
    """Makes the alerts of these locked parties what their signals say; tells the difference."""
    if not party_ids:
        return
    judged = outcomes.outcomes_by_rule(tx)
    for party in _load(tx, sorted(party_ids)):
        for rule in sorted({*party.signals, *party.alerts}):
            _compare(tx, party, rule, judged)
    tx.session.flush()
    stakes.sum_up(tx, party_ids)


def _load(tx: Tx, party_ids: list[str]) -> list[_Party]:
    found = {party_id: _Party(party_id) for party_id in party_ids}
    for party_id, (contribution_minor, at_stake_minor) in stakes.of_parties(tx, party_ids).items():
        party = found[party_id]
        party.contribution_minor, party.at_stake_minor = contribution_minor, at_stake_minor
    for of, number, first_on in tx.session.execute(
        select(NumberRow.party_id, NumberRow.customer_number, CustomerStateRow.first_on)
        .outerjoin(CustomerStateRow, CustomerStateRow.customer_number == NumberRow.customer_number)
        .where(NumberRow.party_id.in_(party_ids))
    ):
        found[of or ""].active_from[number] = parties.midnight(first_on, tx)
    for of, signal in tx.session.execute(
        select(NumberRow.party_id, SignalRow)
        .join(SignalRow, SignalRow.customer_number == NumberRow.customer_number)
        .where(NumberRow.party_id.in_(party_ids), ~SignalRow.pending)
        .execution_options(populate_existing=True)
    ):
        found[of or ""].signals[signal.rule].append(signal)
    for alert in tx.session.execute(
        select(AlertRow)
        .where(AlertRow.party_id.in_(party_ids))
        .execution_options(populate_existing=True)
    ).scalars():
        found[alert.party_id].alerts[alert.rule].append(alert)
    return list(found.values())


def _compare(tx: Tx, party: _Party, rule: str, judged: Mapping[str, Outcomes]) -> None:
    """Acts on every difference between the recorded alerts and what the signals say now."""
    alerts = {a.alert_id: a for a in party.alerts[rule]}
    signals = {s.id: s for s in party.signals[rule]}
    wanted = episodes.episodes(rule, map(_crossing, signals.values()), party.active_from)
    known = [Known(a.alert_id, a.ended_at, a.told, a.valid) for a in alerts.values()]
    for act, alert_id, episode in episodes.differences(party.party_id, rule, wanted, known):
        if episode is None:
            _take_back(tx, alerts[alert_id], party)
            continue
        if act in ("raise", "record"):
            alert = _new_alert(tx, party, rule, alert_id, episode, signals)
            alert.recoverable_minor = recovery.recoverable_minor(
                alert.margin_at_risk_minor, recovery.chance_of(rule, judged)
            )
            tx.session.add(alert)
        else:
            alert = alerts[alert_id]
        ended_before = alert.ended_at
        alert.episode, alert.ended_at, alert.valid = episode.ordinal, episode.ended_at, True
        if act in ("raise", "reopen"):
            alert.told, alert.reason_code = True, None
            raised_by = [signals[signal_id] for signal_id in episode.raised_by]
            _tell_raised(tx, alert, party, causes.last_of(raised_by))
        elif act == "clear" or (act == "shift" and ended_before is None):
            alert.reason_code = "no_longer_holds"
            _tell_cleared(tx, alert, party, episode.ended_at, wording.cleared_text(rule))


def _crossing(signal: SignalRow) -> Crossing:
    kind: Literal["raised", "cleared"] = "raised" if signal.kind == "raised" else "cleared"
    return Crossing(
        signal.id, signal.customer_number, kind, signal.at, signal.episode, signal.account_number
    )


def _new_alert(  # noqa: PLR0917 - the parts of one alert
    tx: Tx, party: _Party, rule: str, alert_id: str, episode: Episode, signals: dict[str, SignalRow]
) -> AlertRow:
    raised_by = [signals[signal_id] for signal_id in episode.raised_by]
    on = business_date(episode.at, tx.clock.zone)
    why = stake.reason(
        rule,
        [
            Evidence(s.customer_number, s.score_ppm, s.terms, tuple(s.event_ids), s.id)
            for s in raised_by
        ],
        on,
    )
    finding = rule in stake.FINDINGS
    currency = home_currency()
    return AlertRow(
        alert_id=alert_id,
        party_id=party.party_id,
        rule=rule,
        episode=episode.ordinal,
        at=episode.at,
        told=False,
        valid=True,
        customer_number=why.customer_number,
        risk_ppm=why.risk_ppm,
        contribution_minor=party.contribution_minor,
        at_stake_minor=party.at_stake_minor,
        margin_at_risk_minor=0
        if finding
        else stake.margin_at_risk(why.risk_ppm, party.at_stake_minor),
        currency=currency,
        terms=dict(why.terms),
        event_ids=list(why.event_ids),
        signal_id=why.signal_id,
        text=wording.raised_text(rule, why.terms, currency, on),
        advice=_advice(tx, signals[why.signal_id]) if finding else None,
        model_version=max(s.model_version for s in raised_by),
    )


def _advice(tx: Tx, signal: SignalRow) -> dict[str, str]:
    """By the type of the product that the signal is on."""
    place = {"number": signal.customer_number, "account": signal.account_number}
    line_code = tx.session.execute(LINE_OF, place).scalar()
    return advice_of(line_code)


def _take_back(tx: Tx, alert: AlertRow, party: _Party) -> None:
    alert.valid, alert.reason_code = False, "recomputed"
    if alert.told:
        _tell_cleared(tx, alert, party, tx.bank_now, wording.recomputed_text())


def _tell_raised(tx: Tx, alert: AlertRow, party: _Party, moved_by: SignalRow | None) -> None:
    cause, origin = causes.behind(tx, moved_by)
    outbox.enqueue(
        tx,
        AlertRaised(
            **_names(alert, party),
            at=alert.at,
            risk_ppm=alert.risk_ppm,
            contribution_minor=_tellable(alert.contribution_minor),
            margin_at_risk_minor=_tellable(alert.margin_at_risk_minor),
            recoverable_minor=_tellable(alert.recoverable_minor),
            currency=alert.currency,
            terms=_terms(tx, alert),
            text=alert.text,
            advice=alert.advice,
            opens_work=alert.rule not in stake.FINDINGS,
            cause=cause,
        ),
        origin=origin,
    )


def _tell_cleared(
    tx: Tx, alert: AlertRow, party: _Party, at: datetime | None, said: wording.Text
) -> None:
    if not alert.told:
        return  # nobody knows of it
    _, origin = causes.behind(tx, causes.last_of(party.signals[alert.rule]))
    outbox.enqueue(
        tx,
        AlertCleared(
            **_names(alert, party),
            at=at or tx.bank_now,
            reason_code=alert.reason_code or "no_longer_holds",
            risk_ppm=alert.risk_ppm,
            margin_at_risk_minor=_tellable(alert.margin_at_risk_minor),
            currency=alert.currency,
            text=said,
        ),
        origin=origin,
    )


def _names(alert: AlertRow, party: _Party) -> dict[str, Any]:
    numbers = tuple(sorted(party.active_from))
    return {
        "alert_id": alert.alert_id,
        "party_id": alert.party_id,
        "rule": alert.rule,
        "episode": alert.episode,
        "customer_number": alert.customer_number,
        "customer_numbers": numbers or (alert.customer_number,),
    }


def _terms(tx: Tx, alert: AlertRow) -> tuple[Term, ...]:
    """An event that the store has not come to yet is not named; a page finds it later."""
    moved = queries.moved_by(tx.session, alert.signal_id)
    return tuple(
        Term(
            code=code,
            value=_tellable(value),
            event_ids=moved.get(code, tuple(alert.event_ids)),
        )
        for code, value in alert.terms.items()
    )


def _tellable(minor: int) -> int:
    """Within what an event may carry (2**53); more is no bank's figure, and is said in the log."""
    if abs(minor) > MINOR_MAX:
        log.error("figure_beyond_range", minor=minor)
        return MINOR_MAX if minor > 0 else -MINOR_MAX
    return minor
