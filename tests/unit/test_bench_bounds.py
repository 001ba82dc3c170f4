"""What is too small to be measured is said at once; what was lost ends a bench."""

import importlib
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from tests.load import fold_lag


@pytest.mark.parametrize(
    ("program", "arguments", "said"),
    [
        ("fold_rate", "--events 9999", "or equal to 10000"),
        ("fold_lag", "--events 9999", "or equal to 10000"),
        ("bench_worker", "--quick --customers 99", "not 100 or more"),
        ("bench_worker", "--customers 9", "not 10 or more"),
        ("state_latency", "--rate 500 --seconds 5", "too few"),
        ("score_latency", "--rate 1000 --rate 250 --seconds 8", "250 events/s"),
    ],
)
def test_too_little_is_refused_before_anything_is_begun(
    monkeypatch: pytest.MonkeyPatch, program: str, arguments: str, said: str
) -> None:
    module: Any = importlib.import_module(f"tests.load.{program}")
    monkeypatch.setattr(module, "full_servers", lambda: pytest.fail("servers were begun"))
    monkeypatch.setattr(module, "compile_ahead", lambda: None, raising=False)
    app = typer.Typer()
    app.command()(module.main)
    done = CliRunner().invoke(app, arguments.split())
    assert done.exit_code == 2, done.output
    assert said in " ".join(done.stderr.replace("│", " ").split())


def test_what_was_lost_is_told_when_none_comes_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fold_lag, "STILL_S", 0.1)
    monkeypatch.setattr(fold_lag, "_folded", lambda _: 1_000)
    nothing: Any = None
    with pytest.raises(AssertionError, match="1 are missing, none came"):
        fold_lag._work_off(nothing, [], 1_001)
    assert fold_lag._work_off(nothing, [], 1_000) < 0.1
