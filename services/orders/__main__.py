"""`python -m services.orders api|listen|relay|migrate|all`."""

import threading

import structlog

from services.orders import api, pages
from services.orders.commands.answers import forget_answers
from services.orders.handlers import HANDLERS, TIMERS
from services.orders.tables import Base
from shared.process import Runtime, Service, main

log = structlog.get_logger()

FORGET_EVERY_S = 3600.0


def forget_old_answers(runtime: Runtime, stop: threading.Event) -> None:
    """Answers to idempotency keys are kept 72 h on the wall clock."""
    while not stop.wait(FORGET_EVERY_S):
        try:
            with runtime.database.transaction() as tx:
                gone = forget_answers(tx, tx.wall_now)
        except Exception as error:  # tried again in an hour; the rows only take room
            log.warning("answers_not_forgotten", error=str(error)[:200])
        else:
            log.info("answers_forgotten", count=gone)


SERVICE = Service(
    name="orders",
    handlers=HANDLERS,
    timers=TIMERS,
    routers=(api.router, pages.router),
    metadata=Base.metadata,
    jobs={"forget_answers": forget_old_answers},
)

if __name__ == "__main__":
    main(SERVICE)
