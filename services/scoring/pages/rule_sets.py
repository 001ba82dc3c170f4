"""Rehearsal: sets of rules, what they would have done, and who lets them go live."""

from collections.abc import Callable
from datetime import date, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Form, Path, Query, Response
from fastapi.responses import HTMLResponse
from starlette.datastructures import FormData

from services.scoring import rule_set
from services.scoring.commands import rehearsals
from services.scoring.commands import rule_sets as commands
from services.scoring.model_card import RULES
from services.scoring.pages import rule_forms, words
from services.scoring.pages.rule_forms import Typed
from services.scoring.pages.value import Groups
from services.scoring.queries import rule_sets as queries
from services.scoring.rule_set_tables import RehearsalRow
from shared.clock import business_date
from shared.db import Tx
from shared.errors import DomainError, NotFound
from shared.http import Context, requires
from shared.web.translations import N_

router = APIRouter()
View = Annotated[Context, requires("rules.view")]
Propose = Annotated[Context, requires("rules.propose")]
Accept = Annotated[Context, requires("rules.accept")]
Number = Annotated[int, Path(ge=1, le=2**31 - 1)]
Posted = Annotated[tuple[FormData, bytes], Depends(rule_forms.form_of)]
HOME = "/scoring/rules"
PAST_DAYS = 365  # a rehearsal goes so far back, unless asked otherwise
MANAGERS_SHOWN = 50
STATES = {
    "proposed": ("yellow", N_("Proposed")),
    "rehearsed": ("blue", N_("Rehearsed")),
    "accepted": ("blue", N_("Accepted, not live yet")),
    "live": ("green", N_("Live")),
    "replaced": ("secondary", N_("Replaced")),
    "rejected": ("secondary", N_("Rejected")),
}
REHEARSAL_STATES = {
    "waiting": N_("Waiting"),
    "running": N_("Running"),
    "done": N_("Done"),
    "failed": N_("Failed"),
    "cancelled": N_("Cancelled"),
}
OVERTAKEN = N_(
    "Set %(number)s was accepted since this form was opened. What you did not change shows its"
    " figures now: look at them, and propose again."
)
SIDES = {"now": N_("Of now"), "proposed": N_("Proposed")}
ONCE_LIVE = {"now": N_("Before"), "proposed": N_("After")}


@router.get("/rules")
def rules_page(
    ctx: View, before: Annotated[int | None, Query(ge=1, le=2**31 - 1)] = None
) -> HTMLResponse:
    """What runs, what is proposed, and the form for a new set."""
    with ctx.read() as session:
        known = queries.known_sets(session, before)
        number, base = queries.last_rules(session)
    return ctx.page(
        "rules.html",
        stale=False,
        sets=known,
        states=STATES,
        next_url=f"{HOME}?before={known[-1].number}" if known and known[-1].number > 1 else None,
        first_url=HOME if before else None,
        said="",
        **_form(ctx, rule_forms.blank(base), number, base),
    )


@router.post("/forms/rules")
def propose(ctx: Propose, posted: Posted) -> Response:
    """Takes note of a set; what cannot be taken is said at its field, and nothing is lost."""
    form, file = posted
    with ctx.read() as session:
        number, base = queries.last_rules(session)
        begun_with = str(form.get("base", number))
        before = queries.rules_of(session, begun_with) if begun_with != str(number) else base
    if begun_with != str(number):
        typed, said = rule_forms.rebased(form, before, base), _overtaken(ctx, number)
        return ctx.page("rule_form.html", status=422, said=said, **_form(ctx, typed, number, base))
    typed = rule_forms.read_form(form, file, base)
    said = ""
    if typed.rules is not None:
        try:
            with ctx.transaction() as tx:
                made = commands.propose(tx, typed.rules, typed.values["reason"])
            return Response(status_code=204, headers={"HX-Redirect": f"{HOME}/{made}"})
        except DomainError as error:
            said = error.text(ctx.actor.language)
    return ctx.page("rule_form.html", status=422, said=said, **_form(ctx, typed, number, base))


def _overtaken(ctx: Context, number: int) -> str:
    """A set is whole: this form would undo what the newer one changed."""
    return ctx.runtime.pages.texts(ctx.actor.language).gettext(OVERTAKEN) % {"number": number}


def _form(ctx: Context, typed: Typed, number: int, base: rule_set.RuleSet) -> dict[str, Any]:
    texts = ctx.runtime.pages.texts(ctx.actor.language)
    return {
        "typed": typed,
        "errors": {name: texts.gettext(code) for name, code in typed.problems.items()},
        "base_number": number,
        "labels": rule_forms.LABELS,
        "scores": [rule_forms.named(score) for score in rule_forms.scores_of(base)],
        "rules": words.RULES,
    }


@router.get("/rules/{number}")
def rule_set_page(number: Number, ctx: View) -> HTMLResponse:
    return ctx.page("rule_set.html", stale=False, said="", **_set(ctx, number))


@router.get("/rules/{number}/panel")
def rule_set_panel(number: Number, ctx: View) -> HTMLResponse:
    """The same while a rehearsal runs."""
    return ctx.page("rule_set_panel.html", stale=False, said="", **_set(ctx, number))


@router.post("/forms/rules/{number}/rehearse")
def rehearse(number: Number, ctx: Propose, from_on: Annotated[date, Form()]) -> HTMLResponse:
    return _acted(ctx, number, lambda tx: rehearsals.ask(tx, number, from_on))


@router.post("/forms/rules/{number}/rehearsals/{rehearsal_id}/cancel")
def cancel(
    number: Number, rehearsal_id: Annotated[int, Path(ge=1, le=2**63 - 1)], ctx: Propose
) -> HTMLResponse:
    return _acted(ctx, number, lambda tx: rehearsals.cancel(tx, rehearsal_id))


@router.post("/forms/rules/{number}/accept")
def accept(number: Number, ctx: Accept, effective_on: Annotated[date, Form()]) -> HTMLResponse:
    """By a second person: from this day on the set is live."""
    return _acted(ctx, number, lambda tx: commands.accept(tx, number, effective_on))


@router.post("/forms/rules/{number}/reject")
def reject(
    number: Number, ctx: Accept, reason: Annotated[str, Form(max_length=2000)] = ""
) -> HTMLResponse:
    return _acted(ctx, number, lambda tx: commands.reject(tx, number, reason))


def _acted(ctx: Context, number: int, do: Callable[[Tx], object]) -> HTMLResponse:
    """The set as it is after the act; a refusal is said above it, and nothing has changed."""
    said = ""
    try:
        with ctx.transaction() as tx:
            do(tx)
    except NotFound:
        raise
    except DomainError as error:
        said = error.text(ctx.actor.language)
    return ctx.page(
        "rule_set_panel.html", status=422 if said else 200, stale=False, said=said,
        **_set(ctx, number),
    )  # fmt: skip


def _set(ctx: Context, number: int) -> dict[str, Any]:
    today = business_date(ctx.clock.bank_now(), ctx.clock.zone)
    with ctx.read() as session:
        row = queries.one(session, number)
        if row is None:
            raise NotFound
        known = queries.rehearsals_of(session, number)
        last = known[0] if known else None
        shown = next((r for r in known if r.state == "done"), None)
        reached, until = queries.progress_of(session, last.id) if last else (0, 0)
        closed, latest = queries.closed_days(session)
        accepted = queries.accepted(session)
        newest, _ = queries.last_rules(session)
        state = queries.state_of(row, queries.live_row(session), "done" if shown else None)
        switched = queries.live_from(session, number)
        groups = Groups(session, ctx.runtime.directory)
    after = [today, *(d for d in (latest,) if d), *(a.effective_on for a in accepted
                                                    if a.effective_on)]  # fmt: skip
    return {
        "row": row, "state": state, "states": STATES, "rehearsals": known, "last": last,
        "rehearsal_states": REHEARSAL_STATES, "reached": reached, "until": until,
        "running": last is not None and last.state in rehearsals.OPEN,
        "changes": _changes(ctx, row.changes), "closed": closed, "switched": switched,
        "late": [s for s in switched if row.effective_on and s.first_on > row.effective_on],
        "overtaken_by": newest if row.state == "proposed" and newest != row.base_number else None,
        "own": row.proposed_by == ctx.actor.id, "shown": shown,
        "sides": ONCE_LIVE if state in ("live", "replaced") else SIDES,
        "earliest": max(after) + timedelta(days=1),
        "from_on": (closed or today) - timedelta(days=PAST_DAYS),
        "panel_url": f"{HOME}/{number}/panel", "rules": words.RULES,
        **(_compared(shown, groups) if shown else {}),
    }  # fmt: skip


def _compared(done: RehearsalRow, groups: Groups) -> dict[str, Any]:
    """The figures of both sides as the page shows them; the busiest managers first."""
    result = done.result or {}
    managers = sorted(
        result.get("managers", {}).items(),
        key=lambda one: (-one[1]["proposed"]["alerts"], -one[1]["now"]["alerts"], one[0]),
    )
    return {
        "result": result,
        "managers": [
            (code, *groups.described("manager", code), figures)
            for code, figures in managers[:MANAGERS_SHOWN]
        ],
        "more_managers": max(len(managers) - MANAGERS_SHOWN, 0),
        "dated_before": any(month < f"{done.from_on:%Y-%m}" for month in result["months"]),
        "chart": [{"name": month, **figures} for month, figures in result["months"].items()],
    }


def _changes(ctx: Context, changes: dict[str, Any]) -> list[tuple[str, str, str]]:
    """(what, before, after) in the reader's words and in the units of the form."""
    texts = ctx.runtime.pages.texts(ctx.actor.language)
    found = []
    for name, (before, after) in changes.items():
        parts = name.split("/")
        unit = parts[-1]
        if len(parts) == 3:
            rule = texts.gettext(words.RULES[RULES[parts[0]]])
            label = f"{rule} · {parts[1]} · {texts.gettext(words.LINES_OF_ALERTS[unit])}"
        else:
            label = texts.gettext(rule_forms.LABELS.get(name, words.LINES_OF_ALERTS["model"]))
        found.append((label, _cell(unit, before), _cell(unit, after)))
    return found


def _cell(unit: str, value: Any) -> str:
    return rule_forms.shown(unit, value) if isinstance(value, int) else str(value or "–")
