"""`train`: a made bank in, a model file out; what must not leak does not; wrong input is told."""

import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from typer.testing import CliRunner

from services.scoring import risk_model
from services.scoring.__main__ import app
from services.scoring.training import history, labels, measures, run, snapshots
from services.scoring.training.history import Account, History, TrainError
from shared.events.bank import (
    AccountClosed,
    DayClosed,
    ProductDescribed,
)
from tests import made_bank
from tests.made_bank import BEGIN, DAYS, NAMES, SPLIT, booked, line


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of a made bank with one product of either kind."""
    file = tmp_path_factory.mktemp("bank") / "made.jsonl"
    made_bank.write(file)
    return file


@pytest.fixture(scope="module")
def known(bank: Path) -> History:
    return history.read(bank, "CNY")


def plan(*goals: risk_model.Goal) -> run.Plan:
    return run.Plan(goals or run.GOALS, SPLIT.toordinal(), every_days=0, horizon_days=90)


def call(*arguments: object) -> Any:
    return CliRunner().invoke(app, ["train", *(str(argument) for argument in arguments)])


def test_a_run_writes_a_model_with_its_record(bank: Path, tmp_path: Path) -> None:
    out = tmp_path / "model.json"
    done = call(bank, "--out", out, "--split", SPLIT)
    assert done.exit_code == 0, done.output
    assert "* silence CARD" in done.output
    model = risk_model.load(out)
    assert [(s.goal, s.product_codes) for s in model.scores] == [
        ("silence", ("CARD",)), ("collapse", ("CA",)), ("outflow", ("CA",)), ("distress", ("CA",)),
        ("use", ("CA",)),
    ]  # fmt: skip
    record = model.record
    assert (record.first_on, record.last_on) == (BEGIN, BEGIN + timedelta(days=DAYS - 1))
    assert (record.file_name, len(record.file_sha256)) == ("made.jsonl", 64)
    assert record.accounts == 540
    assert max(record.train_on) + timedelta(days=90) <= SPLIT == record.split_on
    assert min(record.test_on) >= SPLIT
    for score in model.scores[:-1]:  # the last is set by hand
        chosen = next(one for one in score.measured if one.method == score.method)
        assert chosen.auc_ppm > 700_000, score.goal
        of_all = [one.brier_ppm for one in score.measured if one.population == "all"]
        assert chosen.brier_ppm == min(of_all), "the smallest measured error wins"
    assert set(model.scores[0].methods) == {"linear", "decayed_rate", "bg_nbd", "mbg_nbd"}
    seasons = {n: w for n, w in weights_of(model, "collapse").items() if n.startswith("year_")}
    assert len(seasons) == 6
    assert not any(seasons.values()), "less than two years tell no season"
    assert any(weights_of(model, "collapse").values())
    assert b"\x80" not in out.read_bytes()  # no pickle
    assert not out.with_name("model.json.part").exists()
    again = tmp_path / "again.json"
    risk_model.save(model, again)
    assert again.read_bytes() == out.read_bytes()


def test_the_same_run_twice_writes_the_same_bytes(bank: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        done = call(bank, "--out", tmp_path / name, "--split", SPLIT, "--trained-on", "2025-08-31")
        assert done.exit_code == 0, done.output
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    assert risk_model.load(tmp_path / "one").record.trained_on == date(2025, 8, 31)


def test_a_rule_begins_where_as_many_came_true_as_are_asked_for(known: History) -> None:
    """Whatever does not carry that is refused; more precision is a higher line, never a lower."""
    lines: dict[str, list[int]] = {}
    for ppm in (300_000, 500_000, 700_000):
        model = run.train(known, replace(plan(), precision_ppm=ppm), BEGIN)
        for score in model.scores[:-1]:
            lines.setdefault(score.goal, []).append(score.threshold.raise_ppm)
            assert score.threshold.clear_ppm < score.threshold.raise_ppm
    assert lines["silence"] == sorted(lines["silence"])

    # Ten of each: from 500 to 900, right; to 700, wrong; from 750 to 950, right.
    risks, before = np.repeat([900, 700, 950], 10), np.repeat([500, 500, 750], 10)
    came_true = np.repeat([True, False, True], 10)
    assert run._line(risks, before, came_true, 500_000) == 700
    assert run._line(risks, before, came_true, 600_000) == 900, "who stood at 750 is no alert"
    with pytest.raises(TrainError, match=r"no risk at which 99% of the alerts"):
        run._line(risks, before, ~came_true, 990_000)
    rare = np.arange(1000) < 20
    came_true = rare | (np.arange(1000) > 500)
    with pytest.raises(TrainError, match="5% of all that did are found"):
        run._line(np.where(rare, 900, 100), np.full(1000, 50), came_true, 900_000)


def test_a_place_that_cannot_be_written_is_said_before_the_work(
    bank: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "read", lambda *_: pytest.fail("it was read"))
    for out, why in (
        (tmp_path / "nowhere" / "model.json", f"there is no folder {tmp_path / 'nowhere'}"),
        (tmp_path, f"{tmp_path} cannot be written: Is a directory"),
        (Path("/proc/x"), "/proc/x cannot be written"),
    ):
        done = call(bank, "--out", out)
        assert done.exit_code == 1
        assert done.output.startswith(f"error: {why}")


def test_all_goals_that_nothing_is_learned_of_are_named(known: History) -> None:
    few = known.purchase_like()["CARD"][:3] + known.current()[:3]
    with pytest.raises(TrainError) as refused:
        run.train(replace(known, accounts=tuple(few)), plan(), BEGIN)
    said = str(refused.value).split("; ")
    assert [one.partition(": ")[0] for one in said] == [
        "silence of CARD", "collapse", "outflow", "distress",
    ]  # fmt: skip


def weights_of(model: risk_model.RiskModel, goal: str) -> dict[str, int]:
    (score,) = (score for score in model.scores if score.goal == goal)
    method = score.methods["linear"]
    assert isinstance(method, risk_model.Linear)
    return dict(zip(method.names, method.weights_micro, strict=True))


def changed(known: History, where: Callable[[Account], np.ndarray[Any, Any]]) -> History:
    """The history with the chosen bookings made a hundred times as large and automatic."""
    accounts = []
    for account in known.accounts:
        chosen = where(account)
        accounts.append(
            replace(
                account,
                amounts=np.where(chosen, 100 * account.amounts, account.amounts),
                flags=np.where(chosen, 0, account.flags),
            )
        )
    return replace(known, accounts=tuple(accounts))


def weights(model: risk_model.RiskModel) -> dict[str, Any]:
    """Those that were learned."""
    return {score.goal: score.methods for score in model.scores if score.measured}


def test_nothing_after_the_split_moves_a_weight(known: History) -> None:
    today = date(2026, 1, 1)
    model = run.train(known, plan(), today)
    day = SPLIT.toordinal()
    rng = np.random.default_rng(0)

    def some(account: Account, chosen: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        return chosen & (rng.random(len(chosen)) < 0.5)

    later = run.train(changed(known, lambda a: some(a, a.days > day)), plan(), today)
    assert weights(later) == weights(model)
    assert [s.measured for s in later.scores] != [s.measured for s in model.scores]
    # The control: what is before the split does.
    earlier = run.train(changed(known, lambda a: some(a, a.days <= day)), plan(), today)
    assert all(weights(earlier).get(goal) != was for goal, was in weights(model).items())


def test_an_outcome_that_nothing_foretells_is_not_foretold(known: History) -> None:
    """The measure can fail: with outcomes dealt at random the AUC is that of a coin."""
    early, late = plan().snapshots(known)
    table = snapshots.of_purchases(known.purchase_like()["CARD"], early + late, 90)
    dealt = np.random.default_rng(1).permutation(table.outcomes["silence"])
    table = replace(table, outcomes={"silence": dealt})
    before, after = (table.only(table.days < SPLIT.toordinal()),
                     table.only(table.days >= SPLIT.toordinal()))  # fmt: skip
    method = run.linear_method("purchase", before, "silence")
    risks = run.risks_ppm(method, after, 90)
    found = measures.measured("linear", "all", after.came_true("silence"), risks, after.accounts)
    assert 450_000 < found.auc_ppm < 550_000


def test_measures_by_hand() -> None:
    came_true = np.array([False, True] * 10)
    risk = np.where(came_true, 800_000, 400_000)
    found = measures.measured("linear", "all", came_true, risk, np.arange(20) // 2)
    assert (found.rows, found.accounts, found.base_ppm, found.auc_ppm) == (
        20, 10, 500_000, 1_000_000,
    )  # fmt: skip
    assert found.brier_ppm == round((0.2**2 + 0.4**2) / 2 * 1e6)
    assert found.ece_ppm == 300_000
    coin = measures.measured("linear", "all", came_true, 0 * risk + 500_000, np.arange(20))
    assert (coin.auc_ppm, coin.brier_ppm, coin.ece_ppm) == (500_000, 250_000, 0)


def account(rows: list[tuple[int, int, int]], until: int) -> Account:
    columns = [np.array(column, np.int64) for column in zip(*rows, strict=True)]
    return Account("1", "CA", 0, until, None, *columns)


def test_labels_by_hand() -> None:
    acts, penalty = 1, 8
    rows = [(day, 10_000, acts) for day in range(0, 180, 10)] + [(180, 900_000, 0)]
    # Of 18 actions in 180 days half a quarter's are 4.5: five are no collapse, four are one.
    calm = rows + [(day, 0, acts) for day in range(190, 240, 10)]
    assert labels.collapse(labels.Daily.of(account(calm, 300)), 179, 90) is False
    assert labels.collapse(labels.Daily.of(account(calm[:-1], 300)), 179, 90) is True
    assert labels.collapse(labels.Daily.of(account(rows[:5], 300)), 179, 90) is None
    rich = [(0, 1_000_000, 0)]
    assert labels.outflow(labels.Daily.of(account(rich, 300)), 150, 90) is False
    gone = [*rich, (151, -500_000, 0)]
    assert labels.outflow(labels.Daily.of(account(gone, 300)), 150, 90) is True
    begun = [*rich, (150, -500_000, 0)]
    assert labels.outflow(labels.Daily.of(account(begun, 300)), 150, 90) is None
    poor = [(0, 499_999, 0)]
    assert labels.outflow(labels.Daily.of(account(poor, 300)), 150, 90) is None
    assert labels.distress(labels.Daily.of(account(rich, 300)), 150, 90) is False
    first = [*rich, (200, -1, penalty)]
    assert labels.distress(labels.Daily.of(account(first, 300)), 150, 90) is True
    below = [*rich, (240, -1_000_001, 0)]
    assert labels.distress(labels.Daily.of(account(below, 300)), 150, 90) is True
    assert labels.distress(labels.Daily.of(account(below, 400)), 270, 90) is None


def test_what_is_not_known_is_not_silence(tmp_path: Path) -> None:
    """After the day until which an account is known nothing is asked; after its close neither."""
    product = ProductDescribed(
        product_code="CARD", names=NAMES, line_code="fee", purchase_like=True
    )
    lines = [line(product, "p", BEGIN)]
    lines += [booked(name, "CARD", 10 * n, -5, "card", "customer", n)
              for name in ("known", "cut", "closed") for n in range(3)]  # fmt: skip
    lines.append(lines[-1])  # sent twice
    closed = AccountClosed(customer_number="closed", account_number="closed",
                           closed_on=BEGIN + timedelta(days=40))  # fmt: skip
    last = BEGIN + timedelta(days=199)
    lines += [line(closed, "c", closed.closed_on), line(DayClosed(day=last), "d", last)]
    file = tmp_path / "events.jsonl"
    file.write_bytes(b"".join(lines))
    found = history.read(file, "CNY", {"cut": BEGIN + timedelta(days=60)})
    assert found.transactions == 9
    days = [BEGIN.toordinal() + n for n in (25, 35, 45)]
    table = snapshots.of_purchases(found.accounts, days, 30)
    asked = {(found.accounts[a].number, d - days[0]) for a, d in zip(table.accounts, table.days,
                                                                      strict=True)}  # fmt: skip
    assert asked == {("closed", 0), ("closed", 10), ("cut", 0),
                     ("known", 0), ("known", 10), ("known", 20)}  # fmt: skip
    assert table.came_true("silence").all()


@pytest.mark.parametrize(("content", "says"), [
    (b"", "has no transaction"),
    (b"\n\nnonsense\n", "events.jsonl:3 is no event"),
    (b'{"type": "bank.transaction_booked.v1"}\n', "events.jsonl:1 is no event of the catalogue"),
    (b'\xff\xfe{"type"\n', "events.jsonl:1 is no event"),
    (booked("1", "CA", 5, 5, "cash_in", "customer", 1), "too short"),
])  # fmt: skip
def test_wrong_input_gets_one_clear_sentence(content: bytes, says: str, tmp_path: Path) -> None:
    file, out = tmp_path / "events.jsonl", tmp_path / "model.json"
    file.write_bytes(content)
    done = call(file, "--out", out)
    assert done.exit_code == 1
    assert done.output.startswith("error: ")
    assert len(done.output.splitlines()) == 1
    assert says in done.output
    assert not out.exists()


def test_wrong_options_get_one_clear_sentence(bank: Path, tmp_path: Path) -> None:
    out = tmp_path / "model.json"
    done = call(bank, "--out", out, "--goal", "churn")
    assert "error: no goal 'churn': there are silence, collapse" in done.output
    done = call(bank, "--out", out, "--split", "2025-08-20")
    assert "too short for a split on 2025-08-20" in done.output
    assert not out.exists()


def test_without_the_extra_the_command_says_what_to_install(
    bank: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.startswith("services.scoring.training")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delattr("services.scoring.training")
    monkeypatch.setitem(sys.modules, "sklearn.linear_model", None)
    done = call(bank, "--out", tmp_path / "model.json")
    assert (done.exit_code, done.output) == (
        1, "error: sklearn.linear_model is missing: install the extra [train]\n",
    )  # fmt: skip


def test_goals_that_the_data_do_not_carry_are_named_not_learned(known: History) -> None:
    few = replace(
        known, accounts=tuple(a for a in known.accounts if a.number.endswith("-7")),
    )  # fmt: skip
    with pytest.raises(TrainError, match=r"silence of CARD: .* are needed"):
        run.train(few, plan("silence"), BEGIN)
    idle = replace(
        known, accounts=tuple(replace(a, flags=0 * a.flags) for a in known.accounts),
    )  # fmt: skip
    with pytest.raises(TrainError, match="silence of CARD: none of its accounts has a purchase"):
        run.train(idle, plan("silence"), BEGIN)
    calm = replace(
        known,
        accounts=tuple(
            replace(a, amounts=np.abs(a.amounts)) if a.product_code == "CA" else a
            for a in known.accounts
        ),
    )
    model = run.train(calm, plan("collapse", "distress"), BEGIN)
    assert [score.goal for score in model.scores] == ["collapse"]
    (refused,) = model.record.refused
    assert refused.startswith("distress: 0 of ")
    assert "are needed" in refused


def test_a_model_of_other_features_or_with_a_float_is_refused(
    known: History, tmp_path: Path
) -> None:
    file = tmp_path / "model.json"
    risk_model.save(run.train(known, plan("silence"), BEGIN), file)
    good = file.read_text()
    for old, new, says in (
        ('"repeat_count"', '"weather"', "names are not those"),
        ('"base_micro": ', '"base_micro": 0.5, "x": ', "int"),
        ('"format": 2', '"format": 1', "format|Invalid"),
        ('"method": "', '"method": "un', "has no parameters"),
    ):
        file.write_text(good.replace(old, new, 1))
        with pytest.raises(msgspec.ValidationError, match=says):
            risk_model.load(file)
