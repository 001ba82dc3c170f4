"""The command `rebuild`: hashes side by side, or the customers as they stood on a day."""

import csv
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from datetime import date
from pathlib import Path
from typing import Any, TextIO

import msgspec
import typer

from services.scoring import risk
from services.scoring.books import COMPONENTS
from services.scoring.canonical import Digest
from services.scoring.rebuild import Rebuild, Rebuilt, Stepped
from services.scoring.risk_plan import RULES
from services.scoring.standing import Standing, standings
from shared.db import Database
from shared.settings import Settings

NAMES = sorted(set(COMPONENTS.values()))
COLUMNS = (
    "customer_number", "closed_on", "accounts", "count", "customer_count", "balance_minor",
    "mean_balance_minor", "activity_milli", "outflow_risk_ppm", "silence_risk_ppm",
    *(f"{rule}_risk_ppm" for rules in RULES for rule in rules),
    "contribution_minor", *NAMES,
)  # fmt: skip
_WIDTH = 14


def compare(settings: Settings, database: Database) -> None:
    """Says what the log makes and what the worker has, and leaves with 1 when they differ."""
    one, whole, differ = Rebuild(settings, database), [Digest(), Digest()], list[int]()
    try:
        for pair in one.compared():
            _say_left(pair[0])
            for n, (side, part) in enumerate(zip(("rebuilt", "live"), pair, strict=True)):
                _say(side, part)
                whole[n] = whole[n].plus(part.digest)
            if pair[0] != pair[1]:
                differ.append(pair[0].partition)
    finally:
        one.close()
    for side, digest in zip(("rebuilt", "live"), whole, strict=True):
        _say_whole(side, digest)
    if differ:
        typer.echo(
            f"error: the live state is not what the log makes, in partitions {differ}; a worker"
            " that never pauses may look so: then ask again while no events come",
            err=True,
        )
        raise typer.Exit(1)


def tell_as_of(
    settings: Settings, database: Database, as_of: date | None, out: Path | None
) -> None:
    """Each customer as he stood when that day was closed (none: as he stands), by partition and
    number. What the ledgers make of it: pools, tax and contacts are the query side's."""
    if out is not None and out.suffix not in (".csv", ".jsonl"):
        raise typer.BadParameter(f"{out.name}: name it .csv or .jsonl")
    one, whole = Rebuild(settings, database), Digest()
    try:
        one.reach()
        with _opened(out) as file:
            head = dict(zip(COLUMNS, COLUMNS, strict=True))
            write = _WRITERS["" if out is None else out.suffix]
            for n, part in enumerate(one.from_log(as_of)):
                told = part.rebuilt()
                _refuse_another_day(part, as_of)
                if not n and (out is None or out.suffix == ".csv"):
                    write(file, head)
                _say_left(told)
                _say("as of", told, err=True)
                whole = whole.plus(told.digest)
                for row in rows(part, settings.currency):
                    write(file, row)
    finally:
        one.close()
    _say_whole("as of", whole, err=True)


def _opened(out: Path | None) -> AbstractContextManager[TextIO]:
    if out is None:
        return nullcontext(sys.stdout)
    try:
        return out.open("w", newline="", encoding="utf-8")
    except OSError as error:
        raise typer.BadParameter(f"{out} cannot be written: {error.strerror}") from None


def _refuse_another_day(part: Stepped, as_of: date | None) -> None:
    """The log may begin after the day, or may not have closed it yet."""
    first, last = part.first_closed_on, part.closed_on
    if as_of is None or first is None or last is None or first <= as_of <= last:
        return
    why = f"the log has closed the days from {first} through {last}, not {as_of}"
    if as_of < first:  # it was stepped no further than to the first close
        why = f"nothing was closed by {as_of}: the first day that the log has closed is {first}"
    typer.echo(f"error: {why}", err=True)
    raise typer.Exit(1)


def rows(part: Stepped, currency: str) -> Iterator[dict[str, Any]]:
    """One row for each customer of a partition, in the order of their numbers."""
    on = part.closed_on
    found = sorted(standings(part.partition, part.posted), key=lambda s: s.customer.customer_number)
    for one in found:
        customer, live = one.customer, part.partition.live
        scores, _ = risk.scores_on(live.model, customer, on or date.min)
        of_model, _ = risk.of_model(live.plan, currency, customer, on or date.min)
        yield {
            "customer_number": customer.customer_number,
            "closed_on": on.isoformat() if on else None,
            "accounts": len(customer.accounts),
            **scores,
            **of_model,
            **contribution(one),
        }


def contribution(one: Standing) -> dict[str, int]:
    by_component: Counter[str] = Counter(dict.fromkeys(NAMES, 0))
    for (_, _, _, component, _), amount in one.leaves.items():
        by_component[component] += amount
    return {"contribution_minor": by_component.total(), **by_component}


def _write_cells(file: TextIO, row: Mapping[str, Any]) -> None:
    cells = (f"{row.get(name, '')!s:>{max(len(name), _WIDTH)}}" for name in COLUMNS)
    file.write(" ".join(cells) + "\n")


def _write_csv(file: TextIO, row: Mapping[str, Any]) -> None:
    csv.writer(file, lineterminator="\n").writerow([row.get(name, "") for name in COLUMNS])


def _write_line(file: TextIO, row: Mapping[str, Any]) -> None:
    file.write(msgspec.json.encode(row).decode() + "\n")


_WRITERS = {"": _write_cells, ".csv": _write_csv, ".jsonl": _write_line}


def _say(side: str, part: Rebuilt, *, err: bool = False) -> None:
    typer.echo(
        f"{side} {part.partition}: through {part.closed_on}, {part.digest.text}", err=err
    )


def _say_left(part: Rebuilt) -> None:
    if part.left_out:
        typer.echo(
            f"partition {part.partition}: {part.left_out} events that were replayed are left out,"
            " what they wait for is not in the log by then",
            err=True,
        )


def _say_whole(side: str, whole: Digest, *, err: bool = False) -> None:
    typer.echo(
        f"{side}: {whole.customers} customers, {whole.accounts} accounts, {whole.text}", err=err
    )
