"""What the bank plans to earn and budgets to spend, month by month: by what its customers hold on
the first day, and by how bold whoever planned it was. So some plans are beaten and some missed.

A plan is a sum of cells (manager, line): of managers, branches, lines and the bank it is the same.
"""

from calendar import monthrange
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from random import Random
from typing import Any, Literal

from deploy.bank import places
from deploy.bank.bank_side import monthly_fee_minor
from deploy.bank.people import Customer
from shared.events.bank import BudgetSet, PlanSet, ProductDescribed, RateSet
from shared.events.fact import Fact

_YEAR_PPM = 365_000_000  # days of a year times one million
_TRANSACTION_MINOR = 140  # what one that the customer initiates costs, over all channels
_BOLDNESS, _MONTH_SPREAD = (0.82, 1.07), (0.97, 1.03)
_THRIFT = (0.82, 1.04)
_RUN_OFF = 0.984  # a month: loans are paid back, money leaves
_ROUND_MINOR = 10_000

Rates = Mapping[tuple[str, str], int]  # (kind, product) -> ppm per year
Cell = tuple[str, str]  # manager, line


@dataclass(frozen=True, slots=True)
class Month:
    """A month of the plan with the days of it that the bank publishes."""

    period: str
    days: int
    pays_interest: bool
    left: float  # of what was there on the first day


def plan_facts(
    branches: Sequence[places.Branch], customers: Iterable[Customer], reference: Iterable[Fact],
    *, seed: int, first_on: date, until: date,
) -> Iterator[Fact]:  # fmt: skip
    """Plans and budgets from the first month to the last of the year in which the history ends."""
    facts = list(reference)
    rates: Rates = {(f.kind, f.product_code): f.value for f in facts
                    if isinstance(f, RateSet) and f.product_code}  # fmt: skip
    lines = {f.product_code: f.line_code for f in facts if isinstance(f, ProductDescribed)}
    customers = list(customers)
    branch_of = {code: b.code for b in branches for code in b.manager_codes}
    for month in _months(first_on, until):
        earned: defaultdict[Cell, int] = defaultdict(int)
        spent: defaultdict[Cell, int] = defaultdict(int)
        for customer in customers:
            for product, income, cost in _expected(customer, rates, month):
                cell = customer.manager_code, lines[product]
                earned[cell] += int((income - cost) * month.left)
                spent[cell] += int(cost * month.left)
        yield from _set("plan", _bold(seed, month, earned, _BOLDNESS), month, branch_of)
        yield from _set("budget", _bold(seed, month, spent, _THRIFT), month, branch_of)


def _expected(customer: Customer, rates: Rates, month: Month) -> Iterator[tuple[str, int, int]]:
    """Product, income and cost of a month, of each account and of the loan."""
    for account in (customer.current, customer.term):
        if account is None:
            continue
        product, balance = account.product_code, account.balance_minor
        client = rates["customer_rate", product]
        income = balance * (rates["transfer_price", product] - client) * month.days // _YEAR_PPM
        if month.pays_interest:
            income -= balance * client * 91 // _YEAR_PPM
        cost = 0
        if account is customer.current:
            income += monthly_fee_minor(customer)
            cost = int(customer.rate * month.days * _TRANSACTION_MINOR)
        yield product, income, cost
    if customer.loan is not None:
        product, owed = customer.loan.product_code, customer.loan.principal_minor
        margin = rates["customer_rate", product] - rates["transfer_price", product]
        loss_ppm = rates["pd", product] * rates["lgd", product] // 1_000_000
        yield (
            product, owed * margin * month.days // _YEAR_PPM,
            owed * loss_ppm * month.days // _YEAR_PPM,
        )  # fmt: skip


def _bold(
    seed: int, month: Month, cells: Mapping[Cell, int], between: tuple[float, float]
) -> dict[Cell, int]:
    """Rounded to whole hundreds; a manager is as bold all year, a month adds a little."""
    found = {}
    for cell, amount in sorted(cells.items()):
        manager = Random(f"{seed}/plan/{cell[0]}/{between}").uniform(*between)
        nth = Random(f"{seed}/plan/{cell}/{month.period}").uniform(*_MONTH_SPREAD)
        factor = manager * nth if amount > 0 else 2 - manager * nth
        found[cell] = round(amount * factor / _ROUND_MINOR) * _ROUND_MINOR
    return found


def _set(
    kind: Literal["plan", "budget"], cells: Mapping[Cell, int], month: Month,
    branch_of: Mapping[str, str],
) -> Iterator[Fact]:  # fmt: skip
    targets: defaultdict[tuple[str, str], int] = defaultdict(int)
    for (manager, line), amount in cells.items():
        for target in (("bank", places.SOURCE), ("branch", branch_of[manager]),
                       ("manager", manager), ("line", line)):  # fmt: skip
            targets[target] += amount
    for (dimension, who), amount in sorted(targets.items()):
        told: dict[str, Any] = {
            "who": who, "dimension": dimension, "period": month.period, "amount_minor": amount,
            "currency": places.CURRENCY,
        }  # fmt: skip
        key = f"{kind}-{month.period}-{dimension}-{who}"
        if kind == "plan":
            yield PlanSet(plan_id=key, what="contribution", **told)
        else:
            yield BudgetSet(budget_id=key, what="cost", **told)


def _months(first_on: date, until: date) -> Iterator[Month]:
    year, nth, left = first_on.year, first_on.month, 1.0
    while year <= until.year:
        days = monthrange(year, nth)[1]
        if (year, nth) == (first_on.year, first_on.month):
            days -= first_on.day - 1
        yield Month(f"{year}-{nth:02d}", days, nth % 3 == 0, left)
        left *= _RUN_OFF
        year, nth = (year, nth + 1) if nth < 12 else (year + 1, 1)
