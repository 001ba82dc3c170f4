"""Inputs: what the query side sends to the worker beside the bank's events. Here: replays.

An input carries an event that was refused, with its place in `bank.events`. It is judged as the
event would be now, and stepped by the same code; but a repeat of it is known by its sequence among
the inputs of its customer number, not by an offset: an outbox may send a row twice.
"""

import binascii
from base64 import b64decode
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from msgspec.structs import replace

from services.scoring.columns import (
    Columns,
    Context,
    Kind,
    Refused,
    add,
    refuse,
)
from services.scoring.partition import Partition
from services.scoring.records import Delivered
from services.scoring.rows import INPUT
from shared.events.envelope import (
    EVENT_CLASSES,
    Undecodable,
    UnknownType,
    UnknownVersion,
    decode,
    misplaced,
)
from shared.events.scoring import EventReplayed

TOPIC = "scoring.inputs"
_REPLAYED = EVENT_CLASSES[EventReplayed]
_NONE_HELD: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Origin:
    """The event in an input, at the place where it stood in `bank.events`."""

    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    sequence: int


def sequence_of(event: Any) -> int:
    """Where the input stands among those of its customer number: 1, 2, 3 ..."""
    return int(event.sequence or 0)


def read(
    context: Context, partition: Partition, records: Sequence[Delivered]
) -> tuple[Columns, list[Origin]]:
    """The columns of a batch of inputs, and their origins. Never raises for what they hold."""
    out, origins = Columns(), []
    refused_before = {(key.encode(), n) for key, n in partition.closes.refused_inputs}
    for record in records:
        origin = _decoded(context, partition.number, record, out)
        if origin is None:
            continue
        origins.append(origin)
        told = len(out.refused)
        reason = _misplaced(context, partition.number, origin)
        if reason is None and (origin.key, origin.sequence) in refused_before:
            reason = ("quarantined", "", "it was refused before; the verdict on an input stays")
        if reason is not None:
            out.refused.append(refuse(context, origin.partition, origin, *reason))
        else:
            _add(out, context, partition, origin)
        for at in range(told, len(out.refused)):
            out.refused[at] = with_sequence(out.refused[at], origin.sequence)
    return out, origins


def with_sequence(refused: Refused, sequence: int) -> Refused:
    """The same refusal, of the input with this sequence."""
    return replace(refused, sequence=sequence)


def _add(out: Columns, context: Context, partition: Partition, origin: Origin) -> None:
    rows, closes = len(out.rows), len(out.closes)
    add(out, context, partition, [origin], _NONE_HELD)
    if len(out.rows) > rows:
        out.flags[rows] |= INPUT
        out.sequences.append(origin.sequence)
    if len(out.closes) > closes:
        del out.closes[closes:]
        out.refused.append(
            refuse(context, partition.number, origin, "dead", "type",
                   "a close is not replayed: its source sends it again")
        )  # fmt: skip


def _decoded(context: Context, partition: int, record: Delivered, out: Columns) -> Origin | None:
    """None: it says nothing to the worker, or cannot be read; the latter is our own mistake."""
    try:
        event: Any = decode(record.value or b"")
        reason = misplaced(event, TOPIC, record.key, partition, context.partitions)
        if reason is None and type(event) is _REPLAYED:
            fact = event.data
            value = b64decode(fact.payload, validate=True)
            key = fact.customer_number.encode()
            return Origin(fact.partition, fact.offset, key, value, sequence_of(event))
        if reason is None:
            out.ignored[event.type] += 1
            return None
    except UnknownType as error:
        out.ignored[error.type] += 1
        return None
    except (Undecodable, UnknownVersion, binascii.Error) as error:
        reason = str(error)
    own = Context(TOPIC, context.partitions, context.currency, {}, context.zone, 0)
    out.refused.append(refuse(own, partition, record, "dead", "", reason))
    return None


def _misplaced(context: Context, partition: int, origin: Origin) -> tuple[Kind, str, str] | None:
    """Where the origin stood is judged as it was: the input's own place proves nothing."""
    if origin.partition != partition:
        place = f"partition {origin.partition} of {context.partitions}"
        return ("dead", "partition", f"{place}, its key belongs in {partition}")
    if origin.sequence < 1:
        return ("dead", "sequence", "an input without its sequence")
    return None
