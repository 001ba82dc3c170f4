"""The page of managers' assignments that split no figure."""

from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Query
from fastapi.responses import HTMLResponse

from services.scoring.queries import partial_managers
from shared.http import Context, requires

router = APIRouter()
ViewScores = Annotated[Context, requires("score.view")]
HOME = "/scoring/contribution/assignments"


@router.get("/contribution/assignments")
def assignments(
    ctx: ViewScores, after: Annotated[str | None, Query(max_length=2000)] = None
) -> HTMLResponse:
    return ctx.page("assignments.html", **_assignments(ctx, after))


def _assignments(ctx: Context, after: str | None) -> dict[str, Any]:
    mine = ctx.reach("score.view")
    with ctx.read() as session:
        rows = partial_managers.latest(session, mine, after)
        whole = partial_managers.count(session, mine)
    last = rows[-1] if len(rows) == partial_managers.PAGE_ROWS else None
    following = {"after": partial_managers.cursor(last)} if last else {}
    return {
        "rows": rows,
        "partial_managers": whole,
        "next_url": f"{HOME}?{urlencode(following)}" if last else None,
        "first_url": HOME if after else None,
    }
