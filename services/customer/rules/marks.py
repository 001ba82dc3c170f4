"""Which of two facts about one thing is the newer, whatever order they arrive in."""

from datetime import UTC
from typing import Any

from shared.events.envelope import Event


def mark_of(event: Event[Any]) -> str:
    """Of a bank's fact: when it happened, its sequence if it has one, its id. Compared as text."""
    instant = event.time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")
    return f"{instant}|{event.sequence or 0:010d}|{event.id}"


def sequence_mark_of(event: Event[Any]) -> str:
    """Of a fact of ours: the sequence of its key, which no clock can disturb."""
    return f"{event.sequence or 0:010d}|{event.id}"
