"""How figures and times are written on pages: template filters for one language and time zone.

Every filter shows no more digits than matter and keeps the exact value for hover.
"""

from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

from babel.dates import format_date, format_skeleton
from babel.numbers import (
    format_compact_currency,
    format_currency,
    format_decimal,
    get_currency_precision,
)
from markupsafe import Markup

MINUS = "\N{MINUS SIGN}"
PPM_PER_PERCENT = 10_000
NONE = Markup('<span class="text-secondary">–</span>')  # a figure that is not there


class Formats:
    """The filters; `filters()` gives them by their names in templates."""

    def __init__(self, language: str, zone: ZoneInfo, currency: str = "CNY") -> None:
        self._locale = language.replace("-", "_")
        self._zone = zone
        self._currency = currency

    def filters(self) -> dict[str, Callable[..., Markup]]:
        return {
            "money": self.money,
            "instant": self.instant,
            "business_date": self.business_date,
            "ppm": self.ppm,
            "number": self.number,
        }

    def money(self, minor: int | None, currency: str | None = None, short: bool = False) -> Markup:
        """Integer minor units as money; `short` rounds to 万 or K, the exact sum on hover."""
        if minor is None:
            return NONE
        code = currency or self._currency
        amount = Decimal(minor).scaleb(-get_currency_precision(code))
        exact = self._at_home(_minus(format_currency(amount, code, locale=self._locale)), code)
        shown = exact
        if short and abs(amount) >= (10_000 if self._locale.startswith("zh") else 1_000):
            compact = format_compact_currency(amount, code, locale=self._locale, fraction_digits=1)
            shown = self._at_home(_minus(compact), code)
        sign = " negative" if minor < 0 else ""
        return _spelled(f"money{sign}", shown, exact)

    def _at_home(self, text: str, code: str) -> str:
        """In English a yuan is `CN¥` and a yen `¥`; for a bank of China it is the other way round,
        as in its own sentences and in Chinese."""
        if self._locale == "en" and self._currency == "CNY":
            signs = {"CNY": ("CN¥", "¥"), "JPY": ("¥", "JP¥")}.get(code)
            return text.replace(*signs) if signs else text
        return text

    def number(self, value: int | float | Decimal | None, digits: int = 0) -> Markup:
        """Thousands separated, at most `digits` after the point; the exact value on hover."""
        if value is None:
            return NONE
        pattern = "#,##0" + ("." + "#" * digits if digits else "")
        shown = _minus(format_decimal(value, pattern, locale=self._locale))
        return _spelled("figure", shown, shown if round(value, digits) == value else str(value))

    def ppm(self, value: int | None, digits: int = 1) -> Markup:
        """Parts per million as percent."""
        if value is None:
            return NONE
        percent = Decimal(value) / PPM_PER_PERCENT
        shown = _minus(format_decimal(percent, f"0.{'0' * digits}", locale=self._locale)) + "%"
        whole = round(percent, digits) == percent
        return _spelled("figure", shown, shown if whole else _minus(f"{percent.normalize():f}%"))

    def business_date(self, day: date | str | None) -> Markup:
        """A date of the bank's calendar."""
        if day is None:
            return NONE
        read = date.fromisoformat(day) if isinstance(day, str) else day
        if isinstance(read, datetime):
            read = read.astimezone(self._zone).date()
        full = format_date(read, "full", locale=self._locale)
        return Markup('<time datetime="{0}" title="{1}">{0}</time>').format(read.isoformat(), full)

    def instant(self, when: datetime | str | None) -> Markup:
        """Date and minute in the bank's zone; the exact instant on hover."""
        if when is None:
            return NONE
        read = datetime.fromisoformat(when) if isinstance(when, str) else when
        local = read.astimezone(self._zone)
        exact = local.isoformat(sep=" ", timespec="milliseconds")
        day = format_skeleton("MMMd", local, locale=self._locale)
        shown = f"{day} {local:%H:%M}"
        return Markup('<time datetime="{}" title="{}">{}</time>').format(
            local.isoformat(), exact, shown
        )


def _spelled(kind: str, shown: str, exact: str) -> Markup:
    """What is shown already needs no hover: a table of figures is half as long without."""
    if shown == exact:
        return Markup('<span class="{}">{}</span>').format(kind, shown)
    return Markup('<span class="{}" title="{}">{}</span>').format(kind, exact, shown)


def _minus(text: str) -> str:
    """A real minus sign: as wide as a digit, and never broken from its number."""
    return text.replace("-", MINUS)
