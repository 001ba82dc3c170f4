"""`replay` refuses what it cannot read before it works, and names what it left out."""

import json
from pathlib import Path
from random import Random

import pytest
from typer.testing import CliRunner

from services.scoring.__main__ import app
from shared.events.envelope import encode
from tests import ledger_bank
from tests.workers import FIRST_DAY, transaction


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
