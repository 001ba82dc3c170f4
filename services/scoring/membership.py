"""A worker that may be no member of its group any more writes nothing.

One that stood still for longer than its session (a frozen container, SIGSTOP) goes on as if nothing
had been. Another worker owns its partitions by then: an old row, written behind the new owner's,
would be the one that compaction keeps and the next recovery takes.

The proof is an answer of the group's coordinator, and it counts from when it was asked for: the
answer itself may have waited in a buffer while the worker stood still.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Any, NoReturn

from aiokafka import errors
from aiokafka.consumer.group_coordinator import (
    GroupCoordinator,
    HeartbeatRequest,
    OffsetCommitRequest,
    SyncGroupRequest,
)

SHARE = 0.8  # of the session; the rest is for what is on its way to the broker
PATIENCE_S = 40.0  # as long as the producer tries: the broker may be away for a while
ASK_EVERY_S = 0.02
_MEMBER = (errors.NoError, errors.RebalanceInProgressError)
_NO_MEMBER = (errors.IllegalGenerationError, errors.UnknownMemberIdError)
_FENCED_INSTANCE = 82  # aiokafka has no name for it
TAKEN = (
    "another worker joined the group by this one's name: GUANXI_WORKER_INSTANCE must be each"
    " worker's own"
)


def since_boot_s() -> float:
    """Goes on while the machine is suspended, which CLOCK_MONOTONIC does not."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Membership:
    """Told by the consumer's thread, asked by the producer's."""

    def __init__(
        self,
        session_s: float,
        fatal: Callable[[str], NoReturn],
        *,
        clock: Callable[[], float] = since_boot_s,
    ) -> None:
        self._session_s = session_s
        self._proof_lasts_s = session_s * SHARE
        self._fatal = fatal
        self._clock = clock
        self._asked_at: float | None = None  # none: never a member, so there is no state to write
        self._joins = 0
        self._lost = False

    def watch(self, coordinator: GroupCoordinator) -> None:
        """From here on the answers to heartbeats and joins of this coordinator count."""
        send = coordinator._send_req

        async def sent(request: Any) -> Any:
            asked_at, member = self._clock(), coordinator.member_id
            answer = await send(request)
            if member and member == coordinator.member_id:  # not left by ourselves meanwhile
                self.keep_name(_codes(request, answer))
            if isinstance(request, HeartbeatRequest | SyncGroupRequest):
                said = errors.for_code(answer.error_code)
                self.told(asked_at, said, is_join=isinstance(request, SyncGroupRequest))
            return answer

        coordinator._send_req = sent

    def told(self, asked_at: float, said: type[Exception], *, is_join: bool = False) -> None:
        if is_join and said is errors.NoError:
            self._joins += 1
            self._asked_at, self._lost = asked_at, False
        elif said in _NO_MEMBER:
            self._lost = True
        elif not is_join and said in _MEMBER:
            self._asked_at = asked_at

    def keep_name(self, codes: set[int]) -> None:
        """Ends the process where another has taken over its name. The coordinator gives a name's
        partitions to who joined by it last; if both joined again and again, both would own them.

        It knows no member of ours whose session cannot have ended: then it knows another.
        """
        is_alive = self._asked_at is not None and self._clock() - self._asked_at < self._session_s
        unknown = errors.UnknownMemberIdError.errno in codes and not self._lost and is_alive
        if unknown or _FENCED_INSTANCE in codes:
            self._fatal(TAKEN)

    def is_proven(self) -> bool:
        if self._asked_at is None:
            return True
        return not self._lost and self._clock() - self._asked_at < self._proof_lasts_s

    async def proven(self) -> None:
        """Returns while we are a member for sure. Waits where the last proof is too old; ends the
        process if the coordinator says no, or if it took us in anew: what was to be written then
        is of before."""
        joins, begun = self._joins, self._clock()
        while not self.is_proven():
            if self._lost or self._clock() - begun > PATIENCE_S:
                self._fatal("no member of the group any more: the state may be another's")
            await asyncio.sleep(ASK_EVERY_S)
        if self._joins != joins:
            self._fatal("joined the group anew in the middle of a write")

    def fence(self, producer: Any) -> None:
        """From here on this producer sends nothing without a proof."""
        sender = producer._sender
        send = sender._send_produce_req

        async def fenced(node_id: Any, batches: Any) -> None:
            await self.proven()
            await send(node_id, batches)

        sender._send_produce_req = fenced


def _codes(request: Any, answer: Any) -> set[int]:
    if isinstance(request, OffsetCommitRequest):
        return {code for _, partitions in answer.topics for _, code in partitions}
    return {getattr(answer, "error_code", 0)}
