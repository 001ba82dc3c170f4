"""The sender of outside channels: a job of the listen role, outside any open transaction.

A delivery is leased before it is tried (its next time moves ahead), so a crash in the middle
tries it again with the same Message-ID: at least once, and said so.
"""

import threading
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from services.notify import commands, queries, rules
from services.notify.channels import CHANNELS, Letter, NotTaken
from services.notify.settings import ChannelSettings
from services.notify.tables import NoticeRow
from shared.db import is_world_down
from shared.runtime import Runtime

log = structlog.get_logger()

LEASE = timedelta(seconds=60)


@dataclass(frozen=True)
class Attempt:
    channel: str
    letter: Letter
    valid_until: datetime | None


def send_pending(runtime: Runtime, stop: threading.Event) -> None:
    """Until told to stop: tries what is due, each delivery settled in its own transaction."""
    settings = ChannelSettings()  # a wrong one ends the process at its start
    for name, channel in CHANNELS.items():
        why = channel.why_off(settings)
        if why is not None:
            log.info("channel_off", channel=name, reason=why)
    while not stop.is_set():
        try:
            tried = send_due(runtime, settings)
        except Exception as error:
            if not is_world_down(error):
                log.exception("mailing_failed")
            tried = 0
        if not tried:
            stop.wait(0.5)


def send_due(runtime: Runtime, settings: ChannelSettings) -> int:
    """One round. Returns how many deliveries were tried."""
    attempts = _lease(runtime)
    for attempt in attempts:
        _try(runtime, settings, attempt)
    return len(attempts)


def _lease(runtime: Runtime) -> list[Attempt]:
    attempts = []
    with runtime.database.transaction() as tx:
        for row in queries.due_deliveries(tx.session, tx.wall_now):
            row.next_at = tx.wall_now + LEASE
            notice = tx.session.get_one(NoticeRow, row.notice_id)
            attempts.append(Attempt(row.channel, _letter(runtime, notice), notice.valid_until))
    return attempts


def _letter(runtime: Runtime, notice: NoticeRow) -> Letter:
    record = runtime.directory.staff().get(notice.receiver_id, {})
    language = record.get("language") or "zh-CN"
    text = notice.text.get(language) or next(iter(notice.text.values()))
    return Letter(
        notice_id=notice.notice_id,
        address=record.get("email"),
        subject=text.split("\n", 1)[0][:120],
        body=text,
        link=runtime.settings.public_url + notice.link,
    )


def _try(runtime: Runtime, settings: ChannelSettings, attempt: Attempt) -> None:
    letter, channel = attempt.letter, CHANNELS[attempt.channel]
    why_off = channel.why_off(settings)
    if why_off is not None:
        with runtime.database.transaction() as tx:
            commands.leave_out(tx, letter.notice_id, attempt.channel, why_off)
        return
    try:
        if rules.has_expired(attempt.valid_until, runtime.clock.wall_now()):
            raise NotTaken("expired", final=True)
        proof = channel.send(settings, letter)
    except NotTaken as refusal:
        log.warning("delivery_not_taken", channel=attempt.channel, reason=str(refusal)[:200])
        with runtime.database.transaction() as tx:
            commands.fail_delivery(
                tx, letter.notice_id, attempt.channel, str(refusal), final=refusal.final
            )
    else:
        with runtime.database.transaction() as tx:
            commands.settle_delivery(tx, letter.notice_id, attempt.channel, proof)
