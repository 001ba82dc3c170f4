"""Structured logs with the correlation id; personal data is masked before anything is written."""

import logging
import re
import sys
from collections.abc import Callable, Mapping, MutableMapping
from contextvars import ContextVar
from typing import Any

import structlog

MASKED_KEYS = frozenset(
    {
        "name",
        "phone",
        "phones",
        "email",
        "emails",
        "address",
        "document",
        "documents",
        "number",
        "legal_representative",
        "birth_on",
        "authorization",
        "cookie",
        "token",
        "password",
        "text",
    }
)
# A mainland mobile number, a resident id, a card number: never in a log line.
DIGITS = re.compile(r"(?<![\d.])(1[3-9]\d{9}|\d{17}[\dXx]|\d{16,19})(?![\d.])")

# Says what is being worked on. Asked only when a line is written: an event pays for one `set`.
at_work: ContextVar[Callable[[], Mapping[str, Any]] | None] = ContextVar("at_work", default=None)


def _add_work(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """What the line says itself stands."""
    told = at_work.get()
    return {**told(), **event} if told is not None else event


def _mask(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for key, value in event.items():
        if key in MASKED_KEYS:
            event[key] = "***"
        elif isinstance(value, str):
            event[key] = DIGITS.sub(lambda m: "***" + m.group()[-4:], value)
    return event


def configure(service: str, level: str = "info", *, as_json: bool = True) -> None:
    """Once per process, before anything logs."""
    renderer: Any = (
        structlog.processors.JSONRenderer(ensure_ascii=False)
        if as_json
        else structlog.dev.ConsoleRenderer()
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            _add_work,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            _mask,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(
            logging.getLevelNamesMapping()[level.upper()]
        ),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    structlog.contextvars.bind_contextvars(service=service)
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(name)s %(message)s")
    # "ran for 0.2 s, blocking the loop": true whenever a page or a batch takes the interpreter.
    logging.getLogger("kafka.net.selector").setLevel(logging.ERROR)
