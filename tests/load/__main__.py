"""`python -m tests.load`: figures of the running system, every one with its effects asserted.

It starts a system of its own beside the demo, measures, and writes figures/bench.json.
"""

import json
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from deploy.local.servers import Ports
from deploy.local.system import Options, free_shift, running
from shared.testing.servers import run_folder, servers
from tests.load import live_pages, order_rate, query_side
from tests.load.stage import Bench

FIGURES = Path(__file__).parents[2] / "figures" / "bench.json"
GIVEN = ("GUANXI_KAFKA", "GUANXI_DATABASE", "GUANXI_REDIS")
Measure = Callable[..., dict[str, Any]]
ON_THE_SYSTEM: dict[str, Measure] = {
    "pages": live_pages.run,
    "orders": order_rate.run,
    "query-side": query_side.run,
}
err = Console(stderr=True)
app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


def say(line: str) -> None:
    err.print(line, markup=False, highlight=False)


@app.command()
def bench(
    only: Annotated[list[str] | None, typer.Option(help="one of them; may be repeated")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="small, to see that it runs")] = False,
    customers: Annotated[int, typer.Option(help="of the simulated bank")] = 3000,
) -> None:
    """Measure the running system: pages, orders, query-side; and the scorer: worker, fold."""
    known = (*ALONE, *ON_THE_SYSTEM)
    wanted = only or list(known)
    for name in wanted:
        if name not in known:
            raise typer.BadParameter(f"{name} is none of {', '.join(known)}")
    found: dict[str, Any] = {}
    for name, measure in ALONE.items():
        if name in wanted:
            say(name)
            found[name] = _measured(lambda measure=measure: measure(quick))
    names = [name for name in ON_THE_SYSTEM if name in wanted]
    if names:
        found |= on_a_system(names, quick=quick, customers=customers)
    write(found, quick)
    print(json.dumps(found, indent=1))
    if any("failed" in one for one in found.values()):
        raise typer.Exit(1)


def on_a_system(names: list[str], *, quick: bool, customers: int) -> dict[str, Any]:
    """Starts the whole system on ports of its own; nothing of it is left after."""
    for name in GIVEN:
        os.environ.pop(name, None)
    folder = run_folder(in_memory=False)
    options = Options(
        customers=150 if quick else customers, days=60 if quick else 120, live=False, factor=30.0,
        ports=Ports.free(), port_shift=free_shift(), folder=folder,
    )  # fmt: skip
    found: dict[str, Any] = {}
    try:
        with running(options, say) as system:
            stage = Bench(system, say)
            began = time.monotonic()
            stage.wait_loaded()
            say(f"history applied by all after {time.monotonic() - began:.1f} s")
            system.time.run(options.factor)
            for name in names:
                say(name)
                stage.wait(lambda: stage.lag() == 0, "nobody has anything to apply", 600)
                found[name] = _measured(lambda name=name: ON_THE_SYSTEM[name](stage, quick=quick))
            stage.close()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return found


def _measured(measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """One that fails is said so among the figures, and does not take the others with it."""
    try:
        return measure()
    except Exception as error:
        err.print_exception()
        return {"failed": f"{type(error).__name__}: {error}"}


def worker(quick: bool) -> dict[str, Any]:
    """The scorer's throughput with 1 and 2 workers; the program asserts every customer's sum."""
    lines = program(
        "bench_worker", *(["--events", "50000", "--customers", "2000"] if quick else [])
    )
    measured = [json.loads(line) for line in lines if line.startswith("{")]
    if not measured:
        raise RuntimeError("bench_worker printed no figures")
    return {f"with_{one['workers']}": one for one in measured}


def fold(quick: bool) -> dict[str, Any]:
    """Rows a second of scoring's query side, by what it does."""
    with servers(say) as found:
        addresses = {"GUANXI_KAFKA": found.kafka, "GUANXI_DATABASE": found.database,
                     "GUANXI_REDIS": found.redis}  # fmt: skip
        lines = program(
            "fold_rate", *(["--events", "20000", "--customers", "2000"] if quick else []),
            environment=addresses,
        )  # fmt: skip
    measured = [json.loads(line) for line in lines if line.startswith("{")]
    return {one.pop("what").replace(" ", "_"): one for one in measured}


def program(name: str, *arguments: str, environment: dict[str, str] | None = None) -> list[str]:
    """The lines that a measuring program of this folder prints. Raises when it fails."""
    done = subprocess.run(
        [sys.executable, "-m", f"tests.load.{name}", *arguments],
        stdout=subprocess.PIPE, text=True, check=False, env={**os.environ, **(environment or {})},
    )  # fmt: skip
    if done.returncode != 0:
        raise RuntimeError(f"{name} ended with {done.returncode}")
    return done.stdout.splitlines()


# Each starts servers and processes of its own: nothing else may run beside it.
ALONE: dict[str, Measure] = {"worker": worker, "fold": fold}


def write(found: dict[str, Any], quick: bool) -> None:
    """Beside what earlier runs measured: `--only` replaces its own figures."""
    FIGURES.parent.mkdir(exist_ok=True)
    kept = json.loads(FIGURES.read_text()) if FIGURES.exists() else {}
    stamp = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "cores": os.cpu_count(), "machine": platform.machine(), "quick": quick,
    }  # fmt: skip
    figures = {**kept, **{name: {**one, "run": stamp} for name, one in found.items()}}
    FIGURES.write_text(json.dumps(figures, indent=1) + "\n")
    say(f"written to {FIGURES.name}; `make figures` draws them")


if __name__ == "__main__":
    app()
