"""`replay` refuses what it cannot read before it works, and names what it left out."""

import json
from datetime import timedelta
from pathlib import Path
from random import Random

import pytest
from typer.testing import CliRunner

from services.scoring import out_file
from services.scoring.__main__ import app
from services.scoring.rate import OF_GRADES, Rate, lacking
from shared.events.bank import RateSet
from shared.events.envelope import encode
from tests import ledger_bank
from tests.workers import FIRST_DAY, closed, described, transaction


@pytest.fixture
def events(tmp_path: Path) -> Path:
    file = tmp_path / "events.jsonl"
    file.write_bytes(encode(transaction(1, "C1", "A1", 500, FIRST_DAY)) + b"\n{\n")
    return file


@pytest.fixture
def garbage(tmp_path: Path) -> Path:
    file = tmp_path / "garbage.jsonl"
    file.write_text("\nno event\n")
    return file


def told(*arguments: object) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["replay", *map(str, arguments), "--until", "2026-12-31"])
    return done.exit_code, done.output


@pytest.mark.parametrize("option", ["--rates", "--parties"])
def test_a_line_that_cannot_be_read_is_named(events: Path, garbage: Path, option: str) -> None:
    code, said = told(events, option, garbage)
    assert code == 1
    assert f"{garbage}, line 2:" in said.replace("\n", "")
    assert "Traceback" not in said


@pytest.mark.parametrize("option", ["--leaves", "--scores", "--alerts"])
def test_a_folder_that_is_not_there_is_said_before_the_work(
    events: Path, tmp_path: Path, option: str
) -> None:
    code, said = told(events, option, tmp_path / "nowhere" / "out")
    assert (code, "there is no folder" in said) == (1, True)


@pytest.mark.parametrize("option", ["--leaves", "--scores", "--alerts"])
def test_a_file_that_cannot_be_written_is_said_before_the_work(
    events: Path, tmp_path: Path, option: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = tmp_path / "kept"
    kept.write_text("of before")
    assert told(events, option, "/proc/x") == (
        1, "error: /proc/x cannot be written: No such file or directory\n",
    )  # fmt: skip
    (tmp_path / "no_event").write_text("{}")
    code, said = told(tmp_path / "no_event", option, kept, "--parties", events)
    assert (code, kept.read_text()) == (1, "of before"), "it was only tried"
    code, said = told(tmp_path / "no_event", option, tmp_path / "new")
    assert (code, (tmp_path / "new").exists()) == (1, False)
    # What fails in the end is a sentence too.
    monkeypatch.setattr(out_file, "refuse_unwritable", lambda file: None)
    code, said = told(events, option, "/proc/x")
    assert (code, "error: /proc/x cannot be written" in said) == (1, True)
    assert "Traceback" not in said


@pytest.mark.parametrize("content", [b"\x7fELF\x02\x00\n\xff\xfe" * 9, b'{"type": "\xff"}', b""])
def test_a_file_without_an_event_is_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "binary"
    file.write_bytes(content)
    assert told(file) == (
        1, f"error: {file}: no line of it is an event of bank.events or of reference data\n",
    )  # fmt: skip


def test_a_line_that_is_no_text_is_named(events: Path) -> None:
    with events.open("ab") as more:
        more.write(b'{"type": "\xff"}\n')
    code, said = told(events)
    assert (code, "line 3: dead: not JSON" in said) == (0, True)


def test_a_currency_that_there_is_not_is_refused(events: Path) -> None:
    code, said = told(events, "--currency", "XYZW")
    assert (code, said) == (1, "error: 'XYZW' is no ISO 4217 currency\n")
    assert told(events, "--currency", "CZK")[0] == 0


def test_what_is_left_out_is_named(events: Path) -> None:
    rate = json.loads(encode(ledger_bank.rates(Random(1), 9)[0]))
    rate["data"]["value"] = str(rate["data"]["value"])
    with events.open("a") as more:
        more.write(json.dumps(rate) + "\n")
    code, said = told(events)
    assert code == 0
    assert "line 3: reference data that cannot be read" in said
    assert "line 2: dead: not JSON" in said
    assert "'applied': 1" in said


@pytest.fixture
def closed_days(tmp_path: Path) -> Path:
    """The second and the third day are closed; of the fifth there is a booking."""
    second, fifth = FIRST_DAY + timedelta(days=1), FIRST_DAY + timedelta(days=4)
    events = [
        described(from_on=second), transaction(1, "C1", "A1", 500, second), closed(second),
        closed(second + timedelta(days=1)), transaction(2, "C1", "A1", 70, fifth),
    ]  # fmt: skip
    file = tmp_path / "closed.jsonl"
    file.write_bytes(b"".join(encode(event) + b"\n" for event in events))
    return file


@pytest.mark.parametrize(
    ("asked", "balance", "next_day"),
    [
        ("2024-12-31", None, "2025-01-02"), ("2025-01-01", None, "2025-01-02"),
        ("2025-01-02", 500, None), ("2025-01-03", 500, None),
        ("2025-01-04", None, "2025-01-05"), ("2025-01-05", 570, None), ("2025-02-01", 570, None),
    ],
)  # fmt: skip
def test_a_day_that_the_file_does_not_hold_is_refused(
    closed_days: Path, tmp_path: Path, asked: str, balance: int | None, next_day: str | None
) -> None:
    """It would be another day's balance under its date."""
    scores = tmp_path / "scores.jsonl"
    code, said = told(closed_days, "--scores", scores, "--score-on", asked)
    if balance is None:
        assert (code, scores.exists()) == (1, False)
        assert f"stood on {asked}: the first day" in said
        assert said.strip().endswith(f"that can be asked is {next_day}")
    else:
        assert code == 0, said
        assert json.loads(scores.read_text())["scores"]["balance_minor"] == balance


def write_rates(file: Path, *rates: tuple[str, str, int, str | None]) -> Path:
    """Kind, product, value and grade of each."""
    with file.open("wb") as written:
        for kind, product, value, grade in rates:
            fact = RateSet(kind=kind, product_code=product, value=value,  # type: ignore[arg-type]
                           grade_code=grade, from_on=FIRST_DAY)  # fmt: skip
            written.write(encode(ledger_bank.event_of(fact, fact.entry, FIRST_DAY)) + b"\n")
    return file


def test_a_component_that_its_rates_do_not_give_is_named(closed_days: Path, tmp_path: Path) -> None:
    capital = [(kind, "OD", 100_000, None) for kind in ("risk_weight", "capital_ratio")]
    rates = write_rates(
        tmp_path / "rates.jsonl", ("pd", "CA", 9, None), ("lgd", "CA", 9, None),
        ("pd", "OD", 9, "A"), ("lgd", "LN", 9, None), *capital,
    )  # fmt: skip
    code, said = told(closed_days, "--rates", rates)
    assert code == 0
    assert "OD of grade A: no expected loss (el) is computed: its pd came without lgd\n" in said
    assert "LN: no expected loss (el) is computed: its lgd came without pd\n" in said
    assert ("OD: no charge for capital is computed: its risk_weight and capital_ratio came without"
            " hurdle_rate\n") in said  # fmt: skip
    assert "CA:" not in said, "it has both"
    assert "LN: no charge" not in said, "nothing of it was given"


NO_LGD = "no expected loss (el) is computed: its pd came without lgd"
NO_PD = "no expected loss (el) is computed: its lgd came without pd"
NO_CHARGE = "no charge for capital is computed: its"


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ("pd/A lgd/B", [f"OD of grade A: {NO_LGD}", f"OD of grade B: {NO_PD}"]),
        ("pd/A lgd/A lgd/B", [f"OD of grade B: {NO_PD}"]),
        ("pd lgd/B", [f"OD of other grades or none: {NO_LGD}"]),
        ("pd lgd/B pd/A", [f"OD of other grades or none: {NO_LGD}", f"OD of grade A: {NO_LGD}"]),
        ("pd/A lgd", [f"OD of other grades or none: {NO_PD}"]),
        ("pd/A lgd/A", []), ("pd lgd pd/A lgd/B", []), ("", []),
        ("risk_weight capital_ratio", [f"OD: {NO_CHARGE} risk_weight and capital_ratio came"
                                       " without hurdle_rate"]),
        ("risk_weight hurdle_rate pd/A lgd/A", [f"OD: {NO_CHARGE} risk_weight and hurdle_rate came"
                                                " without capital_ratio"]),
        ("capital_ratio hurdle_rate", [f"OD: {NO_CHARGE} capital_ratio and hurdle_rate came"
                                       " without risk_weight"]),
        ("hurdle_rate", [f"OD: {NO_CHARGE} hurdle_rate came without risk_weight and"
                         " capital_ratio"]),
        ("risk_weight capital_ratio hurdle_rate pd lgd", []),
    ],
)  # fmt: skip
def test_each_grade_with_a_part_of_its_rates_is_named(given: str, named: list[str]) -> None:
    rates = []
    for place in given.split():
        kind, _, grade = place.partition("/")
        rates.append(Rate(place, kind, "OD", "", FIRST_DAY.toordinal(), 100, grade=grade))  # type: ignore[arg-type]
    other = [Rate(kind, kind, "LN", "", FIRST_DAY.toordinal(), 100) for kind in OF_GRADES]  # type: ignore[arg-type]
    assert list(lacking([*rates, *other])) == named


def test_of_two_rates_of_one_key_the_one_that_holds_is_named(
    closed_days: Path, tmp_path: Path
) -> None:
    one, other = ("margin", "LN", 9, None), ("margin", "LN", 8, None)
    equal = write_rates(tmp_path / "equal.jsonl", one, one)
    code, said = told(closed_days, "--rates", equal)
    assert (code, "equal.jsonl" in said) == (0, False), "they say the same"
    code, said = told(closed_days, "--rates", write_rates(tmp_path / "two.jsonl", one, one, other))
    assert code == 0
    assert "two.jsonl, line 3: margin/LN/2025-01-01/core holds, not that of line 2" in said


def test_a_rate_out_of_range_is_refused_by_its_line(closed_days: Path, tmp_path: Path) -> None:
    """Else what it prices is quarantined, event by event."""
    wrong = ("transfer_price", "CA-P", 1_500_000, None)
    rates = write_rates(tmp_path / "wrong.jsonl", ("margin", "LN", 9, None), wrong)
    code, said = told(closed_days, "--rates", rates)
    assert code == 1
    assert "wrong.jsonl, line 2: transfer_price/CA-P/2025-01-01/core: 1500000 is not" in said
    # One of the events themselves was left out live too: its line is named, the rest is run.
    both = tmp_path / "both.jsonl"
    both.write_bytes(rates.read_bytes() + closed_days.read_bytes())
    code, said = told(both)
    assert code == 0
    assert "alarm: line 2: transfer_price/CA-P/2025-01-01/core: 1500000 is not" in said
