"""Named places where a test kills the process: GUANXI_FAILPOINT=relay.after_produce:3."""

import os
import signal

POINTS = (
    "api.before_commit",
    "api.after_commit",
    "api.before_answer",
    "relay.after_read",
    "relay.after_produce",
    "relay.after_delete",
    "line.after_take",
    "line.after_produce",
    "line.after_told",
    "consumer.after_claim",
    "consumer.after_effect",
    "consumer.after_commit",
    "worker.restating",
    "worker.after_signals",
    "worker.after_state",
    "worker.after_closes",
    "worker.before_ack",
    "rehearsal.stepped",
    "rehearsal.partition_kept",
    "rehearsal.before_end",
)

_name, _left = "", 0


def arm(place: str) -> None:
    """`point:n` kills at the n-th visit of the point, `point` at the first; empty: none does."""
    global _name, _left  # noqa: PLW0603 - one failpoint per process is the point
    _name, _, count = place.partition(":")
    _left = int(count or 1)


def reach(point: str) -> None:
    """Does nothing, unless the environment names this point: then kill -9 at the n-th visit."""
    global _left  # noqa: PLW0603 - one counter per process is the point
    if point != _name:
        return
    _left -= 1
    if _left <= 0:
        os.kill(os.getpid(), signal.SIGKILL)


arm(os.environ.get("GUANXI_FAILPOINT", ""))
