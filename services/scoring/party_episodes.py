"""Episodes by party from a replay's signals and what customer says of its numbers: the alerts that
a live system has in the end, by the same rules, without a database."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime, time
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from services.scoring.absences import Away
from services.scoring.rules import outflows
from services.scoring.rules.episodes import Absence, Crossing, Episode, alert_id, episodes
from services.scoring.rules.membership import replaces
from services.scoring.rules.outflows import Fall
from services.scoring.signals import Signal
from shared.events.customer import IdentityMerged, IdentityUnmerged, PartyRecorded
from shared.events.envelope import decode

_TELL = (PartyRecorded, IdentityMerged, IdentityUnmerged)
Parties = dict[str, set[str]]  # party id -> its numbers


class Unreadable(ValueError):
    """A line that is no event; the message names it and says why."""


def parties_of(file: Path) -> Parties:
    """Who is who after all lines of a file of `customer.events`. Raises Unreadable."""
    now: dict[str, tuple[str, datetime]] = {}
    with file.open("rb") as lines:
        for place, line in enumerate(lines, 1):
            try:
                event = decode(line) if line.strip() else None
            except ValueError as error:
                raise Unreadable(f"{file}, line {place}: {error}") from None
            if event is None or not isinstance(event.data, _TELL):
                continue
            fact = event.data
            if fact.customer_number is None:
                continue  # a prospect
            for number in {fact.customer_number, *fact.customer_numbers}:
                known = now[number][1] if number in now else None
                if replaces(event.time, known, own=number == fact.customer_number):
                    now[number] = fact.party_id, event.time
    found: Parties = defaultdict(set)
    for number, (party_id, _) in now.items():
        found[party_id].add(number)
    return found


def of_several(parties: Parties) -> dict[str, str]:
    """The numbers of parties that have more than one, with these."""
    return {
        number: party_id
        for party_id, numbers in parties.items()
        if len(numbers) > 1
        for number in numbers
    }


def final(  # noqa: PLR0917 - what a live system has in as many tables
    parties: Parties,
    signals: Iterable[Signal],
    first_on: Mapping[str, date | None],
    away: Mapping[str, Away],
    falls: Mapping[str, Sequence[Fall]],
    zone: ZoneInfo,
) -> Iterator[dict[str, Any]]:
    """All episodes of the parties, by party and rule. `first_on`: when a number became active;
    `away`: when it had no account; `falls`: of the sums of parties of several numbers."""
    crossings: defaultdict[tuple[str, str], list[Crossing]] = defaultdict(list)
    party_of = {number: party_id for party_id, numbers in parties.items() for number in numbers}
    for s in signals:
        party_id = party_of.get(s.customer_number)
        if party_id is not None:
            crossings[party_id, s.rule].append(
                Crossing(s.id, s.customer_number, s.kind, s.at, s.episode, s.account_number,
                         s.product_code)
            )
    absent = absences_of(away, zone)
    found: dict[tuple[str, str], list[Episode]] = {}
    for (party_id, rule), of_rule in crossings.items():
        active = {n: _midnight(first_on.get(n), zone) for n in sorted(parties[party_id])}
        if rule != outflows.RULE or len(active) == 1:
            found[party_id, rule] = episodes(
                rule, of_rule, active, {n: absent[n] for n in active if n in absent}
            )
    for party_id, own in falls.items():
        found[party_id, outflows.RULE] = [f.episode(n, zone) for n, f in enumerate(own, 1)]
    for (party_id, rule), own_episodes in sorted(found.items()):
        for one in own_episodes:
            yield {
                "alert_id": alert_id(party_id, rule, one.at),
                "party_id": party_id,
                "rule": rule,
                "episode": one.ordinal,
                "at": one.at,
                "ended_at": one.ended_at,
                "raised_by": one.raised_by,
            }


def absences_of(away: Mapping[str, Away], zone: ZoneInfo) -> dict[str, Absence]:
    """By the bank's midnights."""
    return {n: (datetime.combine(left_on, time(), zone), _midnight(back_on, zone))
            for n, (left_on, back_on) in away.items()}  # fmt: skip


def _midnight(day: date | None, zone: ZoneInfo) -> datetime | None:
    return None if day is None else datetime.combine(day, time(), zone)
