"""python -m deploy.bank: make, take and publish the events of a bank."""

import signal
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path
from threading import Event as Flag
from types import FrameType
from typing import Annotated, Any, BinaryIO

import msgspec
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from deploy.bank import berka as berka_set
from deploy.bank import evaluate as evaluation
from deploy.bank import live as live_bank
from deploy.bank import payment, places, purchases
from deploy.bank import publish as publishing
from deploy.bank.publisher import (
    NotDelivered,
    Publisher,
    Unreachable,
    events_topic,
    kafka_publisher,
)
from deploy.bank.simulation import DEFAULT_UNTIL, Bank, Plan
from shared import logs
from shared.clock import clock_of
from shared.events import Event, encode
from shared.ids import is_order_reference
from shared.money import Money
from shared.settings import Settings

app = typer.Typer(
    no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False,
    help="A bank to listen to: a simulator with known truth, data sets as events, a publisher.",
)  # fmt: skip
err = Console(stderr=True)

Customers = Annotated[int, typer.Option(min=1, max=2_000_000, help="customer numbers in the end")]
Days = Annotated[int, typer.Option(min=1, max=3_650, help="days of history")]
Seed = Annotated[int, typer.Option(min=0, help="same seed, same bytes")]
Branches = Annotated[
    int, typer.Option(min=1, max=places.BRANCHES_MAX, help="at most; fewer are bigger ones")
]
Until = Annotated[str, typer.Option(metavar="DATE", help="the last day of the history")]
Output = Annotated[Path | None, typer.Option("--output", "-o", help="none: standard output")]
Speed = Annotated[float, typer.Option(min=0.001, help="business seconds per wall second")]
From = Annotated[str | None, typer.Option("--from", metavar="DATE", help="first day kept")]
Last = Annotated[str | None, typer.Option("--until", metavar="DATE", help="last day kept")]
WentLive = Annotated[
    bool, typer.Option(help="end with bank.went_live, so that history opens no process")
]


def fail(message: str) -> typer.Exit:
    err.print(f"error: {message}", style="red", markup=False, highlight=False)
    return typer.Exit(1)


def day_of(text: str | None) -> date | None:
    if text is None:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise fail(f"{text!r} is no date as 2025-08-31") from None


def plan_of(customers: int, days: int, seed: int, until: str, branches: int) -> Plan:
    return Plan(customers, days, seed, day_of(until) or DEFAULT_UNTIL, branches)


@contextmanager
def sink(output: Path | None) -> Iterator[BinaryIO]:
    if output is None:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
    else:
        part = output.with_name(output.name + ".part")
        with part.open("wb") as file:
            yield file
        part.replace(output)


@contextmanager
def source(file: str) -> Iterator[BinaryIO]:
    """A file, or standard input for -."""
    if file == "-":
        yield sys.stdin.buffer
    else:
        with Path(file).open("rb") as stream:
            yield stream


def progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
        TextColumn("{task.fields[note]}"), console=err, transient=False,
    )  # fmt: skip


def write_all(events: Iterable[Event[Any]], file: BinaryIO) -> int:
    count = 0
    for event in events:
        file.write(encode(event) + b"\n")
        count += 1
    return count


@app.command()
def simulate(  # noqa: PLR0917  options, given by name
    customers: Customers = 1500,
    days: Days = 240,
    seed: Seed = 7,
    until: Until = DEFAULT_UNTIL.isoformat(),
    branches_max: Branches = places.BRANCHES_MAX,
    output: Output = None,
    truth: Annotated[
        Path | None, typer.Option(help="none: OUTPUT.truth.json beside the output, if it has one")
    ] = None,
) -> None:
    """A synthetic Chinese bank in CNY as JSON Lines, its truth beside it."""
    bank = Bank(plan_of(customers, days, seed, until, branches_max))
    if truth is None and output is not None:
        truth = output.with_suffix(".truth.json")
    began, count = time.monotonic(), 0
    with progress() as bar, sink(output) as file:
        task = bar.add_task("days", total=days, note="")
        for events in bank.history():
            count += write_all(events, file)
            rate = count / max(time.monotonic() - began, 1e-9)
            bar.update(task, advance=1, note=f"{count:,} events, {rate:,.0f}/s")
    if truth is not None:
        publishing.replace_file(truth, bank.truth.encode())
        err.print(f"truth: {truth}", markup=False, highlight=False)


def go_live(last: Event[Any]) -> Event[Any]:
    from shared.events import wrap
    from shared.events.bank import WentLive as Fact

    on = last.businessdate + timedelta(days=1)
    return wrap(
        Fact(on=on), id=f"live-{on}", source=last.source, time=last.time + timedelta(seconds=2),
        businessdate=on,
    )  # fmt: skip


def with_live(events: Iterable[Event[Any]], wanted: bool) -> Iterator[Event[Any]]:
    last = None
    for last in events:
        yield last
    if wanted and last is not None:
        yield go_live(last)


def adapt(events: Iterable[Event[Any]], output: Path | None, went_live: bool) -> None:
    try:
        with sink(output) as file:
            count = write_all(with_live(events, went_live), file)
    except (ValueError, KeyError, FileNotFoundError) as error:
        raise fail(str(error)) from error
    err.print(f"{count:,} events", highlight=False)


@app.command()
def berka(  # noqa: PLR0917  options, given by name
    folder: Annotated[Path, typer.Argument(metavar="DIR", exists=True, file_okay=False)],
    src: Annotated[str | None, typer.Option(help="keep rows whose src has this letter")] = None,
    first: From = None,
    last: Last = None,
    output: Output = None,
    went_live: WentLive = True,
) -> None:
    """The Czech data set (PKDD'99) in DIR as bank events, money in haler."""
    found = berka_set.events(folder, src=src, first=day_of(first), last=day_of(last))
    adapt(found, output, went_live)


@app.command()
def cdnow(
    file: Annotated[Path, typer.Argument(exists=True)],
    output: Output = None,
    went_live: WentLive = True,
) -> None:
    """CD purchases (customer_id, date, usd) as card transactions, one per customer-day."""
    adapt(purchases.events(file, "cdnow"), output, went_live)


@app.command()
def grocery(
    file: Annotated[Path, typer.Argument(exists=True)],
    output: Output = None,
    went_live: WentLive = True,
) -> None:
    """A grocer's log (customer_id, date) as card transactions, one per customer-day."""
    adapt(purchases.events(file, "grocery"), output, went_live)


@contextmanager
def stopping() -> Iterator[Flag]:
    """SIGINT and SIGTERM set the flag: what is sent is settled, the state written, then the end."""
    flag = Flag()

    def ask(number: int, frame: FrameType | None) -> None:
        del frame
        flag.set()
        signal.signal(number, kept[signal.Signals(number)])  # the second time at once

    kept = {s: signal.signal(s, ask) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield flag
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)


@contextmanager
def connected(settings: Settings, *, linger_ms: int = 20) -> Iterator[tuple[Publisher, str]]:
    """A publisher and the id of its topic; what goes wrong between it and the broker is said."""
    try:
        topic = events_topic(settings)
        publisher = kafka_publisher(settings, topic, linger_ms=linger_ms)
        try:
            yield publisher, topic.id
        finally:
            publisher.close()
    except (NotDelivered, Unreachable, publishing.Unpublishable) as error:
        raise fail(str(error)) from error


@app.command()
def publish(
    file: Annotated[str, typer.Argument(metavar="FILE", help="JSON Lines; - is standard input")],
    rate: Annotated[float | None, typer.Option(min=0.001, help="events per second")] = None,
    speed: Annotated[
        float | None, typer.Option(min=0.001, help="business seconds per wall second")
    ] = None,
    state: Annotated[
        Path | None, typer.Option(help="where to go on from; none: FILE.published")
    ] = None,
) -> None:
    """Publish events to Kafka (GUANXI_KAFKA), each on its topic; goes on after an interruption.

    With neither --rate nor --speed as fast as the broker takes them.
    """
    if rate is not None and speed is not None:
        raise fail("--rate or --speed, not both")
    pace: publishing.Pace = publishing.FullSpeed()
    if rate is not None:
        pace = publishing.ByRate(rate)
    elif speed is not None:
        pace = publishing.ByEventTime(speed)
    if file != "-" and not Path(file).is_file():
        raise fail(f"there is no file {file}")
    state = state or Path("stdin.published" if file == "-" else f"{file}.published")
    total = None if file == "-" else Path(file).stat().st_size
    settings = Settings(service="bank")
    with stopping() as flag, progress() as bar:
        task = bar.add_task("bytes", total=total, note="")
        with connected(settings) as (publisher, topic_id), source(file) as stream:
            mark = publishing.publish(
                stream, publisher, publishing.StateFile(state), topic_id, pace=pace, stop=flag,
                advanced=lambda m: bar.update(
                    task, completed=m.offset_bytes, note=f"{m.events:,} events"
                ),
            )  # fmt: skip
    err.print(f"{mark.events:,} events published, state in {state}", highlight=False)
    if flag.is_set():
        raise typer.Exit(130)


@app.command()
def live(  # noqa: PLR0917  options, given by name
    state: Annotated[Path, typer.Option(help="which day and event comes next")],
    customers: Customers = 1500,
    days: Days = 240,
    seed: Seed = 7,
    until: Until = DEFAULT_UNTIL.isoformat(),
    branches_max: Branches = places.BRANCHES_MAX,
    speed: Speed = 1440.0,
) -> None:
    """Go on after the history that `simulate` made with the same options, day by day, endlessly.

    With GUANXI_CLOCK_FILE the events follow that clock, and --speed is not used. While the broker
    is away it waits, says so, and goes on.
    """
    settings = Settings(service="bank")
    clock = clock_of(settings.clock_file, settings.zone) if settings.clock_file else None
    plan = plan_of(customers, days, seed, until, branches_max)
    logs.configure(settings.service)
    with stopping() as flag:
        if live_bank.patiently(lambda: events_topic(settings), flag) is None:
            return
        with connected(settings, linger_ms=2) as (publisher, _):
            live_bank.run(
                plan, publisher, state, lambda: events_topic(settings).id, speed=speed,
                clock=clock, stop=flag,
                day_done=lambda on, count: print(f"{on}: {count} events", flush=True),
            )  # fmt: skip


@app.command()
def pay(  # noqa: PLR0917  options, given by name
    reference: Annotated[str, typer.Option(help="the order's reference, ORD-...")],
    amount: Annotated[str, typer.Option(help="in major units: 123.45")],
    customer: Annotated[str, typer.Option(help="the customer number on whose account it arrives")],
    account: Annotated[str | None, typer.Option(help="none: the current account")] = None,
    currency: Annotated[str | None, typer.Option(help="none: the bank's own")] = None,
    transaction: Annotated[
        str | None, typer.Option(help="the payment's number; the same again is no second payment")
    ] = None,
    source: Annotated[str, typer.Option(help="the publishing system")] = places.SOURCE,
) -> None:
    """Publish one incoming payment that carries an order's reference."""
    settings = Settings(service="bank")
    if not is_order_reference(reference):
        raise fail(f"{reference} is no order reference (wrong form or check digit)")
    clock = clock_of(settings.clock_file, settings.zone)
    try:
        money = Money.of(amount, currency or settings.currency)
        event = payment.payment(
            reference, money.minor, customer, at=clock.bank_now(), zone=settings.zone,
            currency=money.currency, account_number=account, transaction_id=transaction,
            source=source,
        )  # fmt: skip
    except ValueError as error:  # AmountError is one
        raise fail(str(error)) from error
    with connected(settings, linger_ms=0) as (publisher, _):
        publisher.send(event)
        publisher.settle()
    print(f"{event.id}: {money.major()} {money.currency} for {reference} on account "
          f"{event.data.account_number} of {customer}, booked {event.businessdate}")  # fmt: skip


@app.command()
def branches(
    customers: Customers = 1500, branches_max: Branches = places.BRANCHES_MAX
) -> None:
    """The simulated bank's branches and their relationship managers, as JSON."""
    found = [
        {"branch_code": b.code, "city": b.city.name, "city_en": b.city.name_en,
         "name": places.branch_names(b), "region_code": b.city.region_code,
         "district_code": b.city.district_code, "manager_codes": b.manager_codes}
        for b in places.branches_for(customers, branches_max)
    ]  # fmt: skip
    print(msgspec.json.format(msgspec.json.encode(found), indent=1).decode())


@app.command()
def evaluate(
    truth: Annotated[Path, typer.Option(exists=True, help="as `simulate` wrote it")],
    alerts: Annotated[Path, typer.Option(exists=True, help="signals, JSON Lines")],
) -> None:
    """Precision, recall and delay of signals against the truth, by rule, as JSON.

    A silence signal is right within 90 days after the silence began, an outflow signal within 30
    days after the money left (or within 90 of the beginning of distress), a rule of a model when
    it comes true within 90 days; the first 60 days are warm-up and not judged; recall counts facts
    whose whole window lies in the history. Lead is against the day the leaving would be certain, 90
    days after it began; of a rule of a model against the fact.
    """
    try:
        known = msgspec.json.decode(truth.read_bytes())
        judged = evaluation.evaluate(known, evaluation.read_signals(alerts))
    except (ValueError, KeyError, msgspec.MsgspecError) as error:
        raise fail(f"{error}") from error
    documents = [one.document() for one in judged]
    print(msgspec.json.format(msgspec.json.encode(documents), indent=1).decode())


if __name__ == "__main__":
    app()
