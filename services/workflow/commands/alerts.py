"""Only workflow turns alerts into work: one open retention process per party, within capacity.

An alert whose party has no open process waits. When a batch of messages is applied, and when a
timer says that desks open, each desk gives its free places of the business day to what waits, by
the margin that can be recovered. So a burst of alerts is placed by rank, not by arrival.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import msgspec
from sqlalchemy import delete, exists, func, select, text
from sqlalchemy.dialects.postgresql import insert

from services.workflow.commands.instances import Opening, open_instance
from services.workflow.commands.organisation import record
from services.workflow.commands.story import add_entry
from services.workflow.queries import people
from services.workflow.queries.people import Desk
from services.workflow.rules import becomes_work, next_opening, next_workday
from services.workflow.tables import (
    OPEN,
    AlertRow,
    InstanceRow,
    IntakeRow,
    TaskRow,
    WaitingPartyRow,
    WentLiveRow,
)
from services.workflow.workdays import is_workday
from shared import outbox, timers
from shared.clock import business_date
from shared.db import Message, Tx
from shared.events.fact import Cause
from shared.events.scoring import AlertCleared, AlertRaised
from shared.events.workflow import CapacitySet

RETENTION = "retention"
RELEASE = "release_waiting"
CAUSES_MAX = 5
RANKED_MAX = 200  # parties looked at when a desk gives its places


@dataclass(frozen=True, slots=True)
class Asked:
    """A party waits at a desk; `message` brought the alert, if one did."""

    desk: str
    party_id: str
    message: Message | None


def take_alert(tx: Tx, alert: AlertRaised, cause: Cause) -> None:
    """A rule holds on a party: attach it to the open process, or let it wait for a place."""
    lock_party(tx, alert.party_id)
    row = tx.session.get(AlertRow, alert.alert_id, with_for_update=True)
    if row is None:
        row = _recorded(tx, alert, cause)
        tx.session.add(row)
        tx.session.flush()
    elif row.cleared_at is None:
        return  # an episode is raised once; a repeat changes nothing
    else:
        row.cleared_at = None  # its end was taken back
    if row.state != "recorded":
        return
    if not row.opens_work:
        _attach_finding(tx, row)
    elif becomes_work(business_date(alert.at, tx.clock.zone), went_live_on(tx)):
        _place(tx, row)


def _recorded(tx: Tx, alert: AlertRaised, cause: Cause) -> AlertRow:
    recoverable = alert.recoverable_minor
    story = tx.message.event.correlationid or tx.message.event.id if tx.message else None
    return AlertRow(
        alert_id=alert.alert_id,
        party_id=alert.party_id,
        rule=alert.rule,
        raised_at=alert.at,
        margin_at_risk_minor=alert.margin_at_risk_minor,
        recoverable_minor=alert.margin_at_risk_minor if recoverable is None else recoverable,
        currency=alert.currency,
        text=dict(alert.text),
        cause=[msgspec.to_builtins(cause)],
        correlation_id=story,
        customer_number=alert.customer_number,
        opens_work=alert.opens_work,
        advice=dict(alert.advice) if alert.advice else None,
        state="recorded",
    )


def clear_alert(tx: Tx, cleared: AlertCleared) -> None:
    """The rule no longer holds: work in hand gets a note, what still waits is dropped."""
    lock_party(tx, cleared.party_id)
    row = tx.session.get(AlertRow, cleared.alert_id, with_for_update=True)
    if row is None or row.cleared_at is not None:
        return  # raised before this service listened, or cleared twice
    row.cleared_at = cleared.at
    if row.state == "waiting":
        row.state = "recorded"
        _drop_if_nothing_waits(tx, row.party_id)
    instance = _open_instance_of(tx, row.party_id)
    if instance is not None and row.instance_id == instance.instance_id:
        said = cleared.text or {"zh-CN": "预警已解除", "en": "The alert was cleared"}
        add_entry(tx, instance, "alert_cleared", said)


def take_recorded(tx: Tx) -> None:
    """The bank went live: episodes that began since then and still hold become work."""
    live_on = went_live_on(tx)
    rows = tx.session.scalars(
        select(AlertRow)
        .where(AlertRow.state == "recorded", AlertRow.cleared_at.is_(None), AlertRow.opens_work)
        .order_by(AlertRow.margin_at_risk_minor.desc(), AlertRow.alert_id)
    ).all()
    for row in rows:
        if becomes_work(business_date(row.raised_at, tx.clock.zone), live_on):
            lock_party(tx, row.party_id)
            _place(tx, row)


def record_went_live(tx: Tx, source: str, on: date) -> None:
    statement = insert(WentLiveRow).values(source=source, on_date=on)
    tx.session.execute(
        statement.on_conflict_do_update(index_elements=["source"], set_={"on_date": on})
    )
    take_recorded(tx)


def set_capacity(tx: Tx, actor_id: str, fact: CapacitySet) -> bool:
    """How many new alerts a manager gets a day; a greater number gives places at once."""
    changed = record(tx, actor_id, fact)
    if changed:
        release_waiting(tx, f"staff:{fact.staff_id}")
    return changed


def release_waiting(tx: Tx, desk_key: str) -> None:
    """The desks have opened, or one has more places: gives this one's."""
    _give_places(tx, desk_key, {})


def _share_out(tx: Tx, asked: Sequence[Asked]) -> None:
    """At the end of a batch: every desk that got something to wait for gives its places."""
    brought = {one.party_id: one.message for one in asked}
    for desk_key in sorted({one.desk for one in asked}):
        _give_places(tx, desk_key, brought)


def _give_places(tx: Tx, desk_key: str, brought: dict[str, Message | None]) -> None:
    """The desk's free places go to what waits there, most to recover first.

    Whoever gives a desk's places holds its timer; a party that somebody else holds is passed over,
    so nobody who gives places waits for a party.
    """
    tx.session.flush()
    opening = next_opening(tx.bank_now, is_workday, tx.clock.zone)
    timers.arm(tx, RELEASE, desk_key, opening)
    ranked = tx.session.scalars(
        select(WaitingPartyRow.party_id)
        .where(WaitingPartyRow.desk == desk_key)
        .order_by(WaitingPartyRow.recoverable_minor.desc(), WaitingPartyRow.party_id)
        .limit(RANKED_MAX)
    ).all()
    for party_id in ranked:
        if not _try_lock_party(tx, party_id):
            continue
        waiting = tx.session.get(
            WaitingPartyRow, party_id, with_for_update=True, populate_existing=True
        )
        if waiting is None or waiting.desk != desk_key:
            continue
        desk = people.desk_of_party(tx.session, party_id, _today(tx))
        if desk.key != desk_key:  # somebody else answers for the party now
            waiting.desk = desk.key
            timers.arm(tx, RELEASE, desk.key, tx.bank_now)
            continue
        if not _take_capacity(tx, desk):
            break
        tx.message = brought.get(party_id)
        _open(tx, party_id, desk)
        outbox.write_drafts(tx)  # each belongs to the story of its own alert
        tx.message = None
    else:
        if len(ranked) == RANKED_MAX:  # there are more, and places may be left
            timers.arm(tx, RELEASE, desk_key, tx.bank_now)
    tx.session.flush()
    if not tx.session.scalar(select(exists().where(WaitingPartyRow.desk == desk_key))):
        timers.disarm(tx, RELEASE, desk_key)


def lock_party(tx: Tx, party_id: str) -> None:
    """One at a time per party: two alerts must not open two processes."""
    tx.session.execute(
        text("select pg_advisory_xact_lock(hashtextextended(:name, 0))"),
        {"name": f"party:{party_id}"},
    )


def _try_lock_party(tx: Tx, party_id: str) -> bool:
    """The same lock, also when it is ours already; False: somebody else has it."""
    return bool(
        tx.session.scalar(
            text("select pg_try_advisory_xact_lock(hashtextextended(:name, 0))"),
            {"name": f"party:{party_id}"},
        )
    )


def went_live_on(tx: Tx) -> date | None:
    return tx.session.scalar(select(func.min(WentLiveRow.on_date)))


def _place(tx: Tx, alert: AlertRow) -> None:
    """The party is locked."""
    instance = _open_instance_of(tx, alert.party_id)
    if instance is not None:
        _attach(tx, alert, instance)
        return
    alert.state = "waiting"
    waiting = tx.session.get(
        WaitingPartyRow, alert.party_id, with_for_update=True, populate_existing=True
    )
    if waiting is None:
        desk = people.desk_of_party(tx.session, alert.party_id, _today(tx))
        waiting = WaitingPartyRow(
            party_id=alert.party_id,
            desk=desk.key,
            recoverable_minor=alert.recoverable_minor,
            since=tx.bank_now,
        )
        tx.session.add(waiting)
    else:
        waiting.recoverable_minor = max(waiting.recoverable_minor, alert.recoverable_minor)
    tx.session.flush()
    tx.together(_share_out, Asked(waiting.desk, alert.party_id, tx.message))


def _attach(tx: Tx, alert: AlertRow, instance: InstanceRow) -> None:
    alert.state = "attached"
    alert.instance_id = instance.instance_id
    add_entry(tx, instance, "alert_attached", _with_advice(alert))
    if alert.margin_at_risk_minor > instance.stake_minor:
        instance.stake_minor = alert.margin_at_risk_minor
        for task in tx.session.scalars(
            select(TaskRow).where(
                TaskRow.instance_id == instance.instance_id, TaskRow.completed_at.is_(None)
            )
        ):
            task.stake_minor = alert.margin_at_risk_minor


def _attach_finding(tx: Tx, alert: AlertRow) -> None:
    """A finding goes to the open process, if there is one; else it waits for one to be opened."""
    instance = _open_instance_of(tx, alert.party_id)
    if instance is not None:
        _attach(tx, alert, instance)


def _with_advice(alert: AlertRow) -> dict[str, str]:
    if alert.advice is None:
        return dict(alert.text)
    stops = {"zh-CN": "。", "en": ". "}
    return {
        language: f"{said}{stops.get(language, ' ')}{alert.advice.get(language, '')}"
        for language, said in alert.text.items()
    }


def _open(tx: Tx, party_id: str, desk: Desk) -> None:
    """Opens the process with every alert of the party that waits; the dearest gives the reason."""
    alerts = tx.session.scalars(
        select(AlertRow)
        .where(AlertRow.party_id == party_id, AlertRow.state == "waiting")
        .order_by(AlertRow.margin_at_risk_minor.desc(), AlertRow.alert_id)
    ).all()
    first = alerts[0]
    if tx.message is None:
        tx.correlation_id = first.correlation_id
    instance = open_instance(
        tx,
        Opening(
            definition_key=RETENTION,
            business_key=party_id,
            owner=desk,
            party_id=party_id,
            stake_minor=first.margin_at_risk_minor,
            currency=first.currency,
            reason=first.text,
            cause=_causes(alerts),
            correlation_id=first.correlation_id,
            data={
                "customer_number": first.customer_number,
                "alert_ids": [alert.alert_id for alert in alerts],
            },
        ),
    )
    for alert in alerts:
        alert.state = "attached"
        alert.instance_id = instance.instance_id
    tx.session.execute(delete(WaitingPartyRow).where(WaitingPartyRow.party_id == party_id))
    for finding in tx.session.scalars(
        select(AlertRow)
        .where(
            AlertRow.party_id == party_id,
            AlertRow.state == "recorded",
            AlertRow.cleared_at.is_(None),
            ~AlertRow.opens_work,
        )
        .order_by(AlertRow.raised_at, AlertRow.alert_id)
    ).all():
        _attach(tx, finding, instance)


def _causes(alerts: Sequence[AlertRow]) -> list[Cause]:
    chains = [cause for alert in alerts[:CAUSES_MAX] for cause in alert.cause]
    return [msgspec.convert(cause, Cause) for cause in chains]


def _take_capacity(tx: Tx, desk: Desk) -> bool:
    """Counts one new process for the desk's business day; False when it had its share.

    What comes on a day without work counts for the next that has some.
    """
    most = people.capacity_of(tx.session, desk.staff_id)
    if most == 0:
        return False
    day = next_workday(_today(tx), is_workday)
    statement = insert(IntakeRow).values(desk=desk.key, on_date=day, taken=1)
    taken = tx.session.scalar(
        statement.on_conflict_do_update(
            index_elements=["desk", "on_date"],
            set_={"taken": IntakeRow.taken + 1},
            where=IntakeRow.taken < most,
        ).returning(IntakeRow.taken)
    )
    return taken is not None


def _drop_if_nothing_waits(tx: Tx, party_id: str) -> None:
    tx.session.flush()
    recoverable = tx.session.scalar(
        select(func.max(AlertRow.recoverable_minor)).where(
            AlertRow.party_id == party_id, AlertRow.state == "waiting"
        )
    )
    row = tx.session.get(WaitingPartyRow, party_id, with_for_update=True)
    if row is None:
        return
    if recoverable is None:
        tx.session.delete(row)
    else:
        row.recoverable_minor = recoverable
    tx.session.flush()


def _open_instance_of(tx: Tx, party_id: str) -> InstanceRow | None:
    return tx.session.scalars(
        select(InstanceRow)
        .where(
            InstanceRow.definition_key == RETENTION,
            InstanceRow.business_key == party_id,
            text(OPEN),
        )
        .with_for_update()
        .execution_options(populate_existing=True)
    ).one_or_none()


def _today(tx: Tx) -> date:
    return business_date(tx.bank_now, tx.clock.zone)
