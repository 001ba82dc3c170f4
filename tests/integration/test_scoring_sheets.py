"""The sheets of the contribution: what the page shows, in the reader's words, to the cent."""

import dataclasses
import re
from decimal import Decimal

import pytest

from services.scoring.pages import value
from services.scoring.queries.contribution import Sum
from services.scoring.rules.concentration import MILLION
from shared.testing.space import ServiceUnderTest, Space
from tests.integration import ledger_room, scoring_room
from tests.integration.ledger_room import reference, told
from tests.integration.scoring_room import HEAD
from tests.integration.test_scoring_totals import by_code, figures_of
from tests.ledger_bank import Bank
from tests.scored import Scored

scoring = scoring_room.scoring
made, scored = ledger_room.made, ledger_room.scored


def test_what_is_beyond_the_page_is_one_row_and_the_sheet_still_adds_up(
    space: Space, scoring: ServiceUnderTest, made: Bank, scored: Scored,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(value, "ROWS_MAX", 2)
    reference(space, made)
    scoring.drain()
    told(scoring, scored)
    whole = by_code(scoring, "product")
    assert len(whole) == 4
    known = sorted(whole, key=lambda code: -whole[code].both_minor)
    for language, rest in (("en", "2 more"), ("zh-CN", "其余 2 项")):
        reader = dataclasses.replace(HEAD, language=language)
        body = scoring.client(reader).get("/contribution/value.csv?by=product").text
        _, *lines, beyond, total = figures_of(body)
        assert [line[0] for line in lines] == known[:2]
        posted, accrued = (sum(getattr(whole[code], name) for code in known[2:])
                           for name in ("posted_minor", "accrued_minor"))  # fmt: skip
        assert beyond[:2] == [value.REST, rest]
        assert [Decimal(cell) * 100 for cell in beyond[2:4]] == [posted, accrued]
        for column in (2, 3):
            cells = [Decimal(line[column]) for line in (*lines, beyond)]
            assert sum(cells) == Decimal(total[column])


def test_the_row_of_the_rest_has_the_share_of_all_in_it(scoring: ServiceUnderTest) -> None:
    sums = {f"R{n:02}": Sum(n, 1) for n in range(60)}
    with scoring.database.read() as session:
        groups = value.Groups(session, scoring.runtime.directory)
        *shown, beyond = value.rows_of(sums, "region", Sum(3_000, 0), groups)
    assert [row.code for row in shown] == [f"R{n:02}" for n in range(59, 9, -1)]
    assert (beyond.code, beyond.rest, beyond.sum) == (value.REST, 10, Sum(45, 10))
    assert beyond.share_ppm == 55 * MILLION // 3_000


@pytest.mark.parametrize(
    ("language", "heads", "margin", "loan", "unposted"),
    [("en", "Customer number,Account,Loan,Product,Product code,Component,Month", "Interest margin",
      "Loan", "Not posted yet"),
     ("zh-CN", "客户号,账户,贷款,产品,产品代码,构成项目,月份",
      "内部资金转移利差", "贷款", "尚未入账")],
)  # fmt: skip
def test_the_sheet_of_entries_is_in_the_reader_s_words(
    space: Space, scoring: ServiceUnderTest, made: Bank, scored: Scored, language: str,
    heads: str, margin: str, loan: str, unposted: str,
) -> None:  # fmt: skip
    reference(space, made)
    scoring.drain()
    told(scoring, scored)
    client = scoring.client(dataclasses.replace(HEAD, language=language))
    for state in ("posted", "accrued"):
        asked = {"by": "product", "code": "LN", "state": state}
        head, *lines = figures_of(client.get("/contribution/leaves.csv", params=asked).text)
        assert ",".join(head[:7]) == heads
        assert {line[3] for line in lines} == {loan}
        assert {line[4] for line in lines} == {"LN"}
        assert margin in {line[5] for line in lines}
        assert not {cell for line in lines for cell in line} & {"None", "ftp", "el", "abc_txn"}
        assert ({line[6] for line in lines} == {unposted}) is (state == "accrued")


def test_each_panel_stands_alone_as_a_hint_asks_for_it(
    space: Space, scoring: ServiceUnderTest, made: Bank, scored: Scored
) -> None:
    reference(space, made)
    scoring.drain()
    told(scoring, scored)
    client = scoring.client(HEAD)
    for panel in ("value", "earned", "parties/P0/figures"):
        shown = client.get(f"/contribution/{panel}")
        assert shown.status_code == 200, panel
        assert "data-key" in shown.text
    _, *lines = figures_of(client.get("/contribution/earned.csv").text)
    assert [line[0] for line in lines] == re.findall(
        r'data-key="(P\d)"', client.get("/contribution/earned").text
    )
    assert len(lines) == 3
