"""The contribution by the slowest way: every account, every day, Python's own integers.

Reads events and rates as plain JSON and shares no code with the scorer. Knows nothing of arrival:
of each (source, id) the first copy counts, whenever it came.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable
from datetime import date, timedelta
from fractions import Fraction
from itertools import pairwise
from typing import Any

PPM = 10**6
UNIT = 365 * PPM**3  # of the exact sums: a minor unit is so many
Key = tuple[str, str, str]  # account, product, component


class Dated:
    """Figures by name, each from a day on."""

    def __init__(self) -> None:
        self._by_name: defaultdict[Any, dict[date, int]] = defaultdict(dict)

    def set(self, name: Any, from_on: date, value: int) -> None:
        self._by_name[name][from_on] = value

    def at(self, name: Any, day: date, otherwise: int = 0) -> int:
        known = self._by_name.get(name)
        if not known:
            return otherwise
        days = sorted(known)
        place = bisect_right(days, day)
        return known[days[place - 1]] if place else otherwise


class Truth:
    """Exact sums by account, product and component through the end of a day."""

    def __init__(self, reference: Iterable[dict[str, Any]]) -> None:
        self._rates = Dated()
        self._overdraft_of: dict[str, str] = {}
        for event in reference:
            data = event["data"]
            if event["type"] == "bank.rate_set.v1":
                of = data.get("driver_code") or data["product_code"]
                name: tuple[str, ...] = (data["kind"], of)
                if data.get("grade_code"):
                    name = (*name, data["grade_code"])
                self._rates.set(name, date.fromisoformat(data["from_on"]), data["value"])
            elif data.get("overdraft_product_code"):
                self._overdraft_of[data["product_code"]] = data["overdraft_product_code"]
        self._per_day: dict[tuple[str, date, str], tuple[int, int, int]] = {}
        self.exact: defaultdict[Key, int] = defaultdict(int)  # minor units / UNIT
        self._moves: dict[tuple[str, str, str], defaultdict[date, int]] = {}
        self._turns: dict[tuple[str, str], list[tuple[date, bool]]] = {}  # is it a closing?
        self._loans: dict[str, tuple[str, str]] = {}
        self._owners: dict[str, str] = {}  # of accounts and loans
        self._grades: defaultdict[str, list[tuple[date, str, str, str]]] = defaultdict(list)

    def take(self, events: Iterable[dict[str, Any]]) -> None:
        """Notes what happened. Loans first: their instalments name them."""
        seen: set[tuple[str, str]] = set()
        kept = []
        for event in events:
            identity = (event["source"], event["id"])
            if identity not in seen:
                seen.add(identity)
                kept.append(event)
        for event in kept:
            data = event["data"]
            if event["type"] == "bank.credit_answer_received.v1" and data.get("grade"):
                told = (date.fromisoformat(event["businessdate"]), event["time"],
                        data.get("loan_number", ""), data["grade"])  # fmt: skip
                self._grades[data["customer_number"]].append(told)
            if event["type"] == "bank.loan_granted.v1":
                self._owners[data["loan_number"]] = data["customer_number"]
                account = data.get("account_number") or data["loan_number"]
                self._loans[data["loan_number"]] = (account, data["product_code"])
                self._move(
                    account,
                    data["product_code"],
                    data["loan_number"],
                    date.fromisoformat(event["businessdate"]),
                    -data["principal_minor"],
                )
        for event in kept:
            day, data = date.fromisoformat(event["businessdate"]), event["data"]
            if event["type"] == "bank.account_opened.v1":
                account = (data["account_number"], data["product_code"])
                self._turns.setdefault(account, []).append((day, False))
            elif event["type"] == "bank.transaction_booked.v1":
                self._booked(data, day)
        for event in kept:
            if event["type"] == "bank.account_closed.v1":
                self._closed(event["data"]["account_number"], event["businessdate"])

    def _closed(self, account_number: str, day: str) -> None:
        for (number, _), turns in self._turns.items():
            if number == account_number:
                turns.append((date.fromisoformat(day), True))

    def _move(self, account: str, product: str, loan: str, day: date, amount: int) -> None:
        moves = self._moves.setdefault((account, product, loan), defaultdict(int))
        moves[day] += amount

    def _booked(self, data: dict[str, Any], day: date) -> None:
        account, product = data["account_number"], data["product_code"]
        self._owners[account] = data["customer_number"]
        amount, kind = data["amount_minor"], data["kind"]
        value_on = date.fromisoformat(data.get("value_on") or data["booked_on"])
        self._move(account, product, "", value_on, amount)
        cost_account, cost_product = account, product
        overdraft = self._overdraft_of.get(product, product)
        if kind == "loan_instalment" and "loan_number" in data:
            cost_account, cost_product = self._loans[data["loan_number"]]
            self._move(cost_account, cost_product, data["loan_number"], value_on, -amount)
        if kind == "fee":
            self.exact[account, product, "fee"] -= amount * UNIT
        if kind == "interest_paid":
            self.exact[account, product, "interest_paid"] -= amount * UNIT
        if kind == "interest_received":
            of = self._loans.get(data.get("loan_number", ""), (account, overdraft))
            self.exact[(*of, "interest_recv")] -= amount * UNIT
        cost = self._rates.at(("cost_driver", kind), day)
        self.exact[cost_account, cost_product, "abc_txn"] -= cost * UNIT

    def _grade(self, account: str, loan: str, day: date) -> str:
        """Of the last day up to this one, and of that the last told; "": nobody told any."""
        of_loan = ("", loan) if loan else ("",)
        told = [one for one in self._grades[self._owners[loan or account]]
                if one[0] <= day and one[2] in of_loan]  # fmt: skip
        return max(told)[3] if told else ""

    def _of_product(self, product: str, day: date, grade: str) -> tuple[int, int, int]:
        """Of a unit of balance a year: margin, ppm; expected loss, ppm x ppm; the charge for
        capital, ppm x ppm x ppm."""
        known = self._per_day.get((product, day, grade))
        if known is None:
            margin, paid, price, pd, lgd, weight, ratio, hurdle = (
                self._rates.at((kind, product, grade), day, self._rates.at((kind, product), day))
                for kind in ("margin", "customer_rate", "transfer_price", "pd", "lgd",
                             "risk_weight", "capital_ratio", "hurdle_rate")
            )  # fmt: skip
            known = self._per_day[product, day, grade] = (
                price - paid - margin, pd * lgd, weight * ratio * hurdle,
            )  # fmt: skip
        return known

    def through(self, last: date) -> dict[Key, int]:
        """Every day through the last one, inclusive."""
        for (account, product, loan), moves in self._moves.items():
            below = product if loan else self._overdraft_of.get(product, product)
            balance, day = 0, min(moves)
            while day <= last:
                balance += moves.get(day, 0)
                if balance > 0 and not loan:
                    margin, _, _ = self._of_product(product, day, "")
                    self.exact[account, product, "ftp"] += balance * margin * PPM**2
                elif balance < 0:
                    grade = self._grade(account, loan, day)
                    margin, lost, charged = self._of_product(below, day, grade)
                    self.exact[account, below, "ftp"] += balance * margin * PPM**2
                    self.exact[account, below, "el"] += balance * lost * PPM
                    self.exact[account, below, "capital"] += balance * charged
                day += timedelta(days=1)
        for (account, product), turns in self._turns.items():
            for (begin, is_closing), (end, _) in pairwise([*sorted(turns), (date.max, True)]):
                day = begin
                while not is_closing and day <= last and day < end:
                    cost = self._rates.at(("cost_driver", "account_day"), day)
                    self.exact[account, product, "abc_maint"] -= cost * UNIT
                    day += timedelta(days=1)
        return self.exact


def leaves(
    reference: Iterable[dict[str, Any]], events: Iterable[dict[str, Any]], last: date
) -> dict[Key, int]:
    """Sums of minor units, each rounded once, half to even; zeros are left out."""
    truth = Truth(reference)
    truth.take(events)
    rounded = {key: round(Fraction(value, UNIT)) for key, value in truth.through(last).items()}
    return {key: value for key, value in rounded.items() if value}
