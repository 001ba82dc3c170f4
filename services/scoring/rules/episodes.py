"""A party's episodes of one rule: a pure function of the signals of its customer numbers.

Silence of a party is silence of all its numbers that have ever been active: a number counts from
its first activity on, but not while it has no open account. Every other rule holds for the party
while it holds for any of its numbers, or, a rule on accounts, for any account of these.
Signals are taken in the order (at, customer number), so a merge or an unmerge gives what would have
been had it always been known. A signal bears the time of the event that moved it, and an event that
comes late bears one of before what it ends: so of one number, or account, its episodes go first,
and no signal is earlier than the one before it (`in_order`).
"""

import hashlib
from collections import deque
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Literal

OF_ALL_NUMBERS = frozenset({"silence"})
Absence = tuple[datetime, datetime | None]  # none: until now


@dataclass(frozen=True, slots=True)
class Crossing:
    """A rule crossed up or down for one customer number."""

    id: str
    customer_number: str
    kind: Literal["raised", "cleared"]
    at: datetime
    episode: int
    account_number: str = ""  # of a rule on one account
    product_code: str = ""

    @property
    def holder(self) -> tuple[str, str, str]:
        """What it holds for: a number, or one of its accounts. One number may be of several
        products: each is an account."""
        return self.customer_number, self.account_number, self.product_code


@dataclass(frozen=True, slots=True)
class Episode:
    """From `at` until `ended_at` (none: it still holds). `raised_by`: what held as it began."""

    ordinal: int
    at: datetime
    raised_by: tuple[str, ...]
    ended_at: datetime | None = None


def episodes(
    rule: str,
    crossings: Iterable[Crossing],
    active_from: Mapping[str, datetime | None],
    away: Mapping[str, Absence] = MappingProxyType({}),
) -> list[Episode]:
    """The party's episodes, earliest first.

    `active_from`: when each of the party's numbers was first active; none: never. `away`: from when
    until when one had no open account. Crossings of other numbers are left out.
    """
    ordered = in_order(c for c in crossings if c.customer_number in active_from)
    turns = _turns(active_from, away)
    needs_all = rule in OF_ALL_NUMBERS
    found: list[Episode] = []
    holding: dict[tuple[str, str, str], str] = {}  # holder -> the signal that raised it
    joined: set[str] = set()
    for crossing in ordered:
        while turns and turns[0][0] <= crossing.at:
            at, number, joins = turns.popleft()
            (joined.add if joins else joined.discard)(number)
            _step(found, at, needs_all, holding, joined)
        if crossing.kind == "raised":
            holding[crossing.holder] = crossing.id
        else:
            holding.pop(crossing.holder, None)
        _step(found, crossing.at, needs_all, holding, joined)
    for at, number, joins in turns:
        (joined.add if joins else joined.discard)(number)
        _step(found, at, needs_all, holding, joined)
    return found


def _turns(
    active_from: Mapping[str, datetime | None], away: Mapping[str, Absence]
) -> deque[tuple[datetime, str, bool]]:
    """When each number joins those that count, or leaves them; earliest first."""
    found = [(at, number, True) for number, at in active_from.items() if at is not None]
    for number, (left_at, back_at) in away.items():
        if active_from.get(number) is not None:
            found.append((left_at, number, False))
            if back_at is not None:
                found.append((back_at, number, True))
    return deque(sorted(found, key=lambda turn: turn[:2]))


def away_at(
    active_from: Mapping[str, datetime | None], away: Mapping[str, Absence], at: datetime
) -> set[str]:
    """The numbers that were active by then and have no account at this instant."""
    return {
        number
        for number, absence in away.items()
        if (since := active_from.get(number)) is not None and since <= at and _is_away(absence, at)
    }


def all_away(numbers: Collection[str], away: Mapping[str, Absence], at: datetime) -> bool:
    """Has none of these numbers an account at this instant? One of which no absence is known may
    have; where none had one ever, nobody has closed it."""
    return bool(numbers) and all(n in away and _is_away(away[n], at) for n in numbers)


def _is_away(absence: Absence, at: datetime) -> bool:
    left_at, back_at = absence
    return left_at <= at and (back_at is None or at < back_at)


def in_order(crossings: Iterable[Crossing]) -> list[Crossing]:
    """In the order in which they count. One that is dated before what its holder crossed last
    counts from then: it could not be known earlier, and it must not come before what it ends."""
    found: list[Crossing] = []
    for crossing in sorted(crossings, key=lambda c: (c.holder, c.episode, c.kind == "cleared")):
        before = found[-1] if found and found[-1].holder == crossing.holder else crossing
        late = crossing.at < before.at
        found.append(replace(crossing, at=before.at) if late else crossing)
    return sorted(found, key=lambda c: c.at)  # at one instant by holder, as they stand


def _step(
    found: list[Episode],
    at: datetime,
    needs_all: bool,
    holding: Mapping[tuple[str, str, str], str],
    joined: Collection[str],
) -> None:
    """Begins or ends an episode if the rule now holds, or no longer does."""
    everywhere = not needs_all or all((number, "", "") in holding for number in joined)
    holds = bool(holding) and everywhere
    open_now = bool(found) and found[-1].ended_at is None
    if holds and not open_now:
        found.append(Episode(len(found) + 1, at, tuple(sorted(holding.values()))))
    elif open_now and not holds:
        if found[-1].at == at:
            found.pop()  # it began and ended in the same instant: it never was
        else:
            found[-1] = replace(found[-1], ended_at=at)


def alert_id(party_id: str, rule: str, at: datetime) -> str:
    """The identity of an episode: the same party, rule and instant are the same alert."""
    text = f"{party_id}\0{rule}\0{at.astimezone(UTC).isoformat()}"
    return f"ALT-{hashlib.sha256(text.encode()).hexdigest()[:20]}"


@dataclass(frozen=True, slots=True)
class Known:
    """An alert as it was recorded; `valid` False: a recomputation has taken it back."""

    alert_id: str
    ended_at: datetime | None
    told: bool
    valid: bool


Act = Literal["raise", "record", "clear", "reopen", "shift", "take_back"]


def differences(
    party_id: str, rule: str, wanted: Iterable[Episode], known: Iterable[Known]
) -> list[tuple[Act, str, Episode | None]]:
    """What must be done so that the recorded alerts are the wanted episodes.

    An episode that is over when it is first seen is recorded and told to nobody: there is nothing
    left to do about it.
    """
    before = {k.alert_id: k for k in known}
    acts: list[tuple[Act, str, Episode | None]] = []
    kept = set()
    for episode in wanted:
        name = alert_id(party_id, rule, episode.at)
        kept.add(name)
        old = before.get(name)
        if old is None:
            acts.append(("raise" if episode.ended_at is None else "record", name, episode))
        elif episode.ended_at is None and (not old.valid or old.ended_at is not None):
            acts.append(("reopen", name, episode))
        elif episode.ended_at is not None and old.valid and old.ended_at is None:
            acts.append(("clear", name, episode))
        elif episode.ended_at != old.ended_at or not old.valid:
            acts.append(("shift", name, episode))
    for name, old in before.items():
        if name not in kept and old.valid:
            acts.append(("take_back", name, None))
    return acts
