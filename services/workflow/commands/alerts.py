"""Only workflow turns alerts into work: one open retention process per party, within capacity."""

from collections.abc import Sequence
from datetime import date

import msgspec
from sqlalchemy import delete, func, select, text
from sqlalchemy.dialects.postgresql import insert

from services.workflow.commands.instances import Opening, open_instance
from services.workflow.commands.story import add_entry
from services.workflow.queries import people
from services.workflow.queries.people import Desk
from services.workflow.rules import ALERT_TASKS_PER_DAY_MAX, becomes_work, next_opening
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
from shared.db import Tx
from shared.events.fact import Cause
from shared.events.scoring import AlertCleared, AlertRaised

RETENTION = "retention"
RELEASE = "release_waiting"
CAUSES_MAX = 5


def take_alert(tx: Tx, alert: AlertRaised, cause: Cause) -> None:
    """A rule holds on a party: attach it to the open process, open one, or let it wait."""
    lock_party(tx, alert.party_id)
    row = AlertRow(
        alert_id=alert.alert_id,
        party_id=alert.party_id,
        rule=alert.rule,
        raised_at=alert.at,
        margin_at_risk_minor=alert.margin_at_risk_minor,
        currency=alert.currency,
        text=dict(alert.text),
        cause=[msgspec.to_builtins(cause)],
        correlation_id=tx.message.event.correlationid or tx.message.event.id
        if tx.message
        else None,
        customer_number=alert.customer_number,
        state="recorded",
    )
    if tx.session.get(AlertRow, alert.alert_id) is not None:
        return  # an episode is raised once; a repeat changes nothing
    tx.session.add(row)
    tx.session.flush()
    if becomes_work(business_date(alert.at, tx.clock.zone), went_live_on(tx)):
        _place(tx, row)


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
        .where(AlertRow.state == "recorded", AlertRow.cleared_at.is_(None))
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


def release_waiting(tx: Tx, desk_key: str) -> None:
    """A new day at a desk: what waits comes in the order of the money at stake."""
    parties = tx.session.scalars(
        select(WaitingPartyRow.party_id)
        .where(WaitingPartyRow.desk == desk_key)
        .order_by(WaitingPartyRow.margin_at_risk_minor.desc(), WaitingPartyRow.party_id)
        .limit(ALERT_TASKS_PER_DAY_MAX * 4)
    ).all()
    for party_id in parties:
        lock_party(tx, party_id)
        waiting = tx.session.get(WaitingPartyRow, party_id, with_for_update=True)
        if waiting is None:
            continue
        desk = people.desk_of_party(tx.session, party_id, _today(tx))
        if not _take_capacity(tx, desk):
            _wait(tx, party_id, desk, waiting.margin_at_risk_minor)
            continue
        _open(tx, party_id, desk)
        outbox.write_drafts(tx)  # each belongs to the story of its own alert
    left = tx.session.scalar(select(func.count()).where(WaitingPartyRow.desk == desk_key))
    if left:
        timers.arm(tx, RELEASE, desk_key, next_opening(tx.bank_now, is_workday, tx.clock.zone))


def lock_party(tx: Tx, party_id: str) -> None:
    """One at a time per party: two alerts must not open two processes."""
    tx.session.execute(
        text("select pg_advisory_xact_lock(hashtextextended(:name, 0))"),
        {"name": f"party:{party_id}"},
    )


def went_live_on(tx: Tx) -> date | None:
    return tx.session.scalar(select(func.min(WentLiveRow.on_date)))


def _place(tx: Tx, alert: AlertRow) -> None:
    """The party is locked."""
    instance = _open_instance_of(tx, alert.party_id)
    if instance is not None:
        _attach(tx, alert, instance)
        return
    waiting = tx.session.get(WaitingPartyRow, alert.party_id, with_for_update=True)
    if waiting is not None:
        alert.state = "waiting"
        waiting.margin_at_risk_minor = max(waiting.margin_at_risk_minor, alert.margin_at_risk_minor)
        return
    desk = people.desk_of_party(tx.session, alert.party_id, _today(tx))
    alert.state = "waiting"
    if _take_capacity(tx, desk):
        _open(tx, alert.party_id, desk)
    else:
        _wait(tx, alert.party_id, desk, alert.margin_at_risk_minor)


def _attach(tx: Tx, alert: AlertRow, instance: InstanceRow) -> None:
    alert.state = "attached"
    alert.instance_id = instance.instance_id
    add_entry(tx, instance, "alert_attached", alert.text)
    if alert.margin_at_risk_minor > instance.stake_minor:
        instance.stake_minor = alert.margin_at_risk_minor
        for task in tx.session.scalars(
            select(TaskRow).where(
                TaskRow.instance_id == instance.instance_id, TaskRow.completed_at.is_(None)
            )
        ):
            task.stake_minor = alert.margin_at_risk_minor


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


def _causes(alerts: Sequence[AlertRow]) -> list[Cause]:
    chains = [cause for alert in alerts[:CAUSES_MAX] for cause in alert.cause]
    return [msgspec.convert(cause, Cause) for cause in chains]


def _take_capacity(tx: Tx, desk: Desk) -> bool:
    """Counts one new process for the desk today; False when it had its share."""
    statement = insert(IntakeRow).values(desk=desk.key, on_date=_today(tx), taken=1)
    taken = tx.session.scalar(
        statement.on_conflict_do_update(
            index_elements=["desk", "on_date"],
            set_={"taken": IntakeRow.taken + 1},
            where=IntakeRow.taken < ALERT_TASKS_PER_DAY_MAX,
        ).returning(IntakeRow.taken)
    )
    return taken is not None


def _wait(tx: Tx, party_id: str, desk: Desk, margin_at_risk_minor: int) -> None:
    values = {"desk": desk.key, "margin_at_risk_minor": margin_at_risk_minor}
    tx.session.execute(
        insert(WaitingPartyRow)
        .values(party_id=party_id, since=tx.bank_now, **values)
        .on_conflict_do_update(index_elements=["party_id"], set_=values)
        .execution_options(populate_existing=True)
    )
    timers.arm(tx, RELEASE, desk.key, next_opening(tx.bank_now, is_workday, tx.clock.zone))


def _drop_if_nothing_waits(tx: Tx, party_id: str) -> None:
    tx.session.flush()
    waiting = tx.session.scalar(
        select(func.max(AlertRow.margin_at_risk_minor)).where(
            AlertRow.party_id == party_id, AlertRow.state == "waiting"
        )
    )
    row = tx.session.get(WaitingPartyRow, party_id, with_for_update=True)
    if row is None:
        return
    if waiting is None:
        tx.session.delete(row)
    else:
        row.margin_at_risk_minor = waiting
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
