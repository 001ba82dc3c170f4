"""The data sets as bank events, against sums made here by another way, and small files."""

import csv
import gzip
from collections import defaultdict
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from deploy.bank import berka, purchases
from shared.events import Event, encode
from shared.events.bank import AccountOpened, DayClosed, SourceDescribed, TransactionBooked
from shared.money import AmountError
from tests.data_sets import FOLDER as DATA
from tests.data_sets import needs_data


def write(folder: Path, name: str, text: str) -> None:
    with gzip.open(folder / f"{name}.csv.gz", "wt", encoding="utf-8") as file:
        file.write("\n".join(line.strip() for line in text.strip().splitlines()) + "\n")


@pytest.fixture
def small(tmp_path: Path) -> Path:
    write(tmp_path, "account", """account_id,district_id,frequency,date
        7,1,POPLATEK MESICNE,1993-01-02
        8,1,POPLATEK TYDNE,1993-01-02""")  # fmt: skip
    write(tmp_path, "client", """client_id,birth_number,district_id
        70,706213,1
        71,450204,1
        80,450204,1""")  # fmt: skip
    write(tmp_path, "disp", """disp_id,client_id,account_id,type
        1,70,7,OWNER
        2,71,7,DISPONENT
        3,80,8,OWNER""")  # fmt: skip
    write(tmp_path, "district", """A1,A2,A3,A4,A11
        1,Hl.m. Praha,Prague,1204953,12541""")  # fmt: skip
    write(tmp_path, "order", """order_id,account_id,bank_to,account_to,amount,k_symbol
        5,7,YZ,87144583,2452.00,SIPO""")  # fmt: skip
    write(tmp_path, "loan", """loan_id,account_id,date,amount,duration,payments,status
        9,7,1993-01-04,96396,12,8033.00,B""")  # fmt: skip
    write(tmp_path, "card", """card_id,disp_id,type,issued
        4,1,classic,1993-01-03""")  # fmt: skip
    write(
        tmp_path, "trans_partial",
        """trans_id,account_id,date,seq,type,operation,amount,balance,k_symbol,bank,account,src
        3,7,1993-01-03,1,VYDAJ,VYBER,14.60,885.40,SLUZBY,,,A
        2,7,1993-01-03,0,PRIJEM,VKLAD,900.00,900.00,,,,AC
        4,7,1993-01-05,0,VYBER,VYBER,100.10,785.30,,,,C
        5,7,1993-01-05,1,VYDAJ,PREVOD NA UCET,8.01,777.29,UVER,AB,123,A""",
    )  # fmt: skip
    return tmp_path


def booked(folder: Path, **bounds: object) -> list[TransactionBooked]:
    found = berka.events(folder, **bounds)  # type: ignore[arg-type]
    return [e.data for e in found if isinstance(e.data, TransactionBooked)]


def test_credits_are_positive_and_both_kinds_of_debit_negative_to_the_haler(small: Path) -> None:
    assert [(f.transaction_id, f.amount_minor, f.kind, f.initiated_by, f.order_in_day)
            for f in booked(small)] == [
        ("2", 90_000, "cash_in", "customer", 1),
        ("3", -1_460, "fee", "bank", 2),
        ("4", -10_010, "cash_out", "customer", 1),
        ("5", -801, "loan_instalment", "bank", 2),
    ]  # fmt: skip


def is_active_from_its_first_date(events: list[Event[Any]]) -> bool:
    """No event is dated before its source's description allows, and none could be earlier."""
    (described,) = [e for e in events if isinstance(e.data, SourceDescribed)]
    assert {e.source for e in events} == {described.data.source}
    return min(e.businessdate for e in events) == described.data.active_from


def test_no_event_is_dated_before_its_source_is_active(small: Path, tmp_path: Path) -> None:
    """An account, card or loan older than the beginning comes on the first day."""
    assert is_active_from_its_first_date(list(berka.events(small)))
    later = list(berka.events(small, first=date(1993, 1, 5)))
    assert is_active_from_its_first_date(later)
    opened = [e for e in later if isinstance(e.data, AccountOpened)]
    assert [(str(e.businessdate), str(e.data.opened_on)) for e in opened] == [
        ("1993-01-05", "1993-01-02")
    ]
    log = tmp_path / "log.csv"
    log.write_text("customer_id,date,cds,usd\n4,1997-01-18,2,29.33\n1,1997-01-01,1,5.00\n")
    assert is_active_from_its_first_date(list(purchases.events(log, "cdnow")))
    assert is_active_from_its_first_date(list(purchases.events(log, "grocery")))


def test_customer_number_is_the_owner_and_the_partner_holds_no_share(small: Path) -> None:
    opened = [e.data for e in berka.events(small) if isinstance(e.data, AccountOpened)]
    assert [(a.account_number, a.customer_number) for a in opened] == [("7", "70")]
    assert [(h.customer_number, h.share_ppm) for h in opened[0].holders] == [
        ("70", 1_000_000), ("71", 0),
    ]  # fmt: skip


def test_src_and_dates_bound_what_is_published_and_every_day_between_is_closed(small: Path) -> None:
    assert [f.transaction_id for f in booked(small, src="C")] == ["2", "4"]
    last = date(1993, 1, 4)
    assert [f.transaction_id for f in booked(small, last=last)] == ["2", "3"]
    days = [e.data.day for e in berka.events(small, last=last) if isinstance(e.data, DayClosed)]
    assert days == [date(1993, 1, 2), date(1993, 1, 3), date(1993, 1, 4)]
    with pytest.raises(ValueError, match="no transaction"):
        booked(small, src="B")


def test_a_third_decimal_is_refused_not_rounded(small: Path) -> None:
    write(
        small, "trans_partial",
        """trans_id,account_id,date,seq,type,operation,amount,balance,k_symbol,bank,account,src
        2,7,1993-01-03,0,PRIJEM,VKLAD,900.005,900.00,,,,A""",
    )  # fmt: skip
    with pytest.raises(AmountError):
        booked(small)


@needs_data
def test_berka_sums_per_customer_are_the_files_to_the_haler() -> None:
    last = date(1994, 3, 30)
    folder = DATA / "berka"
    with gzip.open(folder / "disp.csv.gz", "rt") as file:
        owner = {r["account_id"]: r["client_id"] for r in csv.DictReader(file)
                 if r["type"] == "OWNER"}  # fmt: skip
    sums: defaultdict[str, Decimal] = defaultdict(Decimal)
    count = 0
    with gzip.open(folder / "trans_partial.csv.gz", "rt") as file:
        for row in csv.DictReader(file):
            if "A" in row["src"] and row["date"] <= str(last):
                sign = 1 if row["type"] == "PRIJEM" else -1
                sums[owner[row["account_id"]]] += sign * Decimal(row["amount"])
                count += 1
    found: defaultdict[str, int] = defaultdict(int)
    published = booked(folder, src="A", last=last)
    for fact in published:
        found[fact.customer_number] += fact.amount_minor
    assert len(published) == count == 46_997
    assert {k: Decimal(v) / 100 for k, v in found.items()} == dict(sums)
    assert len(found) == 1_229


def test_rows_of_one_customer_day_are_one_purchase(tmp_path: Path) -> None:
    file = tmp_path / "cdnow.csv"
    file.write_text("customer_id,date,cds,usd\n1,1997-01-01,1,11.77\n"
                    "2,1997-01-03,1,12.00\n2,1997-01-03,5,77.00\n")  # fmt: skip
    events = list(purchases.events(file, "cdnow"))
    assert all(encode(e) for e in events)
    facts = [e.data for e in events if isinstance(e.data, TransactionBooked)]
    assert [(f.customer_number, f.amount_minor) for f in facts] == [("1", -1177), ("2", -8900)]
    assert [e.data.day.day for e in events if isinstance(e.data, DayClosed)] == [1, 2, 3]


@needs_data
@pytest.mark.parametrize(("name", "source", "customers", "days"), [
    ("cdnow/cdnow_master", "cdnow", 23_570, 67_591),
    ("grocery_elog/grocery_elog", "grocery", 1_525, 10_483),
])  # fmt: skip
def test_purchase_files_keep_every_customer_day(
    name: str, source: str, customers: int, days: int
) -> None:
    facts = [e.data for e in purchases.events(DATA / f"{name}.csv.gz", source)
             if isinstance(e.data, TransactionBooked)]  # fmt: skip
    assert len(facts) == days
    assert len({f.customer_number for f in facts}) == customers
