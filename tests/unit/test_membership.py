"""When a worker may write: by what the group's coordinator said, from when it was asked."""

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import errors
from aiokafka.consumer.group_coordinator import (
    HeartbeatRequest,
    JoinGroupRequest,
    OffsetCommitRequest,
)

from services.scoring.membership import PATIENCE_S, Membership

SESSION_S = 10.0
FRESH_S, OLD_S = 7.9, 8.1


class Ended(Exception):
    pass


class Clock:
    """Stands still, and is set forward by the test."""

    at = 1000.0

    def __call__(self) -> float:
        return self.at


def member(clock: Clock) -> Membership:
    def fatal(reason: str) -> None:
        raise Ended(reason)

    one = Membership(SESSION_S, fatal, clock=clock)  # type: ignore[arg-type]
    one.told(clock.at, errors.NoError, is_join=True)
    return one


def waits(clock: Clock, one: Membership, meanwhile: Callable[[], None]) -> None:
    """A write whose proof is too old, until this happens."""
    clock.at += 20

    async def scenario() -> None:
        write = asyncio.create_task(one.proven())
        await asyncio.sleep(0.05)
        assert not write.done()
        meanwhile()
        await asyncio.wait_for(write, 5)

    asyncio.run(scenario())


def test_who_never_joined_has_no_state_and_may_write() -> None:
    assert Membership(SESSION_S, lambda _: None, clock=Clock()).is_proven()  # type: ignore[arg-type]


@pytest.mark.parametrize(("after_s", "proven"), [(FRESH_S, True), (OLD_S, False)])
def test_a_proof_lasts_for_most_of_a_session(after_s: float, proven: bool) -> None:
    clock = Clock()
    one = member(clock)
    clock.at += after_s
    assert one.is_proven() is proven


def test_an_answer_counts_from_when_it_was_asked_for() -> None:
    """It may have waited in a buffer of a worker that stood still."""
    clock = Clock()
    one = member(clock)
    asked_at = clock.at
    clock.at += 60
    one.told(asked_at, errors.NoError)
    assert not one.is_proven()


@pytest.mark.parametrize("said", [errors.NoError, errors.RebalanceInProgressError])
def test_whom_the_coordinator_still_knows_goes_on_after_an_outage(said: type[Exception]) -> None:
    clock = Clock()
    one = member(clock)
    waits(clock, one, lambda: one.told(clock.at, said))


@pytest.mark.parametrize("said", [errors.UnknownMemberIdError, errors.IllegalGenerationError])
def test_whom_it_knows_no_more_ends(said: type[Exception]) -> None:
    clock = Clock()
    one = member(clock)
    one.told(clock.at, said)
    with pytest.raises(Ended, match="no member"):
        asyncio.run(one.proven())


def test_what_waited_through_a_new_join_is_never_written() -> None:
    clock = Clock()
    one = member(clock)
    with pytest.raises(Ended, match="anew"):
        waits(clock, one, lambda: one.told(clock.at, errors.NoError, is_join=True))


def test_no_answer_is_waited_for_as_long_as_the_producer_tries() -> None:
    clock = Clock()
    one = member(clock)

    def pass_by() -> None:
        clock.at += PATIENCE_S + 1

    with pytest.raises(Ended, match="no member"):
        waits(clock, one, pass_by)


UNKNOWN, FENCED, REBALANCE = 25, 82, 27
HEARTBEAT = HeartbeatRequest("group", 7, "m-1")
COMMIT = OffsetCommitRequest("group", 7, "m-1", -1, [])
JOIN = JoinGroupRequest("group", 10_000, 10_000, "m-1", "worker", "consumer", [])


def said(code: int) -> Any:
    return SimpleNamespace(error_code=code, topics=[("bank.events", [(0, 0), (1, code)])])


def asks(request: Any, code: int, *, after_s: float = 3.0, left: bool = False) -> None:
    """The coordinator answers so to a member that was known for sure `after_s` before."""
    clock = Clock()
    one = member(clock)

    async def send(_: Any) -> Any:
        clock.at += after_s
        if left:
            coordinator.member_id = ""
        return said(code)

    coordinator: Any = SimpleNamespace(member_id="m-1", _send_req=send)
    one.watch(coordinator)
    asyncio.run(coordinator._send_req(request))


@pytest.mark.parametrize(
    ("request_", "code"), [(HEARTBEAT, UNKNOWN), (COMMIT, UNKNOWN), (JOIN, FENCED)]
)
def test_whose_name_another_has_taken_ends_at_once(request_: Any, code: int) -> None:
    """If it joined again, it would take the name back, and so on: two owners of each partition."""
    with pytest.raises(Ended, match="GUANXI_WORKER_INSTANCE"):
        asks(request_, code)


def test_whose_session_may_have_ended_or_who_left_by_itself_joins_again() -> None:
    asks(HEARTBEAT, UNKNOWN, after_s=SESSION_S + 0.1)
    asks(COMMIT, UNKNOWN, left=True)
    asks(COMMIT, REBALANCE)


def test_who_was_told_already_that_he_is_no_member_is_not_told_of_another() -> None:
    """Every request that was under way then has the same answer."""
    one = member(Clock())
    one.told(Clock.at, errors.UnknownMemberIdError)
    one.keep_name({UNKNOWN})
