"""The role `rehearse`: waits until a rehearsal is asked for. Light until then: the compiled code is
loaded with the first one."""

import os
import socket
import threading
import uuid

import structlog

from services.scoring.commands import rehearsals
from shared.runtime import Runtime

log = structlog.get_logger()
ROUND_S = 1.0


def rehearse(runtime: Runtime, stop: threading.Event) -> None:
    """One rehearsal at a time, until told to stop. One that it leaves is taken up by the next."""
    runner = f"{socket.gethostname()}/{os.getpid()}/{uuid.uuid4().hex[:8]}"
    while not stop.wait(ROUND_S):
        try:
            with runtime.database.transaction() as tx:
                claimed = rehearsals.claim(tx, runner)
            if claimed is not None:
                from services.scoring import rehearser

                rehearser.run(runtime, stop, claimed)
        except Exception as error:  # what was kept stays; after a while it is taken up again
            log.exception("rehearsal_interrupted", error=str(error)[:300])
