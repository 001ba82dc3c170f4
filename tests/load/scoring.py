"""`python -m tests.load.scoring` (`make bench-scoring`): the whole scorer, part after part.

Each part says when it begins and about how long it takes on two quiet cores. What comes behind a
part that failed is still measured; the whole has failed then. At the end it says what was measured
of each aim.
"""

import json
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import Annotated, Any

import typer

from tests.load.aims import Line, table
from tests.load.pace import whole_ticks


@dataclass(frozen=True)
class Part:
    """One run of a measuring program."""

    name: str
    what: str
    minutes: float  # about, on two quiet cores
    command: str
    quick: str  # what is added for a small run

    def arguments(self, *, quick: bool, rates: list[int]) -> list[str]:
        own = self.command.split() + (self.quick.split() if quick else [])
        if self.name == "scores":
            paces = rates or ([1000] if quick else [1000, 2000, 3000, 4000, 5000, 10_000])
            own += [word for pace in paces for word in ("--rate", str(pace))]
        return own


FULL = "bench_worker --risk --rates"  # everything of the engine is on
PARTS = (
    Part("pace", "2 M events over 50,000 customers, 1 and 2 workers, polls of 20,000 and of 500", 8,
         f"{FULL} --events 2000000 --polls 20000 --polls 500", "--quick"),
    Part("sizes", "10^4 to 10^6 customers, events as a bank has them", 5,
         f"{FULL} --workers 1 --customers 10000 --customers 100000 --customers 1000000"
         " --no-month-end", "--quick"),
    Part("even", "10^4 to 10^6 customers, each event a state row: cost by size alone", 4,
         f"{FULL} --workers 1 --customers 10000 --customers 100000 --customers 1000000"
         " --even --polls 500 --events 500000 --no-month-end", "--quick"),
    Part("event-cost", "10^4 to 10^6 customers, the engine alone, by phase", 3,
         "event_cost", "--customers 10000 --customers 20000 --events 200"),
    Part("rows", "from an event to its state row, 10,000 events/s", 1,
         "state_latency --risk --rates",
         "--rate 1000 --customers 10000 --seconds 10 --warm-up-s 3"),
    Part("scores", "from an event to the score that it moved, one pace after the other", 6,
         "score_latency --risk --rates", "--customers 10000 --seconds 9"),
    Part("fold", "state rows into PostgreSQL", 1,
         "fold_rate --batch 50000 --steps", "--events 50000"),
    Part("fold-rates", "the same with a ledger on every account", 1,
         "fold_rate --batch 50000 --steps --rates", "--events 50000"),
    Part("lag", "one listener, then two, work off what waits in Kafka", 2,
         "fold_lag --rates", "--events 50000 --customers 10000"),
    Part("roll", "all open leaves to a closed day", 4, "roll_rate", "--customers 20000"),
    Part("pages", "scoring's pages at 1 M customers", 8,
         "pages_at_scale", "--customers 20000 --times 20"),
    Part("recovery", "CPU of taking a worker's state of 1 M customers, without Kafka", 1,
         "recovery", "--customers 100000"),
    Part("recovery-full", "the same with a ledger and a watch on every account", 1,
         "recovery --risk --rates", "--customers 100000"),
    Part("idle", "closed days of 10 M silent customers", 2, "idle_days", "--customers 1000000"),
)  # fmt: skip


def say(line: str) -> None:
    typer.echo(line, err=True)


def _stop(*_: Any) -> None:
    raise KeyboardInterrupt


def _run(words: list[str]) -> tuple[int, list[Line]]:
    """Runs a part; its lines go on as they come. Who stops this, stops the part, and nothing of it
    is left: it is asked as by Ctrl+C, and once, so that it ends its servers."""
    command = [sys.executable, "-m", *words]
    part = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
    found: list[Line] = []
    assert part.stdout is not None
    try:
        for line in part.stdout:
            typer.echo(line, nl=False)
            if line.startswith("{"):
                found.append(json.loads(line))
        return part.wait(), found
    except KeyboardInterrupt:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        say("stopping")
        part.send_signal(signal.SIGINT)
        part.communicate()
        raise typer.Exit(130) from None


def _wanted(only: list[str] | None) -> list[Part]:
    names = [part.name for part in PARTS]
    for name in only or ():
        if name not in names:
            raise typer.BadParameter(f"{name} is none of {', '.join(names)}")
    return [part for part in PARTS if not only or part.name in only]


def main(
    quick: Annotated[bool, typer.Option(help="small: does it run")] = False,
    rate: Annotated[
        list[int] | None, typer.Option(help="of scores, events/s", callback=whole_ticks)
    ] = None,
    only: Annotated[list[str] | None, typer.Option(help="a part; may be repeated")] = None,
) -> None:
    """Measure the whole scorer."""
    wanted, failed, lines = _wanted(only), list[str](), dict[str, list[Line]]()
    signal.signal(signal.SIGTERM, _stop)
    begun = time.monotonic()
    for n, part in enumerate(wanted, 1):
        about = "small" if quick else f"about {part.minutes:g} min"
        say(f"[{n}/{len(wanted)}] {part.name}: {part.what}; {about}")
        program, *arguments = part.arguments(quick=quick, rates=rate or [])
        part_begun = time.monotonic()
        code, lines[part.name] = _run([f"tests.load.{program}", *arguments])
        ended = "done" if code == 0 else f"FAILED with {code}"
        say(f"[{n}/{len(wanted)}] {part.name}: {ended} after {time.monotonic() - part_begun:.0f} s")
        if code != 0:
            failed.append(part.name)
    say(f"all parts took {(time.monotonic() - begun) / 60:.0f} min")
    if quick:
        say("a small run: its figures are no measure of the aims")
    for row in table(lines):
        typer.echo(row)
    if failed:
        say(f"failed: {', '.join(failed)}")
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)
