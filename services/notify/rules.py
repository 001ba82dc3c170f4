"""Who is told of what, and when a delivery is given up. Pure."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

ATTEMPTS_MAX = 8
PAUSE_FIRST_S = 2.0
PAUSE_MAX_S = 600.0

STATES = {
    # state -> acts that are possible in it
    "unread": {"acknowledge", "snooze", "withdraw"},
    "snoozed": {"acknowledge", "snooze", "wake", "withdraw"},
    "acknowledged": set(),
    "withdrawn": set(),
}


@dataclass(frozen=True)
class NoticeDraft:
    """A notice before it has a row."""

    receiver_id: str
    kind: str
    subject: str
    text: dict[str, str]
    link: str
    urgent: bool = False
    valid_until: datetime | None = None


@dataclass(frozen=True)
class Link:
    """One event in the chain of causes of a notice. `type` none: only its id is known."""

    event_id: str
    type: str | None = None
    at: datetime | None = None
    text: dict[str, str] | None = None
    link: str | None = None


def is_of_the_bank(event_id: str) -> bool:
    """Our own services name their events `<topic>:<key>:<sequence>`; the bank `<kind>-<id>`."""
    return ":" not in event_id


def link_of(fact: Any) -> str | None:
    """The page that shows what a fact is about."""
    link: str | None = getattr(fact, "link", None)
    for field, page in (
        ("alert_id", "/scoring/risk/alerts/"),
        ("process_instance_id", "/workflow/processes/"),
        ("order_id", "/orders/orders/"),
    ):
        value = getattr(fact, field, None)
        if link is None and value:
            link = f"{page}{value}"
    return link


def may(state: str, act: str) -> bool:
    """Is the act possible on a notice in this state?"""
    return act in STATES[state]


def has_expired(valid_until: datetime | None, now: datetime) -> bool:
    """A reminder is a lease: after it the facts must be asked again."""
    return valid_until is not None and now > valid_until


def channels_of(*, urgent: bool, preferences: dict[str, bool], known: set[str]) -> list[str]:
    """Outside channels for one notice. Without a preference only urgent notices leave the inbox."""
    return sorted(c for c in known if preferences.get(c, urgent))


def pause_before(attempt: int) -> timedelta:
    """Doubling, with a cap: 2 s, 4 s, 8 s ... 10 min."""
    return timedelta(seconds=min(PAUSE_FIRST_S * 2 ** (attempt - 1), PAUSE_MAX_S))
