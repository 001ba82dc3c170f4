"""`replay` refuses what it cannot read before it works, and names what it left out."""

import json
from datetime import timedelta
from pathlib import Path
from random import Random

import pytest
from typer.testing import CliRunner

from services.scoring.__main__ import app
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
