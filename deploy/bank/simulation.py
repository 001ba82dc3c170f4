"""The simulated bank, day after day. The same plan gives the same bytes, however far it runs:
a day depends on the seed, its date and the state that the days before left."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from random import Random
from typing import Any

import numpy as np

from deploy.bank import (
    bank_side,
    contacts,
    costs,
    fates,
    identities,
    openings,
    places,
    planning,
    relations,
)
from deploy.bank import bookings as booked
from deploy.bank.bookings import Counters, Day
from deploy.bank.business_days import firm_season, person_season, working_day_at_or_before
from deploy.bank.people import Customer, Fate, draw_customer
from deploy.bank.relations import Ties
from deploy.bank.truth import Truth
from shared.events import Event
from shared.events.bank import DayClosed, WentLive

DEFAULT_UNTIL = date(2025, 8, 31)
_SHARE_OF_JOINERS = 0.06  # of the customers, over the history; later at the same pace
_PAUSE_HAZARD, _PAUSE_RATE = 0.0005, 0.05  # a journey: nearly silent, and back
_USE_RATE = 0.03
_OPENING_SECOND, _CLOSE_SECOND = 0, 86_405
_CUSTOMER_HOURS = (7 * 3600, 23 * 3600 + 1800)
_OFFICE_HOURS = (9 * 3600, 17 * 3600 + 1800)


@dataclass(frozen=True, slots=True)
class Plan:
    """`days` of history for `customers`, the last day is `until`; then it may go on for ever."""

    customers: int
    days: int
    seed: int
    until: date = DEFAULT_UNTIL
    branches_max: int = places.BRANCHES_MAX  # fewer branches are bigger ones

    @property
    def first_on(self) -> date:
        return self.until - timedelta(days=self.days - 1)

    @property
    def live_on(self) -> date:
        return self.until + timedelta(days=1)


class Bank:
    """The state of the simulated bank; `days()` moves it forward."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.truth = Truth()
        self.customers: list[Customer] = []
        self._branches = places.branches_for(plan.customers, plan.branches_max)
        self._counters = Counters()
        self._usual: list[float] = []  # rates a day
        self._rates: list[float] = []  # the same, now: less on a journey
        self._due: defaultdict[int, list[Customer]] = defaultdict(list)
        self._paid: defaultdict[int, list[Customer]] = defaultdict(list)
        self._fates: defaultdict[date, list[tuple[Customer, Fate, str]]] = defaultdict(list)
        self._returns: defaultdict[date, list[Customer]] = defaultdict(list)

    def history(self) -> Iterator[list[Event[Any]]]:
        """All events of the planned days, in business order, `went_live` at the end."""
        for on, events in self.days():
            last = on == self.plan.until
            if last:
                events.append(self.went_live())
            for event in events:
                self.truth.note(event)
            yield events
            if last:
                break
        self.truth.description = {
            "seed": self.plan.seed, "customers": self.plan.customers, "days": self.plan.days,
            "from": self.plan.first_on, "until": self.plan.until, "source": places.SOURCE,
            "currency": places.CURRENCY,
        }  # fmt: skip
        for number, found in self.truth.leavers.items():
            customer = self.customers[int(number[2:]) - 1]
            found["active_last_on"] = customer.active_last_on

    def days(self) -> Iterator[tuple[date, list[Event[Any]]]]:
        """Endless: each day with its events, the last of them its close."""
        on = self.plan.first_on
        while True:
            yield on, self._one_day(on)
            on += timedelta(days=1)

    def went_live(self) -> Event[Any]:
        day = Day(self.plan.live_on, Random(0), self._counters)
        day.now += timedelta(seconds=2 * (_CLOSE_SECOND - 86_400))  # after the last close
        day.say(WentLive(on=self.plan.live_on), f"live-{self.plan.live_on}")
        return day.events[0]

    def _one_day(self, on: date) -> list[Event[Any]]:
        day = Day(on, Random(f"{self.plan.seed}/{on}"), self._counters)
        if on == self.plan.first_on:
            self._first_day(day)
        else:
            self._joiners(day)
        self._batch(day)
        self._meet_fates(day)
        self._pauses(day)
        self._customers_act(day)
        day.run()
        day.at(_CLOSE_SECOND, self._book_costs)
        day.at(_CLOSE_SECOND, _close, on)
        day.run()
        return day.events

    def _first_day(self, day: Day) -> None:
        old = round(self.plan.customers * (1 - _SHARE_OF_JOINERS)) or 1
        for _ in range(old):
            self._admit(day.on - timedelta(days=day.rng.randrange(60, 5000)))
        ties = relations.draw_ties(day.rng, self.customers, day.on)
        day.at(_OPENING_SECOND, self._describe, ties)
        for customer in self.customers:
            holders = ties.holders.get(customer.number, ())
            day.at(_OPENING_SECOND + 1, openings.open_customer, customer, holders, self.truth, True)
        day.at(_OPENING_SECOND + 2, _relate, ties, self.truth)

    def _describe(self, day: Day, ties: Ties) -> None:
        facts = places.reference_facts(self._branches, day.on)
        facts += costs.pool_facts(day.on)
        facts += planning.plan_facts(
            self._branches, self.customers, facts,
            seed=self.plan.seed, first_on=day.on, until=self.plan.until,
        )  # fmt: skip
        for fact in facts:
            day.say(fact, f"reference-{fact.key(places.SOURCE)}")
        for group in ties.groups:
            record = identities.group_recorded(self.plan.seed, group.number, group.branch)
            openings.record_customer(day, record)
        for customer in self.customers:
            representative = ties.representatives.get(customer.number)
            name = (
                identities.person_name(self.plan.seed, representative) if representative else None
            )
            record = identities.recorded(self.plan.seed, customer, name)
            openings.record_customer(day, record)

    def _book_costs(self, day: Day) -> None:
        plan = self.plan
        for cost in costs.costs_of_day(plan.seed, day.on, plan.first_on, len(self.customers)):
            day.say(cost, cost.cost_id)

    def _joiners(self, day: Day) -> None:
        """Spread evenly: with the last day of the history all planned customers are there."""
        joiners = self.plan.customers - (round(self.plan.customers * (1 - _SHARE_OF_JOINERS)) or 1)
        passed = (day.on - self.plan.first_on).days
        per_history = max(self.plan.days - 1, 1)
        wanted = joiners * passed // per_history - joiners * (passed - 1) // per_history
        for _ in range(wanted):
            customer = self._admit(day.on)
            second = day.rng.randrange(*_OFFICE_HOURS)
            record = identities.recorded(self.plan.seed, customer, None)
            day.at(second, openings.record_customer, record)
            day.at(second, openings.open_customer, customer, (), self.truth, False)

    def _admit(self, joined_on: date) -> Customer:
        index = len(self.customers)
        rng = Random(f"{self.plan.seed}/customer/{index}")
        first_on = self.plan.first_on
        old = joined_on < first_on
        customer = draw_customer(rng, index, self._branches, joined_on, first_on)
        self.customers.append(customer)
        # A joiner's own first day holds his opening only.
        self._usual.append(customer.rate)
        self._rates.append(customer.rate if old else 0.0)
        if not old:
            self._returns[joined_on + timedelta(days=1)].append(customer)
        due_days = {order.day for order in customer.orders}
        if customer.loan:
            due_days.add(customer.loan.due_day)
        if customer.sms_fee or customer.wallet:
            due_days.add(_fee_day(customer))
        for due_day in due_days:
            self._due[due_day].append(customer)
        if customer.pay_day:
            self._paid[customer.pay_day].append(customer)
        fate = customer.fate
        if fate:
            self._fates[fate.from_on].append((customer, fate, "begin"))
            if fate.kind == "leaves":
                self._fates[fate.on - timedelta(days=1)].append((customer, fate, "eve"))
                self._fates[fate.on].append((customer, fate, "conclude"))
        return customer

    def _batch(self, day: Day) -> None:
        """The night's work of the bank, then the pay day."""
        on = day.on
        if bank_side.is_interest_day(on):
            for customer in self.customers:
                if customer.joined_on < on:
                    day.at(600, bank_side.pay_interest, customer)
        for customer in self._due[on.day]:
            if customer.joined_on < on:
                self._monthly(day, customer)
        for pay_day in _pay_days(on, tuple(self._paid)):
            for customer in self._paid[pay_day]:
                if not customer.income_stopped and customer.joined_on < on:
                    day.at(day.rng.randrange(32_000, 41_000), booked.pay_day, customer)

    def _monthly(self, day: Day, customer: Customer) -> None:
        nth, loan = day.on.day, customer.loan
        if customer.sms_fee and _fee_day(customer) == nth:
            day.at(1200 + customer.index % 600, bank_side.charge_fee, customer)
        if customer.wallet and _fee_day(customer) == nth:
            day.at(1260 + customer.index % 600, bank_side.fill_wallet, customer)
        if loan and loan.due_day == nth:
            second = 18_000 + customer.index % 1800
            day.at(second, bank_side.collect_instalment, customer, loan, self.truth)
        for order in customer.orders:
            if order.day == nth:
                day.at(21_600 + customer.index % 1800, bank_side.run_order, customer, order)

    def _meet_fates(self, day: Day) -> None:
        for customer, fate, step in self._fates.pop(day.on, ()):
            if customer.fate is not fate:
                continue  # something else came first
            if step == "begin":
                self._set_rate(customer, fates.begin(day, customer, fate, self.truth))
            elif step == "eve":
                fates.eve_of_leaving(day, customer, self.truth)
            else:
                self._set_rate(customer, fates.conclude(day, customer, fate, self.truth))
        forced = fates.force_live_outflows(day, self.customers, self.plan.live_on, self.truth)
        for customer, rate in forced:
            self._set_rate(customer, rate)

    def _set_rate(self, customer: Customer, rate: float) -> None:
        self._usual[customer.index] = self._rates[customer.index] = rate

    def _pauses(self, day: Day) -> None:
        for customer in self._returns.pop(day.on, ()):
            self._rates[customer.index] = self._usual[customer.index]
        draw = np.random.default_rng([self.plan.seed, day.on.toordinal(), 1])
        leaving = draw.random(len(self._rates)) < _PAUSE_HAZARD
        for index in np.nonzero(leaving)[0]:
            customer = self.customers[index]
            self._rates[index] = self._usual[index] * _PAUSE_RATE
            back_on = day.on + timedelta(days=day.rng.randrange(10, 31))
            self._returns[back_on].append(customer)

    def _customers_act(self, day: Day) -> None:
        """How often each acts on this day is drawn for all at once: Poisson, by season."""
        draw = np.random.default_rng([self.plan.seed, day.on.toordinal(), 0])
        firm = np.array([customer.firm for customer in self.customers])
        season = np.where(firm, firm_season(day.on), person_season(day.on))
        rates = np.array(self._rates) * season
        self._schedule(day, draw.poisson(rates), booked.spend_or_receive)
        using = np.where(firm | (rates == 0), 0.0, _USE_RATE)
        self._schedule(day, draw.poisson(using), contacts.use_product)
        calling = np.array([customer.contact_rate for customer in self.customers])
        calling *= (season > 0.5) & (rates > 0)
        self._schedule(day, draw.poisson(calling), contacts.contact, self.truth)

    def _schedule(self, day: Day, counts: Any, action: booked.Action, *more: Any) -> None:
        rng = day.rng
        for index in np.nonzero(counts)[0].tolist():
            customer = self.customers[index]
            first, last = _OFFICE_HOURS if customer.firm else _CUSTOMER_HOURS
            for _ in range(int(counts[index])):
                day.at(first + int(rng.random() * (last - first)), action, customer, *more)


def _relate(day: Day, ties: Ties, truth: Truth) -> None:
    for group in ties.groups:
        openings.open_group(day, group, truth)
    for relation in ties.relations:
        day.say(relation, day.next_id("relation"))


def _close(day: Day, on: date) -> None:
    fact = DayClosed(day=on)
    day.say(fact, fact.event_id(places.SOURCE))


def _fee_day(customer: Customer) -> int:
    return customer.index % 28 + 1


def _pay_days(on: date, days: tuple[int, ...]) -> list[int]:
    """The agreed days whose payment falls on this day: the last working day at or before."""
    found = []
    for pay_day in days:
        this_month = on.replace(day=pay_day)
        next_month = (on.replace(day=28) + timedelta(days=7)).replace(day=pay_day)
        if on in {working_day_at_or_before(d) for d in (this_month, next_month)}:
            found.append(pay_day)
    return found
