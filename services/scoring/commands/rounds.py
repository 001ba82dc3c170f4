"""The loop of a job that works in steps."""

import threading
from collections.abc import Callable

import structlog
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from shared.db import Tx
from shared.runtime import Runtime

log = structlog.get_logger()
LOCK_TIMEOUT = "55P03"  # of PostgreSQL
YIELDS_MAX = 10  # in a row, about half a minute: who holds a lock for longer is no listener's batch
AFTER_FAILURE_S = 1.0
ALONE = text("select pg_try_advisory_xact_lock(hashtext(current_schema() || cast(:what as text)))")


def alone(tx: Tx, what: str) -> bool:
    """May this process do it now? One at a time; the lock goes with the transaction."""
    return bool(tx.session.execute(ALONE, {"what": what}).scalar_one())


def in_rounds(
    runtime: Runtime, stop: threading.Event, step: Callable[[Tx], bool], every_s: float, failed: str
) -> None:
    """`rounds` of steps that are one transaction each."""

    def in_transaction() -> bool:
        with runtime.database.transaction() as tx:
            return step(tx)

    rounds(stop, in_transaction, every_s, failed)


def rounds(
    stop: threading.Event, step: Callable[[], bool], every_s: float, failed: str
) -> None:
    """Until told to stop: each round takes steps until one says that nothing is left.

    `failed` is what the log says of a step that raised: it is undone, the next round takes it
    again. A step that waited in vain for a lock has given way to a listener, as it is to: nobody is
    warned of it until it goes on and on.
    """
    yields = 0
    while not stop.wait(every_s):
        try:
            while not stop.is_set() and step():
                yields = 0
            yields = 0
        except Exception as error:
            yields = yields + 1 if _waited_in_vain(error) else 0
            tell = log.info if 0 < yields <= YIELDS_MAX else log.warning
            tell(failed, error=str(error)[:300])
            stop.wait(AFTER_FAILURE_S)


def _waited_in_vain(error: Exception) -> bool:
    return isinstance(error, DBAPIError) and getattr(error.orig, "sqlstate", "") == LOCK_TIMEOUT
