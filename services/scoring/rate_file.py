"""`replay --rates`: what a file of reference data says."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from services.scoring import reference
from services.scoring.party_episodes import Unreadable
from services.scoring.rate import Rate
from shared.events import Event


def events_of(
    file: Path, lines: Iterable[tuple[int, bytes]], told: list[str]
) -> Iterator[Event[Any]]:
    """The events of numbered lines. `told` gets the lines of a rate that holds instead of one
    before it.

    Raises Unreadable for a line that is no event, or a rate by which no exact figure can be made:
    without it all would be wrong.
    """
    first: dict[str, tuple[int, Rate]] = {}
    for number, value in lines:
        event = reference.readable(value)
        if event is None:
            raise Unreadable(f"{file}, line {number}: no event of reference data")
        rate = reference.rate_of(event)
        if rate is not None:
            if fault := rate.fault():
                raise Unreadable(f"{file}, line {number}: {rate.key}: {fault}")
            before = first.get(rate.key)
            if before is not None and before[1].says() != rate.says():
                told.append(
                    f"{file}, line {number}: {rate.key} holds, not that of line {before[0]}"
                )
            first[rate.key] = number, rate
        yield event
