"""The silence rule against the simulator's truth: how often it is right, what it finds, how much
work it makes. The figures are printed."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
REFERENCE = ("source", "product", "rate", "branch", "district", "went")


def run(*arguments: object) -> str:
    done = subprocess.run(
        [sys.executable, "-m", *map(str, arguments)],
        cwd=ROOT, check=True, capture_output=True, text=True,
    )  # fmt: skip
    return done.stdout


def test_silence_is_right_more_often_than_not_and_finds_most_who_leave(tmp_path):
    history = tmp_path / "h.jsonl"
    run("deploy.bank", "simulate", "--customers", 1500, "--days", 240, "--seed", 7, "-o", history)
    rates = tmp_path / "rates.jsonl"
    with history.open() as lines, rates.open("w") as out:
        out.writelines(
            line for line in lines
            if json.loads(line)["type"].startswith(tuple(f"bank.{r}" for r in REFERENCE))
        )  # fmt: skip
    signals = tmp_path / "signals.jsonl"
    run(
        "services.scoring", "replay", history, "--rates", rates, "--until", "2025-08-31",
        "--leaves", tmp_path / "l.csv", "--scores", tmp_path / "s.jsonl", "--alerts", signals,
    )  # fmt: skip
    judged = json.loads(
        run("deploy.bank", "evaluate", "--truth", tmp_path / "h.truth.json", "--alerts", signals)
    )
    found = {rule["rule"]: rule for rule in judged}
    for rule in found.values():
        print(
            f"{rule['rule']}: precision {rule['precision']:.2f}, recall {rule['recall']:.2f}, "
            f"{rule['signals']} signals, at most {rule['per_manager_day_max']} a manager and day"
        )
    assert found["silence"]["precision"] >= 0.5
    assert found["silence"]["recall"] >= 0.7
    assert all(rule["per_manager_day_max"] <= 5 for rule in found.values())
