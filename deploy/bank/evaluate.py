"""Raised signals against the simulator's truth: precision, recall and how late.

Matching: a signal of rule `silence` is right when its customer's silence began within
SILENCE_WINDOW_DAYS before it; one of `outflow` when an outflow, or the beginning of distress, is
within OUTFLOW_WINDOW_DAYS before it. Rules of a model look AHEAD_DAYS ahead: a `collapse` or a
`no_purchase` is right when its customer falls silent by then, or did within SILENCE_WINDOW_DAYS; an
`outflow_ahead` when his money leaves, a `distress` when he is overdrawn. `use_falls` is right
within USE_WINDOW_DAYS after he began to leave. One fact takes one signal; further signals on it are
repeats, neither right nor wrong. A fact whose window reaches beyond the last day counts for recall
only if it was found.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

SILENCE_WINDOW_DAYS = 90
OUTFLOW_WINDOW_DAYS = 30
AHEAD_DAYS = 90
USE_WINDOW_DAYS = 120
WARM_UP_DAYS = 60  # signals before it are not judged: the figures know too little yet
SEAL_DAYS = 90  # a leaver would be certain only so long after he fell silent

_ZONE = ZoneInfo("Asia/Shanghai")


@dataclass(slots=True)
class Judged:
    """One rule's outcome. Delays and leads in days; a signal ahead of its fact has no delay."""

    rule: str
    window_days: int
    ahead_days: int = 0
    right: int = 0
    wrong: int = 0
    repeats: int = 0
    facts: int = 0
    found: int = 0
    delays: list[int] = field(default_factory=list)
    per_manager_day_max: int = 0

    @property
    def precision(self) -> float | None:
        judged = self.right + self.wrong
        return self.right / judged if judged else None

    @property
    def recall(self) -> float | None:
        return self.found / self.facts if self.facts else None

    def document(self) -> dict[str, Any]:
        delay = median(self.delays) if self.delays else None
        sealed = 0 if self.ahead_days else SEAL_DAYS
        return {
            "rule": self.rule, "window_days": self.window_days, "signals": self.right + self.wrong,
            "repeats": self.repeats, "facts": self.facts, "found": self.found,
            "precision": self.precision, "recall": self.recall, "delay_days_median": delay,
            "lead_days_median": None if delay is None else sealed - delay,
            "per_manager_day_max": self.per_manager_day_max,
        }  # fmt: skip


def evaluate(truth: dict[str, Any], signals: Iterable[dict[str, Any]]) -> list[Judged]:
    """Judges `raised` signals: {"customer_number", "rule", "kind", "at"} (`at`: day or instant)."""
    first, last = _day(truth["from"]), _day(truth["until"])
    begin = first + timedelta(days=WARM_UP_DAYS)
    raised: defaultdict[str, list[tuple[date, str]]] = defaultdict(list)
    for signal in signals:
        at = _day(signal["at"])
        if signal.get("kind", "raised") == "raised" and begin <= at <= last:
            raised[signal["rule"]].append((at, signal["customer_number"]))
    silent = _facts(truth, "leavers", "silent_on")
    buyers = _facts(truth | {"leavers": [r for r in truth["leavers"] if r.get("has_wallet")]},
                    "leavers", "silent_on")  # fmt: skip
    flowed = _facts(truth, "outflows", "on")
    trouble = _facts(truth, "distress", "from_on")
    nothing: list[tuple[str, date]] = []
    rules = (
        (Judged("silence", SILENCE_WINDOW_DAYS), silent, nothing),
        (Judged("outflow", OUTFLOW_WINDOW_DAYS), flowed, trouble),
        (Judged("collapse", SILENCE_WINDOW_DAYS, AHEAD_DAYS), silent, nothing),
        (Judged("no_purchase", SILENCE_WINDOW_DAYS, AHEAD_DAYS), buyers, nothing),
        (Judged("outflow_ahead", 0, AHEAD_DAYS), flowed, nothing),
        (Judged("distress", 0, AHEAD_DAYS), _facts(truth, "distress", "overdrawn_on"), nothing),
        (Judged("use_falls", USE_WINDOW_DAYS), _facts(truth, "leavers", "fades_on"), nothing),
    )
    judged = [
        _judge(one, facts, also_right, raised[one.rule], begin, last)
        for one, facts, also_right in rules
    ]
    for one in judged:
        one.per_manager_day_max = _busiest(raised[one.rule], truth["managers"])
    return judged


def _facts(truth: dict[str, Any], kind: str, day: str) -> list[tuple[str, date]]:
    """Those of which the truth knows the day."""
    return [(r["customer_number"], _day(r[day])) for r in truth[kind] if r.get(day)]


def _judge(  # noqa: PLR0917  the two callers stand beside each other
    judged: Judged,
    facts: list[tuple[str, date]],
    also_right: list[tuple[str, date]],
    raised: list[tuple[date, str]],
    begin: date,
    last: date,
) -> Judged:
    window, ahead = timedelta(days=judged.window_days), timedelta(days=judged.ahead_days)
    by_customer: defaultdict[str, list[date]] = defaultdict(list)
    excuses: defaultdict[str, list[date]] = defaultdict(list)
    for customer, on in facts:
        by_customer[customer].append(on)
    for customer, on in also_right:
        excuses[customer].append(on)
    found: set[tuple[str, date]] = set()
    for at, customer in sorted(raised):
        matching = [on for on in by_customer[customer] if on - ahead <= at <= on + window]
        fresh = [on for on in matching if (customer, on) not in found]
        if fresh:
            found.add((customer, fresh[0]))
            judged.right += 1
            judged.delays.append((at - fresh[0]).days)
        elif matching:
            judged.repeats += 1
        # Distress drains a balance over months: three windows.
        elif any(on <= at <= on + 3 * window for on in excuses[customer]):
            judged.right += 1
        else:
            judged.wrong += 1
    for customer, on in facts:
        if begin <= on and on + window <= last:
            judged.facts += 1
            judged.found += (customer, on) in found
    return judged


def _busiest(raised: list[tuple[date, str]], managers: dict[str, str]) -> int:
    counts: defaultdict[tuple[date, str], int] = defaultdict(int)
    for at, customer in raised:
        counts[at, managers.get(customer, "")] += 1
    return max(counts.values(), default=0)


def read_signals(path: Path) -> list[dict[str, Any]]:
    """JSON Lines as `replay --alerts` writes them. Raises ValueError with the line's number."""
    found = []
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            signal = msgspec.json.decode(line)
            missing = {"customer_number", "rule", "at"} - set(signal)
            if missing:
                raise ValueError(f"{path}:{number}: no {', '.join(sorted(missing))}")
            found.append(signal)
    return found


def _day(value: str | date) -> date:
    """A day as it is, an instant as the bank's day."""
    if isinstance(value, date) and not isinstance(value, datetime):
        return value
    text = str(value)
    if len(text) == len("2025-01-01"):
        return date.fromisoformat(text)
    instant = datetime.fromisoformat(text)
    return instant.astimezone(_ZONE).date() if instant.tzinfo else instant.date()
