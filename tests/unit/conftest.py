"""One model of risk, learned once from the made bank, for all tests that need one."""

from datetime import date
from pathlib import Path

import pytest

from services.scoring import risk_plan
from services.scoring.replay import Line, Replay
from services.scoring.risk_model import RiskModel
from services.scoring.risk_plan import Plan
from services.scoring.training import history
from services.scoring.training.history import History
from shared.events import decode
from tests import made_bank
from tests.made_bank import SPLIT
from tests.risk_live import ASKED, replayed


@pytest.fixture(scope="session")
def made_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("bank") / "made.jsonl"
    made_bank.write(file)
    return file


@pytest.fixture(scope="session")
def known(made_file: Path) -> History:
    return history.read(made_file, "CNY")


@pytest.fixture(scope="session")
def learned(known: History) -> RiskModel:
    from services.scoring.training import run  # needs the extra

    asked = run.Plan(run.GOALS, SPLIT.toordinal(), every_days=0, horizon_days=90)
    return run.train(known, asked, date(2026, 1, 1))


@pytest.fixture(scope="session")
def plan(learned: RiskModel) -> Plan:
    return risk_plan.plan_of(learned)


@pytest.fixture(scope="session")
def published(made_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("live") / "live.jsonl"
    file.write_bytes(b"".join(made_bank.live(made_file)))
    return file


@pytest.fixture(scope="session")
def whole(published: Path, plan: Plan) -> Replay:
    return replayed(published, plan, ASKED)


@pytest.fixture(scope="session")
def records(published: Path) -> list[Line]:
    return [Line(n, None if b"day_closed" in one else decode(one).subject.encode(), one)
            for n, one in enumerate(published.read_bytes().splitlines(keepends=True))
            if b"source_described" not in one and b"product_described" not in one]  # fmt: skip
