"""A worker that stands still in the middle of its second write, as in a container that is frozen.

`careless` has no fence before its producer, and looks at no generation: the negative control.
"""

import os
import signal
import sys
from itertools import count

from services.scoring import driver
from services.scoring.membership import Membership
from services.scoring.worker import run

_writes = count(1)
_reach = driver.reach


def reach(name: str) -> None:
    if name == "worker.after_signals" and next(_writes) == 2:
        print("STANDS STILL", flush=True)
        os.kill(os.getpid(), signal.SIGSTOP)
        print("GOES ON", flush=True)
    _reach(name)


if __name__ == "__main__":
    driver.reach = reach  # type: ignore[attr-defined]
    if sys.argv[1:] == ["careless"]:
        Membership.fence = lambda *_: None  # type: ignore[assignment]
        driver.Driver._written = lambda _, reports: driver._delivered(reports)  # type: ignore[method-assign]
    run()
