"""Signals of numbers turned into alerts of parties; the difference is told to the others."""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Literal

import msgspec
from sqlalchemy import select, text
from sqlalchemy.dialects.postgresql import insert as upsert

from services.scoring import absences
from services.scoring.absences import Away
from services.scoring.commands import causes, holding_alerts, outcomes, parties, stakes
from services.scoring.commands.causes import Mover
from services.scoring.commands.copying import as_array
from services.scoring.commands.telling import tell_cleared, tell_raised
from services.scoring.contribution_tables import RollRow
from services.scoring.party_episodes import absences_of
from services.scoring.queries.outflows import greatest, served
from services.scoring.rules import episodes, outflows, recovery, stake, wording
from services.scoring.rules.episodes import Absence, Crossing, Episode, Known
from services.scoring.rules.outflows import Fall
from services.scoring.rules.recovery import Outcomes
from services.scoring.rules.stake import Evidence, Reason
from services.scoring.rules.wording_of_use import advice_of
from services.scoring.settings import home_currency
from services.scoring.tables import AlertRow, CustomerStateRow, NumberRow, SignalRow
from shared.clock import business_date
from shared.db import Message, Tx
from shared.wire import Record


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
    product_code: str = ""
    position: PlaceIn | None = None


_decoder = msgspec.json.Decoder(SignalIn)
_KEEP = upsert(SignalRow)
KEEP = _KEEP.on_conflict_do_update(
    index_elements=["id"],
    set_={column.name: _KEEP.excluded[column.name] for column in SignalRow.__table__.columns},
    where=SignalRow.__table__.c.of_before,
)

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
LINE_OF = text("select line_code from products where product_code = :product")


@dataclass
class _Party:
    """What is known of one party while its alerts are compared."""

    party_id: str
    contribution_minor: int = 0  # of twelve months, with what is not posted yet
    at_stake_minor: int = 0
    active_from: dict[str, datetime | None] = field(default_factory=dict)
    away: dict[str, Absence] = field(default_factory=dict)
    signals: dict[str, list[SignalRow]] = field(default_factory=lambda: defaultdict(list))
    alerts: dict[str, list[AlertRow]] = field(default_factory=lambda: defaultdict(list))


@dataclass(frozen=True, slots=True)
class _Means:
    """How a difference is told: what makes an alert, what moved it, what moved the rule last, and
    what ended it."""

    new: Callable[[str, Episode], AlertRow]
    moved_by: Callable[[Episode], Mover | None]
    last: Mover | None
    ended_by: Mapping[datetime, Mapping[str, Any]]  # terms of what cleared it, by the instant
    judged: Mapping[str, Outcomes]


def keep_signals(tx: Tx, records: list[Record]) -> None:
    """Takes a poll of `scoring.signals`; the same signal again changes nothing, but for one of
    before the state was made anew."""
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
                "product_code": signal.product_code,
                "moved": signal.position.moved if signal.position else {},
                "of_before": False,
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


def with_signals_or_alerts(tx: Tx, party_ids: Collection[str]) -> set[str]:
    """Those parties that have an episode, or had."""
    asked = {"parties": sorted(party_ids)}
    return set(tx.session.execute(WITH_SIGNALS_OR_ALERTS, asked).scalars())


def refresh_joined(tx: Tx, told: Mapping[str, Message]) -> None:
    """Numbers came to these locked parties or left them; an alert belongs to who said so."""
    for party_id in sorted(with_signals_or_alerts(tx, told)):
        tx.message = told[party_id]
        refresh(tx, {party_id})
    tx.message = None


def refresh(tx: Tx, party_ids: Collection[str]) -> None:
    """Makes the alerts of these locked parties what their signals say; tells the difference.

    Of a party of several numbers no number's signal says whether there is an outflow: that is
    asked of the sums (commands.outflows). Those that are held are compared later.
    """
    party_ids = party_ids and holding_alerts.not_held(tx, party_ids)
    if not party_ids:
        return
    judged = outcomes.outcomes_by_rule(tx)
    for party in _load(tx, sorted(party_ids)):
        for rule in sorted({*party.signals, *party.alerts}):
            if rule != outflows.RULE or len(party.active_from) <= 1:
                _by_signals(tx, party, rule, judged)
    tx.session.flush()
    stakes.sum_up(tx, party_ids)


def refresh_outflows(tx: Tx, falls: Mapping[str, Sequence[Fall]]) -> None:
    """Makes the outflows of these locked parties what their sums say; tells the difference."""
    judged = outcomes.outcomes_by_rule(tx)
    for party in _load(tx, sorted(falls)):
        _by_sums(tx, party, falls[party.party_id], judged)
    tx.session.flush()
    stakes.sum_up(tx, falls)


def _load(tx: Tx, party_ids: list[str]) -> list[_Party]:
    found = {party_id: _Party(party_id) for party_id in party_ids}
    for party_id, (contribution_minor, at_stake_minor) in stakes.of_parties(tx, party_ids).items():
        party = found[party_id]
        party.contribution_minor, party.at_stake_minor = contribution_minor, at_stake_minor
    away: dict[str, dict[str, Away]] = defaultdict(dict)
    for of, number, first_on, left_on, back_on, closed_on in tx.session.execute(
        select(NumberRow.party_id, NumberRow.customer_number, CustomerStateRow.first_on,
               CustomerStateRow.left_on, CustomerStateRow.back_on, RollRow.closed_on)
        .outerjoin(CustomerStateRow, CustomerStateRow.customer_number == NumberRow.customer_number)
        .outerjoin(RollRow, RollRow.partition == CustomerStateRow.partition)
        .where(NumberRow.party_id.in_(party_ids))
    ):
        found[of or ""].active_from[number] = parties.midnight(first_on, tx)
        if left_on and (absence := absences.as_of((left_on, back_on), closed_on)):
            away[of or ""][number] = absence
    for party_id, own in away.items():
        found[party_id].away = absences_of(own, tx.clock.zone)
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


def _by_signals(tx: Tx, party: _Party, rule: str, judged: Mapping[str, Outcomes]) -> None:
    signals = {s.id: s for s in party.signals[rule]}
    crossings = episodes.in_order(map(_crossing, signals.values()))
    wanted = episodes.episodes(rule, crossings, party.active_from, party.away)

    def moved_by(episode: Episode) -> Mover | None:
        own = [c for c in crossings if c.id in episode.raised_by]
        left = [number for number, (at, _) in party.away.items() if at == episode.at]
        if left and all(c.at < episode.at for c in own):
            return causes.of_leaving(tx, left, business_date(episode.at, tx.clock.zone))
        return causes.last_of([signals[c.id] for c in own])

    def new(alert_id: str, episode: Episode) -> AlertRow:
        return _of_signals(tx, party, rule, alert_id, episode, signals)

    last = causes.last_of([signals[c.id] for c in crossings])
    back = {at: {"open_accounts": 1} for _, at in party.away.values() if at}
    ended_by = back | {c.at: signals[c.id].terms for c in crossings if c.kind == "cleared"}
    _compare(tx, party, rule, wanted, _Means(new, moved_by, last, ended_by, judged))


def _by_sums(
    tx: Tx, party: _Party, falls: Sequence[Fall], judged: Mapping[str, Outcomes]
) -> None:
    found = {fall.episode(n, tx.clock.zone): fall for n, fall in enumerate(falls, 1)}
    movers: dict[Episode, Any] = {}

    def mover(episode: Episode) -> Any:
        if episode not in movers:
            on = found[episode].closed_on
            movers[episode] = greatest(tx.session, party.party_id, on)
        return movers[episode]

    def moved_by(episode: Episode) -> Mover:
        row = mover(episode)
        return Mover(row.partition, row.event_offset, (row.event_id,))

    def new(alert_id: str, episode: Episode) -> AlertRow:
        fall, row = found[episode], mover(episode)
        why = Reason(fall.risk_ppm, row.customer_number, fall.terms(), (row.event_id,), None)
        version = fall.limits.version
        return _new_alert(tx, party, outflows.RULE, alert_id, episode, why, version)

    ends = any(one.ended_at for one in found)
    of_accounts = served(tx.session, party.active_from) if ends else set()
    ended_by = {
        end: {"open_accounts": 0} if episodes.all_away(of_accounts, party.away, end)
        else fall.terms_of_end()
        for one, fall in found.items() if (end := one.ended_at)
    }  # fmt: skip
    _compare(tx, party, outflows.RULE, list(found), _Means(new, moved_by, None, ended_by, judged))


def _compare(
    tx: Tx, party: _Party, rule: str, wanted: Sequence[Episode], means: _Means
) -> None:
    """Acts on every difference between the recorded alerts and the wanted episodes."""
    alerts = {a.alert_id: a for a in party.alerts[rule]}
    known = [Known(a.alert_id, a.ended_at, a.told, a.valid) for a in alerts.values()]
    for act, alert_id, episode in episodes.differences(party.party_id, rule, wanted, known):
        if episode is None:
            _take_back(tx, alerts[alert_id], party, means.last)
            continue
        if act in ("raise", "record"):
            alert = means.new(alert_id, episode)
            alert.recoverable_minor = recovery.recoverable_minor(
                alert.margin_at_risk_minor, recovery.chance_of(rule, means.judged)
            )
            tx.session.add(alert)
        else:
            alert = alerts[alert_id]
        ended_before = alert.ended_at
        alert.episode, alert.ended_at, alert.valid = episode.ordinal, episode.ended_at, True
        if act in ("raise", "reopen"):
            alert.told, alert.reason_code = True, None
            tell_raised(tx, alert, party.active_from, means.moved_by(episode))
        elif act == "clear" or (act == "shift" and ended_before is None):
            alert.reason_code = "no_longer_holds"
            ended_by = means.ended_by.get(episode.ended_at, {}) if episode.ended_at else {}
            said = wording.cleared_text(rule, ended_by)
            tell_cleared(tx, alert, party.active_from, episode.ended_at, said, means.last)


def _crossing(signal: SignalRow) -> Crossing:
    kind: Literal["raised", "cleared"] = "raised" if signal.kind == "raised" else "cleared"
    return Crossing(
        signal.id, signal.customer_number, kind, signal.at, signal.episode, signal.account_number,
        signal.product_code,
    )  # fmt: skip


def _of_signals(  # noqa: PLR0917 - the parts of one alert
    tx: Tx, party: _Party, rule: str, alert_id: str, episode: Episode, signals: dict[str, SignalRow]
) -> AlertRow:
    raised_by = [signals[signal_id] for signal_id in episode.raised_by]
    evidence = [
        Evidence(s.customer_number, s.score_ppm, s.terms, tuple(s.event_ids), s.id)
        for s in raised_by
    ]
    left = len(episodes.away_at(party.active_from, party.away, episode.at))
    why = stake.reason(rule, evidence, business_date(episode.at, tx.clock.zone), left)
    telling = signals[why.signal_id or raised_by[0].id]
    alert = _new_alert(tx, party, rule, alert_id, episode, why, telling.model_version)
    if rule in stake.FINDINGS:
        alert.advice = _advice(tx, telling)
    return alert


def _new_alert(  # noqa: PLR0917 - the parts of one alert
    tx: Tx, party: _Party, rule: str, alert_id: str, episode: Episode, why: Reason, version: str
) -> AlertRow:
    currency, on = home_currency(), business_date(episode.at, tx.clock.zone)
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
        if rule in stake.FINDINGS
        else stake.margin_at_risk(why.risk_ppm, party.at_stake_minor),
        currency=currency,
        terms=dict(why.terms),
        event_ids=list(why.event_ids),
        signal_id=why.signal_id,
        text=wording.raised_text(rule, why.terms, currency, on, why.left_numbers),
        model_version=version,
    )


def _advice(tx: Tx, signal: SignalRow) -> dict[str, str]:
    """By the type of the product that the signal is on."""
    line_code = tx.session.execute(LINE_OF, {"product": signal.product_code}).scalar()
    return advice_of(line_code)


def _take_back(tx: Tx, alert: AlertRow, party: _Party, last: Mover | None) -> None:
    alert.valid, alert.reason_code = False, "recomputed"
    if alert.told:
        tell_cleared(
            tx, alert, party.active_from, tx.bank_now, wording.recomputed_text(), last
        )
