"""`python -m tests.load.scoring` (`make bench-scoring`): the whole scorer, part after part.

Each part says when it begins and about how long it takes on two quiet cores. What comes behind a
part that failed is still measured; the whole has failed then.
"""

import subprocess
import sys
import time
from dataclasses import dataclass
from typing import Annotated

import typer


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
            paces = rates or ([1000] if quick else [1000, 2000, 3000, 4000, 5000])
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
    Part("rows", "from an event to its state row, 10,000 events/s", 1,
         "state_latency --risk --rates", "--rate 1000 --customers 10000"),
    Part("scores", "from an event to the score that it moved, one pace after the other", 4,
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
    Part("recovery", "a worker's state of 1 M customers from the log", 1,
         "recovery", "--customers 100000"),
    Part("recovery-full", "the same with a ledger and a watch on every account", 1,
         "recovery --risk --rates", "--customers 100000"),
    Part("idle", "closed days of 10 M silent customers", 2, "idle_days", "--customers 1000000"),
)  # fmt: skip


def say(line: str) -> None:
    typer.echo(line, err=True)


def main(
    quick: Annotated[bool, typer.Option(help="small: does it run")] = False,
    rate: Annotated[list[int] | None, typer.Option(help="of scores, events/s")] = None,
    only: Annotated[list[str] | None, typer.Option(help="a part; may be repeated")] = None,
) -> None:
    """Measure the whole scorer."""
    names = [part.name for part in PARTS]
    for name in only or ():
        if name not in names:
            raise typer.BadParameter(f"{name} is none of {', '.join(names)}")
    wanted = [part for part in PARTS if not only or part.name in only]
    failed = []
    begun = time.monotonic()
    for n, part in enumerate(wanted, 1):
        about = "small" if quick else f"about {part.minutes:g} min"
        say(f"[{n}/{len(wanted)}] {part.name}: {part.what}; {about}")
        program, *arguments = part.arguments(quick=quick, rates=rate or [])
        part_begun = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-m", f"tests.load.{program}", *arguments], check=False
        )
        ended = "done" if done.returncode == 0 else f"FAILED with {done.returncode}"
        say(f"[{n}/{len(wanted)}] {part.name}: {ended} after {time.monotonic() - part_begun:.0f} s")
        if done.returncode != 0:
            failed.append(part.name)
    say(f"all parts took {(time.monotonic() - begun) / 60:.0f} min")
    if failed:
        say(f"failed: {', '.join(failed)}")
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)
