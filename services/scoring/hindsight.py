"""What came true after warnings and without them, by what the bank's events said later.

A warning is judged at its day, over the horizon of its rule; labels are those that a model learns
from. What was missed is asked at the ends of months.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any, NamedTuple, cast

import numpy as np

from services.scoring import closings
from services.scoring.bookings import flags_of
from services.scoring.scores import account_features
from services.scoring.scores.questions import HISTORY_DAYS, PAST_DAYS
from services.scoring.scores.watching import PURCHASE
from services.scoring.training import labels
from services.scoring.training.history import Account
from services.scoring.training.labels import Daily, window
from shared.events.bank import AccountClosed, AccountOpened, TransactionBooked

SMALL_DAYS = 90  # the horizon by which the two small rules are judged
# Which label a rule is held to. Use that falls was right when little is done from then on, too.
GOALS = {"collapse": "collapse", "outflow_ahead": "outflow", "distress": "distress",
         "use_falls": "collapse"}  # fmt: skip
OF_CUSTOMER = ("silence", "outflow")
ACTIONS_MIN = 5  # of a customer whose silence is a question
_Account = tuple[str, str]  # number, product: only together they are one
_Span = tuple[int, int]  # from a day until before another
_NEVER = 1 << 40


class Booking(NamedTuple):
    """A stored event, as far as a label asks for it."""

    type: str
    account_number: str
    product_code: str
    on: int
    amount_minor: int
    kind: str
    initiated_by: str
    reverses: None = None  # not stored: a reversal passes for an action


@dataclass(slots=True)
class Given:
    """An alert of one number or account; `until`: the day of its end, 0: it still holds."""

    rule: str
    account_number: str
    product_code: str
    on: int
    until: int
    carried: bool


@dataclass(slots=True)
class Tally:
    """What one rule of one side did. Leads are days from the warning to what it warned of."""

    judged: int = 0
    hits: int = 0
    wrong: int = 0
    misses: int = 0
    leads: Counter[int] = field(default_factory=Counter)

    def figures(self) -> dict[str, int | None]:
        came = self.hits + self.misses
        return {
            "judged": self.judged, "hits": self.hits, "wrong": self.wrong, "misses": self.misses,
            "precision_ppm": self.hits * 1_000_000 // self.judged if self.judged else None,
            "recall_ppm": self.hits * 1_000_000 // came if came else None,
            "lead_days": _median(self.leads),
        }  # fmt: skip


def _median(counts: Counter[int]) -> int | None:
    left = counts.total() // 2
    for value in sorted(counts):
        left -= counts[value]
        if left < 0:
            return value
    return None


@dataclass(frozen=True, slots=True)
class Asked:
    """Over which days the sides are judged."""

    from_on: date
    through_on: date
    horizons: Mapping[str, Mapping[str, int]]  # product: rule: days

    def month_ends(self) -> list[int]:
        found, day = [], self.from_on
        while day <= self.through_on:
            following = (day.replace(day=28) + timedelta(days=4)).replace(day=1)
            end = following - timedelta(days=1)
            if end <= self.through_on:
                found.append(end.toordinal())
            day = following
        return found


@dataclass(slots=True)
class _Life:
    """Of an account from an opening to the closing behind it, or of a customer's accounts together,
    day by day."""

    daily: Daily
    purchases: Any  # days
    actions: Any
    opened_on: int
    until: int
    away: Sequence[_Span] = ()  # of a customer: when he had no account

    def known(self, day: int, horizon: int) -> bool:
        return self.opened_on <= day and day + horizon <= self.until

    def came_true(self, rule: str, day: int, horizon: int) -> bool | None:
        """Of a warning on this day; None: the question did not arise, or its end is not known."""
        if not self.known(day, horizon):
            return None
        at = day - self.opened_on
        if rule == "no_purchase":
            return _none_in(self.purchases, day, horizon)
        if rule == "silence":
            if any(left <= day + horizon and day < back for left, back in self.away):
                return None  # who has left is not silent
            return _none_in(self.actions, day, horizon)
        if rule == "outflow":
            past = window(self.daily.balances, at - PAST_DAYS + 1, at) / PAST_DAYS
            coming = window(self.daily.balances, at + 1, at + horizon) / horizon
            return coming <= past / 2
        return labels.OF_ACCOUNTS[GOALS[rule]](self.daily, at, horizon)

    def question(self, rule: str, day: int, horizon: int) -> bool | None:
        """The same at the end of a month, where no warning says that there is a question."""
        if not self.known(day, horizon):
            return None
        if rule == "no_purchase":
            bought = _between(self.purchases, day - horizon, day)
            return self.came_true(rule, day, horizon) if bought else None
        if rule == "silence":
            acted = _between(self.actions, day - SMALL_DAYS, day)
            return self.came_true(rule, day, horizon) if acted >= ACTIONS_MIN else None
        if day - self.opened_on < HISTORY_DAYS:
            return None
        if rule == "outflow":
            return labels.outflow(self.daily, day - self.opened_on, horizon)
        return self.came_true(rule, day, horizon)

    def lead(self, rule: str, day: int, horizon: int) -> int | None:
        """Days until what has an instant: trouble, or a balance of half the mean. None: an absence
        has none."""
        at = day - self.opened_on
        if rule == "distress":
            before = int(self.daily.troubles[at])
            later = np.flatnonzero(self.daily.troubles[at + 1 : at + 1 + horizon] > before)
        elif rule in ("outflow", "outflow_ahead"):
            past = window(self.daily.balances, at - PAST_DAYS + 1, at) / PAST_DAYS
            later = np.flatnonzero(self.daily.balance[at + 1 : at + 1 + horizon] <= past / 2)
        else:
            return None
        return int(later[0]) + 1 if len(later) else None


def _between(days: Any, after: int, through: int) -> int:
    return int(np.searchsorted(days, through, "right") - np.searchsorted(days, after, "right"))


def _none_in(days: Any, day: int, horizon: int) -> bool:
    return _between(days, day, day + horizon) == 0


def _life(bookings: Sequence[Booking], opened_on: int, until: int) -> _Life:
    rows = sorted((b.on, b.amount_minor, flags_of(cast(Any, b))) for b in bookings if b.on <= until)
    days, amounts, flags = np.array(rows, np.int64).reshape(-1, 3).T
    account = Account("", "", opened_on, until, None, days, amounts, flags)
    acted = (flags & account_features.BY_CUSTOMER) > 0
    bought = (flags & PURCHASE) > 0
    return _Life(Daily.of(account), days[bought], days[acted], opened_on, until)


def _one_after_the_other(
    bookings: Sequence[Booking], opened_on: int, shut: Sequence[_Span], through: int
) -> list[_Life]:
    """Each to the day before a closing; the next begins with the opening behind it. What is booked
    on a closed account is of none."""
    found, begin = [], min([opened_on, *(b.on for b in bookings)])
    for closed_on, again_on in shut:
        own, until = [b for b in bookings if begin <= b.on < again_on], min(closed_on - 1, through)
        if any(b.on <= until for b in own):
            found.append(_life(own, begin, until))
        begin = again_on
    return found


def _account(event: Booking) -> _Account:
    return event.account_number, event.product_code


def lives(
    events: Iterable[Booking], through: int
) -> tuple[dict[_Account, list[_Life]], _Life | None]:
    """The lives of each account, one after the other, and that of all accounts together. As to the
    worker, an account that is opened again after its closing begins anew."""
    told = list(events)
    every = {_account(event) for event in told if event.type != AccountClosed.TYPE}
    before: set[_Account] = set()
    bookings: defaultdict[_Account, list[Booking]] = defaultdict(list)
    opened: dict[_Account, int] = {}
    closed: dict[_Account, int] = {}
    shut: defaultdict[_Account, list[_Span]] = defaultdict(list)
    for event in told:
        account = _account(event)
        if event.type == AccountClosed.TYPE:
            named = (event.account_number, event.product_code or None)
            gone = closings.ended(named, before, every)
            if gone is not None and all(again_on <= event.on for _, again_on in shut[gone]):
                closed[gone] = min(event.on, closed.get(gone, event.on))  # the first holds
            continue
        before.add(account)
        if event.type == AccountOpened.TYPE:
            opened.setdefault(account, event.on)
            if closed.get(account, event.on + 1) <= event.on:
                shut[account].append((closed.pop(account), event.on))
        elif event.type == TransactionBooked.TYPE and event.on <= through:
            bookings[account].append(event)
    found = {
        account: _one_after_the_other(own, opened.get(account, _NEVER), [
            *shut[account], (closed.get(account, through + 1), through + 1)
        ], through)
        for account, own in bookings.items()
    }  # fmt: skip
    all_of = [b for own in bookings.values() for b in own]
    if not all_of:
        return found, None
    whole = _life(all_of, min(b.on for b in all_of), through)
    for account in every:
        own_days = [b.on for b in bookings[account]]
        first = min([*own_days, opened.get(account, _NEVER)])
        shut[account].append((0, first))
        left_on = closed.get(account, _NEVER)
        if max(own_days, default=0) <= left_on:  # else the bank says that it is open
            shut[account].append((left_on, _NEVER))
    whole.away = _in_all(shut.values())
    return found, whole


def _in_all(spans: Iterable[Sequence[_Span]]) -> list[_Span]:
    """What lies in a span of each account, but before the first of them."""
    found = [(0, _NEVER)]
    for own in spans:
        both = ((max(a, c), min(b, d)) for a, b in found for c, d in own)
        found = [(begin, end) for begin, end in both if begin < end]
    return [(begin, end) for begin, end in found if begin > 0]


def judge(
    asked: Asked, events: Iterable[Booking], warnings: Iterable[Given], tallies: dict[str, Tally]
) -> None:
    """Adds to the tallies what came of one customer's warnings, and what came without one."""
    accounts, whole = lives(events, asked.through_on.toordinal())
    given: defaultdict[tuple[str, _Account], list[Given]] = defaultdict(list)
    for warning in warnings:
        given[warning.rule, (warning.account_number, warning.product_code)].append(warning)
    questions: list[tuple[str, _Account, _Life, int]] = [
        (rule, account, life, horizon)
        for account, own_lives in accounts.items()
        for rule, horizon in asked.horizons.get(account[1], {}).items()
        for life in own_lives
    ]
    if whole is not None:
        questions += [(rule, ("", ""), whole, SMALL_DAYS) for rule in OF_CUSTOMER]
    for rule, account, life, horizon in questions:
        tally = tallies.setdefault(rule, Tally())
        own = [w for w in given.get((rule, account), [])
               if rule in OF_CUSTOMER or life.opened_on <= w.on <= life.until]  # fmt: skip
        for warning in own:
            _judge_one(tally, life, warning, horizon)
        tally.misses += any(
            life.question(rule, end, horizon) and not _warned(own, end, horizon)
            for end in asked.month_ends()
        )


def _judge_one(tally: Tally, life: _Life, warning: Given, horizon: int) -> None:
    if warning.carried:
        return
    came_true = life.came_true(warning.rule, warning.on, horizon)
    if came_true is None:
        return
    tally.judged += 1
    if not came_true:
        tally.wrong += 1
        return
    tally.hits += 1
    lead = life.lead(warning.rule, warning.on, horizon)
    if lead is not None:
        tally.leads[lead] += 1


def _warned(warnings: Iterable[Given], end: int, horizon: int) -> bool:
    """Was there a warning that held at the end of the month, or one about what came then?"""
    return any(
        end - horizon < w.on <= end + horizon or (w.on <= end and (w.until == 0 or w.until > end))
        for w in warnings
    )
