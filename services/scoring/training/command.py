"""The command `train`: a file in, a model out, and what was measured on the screen."""

from datetime import date
from pathlib import Path

import typer

from services.scoring import risk_model
from services.scoring.out_file import Unwritable, refuse_unwritable
from services.scoring.training import history, run
from services.scoring.training.history import TrainError
from shared.clock import wall_now


def train(  # noqa: PLR0917 - the options of the command
    file: Path,
    out: Path,
    goals: list[str],
    split_on: date | None,
    every: int,
    horizon: int,
    precision: int | None,
    trained_on: date | None,
    currency: str,
) -> None:
    """Raises typer.Exit(1) after one sentence that says what is wrong."""
    try:
        wanted = _goals(goals)
        for written in (out, risk_model.part_of(out)):
            refuse_unwritable(written)
        known = history.read(file, currency)
        middle = (known.first_on + known.last_on) // 2
        plan = run.Plan(
            goals=wanted,
            split_on=split_on.toordinal() if split_on else middle,
            every_days=every,
            horizon_days=horizon,
            precision_ppm=None if precision is None else precision * 10_000,
        )
        model = run.train(known, plan, trained_on or wall_now().date())
    except (TrainError, Unwritable) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from None
    risk_model.save(model, out)
    for line in lines(model):
        typer.echo(line, err=True)


def _goals(given: list[str]) -> tuple[risk_model.Goal, ...]:
    unknown = sorted(set(given) - set(run.GOALS))
    if unknown:
        raise TrainError(f"no goal {unknown[0]!r}: there are {', '.join(run.GOALS)}")
    return tuple(goal for goal in run.GOALS if not given or goal in given)


def lines(model: risk_model.RiskModel) -> list[str]:
    """What was measured, one line per method; the chosen one is marked."""
    found = []
    for score in model.scores:
        for one in score.measured:
            mark = "*" if one.method == score.method else " "
            found.append(
                f"{mark} {score.goal} {'+'.join(score.product_codes)} {one.method} "
                f"({one.population}, {one.rows} rows): AUC {one.auc_ppm / 1e6:.4f}, "
                f"Brier {one.brier_ppm / 1e6:.4f}, ECE {one.ece_ppm / 1e6:.4f}"
            )
        found += [f"  {score.goal} {name}: {why}" for name, why in score.refused.items()]
        at = score.threshold
        found.append(
            f"  {score.goal}: an alert from {at.raise_ppm / 1e4:.1f}%, ended below "
            f"{at.clear_ppm / 1e4:.1f}%; of {at.rows} rows there {at.came_true} came true"
        )
    return found + [f"  not learned: {why}" for why in model.record.refused]
