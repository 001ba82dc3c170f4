"""Compiles every kernel before the worker joins its group: cold it takes longer than a session.

`python -m services.scoring.warm` does it ahead, with what explains the alerts of GUANXI_RISK_MODEL
where it is set; what is compiled is kept (compiling.CACHE).
"""

import time
from collections.abc import Callable
from datetime import UTC, date, datetime
from functools import partial
from typing import Any

import numpy as np
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from numba.core import event as compiling

from services.scoring import applied_ids, model, remedy, risk_signals
from services.scoring.columns import Columns
from services.scoring.engine import Engine
from services.scoring.fetched import Fetched
from services.scoring.rate import Rate
from services.scoring.records import Records
from services.scoring.restoring import restore
from services.scoring.risk_plan import NO_PLAN, ModelRefused, Plan, read
from services.scoring.scores import turns, watching
from services.scoring.settings import ScoringSettings
from services.scoring.state import pack_spilled
from services.scoring.stepping import Run
from services.scoring.watermark import Source
from shared.events.bank import DayClosed, TransactionBooked
from shared.events.envelope import Event, encode, wrap

_TELL_S = 10.0
_MANY = 4_096


class Told(compiling.Listener):  # type: ignore[misc]
    """Says what is compiled; nothing where all of it is kept from before."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._functions = 0
        self._begun = self._told = 0.0

    def on_start(self, _: compiling.Event) -> None:
        if not self._begun:
            self._begun = self._told = time.monotonic()
            self._say("the scorer: compiling its rules (about a minute the first time)")

    def on_end(self, _: compiling.Event) -> None:
        self._functions += 1
        now = time.monotonic()
        if now - self._told >= _TELL_S:
            self._told = now
            self._say(f"the scorer: {self._functions} functions compiled, {self._seconds()} s")

    def finish(self) -> None:
        if self._functions:
            self._say(f"the scorer: its rules are compiled, {self._seconds()} s")

    def _seconds(self) -> int:
        return round(time.monotonic() - self._begun)


def compile_kernels(plan: Plan = NO_PLAN) -> float:
    """Steps one event and one closed day of an engine of its own, with a timer; explains one alert
    of each rule. Returns the seconds taken."""
    begun = time.monotonic()
    _explain(plan)
    day = date(2025, 1, 1)
    engine = Engine(
        model.load(), topic="bank.events", partitions=1, currency="CNY", zone="Asia/Shanghai"
    )
    engine.describe("warm", Source(closes_days=True, active_from=day.toordinal()))
    engine.set_rate(Rate("warm", "transfer_price", "warm", "", day.toordinal(), 1))
    outcome = engine.apply(engine.read(0, _records(day, "1"), day.toordinal() + 1), set())
    new = engine.read(0, _records(day, "2"), day.toordinal() + 1).columns.scanned
    assert len(new.fresh) == 1, "the second customer is taken at once"
    engine.post_months(0)
    engine.set_rate(Rate("warm", "transfer_price", "warm", "", day.toordinal(), 2))
    restated = [record for one in engine.restate(0) for record in (*one.first, *one.records)]
    partition = engine.partition(0)
    partition.make_room(len(partition.ids))
    partition.timers.arm(np.array([0]), np.array([day.toordinal()]))
    partition.armed[0] = day.toordinal()
    Run(partition, Columns()).fire(day.toordinal(), 1)
    fresh = Engine(
        model.load(), topic="bank.events", partitions=1, currency="CNY", zone="Asia/Shanghai"
    )
    recovered = fresh.partition(0)
    spilled = [(1, day.toordinal() + 1)]
    restore(
        recovered, [*outcome.first, *outcome.records, *restated, (b"1/1", pack_spilled(spilled))]
    )
    recovered.recovered()
    recovered.accounts_of("1", "1")
    recovered.loan("1", "1")
    recovered.make_room_for_customers(_MANY, _MANY)  # beyond what the tables begin with
    recovered.make_room_for_accounts(_MANY, _MANY)
    applied_ids.spill(recovered.ids, recovered.heads, 0, np.zeros((2, 2), np.int64))
    return time.monotonic() - begun


def _explain(plan: Plan) -> None:
    """What an alert calls from outside the kernel, with a row of one booking."""
    day = date(2025, 1, 1)
    turns.is_closed(0, day.toordinal())
    for of_set in range(len(plan.sets)):
        kind = plan.kind_of(of_set)
        row = np.zeros(watching.WORDS[kind], np.int64)
        watching.take(
            row[watching.HEAD :], row[: watching.HEAD], plan.methods.factors, kind,
            day.toordinal(), -1, watching.PURCHASE, 0,
        )  # fmt: skip
        for method in plan.sets[of_set, 1:].tolist():
            if method >= 0:
                risk_signals.explained(plan, of_set, method, row, day)
                remedy.smallest(plan, of_set, method, row, day)


def _records(day: date, number: str) -> Records:
    """As Kafka delivers them."""
    at = datetime(day.year, day.month, day.day, 1, tzinfo=UTC)
    fact = TransactionBooked(
        transaction_id="1", account_number=number, customer_number=number, product_code="warm",
        amount_minor=1, currency="CNY", kind="card", initiated_by="customer", booked_on=day,
    )  # fmt: skip
    closed = DayClosed(day=day)
    events: list[Event[Any]] = [
        wrap(fact, id="txn-1", source="warm", time=at, businessdate=day),
        wrap(closed, id=closed.event_id("warm"), source="warm", time=at, businessdate=day),
    ]
    batch = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, -1, 1 << 16)
    for offset, (key, event) in enumerate(zip((number.encode(), None), events, strict=True)):
        batch.append(offset, 0, key, encode(event), [])
    found = Fetched(bytes(batch.build())).next_batch()
    assert found is not None
    return next(iter(found))


if __name__ == "__main__":
    told = Told(partial(print, flush=True))
    try:
        given = read(ScoringSettings().risk_model)
    except ModelRefused as error:
        raise SystemExit(f"error: {error}") from None
    with compiling.install_listener("numba:compile", told):
        compile_kernels(given)
    told.finish()
