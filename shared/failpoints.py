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
    "consumer.after_claim",
    "consumer.after_effect",
    "consumer.after_commit",
    "worker.after_signals",
    "worker.after_state",
    "worker.before_ack",
)

_name, _, _count = os.environ.get("GUANXI_FAILPOINT", "").partition(":")
_left = int(_count or 1)


def reach(point: str) -> None:
    """Does nothing, unless the environment names this point: then kill -9 at the n-th visit."""
    global _left  # noqa: PLW0603 - one counter per process is the point
    if point != _name:
        return
    _left -= 1
    if _left <= 0:
        os.kill(os.getpid(), signal.SIGKILL)
