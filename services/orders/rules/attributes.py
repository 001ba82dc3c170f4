"""Custom attributes of orders: defined at run time, typed."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Literal

NUMBER_MAX = 2**53
TEXT_CHARS_MAX = 2000
AttributeKind = Literal["text", "integer", "date", "choice", "boolean"]


@dataclass(frozen=True, slots=True)
class Attribute:
    """A custom attribute of orders, defined at run time."""

    code: str
    kind: AttributeKind
    required: bool = False
    choices: tuple[str, ...] = ()


def attribute_value(attribute: Attribute, raw: Any) -> Any:
    """The typed value of what was given; none when nothing was. Raises ValueError with a code."""
    if raw is None or raw == "":
        return None
    return _READERS[attribute.kind](attribute, raw)


def _integer(_attribute: Attribute, raw: Any) -> int:
    if isinstance(raw, bool | float):
        raise ValueError("not_an_integer")
    try:
        value = int(raw)
    except (TypeError, ValueError) as error:
        raise ValueError("not_an_integer") from error
    if abs(value) > NUMBER_MAX:
        raise ValueError("out_of_range")
    return value


def _date(_attribute: Attribute, raw: Any) -> str:
    try:
        return date.fromisoformat(str(raw)).isoformat()
    except ValueError as error:
        raise ValueError("not_a_date") from error


def _boolean(_attribute: Attribute, raw: Any) -> bool:
    text = str(raw).lower()
    if text in ("true", "on", "1"):
        return True
    if text in ("false", "off", "0"):
        return False
    raise ValueError("not_yes_or_no")


def _choice(attribute: Attribute, raw: Any) -> str:
    if raw not in attribute.choices:
        raise ValueError("not_a_choice")
    return str(raw)


def _text(_attribute: Attribute, raw: Any) -> str | None:
    if not isinstance(raw, str) or len(raw) > TEXT_CHARS_MAX:
        raise ValueError("not_a_text")
    return raw.strip() or None


_READERS: Mapping[AttributeKind, Callable[[Attribute, Any], Any]] = {
    "text": _text,
    "integer": _integer,
    "date": _date,
    "choice": _choice,
    "boolean": _boolean,
}


def attribute_values(
    attributes: Iterable[Attribute], raw: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, str]]:
    """(values, problems by field). Unknown codes are problems, never dropped in silence."""
    known = {a.code: a for a in attributes}
    values: dict[str, Any] = {}
    problems = {f"attributes.{code}": "unknown_attribute" for code in raw if code not in known}
    for code, attribute in known.items():
        try:
            value = attribute_value(attribute, raw.get(code))
        except ValueError as error:
            problems[f"attributes.{code}"] = str(error)
            continue
        if value is None and attribute.required:
            problems[f"attributes.{code}"] = "required"
        elif value is not None:
            values[code] = value
    return values, problems
