"""Compiled readers of the pieces of a JSON text: narrow, never wrong (see scanning).

Each is given the text and where it is to end, and says where it came to, or that it is not plain.
"""

# ruff: noqa: PLR0917 - columns are passed one by one: numba unboxes no objects

import numpy as np
from numpy.typing import NDArray

from services.scoring.scores.compiling import compiled, inlined

Ints = NDArray[np.int64]
Bytes = NDArray[np.uint8]
_MONTH_DAYS = np.array([0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31], np.int64)
_BEFORE_MONTH = np.concatenate(([0, 0], np.cumsum(_MONTH_DAYS[1:12]))).astype(np.int64)

_EPOCH_DAY = 719163  # date(1970, 1, 1).toordinal()
_FIRST_DAY = _EPOCH_DAY + 365
QUOTE, _BACKSLASH, COMMA, COLON, BRACE, END, _MINUS, _ZERO = (ord(c) for c in "\"\\,:{}-0")


@inlined
def spaces(text: Bytes, at: int, end: int) -> int:
    while at < end and (text[at] == 32 or text[at] == 10 or text[at] == 13 or text[at] == 9):
        at += 1
    return at


@compiled
def _wide(text: Bytes, at: int, end: int) -> int:
    """Bytes of the UTF-8 character at a place, one beyond ASCII; 0: it is none (RFC 3629)."""
    lead = text[at]
    if lead < 0xC2 or lead > 0xF4:
        return 0
    n = 2 if lead < 0xE0 else 3 if lead < 0xF0 else 4
    if at + n > end:
        return 0
    for k in range(1, n):
        if text[at + k] & 0xC0 != 0x80:
            return 0
    second = text[at + 1]
    overlong = (lead == 0xE0 and second < 0xA0) or (lead == 0xF0 and second < 0x90)
    surrogate = lead == 0xED and second > 0x9F
    beyond = lead == 0xF4 and second > 0x8F
    return 0 if overlong or surrogate or beyond else n


@inlined
def string(text: Bytes, at: int, end: int) -> int:
    """The closing quote of the string that opens at a place; -1: none, or not a plain one."""
    if at >= end or text[at] != QUOTE:
        return -1
    at += 1
    while at < end:
        letter = text[at]
        if letter == QUOTE:
            return at
        if letter < 32 or letter == _BACKSLASH:
            return -1
        if letter < 128:
            at += 1
            continue
        n = _wide(text, at, end)
        if n == 0:
            return -1
        at += n
    return -1


@inlined
def equal(a: Bytes, begin: int, end: int, b: Bytes, other: int, other_end: int) -> bool:
    if end - begin != other_end - other:
        return False
    for k in range(end - begin):  # noqa: SIM110 - no generators in compiled code
        if a[begin + k] != b[other + k]:
            return False
    return True


@inlined
def _digits(text: Bytes, begin: int, n: int) -> int:
    """n digits as a number; -1: one is none."""
    value = 0
    for k in range(begin, begin + n):
        digit = int(text[k]) - _ZERO
        if digit < 0 or digit > 9:
            return -1
        value = 10 * value + digit
    return value


@inlined
def date(text: Bytes, begin: int, end: int) -> int:
    """The day number of a date, as `date.toordinal`; 0: none of this and the next four centuries,
    or no day at all."""
    if end - begin != 10 or text[begin + 4] != _MINUS or text[begin + 7] != _MINUS:
        return 0
    year, month, day = (
        _digits(text, begin, 4), _digits(text, begin + 5, 2), _digits(text, begin + 8, 2)
    )  # fmt: skip
    if year < 1900 or year > 2399 or month < 1 or month > 12 or day < 1:
        return 0
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    if day > _MONTH_DAYS[month] + (leap and month == 2):
        return 0
    y = year - 1
    return int(y * 365 + y // 4 - y // 100 + y // 400 + _BEFORE_MONTH[month]
               + (leap and month > 2) + day)  # fmt: skip


@inlined
def instant(text: Bytes, begin: int, end: int) -> int:
    """An instant of RFC 3339 with its zone, to the microsecond, as whole seconds since 1970 in UTC;
    0: not plain, or before 1971."""
    day = date(text, begin, begin + 10) if end - begin >= 20 else 0
    if day < _FIRST_DAY:
        return 0
    if text[begin + 10] != 84 or text[begin + 13] != COLON or text[begin + 16] != COLON:
        return 0
    hour, minute, second = (
        _digits(text, begin + 11, 2), _digits(text, begin + 14, 2), _digits(text, begin + 17, 2)
    )  # fmt: skip
    if hour < 0 or hour > 23 or minute < 0 or minute > 59 or second < 0 or second > 59:
        return 0
    seconds = ((day - _EPOCH_DAY) * 24 + hour) * 3600 + 60 * minute + second
    at = begin + 19
    if text[at] == 46:
        first = at + 1
        at = first
        while at < end and 48 <= text[at] <= 57:
            at += 1
        if at == first or at - first > 6:
            return 0
    if at + 1 == end:
        return seconds if text[at] == 90 else 0
    if at + 6 != end or (text[at] != 43 and text[at] != _MINUS) or text[at + 3] != COLON:
        return 0
    hour, minute = _digits(text, at + 1, 2), _digits(text, at + 4, 2)
    if hour < 0 or hour > 23 or minute < 0 or minute > 59:
        return 0
    ahead = 3600 * hour + 60 * minute
    return seconds + ahead if text[at] == _MINUS else seconds - ahead


@inlined
def integer(
    text: Bytes, at: int, end: int, digits_max: int, signed: bool, found: Ints, place: int
) -> int:
    """Reads a plain integer to its place; returns where the text goes on, -1: it is none."""
    negative = at < end and text[at] == _MINUS
    if negative:
        if not signed:
            return -1
        at += 1
    first = at
    while at < end and 48 <= text[at] <= 57:
        at += 1
    n = at - first
    if n == 0 or n > digits_max or (n > 1 and text[first] == _ZERO):
        return -1
    if at < end and (text[at] == 46 or text[at] == 101 or text[at] == 69):  # . e E
        return -1
    if place >= 0:
        value = _digits(text, first, n)
        found[place] = -value if negative else value
    return at


@inlined
def is_null(text: Bytes, at: int, end: int) -> bool:
    return bool(
        at + 4 <= end and text[at] == 110 and text[at + 1] == 117 and text[at + 2] == 108
        and text[at + 3] == 108
    )  # fmt: skip
