"""The worker's own settings, beside those of every service."""

import socket

from pydantic import Field

from services.scoring.settings import ScoringSettings

GROUP = "scoring-worker"


class WorkerSettings(ScoringSettings):
    """One worker of the group."""

    # Static membership: a name per place, not per process. It must survive a restart, and no other
    # worker may have it: several on one host need names.
    worker_instance: str = Field(default_factory=socket.gethostname, min_length=1)
    worker_records_max: int = 20_000  # of one poll: fewer rows, and bytes, an event when behind
    worker_commit_s: float = 1.0  # between two commits of the offsets; rows hold the truth
    worker_event_store: bool = True  # ask PostgreSQL about late repeats; else keep every id
    worker_grace_s: float = 90.0  # without a partition so long: no longer alive
