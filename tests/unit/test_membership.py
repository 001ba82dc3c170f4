"""When a worker may write: by what the group's coordinator said, from when it was asked."""

import asyncio
from collections.abc import Callable

import pytest
from aiokafka import errors

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
