"""Tables as CSV: exact figures, in the reader's words."""

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any

from babel.numbers import get_currency_precision
from fastapi import Response

from services.scoring.pages import words
from services.scoring.settings import home_currency
from shared.http import Context


def sheet(name: str, heads: Iterable[str], rows: Iterable[Sequence[Any]]) -> Response:
    """UTF-8 with its mark, or a spreadsheet reads Chinese wrong; no cell is a formula."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(heads)
    for row in rows:
        writer.writerow([_harmless(cell) for cell in row])
    return Response(
        "\ufeff" + out.getvalue(),
        media_type="text/csv; charset=utf-8",
        headers={"content-disposition": f'attachment; filename="{name}.csv"'},
    )


def _harmless(cell: Any) -> str:
    told = str(cell)
    is_figure = told.lstrip("-").replace(".", "", 1).isdigit()
    return f"'{told}" if told[:1] in "=+-@\t\r" and told and not is_figure else told


def decimal(minor: int) -> str:
    """Exact, whatever its size."""
    digits = get_currency_precision(home_currency())
    whole, part = divmod(abs(minor), 10**digits)
    sign = "-" if minor < 0 else ""
    return f"{sign}{whole}.{part:0{digits}d}" if digits else f"{sign}{whole}"


def percent(ppm: int | None) -> str:
    if ppm is None:
        return ""
    whole, part = divmod(abs(ppm), 10_000)
    return f"{'-' if ppm < 0 else ''}{whole}.{part:04d}"


def plain(name: Any, ctx: Context) -> str:
    """A name in the reader's language: a text in both, a msgid or a code."""
    if isinstance(name, dict):
        return str(name.get(ctx.actor.language) or next(iter(name.values()), ""))
    return ctx.runtime.pages.texts(ctx.actor.language).gettext(name) if name else ""


def driver_name(ctx: Context, code: str) -> str:
    """A driver in the reader's words, with its channel."""
    texts = ctx.runtime.pages.texts(ctx.actor.language)
    kind, _, channel = code.partition("/")
    name = texts.gettext(words.DRIVERS.get(kind, kind or words.NO_DRIVER))
    return f"{name} · {channel}" if channel else name
