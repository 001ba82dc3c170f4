"""How customers leave, move their money away or get into trouble, and what the truth says."""

from datetime import date, timedelta
from random import Random

from deploy.bank import contacts
from deploy.bank.bookings import Day, outside_account
from deploy.bank.people import Customer, Fate
from deploy.bank.truth import Truth

OUTFLOW_BALANCE_MIN_MINOR = 2_000_000  # below it nobody would call it one
_FADED_RATE = 0.4  # of the usual rate, while a leaver fades
_LIVE_OUTFLOWS_A_DAY = 2
_LIVE_FORCED_DAYS = 4
_LIVE_FIRST_SECOND = 7 * 3600 + 900
_LIVE_BUFFER_MIN_MINOR = 5_000_000


def begin(day: Day, customer: Customer, fate: Fate, truth: Truth) -> float:
    """The first sign. Answers the customer's new rate, in events per day."""
    if fate.kind == "outflow":
        return _plan_outflow(day, customer, fate, truth, first_second=8 * 3600)
    if fate.kind == "leaves":
        if day.rng.random() < 0.45:
            day.at(day.rng.randrange(34_000, 61_000), contacts.complain, customer, truth)
        return customer.rate * _FADED_RATE
    truth.fell_into_distress(customer, day.on)
    customer.income_stopped = True
    customer.overdraft_minor = max(customer.income_minor // 2, 100_000)
    customer.buffer_minor = max(customer.buffer_minor // 4, 1)
    return customer.rate * 1.5


def conclude(day: Day, customer: Customer, fate: Fate, truth: Truth) -> float:
    """The fact itself. Answers the customer's new rate: 0 for a leaver, from this day on."""
    if fate.kind != "leaves":
        return customer.rate
    customer.gone = customer.income_stopped = True
    customer.contact_rate = 0.0
    truth.left(customer, fate.from_on, day.on)
    return 0.0


def eve_of_leaving(day: Day, customer: Customer, truth: Truth) -> None:
    """Half of the leavers take their money along, on the last day."""
    if day.rng.random() < 0.5 and customer.current.balance_minor > 0:
        second = day.rng.randrange(70_000, 80_000)
        day.at(second, move_out, customer, day.rng.uniform(0.6, 0.97), 1, truth)


def _plan_outflow(
    day: Day, customer: Customer, fate: Fate, truth: Truth, *, first_second: int
) -> float:
    second = first_second + day.rng.randrange(3600)
    transfers = day.rng.choice((1, 1, 2, 3))
    day.at(second, move_out, customer, fate.share, transfers, truth)
    if day.rng.random() < 0.5:
        customer.income_stopped = True
    return customer.rate * 0.8


def move_out(day: Day, customer: Customer, share: float, transfers: int, truth: Truth) -> None:
    """A term deposit is broken first; then a share of all goes to another bank."""
    rng, account, term = day.rng, customer.current, customer.term
    before = account.balance_minor + (term.balance_minor if term else 0)
    if term is not None and term.balance_minor > 0:
        amount = term.balance_minor
        for on, signed, kind in ((term, -amount, "transfer_out"), (account, amount, "transfer_in")):
            day.book(
                customer, on, signed, kind, "customer",  # type: ignore[arg-type]
                channel="mobile", purpose="early_withdrawal",
            )  # fmt: skip
    leaving = int(max(account.balance_minor, 0) * share)
    if leaving < 100:
        return
    customer.buffer_minor = max(int(customer.buffer_minor * (1 - share)), 1)
    if before >= OUTFLOW_BALANCE_MIN_MINOR:
        truth.flowed_out(customer, day.on, leaving, before)
    target = outside_account(rng)
    for part in range(transfers):
        amount = leaving // transfers if part else leaving - leaving // transfers * (transfers - 1)
        day.book(
            customer, account, -amount, "transfer_out", "customer", channel="online",
            purpose="to_other_bank", counterparty=target,
        )  # fmt: skip


def force_live_outflows(
    day: Day, customers: list[Customer], live_on: date, truth: Truth
) -> list[tuple[Customer, float]]:
    """So that a watcher sees an alert soon: some good customers move their money away in the
    first days after going live. Answers the new rates."""
    if not live_on <= day.on < live_on + timedelta(days=_LIVE_FORCED_DAYS):
        return []
    able = [c for c in customers if _may_flow_out(c, day.on)]
    able.sort(key=lambda c: (-c.current.balance_minor, c.index))
    chosen = Random(f"{day.on}/live").sample(
        able[: max(_LIVE_OUTFLOWS_A_DAY, len(able) // 3)], min(_LIVE_OUTFLOWS_A_DAY, len(able))
    )
    rates = []
    for customer in chosen:
        customer.fate = Fate("outflow", day.on, day.on, day.rng.uniform(0.8, 0.95))
        rate = _plan_outflow(day, customer, customer.fate, truth, first_second=_LIVE_FIRST_SECOND)
        rates.append((customer, rate))
    return rates


def _may_flow_out(customer: Customer, on: date) -> bool:
    fate = customer.fate
    return (
        not customer.gone
        and (fate is None or fate.from_on > on)
        and customer.buffer_minor >= _LIVE_BUFFER_MIN_MINOR
        and customer.current.balance_minor * 10 >= customer.buffer_minor * 8
    )
