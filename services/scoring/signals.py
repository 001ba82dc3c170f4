"""Signals: a rule crossed up or down for one customer number, with the terms that explain it."""

from collections.abc import Iterable
from datetime import UTC, date, datetime
from typing import Any, Literal
from zoneinfo import ZoneInfo

import msgspec

from services.scoring import rows as r
from services.scoring.columns import Columns
from services.scoring.model import Model
from services.scoring.partition import Partition
from services.scoring.scores import outflow, silence

RULES = {r.OUTFLOW: "outflow", r.SILENCE: "silence"}
KINDS: dict[int, Literal["raised", "cleared"]] = {
    r.RAISED: "raised", r.CLEARED: "cleared", r.LEFT: "cleared",
}  # fmt: skip


class Position(msgspec.Struct, frozen=True, omit_defaults=True):
    """The record of `bank.events` that moved the rule; it differs between live and replay.

    `moved`: the offset of the last event that moved a term, by its code.
    """

    partition: int
    offset: int
    moved: dict[str, int] = {}


class Signal(msgspec.Struct, frozen=True, omit_defaults=True):
    """As on `scoring.signals` and in the file of `replay --alerts` (there without position).

    `score` is the rule's risk in ppm; `id` follows from customer, rule and episode alone, so a
    repeat after a crash is the same signal. Rules of a model are on one account: its number and its
    product, which only together are one, are in the `id` too.
    """

    id: str
    customer_number: str
    rule: str
    kind: Literal["raised", "cleared"]
    at: datetime
    on: date
    episode: int
    score: int
    terms: dict[str, Any]
    events: tuple[str, ...]
    model_version: str
    account_number: str = ""  # of a rule on one account
    product_code: str = ""
    position: Position | None = None


_encoder = msgspec.json.Encoder()


def encode(signal: Signal, *, with_position: bool = True) -> bytes:
    """JSON of one signal."""
    if with_position:
        return _encoder.encode(signal)
    return _encoder.encode(msgspec.structs.replace(signal, position=None))


class Writer:
    """Turns the kernel's signal rows into signals. `zone` is the bank's."""

    def __init__(self, zone: str) -> None:
        self._zone = ZoneInfo(zone)

    def signals(
        self, partition: Partition, columns: Columns, signal_rows: Iterable[list[int]]
    ) -> list[Signal]:
        return [self._signal(partition, columns, row) for row in signal_rows]

    def _signal(self, partition: Partition, columns: Columns, row: list[int]) -> Signal:
        number = partition.numbers[row[r.S_ROW]].decode()
        rule, kind = RULES[row[r.S_RULE]], KINDS[row[r.S_KIND]]
        cause = row[r.S_EVENT]
        on = date.fromordinal(row[r.S_ON])
        model = partition.live.model
        terms = _terms(model, row)
        if cause >= 0:
            at = columns.time_of(cause)
        else:
            at = datetime(on.year, on.month, on.day, tzinfo=self._zone)
        return Signal(
            id=f"{rule}/{number}/{row[r.S_EPISODE]}/{kind}",
            customer_number=number,
            rule=rule,
            kind=kind,
            at=at.astimezone(UTC),
            on=on,
            episode=row[r.S_EPISODE],
            score=terms.pop("risk_ppm"),
            terms=terms,
            events=() if cause < 0 else (columns.id_of(cause),),
            model_version=model.version,
            position=Position(partition.number, row[r.S_OFFSET]),
        )


def _terms(model: Model, row: list[int]) -> dict[str, Any]:
    """What explains it; of one that begins also the smallest change that would end it, of one that
    ends with the last account that there is none. Of an outflow that ends as its mean is too small
    to matter, what the balance lacked even then."""
    begins = row[r.S_KIND] == r.RAISED
    closed = {"open_accounts": 0} if row[r.S_KIND] == r.LEFT else {}
    if row[r.S_RULE] == r.OUTFLOW:
        left, mean = row[r.S_BALANCE], row[r.S_MEAN]
        deposit = outflow.deposit_to_clear(left, mean, model.outflow_clear_ppm)
        sank = mean < model.outflow_mean_min_minor and deposit > 0
        return {
            "risk_ppm": outflow.risk_ppm(left, mean, model.outflow_mean_min_minor),
            "balance_minor": left,
            "mean_minor": mean,
            **({"clear_deposit_minor": deposit} if begins or sank else {}),
            **closed,
        }
    silent_days = row[r.S_ON] - row[r.S_LAST_ON]
    return {
        "risk_ppm": silence.risk_ppm(model.gap_powers, silent_days, row[r.S_GAP]),
        "last_on": date.fromordinal(row[r.S_LAST_ON]).isoformat(),
        "silent_days": silent_days,
        "mean_gap_milli_days": row[r.S_GAP],
        **({"clear_actions": 1} if begins else {}),
        **closed,
    }
