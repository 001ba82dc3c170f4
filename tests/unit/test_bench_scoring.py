"""`make bench-scoring`: what it runs can be run, and a part that fails is not passed over."""

import importlib

import pytest
import typer
from typer.testing import CliRunner

from tests.load import scoring
from tests.load.scoring import Part


def run(*arguments: str) -> tuple[int, list[str]]:
    app = typer.Typer()
    app.command()(scoring.main)
    done = CliRunner().invoke(app, list(arguments))
    return done.exit_code, done.stderr.splitlines()


@pytest.mark.parametrize("quick", [False, True])
@pytest.mark.parametrize("part", scoring.PARTS, ids=lambda part: part.name)
def test_each_program_knows_what_it_is_asked_for(part: Part, quick: bool) -> None:
    program, *arguments = part.arguments(quick=quick, rates=[1000, 2000])
    app = typer.Typer()
    app.command()(importlib.import_module(f"tests.load.{program}").main)
    given = typer.main.get_command(app).make_context(program, arguments).params
    if part.name == "scores":
        assert given["rate"] == [1000, 2000]


def test_an_option_that_a_program_has_not_is_seen() -> None:
    part = Part("pace", "", 1, "idle_days --customer 3", "")
    with pytest.raises(Exception, match="No such option: --customer"):
        test_each_program_knows_what_it_is_asked_for(part, quick=False)


GOOD, BAD = Part("good", "helps", 1, "scoring --help", ""), Part("bad", "", 1, "no_program", "")


def test_the_parts_behind_one_that_failed_are_run_and_the_whole_has_failed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(scoring, "PARTS", (BAD, GOOD))
    code, said = run()
    assert said[0] == "[1/2] bad: ; about 1 min"
    assert said[1].startswith("[1/2] bad: FAILED with 1 after")
    assert said[2] == "[2/2] good: helps; about 1 min"
    assert said[3].startswith("[2/2] good: done after")
    assert (code, said[-1]) == (1, "failed: bad")


def test_it_succeeds_when_all_that_was_asked_for_did(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scoring, "PARTS", (BAD, GOOD))
    code, said = run("--only", "good", "--quick")
    assert (code, said[0]) == (0, "[1/1] good: helps; small")
    assert run("--only", "nothing")[0] == 2
