"""The rules, those of the demo's model too, against the simulator's truth: how often each is right,
what it finds, how much work it makes. The figures are printed."""

import csv
import json
import subprocess
import sys
from datetime import date
from pathlib import Path

from tests.golden import day_by_day

ROOT = Path(__file__).parents[2]
MODEL = ROOT / "deploy" / "bank" / "model.json"  # trained on another bank
REFERENCE = ("source", "product", "rate", "branch", "district", "went")


def run(*arguments: object) -> str:
    done = subprocess.run(
        [sys.executable, "-m", *map(str, arguments)],
        cwd=ROOT, check=True, capture_output=True, text=True,
    )  # fmt: skip
    return done.stdout


def test_silence_is_right_more_often_than_not_and_finds_most_who_leave(tmp_path, figure):
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
        "--risk-model", MODEL,
    )  # fmt: skip
    judged = json.loads(
        run("deploy.bank", "evaluate", "--truth", tmp_path / "h.truth.json", "--alerts", signals)
    )
    found = {rule["rule"]: rule for rule in judged}
    for rule in found.values():
        if not rule["signals"]:
            continue  # no rule of the model
        figure(
            f"{rule['rule']}: precision {rule['precision']:.2f}, recall {rule['recall']:.2f}, "
            f"{rule['signals']} signals, at most {rule['per_manager_day_max']} a manager and day"
        )
    assert found["silence"]["precision"] >= 0.5
    assert found["silence"]["recall"] >= 0.7
    assert found["collapse"]["precision"] >= 0.5
    assert found["collapse"]["recall"] >= 0.5
    assert found["no_purchase"]["precision"] >= 0.5
    assert all(rule["per_manager_day_max"] <= 5 for rule in found.values())


def test_the_contribution_of_the_simulated_bank_is_that_of_the_independent_loop(tmp_path):
    history, leaves = tmp_path / "h.jsonl", tmp_path / "leaves.csv"
    run("deploy.bank", "simulate", "--customers", 200, "--days", 100, "--seed", 3, "-o", history)
    run("services.scoring", "replay", history, "--until", "2026-12-31", "--leaves", leaves)
    with history.open() as lines:
        events = [json.loads(line) for line in lines]
    last = max(date.fromisoformat(e["data"]["day"]) for e in events
               if e["type"] == "bank.day_closed.v1")  # fmt: skip
    reference = [e for e in events if e["type"] in ("bank.rate_set.v1",
                                                    "bank.product_described.v1")]  # fmt: skip
    found: dict[tuple[str, str, str], int] = {}
    with leaves.open() as file:
        for row in csv.DictReader(file):
            key = (row["account"], row["product"], row["component"])
            found[key] = found.get(key, 0) + int(row["amount_minor"])
    truth = day_by_day.leaves(reference, events, last)
    assert len(truth) > 500
    assert {key: amount for key, amount in found.items() if amount} == truth
