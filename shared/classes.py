"""Where kafka-python (3.0.12) is not safe among threads.

It makes a class for each version of a message as it first meets it, and tells a registry of it by a
weak reference. Where two threads meet one at once each makes its own: one class is kept, the other
may be the one that the registry has. When that is collected no answer of its kind can be read any
more, by any client of the process, until it ends.
"""

import threading
from typing import Any

from kafka.protocol.api_message import VersionSubscriptable

_made = VersionSubscriptable.__getitem__
_alone = threading.RLock()  # the class of a version asks that of the message


def _one_by_one(cls: Any, version: int | None) -> Any:
    with _alone:
        return _made(cls, version)


def make_one_by_one() -> None:
    """From now on in this process."""
    VersionSubscriptable.__getitem__ = _one_by_one
