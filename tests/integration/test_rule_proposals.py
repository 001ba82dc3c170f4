"""Operations propose a set of rules by a script: the page's command, a named author, its checks."""

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from typer.testing import CliRunner, Result

from services.scoring.__main__ import app
from services.scoring.queries import rule_sets as queries
from shared import wire
from shared.events import workflow
from shared.testing.space import ServiceUnderTest, Space
from tests.integration import scoring_room
from tests.integration.ledger_room import closes
from tests.integration.scoring_room import rows

scoring = scoring_room.scoring
AUTHOR, TELLER = "S031", "S012"
REASON = "Fewer false alarms, we hope"


@pytest.fixture
def bank(space: Space, scoring: ServiceUnderTest, monkeypatch: pytest.MonkeyPatch) -> Any:
    """One who may propose and one who may not; the command finds the service by its settings."""
    names = {"zh-CN": "x", "en": "x"}
    space.publish(
        workflow.RoleDescribed(role="risk", names=names, permissions=("rules.propose",),
                               scope="all"),
        workflow.RoleDescribed(role="desk", names=names, permissions=("rules.view",), scope="all"),
        *(workflow.StaffDescribed(staff_id=s, org_path="/head", name=s) for s in (AUTHOR, TELLER)),
        workflow.RoleGranted(grant_id="1", staff_id=AUTHOR, role="risk"),
        workflow.RoleGranted(grant_id="2", staff_id=TELLER, role="desk"),
        source="guanxi/workflow",
    )  # fmt: skip
    scoring.drain()
    settings = scoring.runtime.settings
    for name, value in (
        ("KAFKA", settings.kafka), ("DATABASE", settings.database),
        ("TOPIC_PREFIX", settings.topic_prefix),
    ):  # fmt: skip
        monkeypatch.setenv(f"GUANXI_{name}", value)
    return scoring


def propose(tmp_path: Path, change: object, *options: str, by: str = AUTHOR) -> Result:
    file = tmp_path / "change.json"
    file.write_text(change if isinstance(change, str) else json.dumps(change))
    arguments = ["propose", str(file), "--by", by, "--reason", REASON, *options]
    return CliRunner().invoke(app, arguments)


def known(scoring: ServiceUnderTest) -> list[Any]:
    with scoring.database.read() as session:
        return [one.row for one in queries.known_sets(session, None) if one.row is not None]


def test_a_set_is_proposed_by_its_author_and_waits_for_a_second_person(
    bank: ServiceUnderTest, tmp_path: Path
) -> None:
    done = propose(tmp_path, {"thresholds": {"silence_days_min": 12}})
    assert done.exit_code == 0, done.output
    (row,) = known(bank)
    assert done.output == f"set {row.number} is proposed: /scoring/rules/{row.number}\n"
    assert (row.state, row.proposed_by, row.reason) == ("proposed", AUTHOR, REASON)
    assert list(row.changes) == ["silence_days_min"], "what the file leaves out stays"
    assert row.changes["silence_days_min"][1] == 12
    assert rows(bank, "select actor_id, action from audit") == [(AUTHOR, "rule_set.propose")]


def test_it_is_rehearsed_when_a_day_is_given(bank: ServiceUnderTest, tmp_path: Path) -> None:
    change, day = {"thresholds": {"silence_days_min": 12}}, "2025-03-01"
    refused = propose(tmp_path, change, "--rehearse-from", day)
    assert refused.exit_code == 1
    assert "No day is closed yet" in refused.output
    assert known(bank) == [], "nothing of it stays"
    for partition in range(4):
        closes(bank, partition, date(2025, 6, 30))
    assert propose(tmp_path, change, "--rehearse-from", day).exit_code == 0
    with bank.database.read() as session:
        (asked,) = queries.rehearsals_of(session, known(bank)[0].number)
    assert (asked.state, asked.from_on, asked.asked_by) == ("waiting", date(2025, 3, 1), AUTHOR)


@pytest.mark.parametrize(
    ("change", "by", "why"),
    [
        ({"thresholds": {"silence_days_min": 12}}, TELLER, "rules.propose"),
        ({"thresholds": {"silence_days_min": 12}}, "S999", "staff directory"),
        ({"thresholds": {}}, AUTHOR, "rules that run"),
        ({"thresholds": {"silence_days": 12}}, AUTHOR, "silence_days"),
        ({"thresholds": {"silence_days_min": 0}}, AUTHOR, "silence_days_min"),
        ({"thresholds": {"outflow_ppm": 900_000, "outflow_clear_ppm": 1}}, AUTHOR, "below"),
        ({"rules": {}}, AUTHOR, "rules"),
        ("not json", AUTHOR, "cannot be taken"),
    ],
)
def test_what_the_page_refuses_is_refused(
    bank: ServiceUnderTest, tmp_path: Path, change: object, by: str, why: str
) -> None:
    refused = propose(tmp_path, change, by=by)
    assert refused.exit_code == 1
    assert refused.output.startswith("error: ")
    assert why in refused.output
    assert known(bank) == []
    assert rows(bank, "select count(*) from audit") == [(0,)]


def test_its_help_says_what_the_file_holds() -> None:
    said = CliRunner().invoke(app, ["propose", "--help"]).output
    for word in ("FILE", "--by", "--reason", "--rehearse-from", "silence_days_min"):
        assert word in said


@pytest.mark.parametrize("command", ["rebuild", "rebuild --as-of 2025-01-31", "forget-state"])
def test_a_database_that_is_away_is_said(
    bank: ServiceUnderTest, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setenv("GUANXI_DATABASE", "postgresql://guanxi:secret@127.0.0.1:1/guanxi")
    said = CliRunner().invoke(app, command.split())
    assert (said.exit_code, said.output.count("\n")) == (1, 1)
    assert said.output.startswith("error: PostgreSQL does not answer, see GUANXI_DATABASE: ")
    assert "127.0.0.1" in said.output
    assert "secret" not in said.output


@pytest.mark.parametrize("command", ["rebuild", "forget-state"])
def test_a_schema_that_was_never_made_is_said(bank: ServiceUnderTest, command: str) -> None:
    with bank.database.transaction() as tx:
        tx.session.execute(text("alter table worker_letters rename to of_another_release"))
    said = CliRunner().invoke(app, [command])
    assert (said.exit_code, said.output.count("\n")) == (1, 1)
    assert said.output.startswith("error: the schema is not that of this release, run `migrate`")
    assert 'relation "worker_letters" does not exist' in said.output


@pytest.mark.parametrize("command", ["propose", "rebuild", "rebuild --out {}"])
def test_a_broker_that_is_away_is_said(
    bank: ServiceUnderTest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setattr(wire, "BOOTSTRAP_MS", 500)
    monkeypatch.setenv("GUANXI_KAFKA", "127.0.0.1:1")
    kept = tmp_path / "kept.csv"
    kept.write_text("of before")
    if command == "propose":
        said = propose(tmp_path, {"thresholds": {"silence_days_min": 12}})
    else:
        said = CliRunner().invoke(app, command.format(kept).split())
    assert (said.exit_code, said.output) == (
        1, "error: no broker answers at 127.0.0.1:1: start it, or set GUANXI_KAFKA to where it"
           " listens\n",
    )  # fmt: skip
    assert (known(bank), kept.read_text()) == ([], "of before")
