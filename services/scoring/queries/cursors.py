"""Keyset cursors as they stand in addresses: a value and an id, joined by `~`."""

from datetime import date, datetime

from shared.errors import Invalid

WRONG = {"zh-CN": "翻页位置无效", "en": "This page position is not valid"}


def number_and_id(after: str | None) -> tuple[int, str] | None:
    """`123~P1`. Raises Invalid."""
    if not after:
        return None
    value, _, key = after.partition("~")
    if not key or not value.removeprefix("-").isdecimal() or len(value) > 38:
        raise Invalid("after", WRONG)
    return int(value), key


def instant_and_id(after: str | None) -> tuple[datetime, str] | None:
    """`2026-03-02T00:00:00+00:00~ALT-1`. Raises Invalid."""
    if not after:
        return None
    value, _, key = after.partition("~")
    try:
        at = datetime.fromisoformat(value)
    except ValueError:
        raise Invalid("after", WRONG) from None
    if not key or at.tzinfo is None:
        raise Invalid("after", WRONG)
    return at, key


def day_and_offset(after: str | None) -> tuple[date, int] | None:
    """`2026-03-02~17`. Raises Invalid."""
    if not after:
        return None
    value, _, offset = after.partition("~")
    try:
        return date.fromisoformat(value), int(offset)
    except ValueError:
        raise Invalid("after", WRONG) from None
