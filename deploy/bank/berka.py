"""The Czech data set (PKDD'99) as bank events: real accounts of 1993-1998, money in haler.

Customer number = the owner's client id; account and loan numbers are the file's. The order of a
day's rows is the file's `seq`. Only accounts with a kept transaction are published: of the others
the file says nothing, and silence would be missing data, not a fact. A standing order has no date
in the file; it is published with its account.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, Literal
from zoneinfo import ZoneInfo

from deploy.bank.tables import dates, instant, minor, table
from shared.events import Event, Fact, wrap
from shared.events.bank import (
    AccountOpened,
    CardIssued,
    Counterparty,
    CustomerPlaced,
    CustomerRecorded,
    DayClosed,
    DistrictDescribed,
    Document,
    Holder,
    LoanGranted,
    LoanStatusChanged,
    ManagerAssigned,
    ProductDescribed,
    SourceDescribed,
    StandingOrderSet,
    TransactionBooked,
)

SOURCE, CURRENCY, ZONE = "berka", "CZK", ZoneInfo("Europe/Prague")
CURRENT, LOAN, OVERDRAFT = "CA", "LN", "OD"

_CREDIT = "PRIJEM"
_FREQUENCY = {"POPLATEK MESICNE": "monthly", "POPLATEK TYDNE": "weekly",
              "POPLATEK PO OBRATU": "per_transaction"}  # fmt: skip
_STATUS = {"A": "repaid", "B": "ended_unpaid", "C": "running", "D": "in_debt"}
_STATUS_ON = date(1998, 12, 31)
_PURPOSE = {"UROK": "interest", "SLUZBY": "statement_fee", "SANKC. UROK": "penalty_interest",
            "SIPO": "household", "POJISTNE": "insurance", "DUCHOD": "pension", "UVER": "loan",
            "LEASING": "leasing"}  # fmt: skip
_CHANNEL = {"VKLAD": "counter", "VYBER": "counter", "VYBER KARTOU": "card",
            "PREVOD Z UCTU": "transfer", "PREVOD NA UCET": "transfer"}  # fmt: skip

Kind = Literal[
    "cash_in", "cash_out", "card", "transfer_in", "transfer_out", "interest_paid",
    "interest_received", "fee", "loan_instalment",
]  # fmt: skip
_KIND_BY_SYMBOL: dict[str, Kind] = {
    "UROK": "interest_paid", "SLUZBY": "fee", "SANKC. UROK": "interest_received",
    "UVER": "loan_instalment",
}  # fmt: skip
_KIND_BY_OPERATION: dict[str, Kind] = {
    "VKLAD": "cash_in", "VYBER": "cash_out", "VYBER KARTOU": "card",
    "PREVOD Z UCTU": "transfer_in", "PREVOD NA UCET": "transfer_out",
}  # fmt: skip


TABLES = ("trans_partial", "account", "disp", "client", "district", "loan", "order", "card")


@dataclass(slots=True)
class Tables:
    """The static files, by the keys they are asked by, and the kept transactions by day."""

    accounts: dict[str, dict[str, str]] = field(default_factory=dict)
    owners: dict[str, str] = field(default_factory=dict)  # account -> client
    disponents: dict[str, str] = field(default_factory=dict)
    account_of_disp: dict[str, str] = field(default_factory=dict)
    clients: dict[str, dict[str, str]] = field(default_factory=dict)
    districts: dict[str, dict[str, str]] = field(default_factory=dict)
    transactions: dict[date, list[dict[str, str]]] = field(default_factory=dict)
    loans: dict[str, dict[str, str]] = field(default_factory=dict)  # by account


def kind_of(row: dict[str, str]) -> Kind:
    """What a transaction is. The file's rows without operation are the interest paid."""
    by_symbol = _KIND_BY_SYMBOL.get(row["k_symbol"])
    return by_symbol or _KIND_BY_OPERATION[row["operation"]]


def initiated_by(kind: Kind) -> Literal["customer", "bank"]:
    """Interest, fees and standing orders (every outgoing transfer of the file) are the bank's
    own doing: they go on when the customer has long left."""
    bank = {"interest_paid", "interest_received", "fee", "loan_instalment", "transfer_out"}
    return "bank" if kind in bank else "customer"


def events(
    folder: Path, *, src: str | None = None, first: date | None = None, last: date | None = None
) -> Iterator[Event[Any]]:
    """All events in business order. `src` keeps the transactions whose src has that letter;
    `first` and `last` are business dates, inclusive."""
    tables = _read(folder, src, first, last)
    if not tables.transactions:
        raise ValueError(f"no transaction of {folder} is within these bounds")
    begin = first or min(_opened_first(tables), *tables.transactions)
    end = last or max(tables.transactions)
    yield from _reference(tables, begin)
    for number in sorted(tables.accounts, key=int):
        yield from _customers(tables, number, begin)
    yield from _days(folder, tables, begin, end)


def _read(folder: Path, src: str | None, first: date | None, last: date | None) -> Tables:
    tables = Tables()
    kept: defaultdict[date, list[dict[str, str]]] = defaultdict(list)
    seen = set()
    for row in table(folder, "trans_partial"):
        day = date.fromisoformat(row["date"])
        outside = (first and day < first) or (last and day > last)
        if outside or (src and src not in row["src"]):
            continue
        kept[day].append(row)
        seen.add(row["account_id"])
    for rows_of_day in kept.values():
        rows_of_day.sort(key=lambda r: (int(r["account_id"]), int(r["seq"])))
    tables.transactions = dict(kept)
    tables.accounts = {
        r["account_id"]: r for r in table(folder, "account") if r["account_id"] in seen
    }
    for row in table(folder, "disp"):
        tables.account_of_disp[row["disp_id"]] = row["account_id"]
        side = tables.owners if row["type"] == "OWNER" else tables.disponents
        side[row["account_id"]] = row["client_id"]
    tables.clients = {r["client_id"]: r for r in table(folder, "client")}
    tables.districts = {r["A1"]: r for r in table(folder, "district")}
    tables.loans = {r["account_id"]: r for r in table(folder, "loan")}
    return tables


def _opened_first(tables: Tables) -> date:
    return min(date.fromisoformat(row["date"]) for row in tables.accounts.values())


def _event(fact: Fact, event_id: str, day: date, second: int = 0) -> Event[Any]:
    return wrap(fact, id=event_id, source=SOURCE, time=instant(day, ZONE, second), businessdate=day)


def _reference(tables: Tables, begin: date) -> Iterator[Event[Any]]:
    facts: list[Fact] = [
        SourceDescribed(source=SOURCE, closes_days=True, active_from=begin),
        ProductDescribed(
            product_code=CURRENT,
            names={"zh-CN": "活期账户", "en": "Current account"},
            line_code="liability",
            demand_or_fixed="demand",
            overdraft_product_code=OVERDRAFT,
        ),
        ProductDescribed(
            product_code=OVERDRAFT,
            names={"zh-CN": "透支", "en": "Overdraft"},
            line_code="asset",
            demand_or_fixed="demand",
        ),
        ProductDescribed(
            product_code=LOAN,
            names={"zh-CN": "个人贷款", "en": "Personal loan"},
            line_code="asset",
            demand_or_fixed="fixed",
        ),
    ]
    for row in tables.districts.values():
        figures = {"inhabitants": int(row["A4"]), "average_salary": int(row["A11"])}
        names = {"zh-CN": row["A2"], "en": row["A2"]}
        facts.append(
            DistrictDescribed(
                district_code=row["A1"], names=names, region_code=row["A3"], figures=figures
            )
        )
    for fact in facts:
        yield _event(fact, f"reference-{fact.key(SOURCE)}", begin)


def _customers(tables: Tables, account: str, begin: date) -> Iterator[Event[Any]]:
    for side in (tables.owners, tables.disponents):
        client = side.get(account)
        if client is None:
            continue
        born = tables.clients[client]["birth_number"]
        month = int(born[2:4])
        birth_on = date(1900 + int(born[:2]), month - 50 if month > 50 else month, int(born[4:]))
        fact = CustomerRecorded(
            customer_number=client,
            kind="person",
            name=f"Klient {client}",  # the file is anonymous
            documents=(Document(kind="client_id", number=client),),
            birth_on=birth_on,
            sex="female" if month > 50 else "male",
        )
        yield _event(fact, f"cust-{client}", begin)


def _days(folder: Path, tables: Tables, begin: date, end: date) -> Iterator[Event[Any]]:
    opened: defaultdict[date, list[str]] = defaultdict(list)
    for number, row in tables.accounts.items():
        opened[max(date.fromisoformat(row["date"]), begin)].append(number)
    others = _other_facts(folder, tables, begin)
    orders: defaultdict[str, list[dict[str, str]]] = defaultdict(list)
    for row in table(folder, "order"):
        orders[row["account_id"]].append(row)
    for day in dates(begin, end):
        for number in sorted(opened.get(day, ()), key=int):
            yield from _opening(tables, number, day, orders[number])
        for fact, event_id in others.get(day, ()):
            yield _event(fact, event_id, day, 8 * 3600)
        order_in_day: defaultdict[str, int] = defaultdict(int)
        for row in tables.transactions.get(day, ()):
            order_in_day[row["account_id"]] += 1
            yield _transaction(tables, row, day, order_in_day[row["account_id"]])
        closed = DayClosed(day=day)
        yield _event(closed, closed.event_id(SOURCE), day, 86_400 - 1)


def _opening(
    tables: Tables, number: str, day: date, orders: list[dict[str, str]]
) -> Iterator[Event[Any]]:
    row, owner = tables.accounts[number], tables.owners[number]
    district = tables.districts[row["district_id"]]
    branch = f"{int(row['district_id']):02d}"
    yield _event(
        CustomerPlaced(
            customer_number=owner,
            region_code=district["A3"],
            district_code=row["district_id"],
            home_branch_code=branch,
        ),
        f"placed-{owner}", day,
    )  # fmt: skip
    yield _event(
        ManagerAssigned(
            customer_number=owner,
            manager_code=f"AM{branch}-{int(number) % 3}",
            effective_on=day,
            branch_code=branch,
        ),
        f"manager-{owner}", day,
    )  # fmt: skip
    partner = tables.disponents.get(number)
    holders: tuple[Holder, ...] = (
        Holder(customer_number=owner, role="owner", share_ppm=1_000_000),
    )
    if partner is not None:
        holders += (Holder(customer_number=partner, role="disponent", share_ppm=0),)
    yield _event(
        AccountOpened(
            customer_number=owner,
            account_number=number,
            product_code=CURRENT,
            currency=CURRENCY,
            opened_on=date.fromisoformat(row["date"]),
            branch_code=branch,
            statement_frequency=_FREQUENCY[row["frequency"]],
            holders=holders,
        ),
        f"acct-{number}", day,
    )  # fmt: skip
    for order in orders:
        yield _event(_standing_order(order, owner), f"order-{order['order_id']}", day)


def _standing_order(row: dict[str, str], owner: str) -> StandingOrderSet:
    return StandingOrderSet(
        customer_number=owner,
        standing_order_id=row["order_id"],
        account_number=row["account_id"],
        amount_minor=minor(row["amount"], CURRENCY),
        currency=CURRENCY,
        purpose_code=_PURPOSE.get(row["k_symbol"].strip()),
        counterparty=_counterparty(row["bank_to"], row["account_to"]),
        frequency_code="monthly",
    )


def _counterparty(bank: str, account: str) -> Counterparty | None:
    if not bank and not account.strip("0"):
        return None
    return Counterparty(bank_code=bank or None, account_number=account or None)


def _other_facts(folder: Path, tables: Tables, begin: date) -> dict[date, list[tuple[Fact, str]]]:
    """Cards and loans by their day; what is older than the beginning comes on the first day."""
    found: defaultdict[date, list[tuple[Fact, str]]] = defaultdict(list)
    for row in table(folder, "card"):
        account = tables.account_of_disp[row["disp_id"]]
        if account in tables.accounts:
            issued_on = date.fromisoformat(row["issued"])
            card = CardIssued(
                customer_number=tables.owners[account],
                card_id=row["card_id"],
                account_number=account,
                issued_on=issued_on,
                product_code=f"CARD-{row['type']}",
            )
            found[max(issued_on, begin)].append((card, f"card-{row['card_id']}"))
    for account, row in tables.loans.items():
        if account not in tables.accounts:
            continue
        common = {"loan_number": row["loan_id"], "account_number": account,
                  "customer_number": tables.owners[account], "product_code": LOAN}  # fmt: skip
        granted_on = date.fromisoformat(row["date"])
        granted = LoanGranted(
            **common,
            principal_minor=minor(row["amount"], CURRENCY),
            currency=CURRENCY,
            months=int(row["duration"]),
            instalment_minor=minor(row["payments"], CURRENCY),
            granted_on=granted_on,
        )
        found[max(granted_on, begin)].append((granted, f"loan-{row['loan_id']}"))
        status = LoanStatusChanged(**common, status=_STATUS[row["status"]])
        found[_STATUS_ON].append((status, f"loanstatus-{row['loan_id']}"))
    return found


def _transaction(tables: Tables, row: dict[str, str], day: date, order: int) -> Event[Any]:
    kind = kind_of(row)
    amount = minor(row["amount"], CURRENCY)
    account = row["account_id"]
    loan = tables.loans.get(account) if kind == "loan_instalment" else None
    fact = TransactionBooked(
        transaction_id=row["trans_id"],
        account_number=account,
        customer_number=tables.owners[account],
        product_code=CURRENT,
        amount_minor=amount if row["type"] == _CREDIT else -amount,
        currency=CURRENCY,
        kind=kind,
        initiated_by=initiated_by(kind),
        booked_on=day,
        channel_code=_CHANNEL.get(row["operation"], "bank"),
        branch_code=f"{int(tables.accounts[account]['district_id']):02d}",
        purpose_code=_PURPOSE.get(row["k_symbol"]),
        counterparty=_counterparty(row["bank"], row["account"]),
        loan_number=loan["loan_id"] if loan else None,
        order_in_day=order,
    )
    return _event(fact, f"txn-{row['trans_id']}", day, 12 * 3600)
