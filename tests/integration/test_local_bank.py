"""The bank of the demo: what it goes on with, and when it is live."""

import json
from dataclasses import dataclass
from pathlib import Path

import pytest
from kafka.errors import KafkaConnectionError

from deploy.local.applied import Applied
from deploy.local.bank_run import BankRun
from deploy.local.bank_time import BankTime
from deploy.local.children import Child
from tests.integration import test_local_demo
from tests.integration.test_local_demo import options_in

folder = test_local_demo.folder


@dataclass
class Behind(Applied):
    """Services that have this much to apply still; none: the server does not answer."""

    left: int | None

    def lag(self) -> int:
        if self.left is None:
            raise KafkaConnectionError
        return self.left


@pytest.mark.parametrize("left", [1, None])
def test_a_second_start_too_is_live_only_when_all_is_applied(
    folder: Path, left: int | None
) -> None:
    kept = {"customers": 1000, "days": 200, "seed": 7, "data": None, "published": True}
    (folder / "bank.json").write_text(json.dumps(kept))
    clock = BankTime(folder / "clock.json")
    started: list[str] = []
    run = BankRun(options_in(folder), folder, clock, lambda name, _: started.append(name))
    run.remember()
    clock.start(run.history_end, factor=0.0)
    behind = Behind(left)
    said: list[str] = []
    run.begin(behind, said.append)
    run.watch(said.append)
    assert (run.is_live, started, said) == (False, [], [])
    assert json.loads(clock.path.read_text())["factor"] == 0.0
    behind.left = 0
    run.watch(said.append)
    assert (run.is_live, started, len(said)) == (True, ["bank"], 1)
    assert json.loads(clock.path.read_text())["factor"] == 720.0


def test_a_bank_of_before_and_that_of_a_data_set_have_no_model(folder: Path) -> None:
    kept = {"customers": 1000, "days": 200, "seed": 7, "data": None, "published": True}
    (folder / "bank.json").write_text(json.dumps(kept))
    run = BankRun(options_in(folder), folder, BankTime(folder / "clock.json"), Child)
    run.remember()
    assert run.model is None, "its workers' state is of none"
    (folder / "bank.json").unlink()
    berka = options_in(folder, data=folder)
    run = BankRun(berka, folder, BankTime(folder / "clock.json"), Child)
    run.remember()
    assert run.model is None


def test_a_bank_of_any_size_has_the_branches_of_the_organisation(folder: Path) -> None:
    def branches_max() -> str:
        started: list[list[str]] = []
        run = BankRun(
            options_in(folder, customers=5000), folder, BankTime(folder / "clock.json"),
            lambda _, arguments: started.append(arguments),
        )  # fmt: skip
        run.remember()
        run.begin(Applied({}, ()), lambda _: None)
        ((*_, option, count),) = [one[: one.index("-o")] for one in started]
        assert option == "--branches-max"
        return count

    assert branches_max() == "5"
    kept = json.loads((folder / "bank.json").read_text())
    del kept["branches_max"]  # a bank of before goes on with all it had
    (folder / "bank.json").write_text(json.dumps(kept))
    assert branches_max() == "60"
