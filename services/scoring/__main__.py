"""`python -m services.scoring worker|replay|rebuild|forget-state|let-alerts-go|propose|train`, and
the roles of the query side."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from services.scoring import api, pages
from services.scoring.commands import rehearsals, turnover, worker_letters
from services.scoring.commands.alerts_anew import compare_alerts
from services.scoring.commands.checking import check_sums
from services.scoring.commands.last_months import keep_last_months
from services.scoring.commands.left_over import take_back_left_over
from services.scoring.commands.outflows import ask_outflows
from services.scoring.commands.pools_closing import close_months
from services.scoring.commands.publishing import ScoresLine
from services.scoring.contribution_tables import LeafRow
from services.scoring.gauges import gauges, worker_behind
from services.scoring.handlers import BATCHES, HANDLERS, TIMERS
from services.scoring.queries.worker_letters import waiting_count, waiting_letters
from services.scoring.rehearsing import rehearse
from services.scoring.roller import roll_open_leaves
from shared.process import Service, cli
from shared.runtime import OtherLetters

SERVICE = Service(
    name="scoring",
    handlers=HANDLERS,
    timers=TIMERS,
    routers=(api.router, pages.router),
    metadata=LeafRow.metadata,
    jobs={
        "ask_outflows": ask_outflows,
        "check_sums": check_sums,
        "close_months": close_months,
        "compare_alerts": compare_alerts,
        "keep_last_months": keep_last_months,
        "settle_turnover": turnover.settle_days,
        "roll_open_leaves": roll_open_leaves,
        "take_back_left_over": take_back_left_over,
    },
    roles={"rehearse": (rehearse, "Run proposed rules over the stored events; serve health.")},
    metrics=gauges,
    batches=BATCHES,
    records_max=50_000,
    states=("scoring.state",),  # so the further behind, the less a record costs
    aging=(worker_letters.AGING, rehearsals.AGING, turnover.AGING),
    letters=OtherLetters(waiting_letters, waiting_count),
    worker_behind=worker_behind,
    lines=(ScoresLine(),),
)

app = cli(SERVICE)
_NOT_MIGRATED = ("42P01", "42703")  # no such table, no such column


@app.command()
def worker() -> None:
    """Keep the figures of every customer number, live, from `bank.events` and replays."""
    from services.scoring.worker import run

    run()


@app.command()
def replay(  # noqa: PLR0917 - the options of a command
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="events, JSON Lines")],
    until: Annotated[datetime, typer.Option(formats=["%Y-%m-%d"], help="the bank's today")],
    rates: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="reference events")
    ] = None,
    score_on: Annotated[
        list[datetime] | None, typer.Option(formats=["%Y-%m-%d"], help="asked days")
    ] = None,
    leaves: Annotated[Path | None, typer.Option(dir_okay=False, help="CSV")] = None,
    scores: Annotated[Path | None, typer.Option(dir_okay=False, help="JSON Lines")] = None,
    alerts: Annotated[Path | None, typer.Option(dir_okay=False, help="signals, JSON Lines")] = None,
    parties: Annotated[
        Path | None,
        typer.Option(
            exists=True, dir_okay=False,
            help="customer.events: adds the final episodes to `--alerts`",
        ),
    ] = None,
    currency: Annotated[str | None, typer.Option(help="none: the setting")] = None,
    risk_model: Annotated[
        Path | None, typer.Option(dir_okay=False, help="a file of `train`; none: the setting")
    ] = None,
) -> None:
    """Run the scorer's own code over a file, without Kafka."""
    from services.scoring import model, party_episodes, risk_plan, signals
    from services.scoring import replay as replaying
    from services.scoring.out_file import Unwritable, refuse_unwritable
    from services.scoring.party_episodes import Unreadable
    from services.scoring.settings import ScoringSettings
    from shared.money import AmountError, Money

    settings = ScoringSettings()
    wrong = (risk_plan.ModelRefused, Unreadable, Unwritable, replaying.NotHeld, AmountError)
    with _refused(*wrong):
        home = Money(0, currency or settings.currency).currency
        for out in (leaves, scores, alerts):
            if out:
                refuse_unwritable(out)
        plan = risk_plan.read(risk_model or settings.risk_model)
        of_parties = party_episodes.parties_of(parties) if parties else None
        one = replaying.Replay(
            model.load(),
            currency=home,
            zone=settings.bank_time_zone,
            until=until.date(),
            plan=plan,
            parties=of_parties,
        )
        replaying.run(one, file, rates, [day.date() for day in score_on or []])
        if leaves:
            replaying.write_leaves(one.result, leaves)
        if scores:
            replaying.write_lines((msgspec.json.encode(s) for s in one.result.scores), scores)
        if alerts:
            lines = [signals.encode(s, with_position=False) for s in one.result.signals]
            if of_parties is not None:
                lines += map(msgspec.json.encode, one.episodes())
            replaying.write_lines(lines, alerts)
    for line in replaying.left_out(one.result):
        typer.echo(line, err=True)
    typer.echo(f"{dict(one.result.counts)}", err=True)


def _refusal(reason: object) -> typer.Exit:
    """Says why in one sentence; the exit for it."""
    typer.echo(f"error: {reason}", err=True)
    return typer.Exit(1)


@contextmanager
def _refused(*reasons: type[Exception]) -> Iterator[None]:
    """One of these is said in its sentence, and ends the command."""
    try:
        yield
    except reasons as error:
        raise _refusal(error) from None


@contextmanager
def _asking(kafka: str) -> Iterator[None]:
    """What asks the broker ends the command with what to do when none answers."""
    from shared.wire import BrokerAway

    try:
        yield
    except BrokerAway:
        raise _refusal(
            f"no broker answers at {kafka}: start it, or set GUANXI_KAFKA to where it listens"
        ) from None


@contextmanager
def _asking_database() -> Iterator[None]:
    """The same of PostgreSQL, and of a schema that was never made, or of another release."""
    from sqlalchemy.exc import OperationalError, ProgrammingError

    try:
        yield
    except ProgrammingError as error:
        if getattr(error.orig, "sqlstate", None) not in _NOT_MIGRATED:
            raise
        why = str(error.orig).strip().partition("\n")[0]
        raise _refusal(
            f"the schema is not that of this release, run `migrate` first: {why}"
        ) from None
    except OperationalError as error:
        if getattr(error.orig, "sqlstate", None) is not None and not error.connection_invalidated:
            raise  # it answered
        why = str(error.orig).strip().partition("\n")[0]
        raise _refusal(f"PostgreSQL does not answer, see GUANXI_DATABASE: {why}") from None


@app.command()
def rebuild(
    as_of: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d"], help="the last day closed; none: compare with live"),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(dir_okay=False, help="each customer's figures: .csv or .jsonl; none: a table"),
    ] = None,
) -> None:
    """Build the worker's state anew from the log, beside the live one or as of a day; write
    nothing to the system."""
    from services.scoring import rebuilding
    from shared.db import Database
    from shared.process import settings_of

    settings = settings_of(SERVICE)
    database = Database(settings)
    try:
        with _asking(settings.kafka), _asking_database():
            if as_of is None and out is None:
                rebuilding.compare(settings, database)
            else:
                rebuilding.tell_as_of(settings, database, as_of.date() if as_of else None, out)
    finally:
        database.close()


@app.command()
def forget_state() -> None:
    """Take back what rests on `scoring.state` and `scoring.leaves`, before both are made anew;
    see docs/runbook.md, The state anew."""
    from services.scoring.commands import forgetting_state, making_anew
    from shared.db import Database
    from shared.process import settings_of
    from shared.wire import Broker

    settings = settings_of(SERVICE)
    database, broker = Database(settings), Broker(settings)
    try:
        with _refused(making_anew.NotReady), _asking(settings.kafka), _asking_database():
            offsets = making_anew.given_up(database)
            making_anew.refuse_unready(settings, database, broker, forgetting_state.TOPICS)
            making_anew.tell_given_up(settings, broker, offsets)
            typer.echo("reading all signals")
            done = 0
            for step, count in enumerate(forgetting_state.forget_state(database), 1):
                done += count
                if step % 100 == 0:
                    typer.echo(f"taken back so far: of {done} customers")
    finally:
        broker.close()
        database.close()
    typer.echo(f"taken back of {done} customers")


@app.command()
def let_alerts_go(
    partition: Annotated[int, typer.Argument(min=0, help="of `bank.events`, as the alarm says")],
) -> None:
    """Compare held alerts of a partition with its signals of now, though it is not where it was;
    see docs/runbook.md, Alerts held."""
    from services.scoring.commands import letting_go
    from shared.db import Database
    from shared.process import settings_of

    database = Database(settings_of(SERVICE))
    try:
        with _refused(letting_go.NotHeld), _asking_database():
            letting_go.let_go(database, partition)
    finally:
        database.close()
    typer.echo(f"alerts of partition {partition} are compared now")


@app.command()
def propose(
    file: Annotated[
        Path, typer.Argument(exists=True, dir_okay=False, help="JSON: what the set changes")
    ],
    by: Annotated[str, typer.Option(help="the staff id of its author")],
    reason: Annotated[str, typer.Option(help="what changes and why, for who decides")],
    rehearse_from: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d"], help="rehearse it as of this day; none: not yet"),
    ] = None,
) -> None:
    """Propose a set of rules, as the page does; a second person accepts it there.

    FILE: {"thresholds": {"silence_days_min": 10}, "risk": MODEL}. Thresholds by their names, MODEL
    as `train` writes it or null; what is left out stays as in the rules that run.
    """
    from services.scoring import proposing
    from shared.errors import DomainError
    from shared.process import settings_of
    from shared.runtime import Runtime

    settings = settings_of(SERVICE)
    runtime = Runtime(SERVICE, settings)
    try:
        with _refused(DomainError), _asking(settings.kafka):
            day = rehearse_from.date() if rehearse_from else None
            number = proposing.propose(runtime, file, by, reason, day)
    finally:
        runtime.close()
    typer.echo(f"set {number} is proposed: /scoring/rules/{number}")


@app.command()
def train(  # noqa: PLR0917 - the options of a command
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="events, JSON Lines")],
    out: Annotated[Path, typer.Option(help="the model, JSON")],
    goal: Annotated[
        list[str] | None, typer.Option(help="silence, collapse, outflow, distress, use; none: all")
    ] = None,
    split: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d"], help="last day of the early half; none: the middle"),
    ] = None,
    every: Annotated[
        int, typer.Option(min=0, help="days between snapshots; 0: ends of months")
    ] = 0,
    horizon: Annotated[int, typer.Option(min=1, help="days to wait for the outcome")] = 90,
    precision: Annotated[
        int | None,
        typer.Option(
            min=1, max=99,
            help="percent of alerts that came true by then; none: the upper tenth of risks",
        ),
    ] = None,
    trained_on: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d"], help="the day that the record names; none: today"),
    ] = None,
    currency: Annotated[
        str | None, typer.Option(help="of the accounts to learn from; none: the setting")
    ] = None,
) -> None:
    """Fit the models of risk on a file's early half, measure them on the later, write the best."""
    from services.scoring.settings import ScoringSettings
    from shared.money import AmountError, Money

    try:
        from services.scoring.training import command
    except ModuleNotFoundError as error:
        raise _refusal(f"{error.name} is missing: install the extra [train]") from None
    with _refused(AmountError):
        home = Money(0, currency or ScoringSettings().currency).currency
    command.train(
        file, out, goal or [], split.date() if split else None, every, horizon, precision,
        trained_on.date() if trained_on else None, home,
    )  # fmt: skip


if __name__ == "__main__":
    app()
