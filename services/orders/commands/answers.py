"""Idempotency keys: a repeated request gets the answer that was given, not a second effect."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, select, update
from sqlalchemy.dialects.postgresql import insert

from services.orders.tables import AnswerRow
from shared.db import Tx
from shared.errors import DomainError
from shared.ids import content_hash

KEPT = timedelta(hours=72)
KEY_CHARS_MAX = 200
FORGET_ROWS_MAX = 10_000


class KeyUsedOtherwise(DomainError):
    """The Idempotency-Key was used for another request."""

    status = 422


@dataclass(frozen=True, slots=True)
class Answer:
    """What was answered; `repeated` when nothing was done this time."""

    status: int
    body: dict[str, Any]
    repeated: bool = False


def once(
    tx: Tx,
    *,
    caller_id: str,
    route: str,
    key: str | None,
    request: Mapping[str, Any],
    act: Callable[[], dict[str, Any]],
    status: int = 200,
) -> Answer:
    """Acts once per (caller, route, key); without a key, always.

    A second request with the same key waits for the first one's commit: the claim is a row.
    """
    if key is None:
        return Answer(status, act())
    request_hash = content_hash(request)
    claimed = tx.session.execute(
        insert(AnswerRow)
        .values(
            caller_id=caller_id, route=route, key=key[:KEY_CHARS_MAX], request_hash=request_hash,
            status=0, body={}, answered_at=tx.wall_now,
        )
        .on_conflict_do_nothing()
        .returning(AnswerRow.key)
    ).scalar_one_or_none()  # fmt: skip
    mine = (
        AnswerRow.caller_id == caller_id,
        AnswerRow.route == route,
        AnswerRow.key == key[:KEY_CHARS_MAX],
    )
    if claimed is None:
        given = tx.session.execute(select(AnswerRow).where(*mine)).scalar_one()
        if given.request_hash != request_hash:
            raise KeyUsedOtherwise(
                {
                    "zh-CN": "该幂等键已用于另一请求。",
                    "en": "This Idempotency-Key was used for another request.",
                }
            )
        return Answer(given.status, given.body, repeated=True)
    body = act()
    tx.session.execute(update(AnswerRow).where(*mine).values(status=status, body=body))
    return Answer(status, body)


def forget_answers(tx: Tx, now: datetime) -> int:
    """Drops answers older than they are kept. Returns how many."""
    old = (
        select(AnswerRow.caller_id, AnswerRow.route, AnswerRow.key)
        .where(AnswerRow.answered_at < now - KEPT)
        .limit(FORGET_ROWS_MAX)
        .subquery()
    )
    gone = tx.session.execute(
        delete(AnswerRow)
        .where(
            AnswerRow.caller_id == old.c.caller_id,
            AnswerRow.route == old.c.route,
            AnswerRow.key == old.c.key,
        )
        .returning(AnswerRow.key)
    )
    return len(gone.all())
