"""The aims of the scorer, and what a run has measured of each: from the lines of its parts."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

Line = Mapping[str, Any]
Measured = Callable[[Sequence[Line]], float | None]
NOT_RUN: Final = "-"


@dataclass(frozen=True)
class Aim:
    """`most`: what is measured may not be more; else not less. None: it is only told."""

    part: str
    what: str
    bound: float | None
    measured: Measured
    most: bool = False

    def row(self, lines: Sequence[Line]) -> tuple[str, str, str, str]:
        """What, aim, measured, whether it holds."""
        found = self.measured(lines)
        sign = "<=" if self.most else ">="
        aim = "told" if self.bound is None else f"{sign} {self.bound:,g}"
        if found is None:
            return f"{self.part}: {self.what}", aim, NOT_RUN, NOT_RUN
        if self.bound is None:
            return f"{self.part}: {self.what}", aim, f"{found:,.2f}", NOT_RUN
        holds = found <= self.bound if self.most else found >= self.bound
        return f"{self.part}: {self.what}", aim, f"{found:,.10g}", "yes" if holds else "NO"


def _worst(least: bool, name: str, **wanted: Any) -> Measured:
    """The least or the greatest of this name among the lines that have all that is wanted."""

    def measured(lines: Sequence[Line]) -> float | None:
        chosen = [float(line[name]) for line in lines if name in line
                  and all(line.get(key) == value for key, value in wanted.items())]  # fmt: skip
        if not chosen:
            return None
        return min(chosen) if least else max(chosen)

    return measured


def _growth(name: str) -> Measured:
    """Of the most customers, as a multiple of that of the fewest."""

    def measured(lines: Sequence[Line]) -> float | None:
        by_size = sorted((line["customers"], line[name]) for line in lines if name in line)
        return float(by_size[-1][1] / by_size[0][1]) if len(by_size) > 1 else None

    return measured


def _best_of(name: str) -> Measured:
    return _worst(False, name)


LARGE: Final = {"workers": 2, "polls_of": 20_000}
AIMS: Final = (
    Aim("pace", "events/s, 2 workers", 200_000, _worst(True, "events_per_s", **LARGE)),
    Aim("pace", "events/s, 2 workers, polls of 500", None,
        _worst(True, "events_per_s", workers=2, polls_of=500)),
    Aim("pace", "events in a round, 2 workers", 2_000, _worst(True, "events_per_round", **LARGE)),
    Aim("pace", "events per core-second of workers, 2 workers", 100_000,
        _worst(True, "events_per_worker_cpu_s", **LARGE)),
    Aim("sizes", "CPU of an event, most customers over fewest", None,
        _growth("worker_cpu_us_per_event")),
    Aim("even", "CPU of an event, most customers over fewest", None,
        _growth("worker_cpu_us_per_event")),
    Aim("event-cost", "CPU of an event, most customers over fewest", 1.25,
        _growth("us_an_event"), most=True),
    Aim("rows", "p99 to a state row at 10,000 events/s, ms", 40,
        _worst(False, "p99_ms", events_per_s=10_000), most=True),
    Aim("scores", "p99 to a score at 10,000 events/s, ms", 500,
        _worst(False, "p99_ms", events_per_s=10_000), most=True),
    Aim("scores", "greatest pace of those tried with that p99, events/s", 10_000,
        _best_of("greatest_rate_with_p99_within_500_ms")),
    Aim("lag", "state records/s folded from Kafka, best of 1 and 2 listeners", 50_000,
        _best_of("records_per_s")),
    Aim("lag", "customers/s written meanwhile, of whom the last state counts", None,
        _best_of("customers_per_s")),
    Aim("lag", "rows/s of tables written meanwhile", None, _best_of("table_rows_per_s")),
    Aim("pages", "greatest p99 of a page but for the first request, ms", 200,
        _worst(False, "p99_ms"), most=True),
    Aim("recovery", "rows per CPU second of restoring, without Kafka", 200_000,
        _worst(True, "rows_per_s")),
    Aim("recovery", "GB of memory", 1.5, _worst(False, "memory_gb"), most=True),
    Aim("recovery-full", "rows per CPU second of restoring, without Kafka", 200_000,
        _worst(True, "rows_per_s")),
    Aim("recovery-full", "GB of memory", 1.5, _worst(False, "memory_gb"), most=True),
)  # fmt: skip


def table(lines: Mapping[str, Sequence[Line]]) -> Iterator[str]:
    """Of the parts that ran, by their names."""
    rows = [aim.row(lines[aim.part]) for aim in AIMS if aim.part in lines]
    every = [("what", "aim", "measured", "holds"), *rows]
    widths = [max(len(row[n]) for row in every) for n in range(4)]
    for row in every if rows else ():
        what, *others = (cell.ljust(w) for cell, w in zip(row, widths, strict=True))
        yield "  ".join([what, *others]).rstrip()
