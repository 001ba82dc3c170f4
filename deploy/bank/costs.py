"""What the bank's cost centres really cost, booked on each month's last day; some bills come late.

It is near what the rates of their drivers charge, never equal: that is what the pools are about.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from random import Random

from deploy.bank import places
from shared.events.bank import CostBooked, CostPoolDescribed

_SPREAD = (0.9, 1.15)
_LATE_DAY, _LATE_SHARE = 5, 0.08


@dataclass(frozen=True, slots=True)
class Centre:
    """A cost centre, what spreads its cost, and what it costs a month for each customer."""

    code: str
    name: str
    name_en: str
    driver: str | None
    minor: int
    bills_late: bool = False


CENTRES = (
    Centre("CC-COUNTER", "柜面作业中心", "Counter operations", "cash_in", 400),
    Centre("CC-CARDS", "银行卡中心", "Card centre", "card", 150),
    Centre("CC-ACCOUNTS", "账户管理部", "Account keeping", "account_day", 260),
    Centre("CC-CALLS", "客户联络中心", "Contact centre", "contact", 180),
    Centre("CC-IT", "信息科技部", "Information technology", "transaction", 700, bills_late=True),
    Centre("CC-HQ", "总行管理部", "Head office", "turnover", 500),
    Centre("CC-LEGAL", "法律事务部", "Legal affairs", None, 40),
)


def pool_facts(first_on: date) -> list[CostPoolDescribed]:
    return [
        CostPoolDescribed(
            cost_centre_code=one.code, names={"zh-CN": one.name, "en": one.name_en},
            driver_code=one.driver, from_on=first_on,
        )
        for one in CENTRES
    ]  # fmt: skip


def costs_of_day(seed: int, on: date, first_on: date, customers: int) -> Iterator[CostBooked]:
    """What is booked on a day: all centres on a month's last, the late bills some days after."""
    if (on + timedelta(days=1)).day == 1:
        for one in CENTRES:
            amount = _amount(seed, one, f"{on:%Y-%m}", customers)
            yield _booked(one, f"{on:%Y-%m}", amount)
    before = on.replace(day=1) - timedelta(days=1)
    if on.day == _LATE_DAY and before >= first_on:
        for one in CENTRES:
            if one.bills_late:
                amount = _amount(seed, one, f"{before:%Y-%m}", customers)
                yield _booked(one, f"{before:%Y-%m}", int(amount * _LATE_SHARE), "-late")


def _booked(one: Centre, period: str, amount: int, suffix: str = "") -> CostBooked:
    return CostBooked(
        cost_id=f"cost-{period}-{one.code}{suffix}", cost_centre_code=one.code,
        amount_minor=amount, currency=places.CURRENCY, period=period,
    )  # fmt: skip


def _amount(seed: int, one: Centre, period: str, customers: int) -> int:
    factor = Random(f"{seed}/cost/{one.code}/{period}").uniform(*_SPREAD)
    return round(one.minor * customers * factor)
