"""What staff type into the form of a new set of rules, read exactly; what is wrong stays at its
field."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal, DecimalException
from typing import Any

import msgspec
from babel.numbers import get_currency_precision
from fastapi import Request
from starlette.datastructures import FormData, UploadFile

from services.scoring.model_card import RULES
from services.scoring.rule_set import FILE_BYTES_MAX, RuleSet, Thresholds
from services.scoring.settings import home_currency
from shared.web.translations import N_

LABELS = {
    "outflow_ppm": N_("Outflow begins below this share of the usual balance, in percent"),
    "outflow_clear_ppm": N_("Outflow ends at this share, in percent"),
    "outflow_mean_min_minor": N_("A usual balance below this one does not matter"),
    "silence_gaps_milli": N_("Silence begins after so many usual gaps"),
    "silence_days_min": N_("But not before so many days"),
    "silence_days_max": N_("And after so many days at the latest"),
    "silence_count_min": N_("Transactions from which on a pace is known"),
    "silence_tenure_days_min": N_("Days from which on a pace is known"),
}
NOT_A_NUMBER = N_("This is no number")
TOO_FINE = N_("Too many digits after the point")
OUT_OF_BOUNDS = N_("Out of bounds, or against the other figures")
NOT_A_MODEL = N_("This is no file of a model of risk")
TOO_LARGE = N_("The file is too large")


@dataclass
class Typed:
    """A form as typed. `rules` is there when every field can be read."""

    values: dict[str, str]
    problems: dict[str, str] = field(default_factory=dict)
    rules: RuleSet | None = None


async def form_of(request: Request) -> tuple[FormData, bytes]:
    """The posted form and its file; a dependency, so that endpoints stay plain functions."""
    form = await request.form(max_files=1, max_fields=200)
    file = form.get("model")
    content = await file.read(FILE_BYTES_MAX + 1) if isinstance(file, UploadFile) else b""
    return form, content


def scale_of(name: str) -> Decimal:
    """How many units of the rules one unit of the form is."""
    if name.endswith("_ppm"):
        return Decimal(10_000)
    if name.endswith("_milli"):
        return Decimal(1000)
    if name.endswith("_minor"):
        return Decimal(10 ** int(get_currency_precision(home_currency())))
    return Decimal(1)


def shown(name: str, value: int) -> str:
    """As it stands in its field."""
    return f"{(Decimal(value) / scale_of(name)).normalize():f}"


def blank(rules: RuleSet) -> Typed:
    """The form with a set's own figures."""
    values = {n: shown(n, v) for n, v in msgspec.structs.asdict(rules.thresholds).items()}
    for at, score in enumerate(scores_of(rules)):
        for name in ("raise_ppm", "clear_ppm"):
            values[f"score.{at}.{name}"] = shown(name, score["threshold"][name])
    return Typed({**values, "reason": ""})


def scores_of(rules: RuleSet) -> list[dict[str, Any]]:
    return list(rules.risk["scores"]) if rules.risk else []


def named(score: Mapping[str, Any]) -> tuple[str, str]:
    """The rule of a score and its products."""
    return RULES.get(score["goal"], score["goal"]), ", ".join(score["product_codes"])


def rebased(form: FormData, before: RuleSet | None, base: RuleSet) -> Typed:
    """A form that began with another set's figures: what was typed stays, what was left as it stood
    becomes the figure of now. A line of another model is no figure of this one."""
    typed = blank(base)
    known = blank(before).values if before else {}
    same_model = before is not None and _without_lines(before) == _without_lines(base)
    for name, figure in typed.values.items():
        given = str(form.get(name, figure)).strip()
        if given != known.get(name) and (same_model or not name.startswith("score.")):
            typed.values[name] = given
    return typed


def _without_lines(rules: RuleSet) -> tuple[dict[str, Any] | None, list[dict[str, Any]]]:
    """What a model is whatever its lines: one trained anew has other weights for the same goals."""
    scores = [{k: v for k, v in score.items() if k != "threshold"} for score in scores_of(rules)]
    return rules.risk and {**rules.risk, "scores": ()}, scores


def read_form(form: FormData, file: bytes, base: RuleSet) -> Typed:
    """A set of what was typed, the rest as in `base`. A file replaces the model as a whole."""
    typed = Typed({n: str(form.get(n, v)).strip() for n, v in blank(base).values.items()})
    small = {name: _number(typed, name) for name in LABELS}
    risk = _uploaded(typed, file) if file else _changed(typed, base)
    if typed.problems:
        return typed
    try:
        typed.rules = RuleSet(msgspec.convert(small, Thresholds), risk)
    except msgspec.ValidationError as error:
        said = str(error)
        named_first = min((name for name in small if name in said), key=said.index)
        typed.problems[named_first] = OUT_OF_BOUNDS
    return typed


def _uploaded(typed: Typed, file: bytes) -> dict[str, Any] | None:
    if len(file) > FILE_BYTES_MAX:
        typed.problems["model"] = TOO_LARGE
        return None
    try:
        return msgspec.json.decode(file, type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeDecodeError):
        typed.problems["model"] = NOT_A_MODEL
        return None


def _changed(typed: Typed, base: RuleSet) -> dict[str, Any] | None:
    if base.risk is None:
        return None
    scores = []
    for at, score in enumerate(scores_of(base)):
        line = {name: _number(typed, f"score.{at}.{name}") for name in ("raise_ppm", "clear_ppm")}
        if not 0 < line["clear_ppm"] < line["raise_ppm"] < 1_000_000:
            typed.problems.setdefault(f"score.{at}.raise_ppm", OUT_OF_BOUNDS)
        scores.append({**score, "threshold": {**score["threshold"], **line}})
    return {**base.risk, "scores": scores}


def _number(typed: Typed, name: str) -> int:
    try:
        value = Decimal(typed.values[name]) * scale_of(name)
    except DecimalException:  # no number, or one beyond all bounds
        typed.problems[name] = NOT_A_NUMBER
        return 0
    if not value.is_finite() or abs(value) > 2**53:
        typed.problems[name] = NOT_A_NUMBER
        return 0
    if value != int(value):
        typed.problems[name] = TOO_FINE
    return int(value)
