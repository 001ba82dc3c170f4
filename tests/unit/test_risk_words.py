"""What an alert of a model says, and which model files are refused."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from typer.testing import CliRunner

from services.scoring import risk_model, risk_plan
from services.scoring.__main__ import app
from services.scoring.replay import Line, Replay
from services.scoring.risk_model import Linear, RiskModel
from services.scoring.risk_plan import Plan
from services.scoring.rules.stake import additive
from services.scoring.scores import linear
from services.scoring.signals import Signal
from tests import made_bank
from tests.made_bank import BEGIN, DAYS
from tests.risk_live import Live, by_method, hand_made, of_model, told

# What it says ------------------------------------------------------------------------------------


def test_terms_sum_to_the_score_exactly(whole: Replay, plan: Plan) -> None:
    checked = 0
    for one in of_model(whole.result.signals):
        rule = next(rule for rule in plan.rules if rule.code == one.rule)
        assert isinstance(rule.method, Linear)
        assert linear.risk_ppm(sum(additive(one.terms).values())) == one.score
        threshold = rule.score.threshold
        if one.kind == "raised":
            assert one.score >= threshold.raise_ppm - 1
        else:
            assert one.score <= threshold.clear_ppm
        assert one.position is not None
        assert set(one.position.moved) <= set(one.terms)
        assert max(one.position.moved.values()) < one.position.offset
        checked += 1
    assert checked > 1_000


def test_terms_of_a_process_sum_to_its_risk(learned: RiskModel) -> None:
    live = Live(by_method(learned, "mbg_nbd", raise_ppm=900_000, clear_ppm=700_000))
    for day in (0, 4, 11):
        live.buys(day)
    (found,) = (one for told in live.close_through(0, 900).values() for one in told)
    assert found.terms["lost"] + found.terms["waits"] == found.score == 900_000
    assert found.position is not None
    assert found.position.moved == {"lost": 2, "waits": 2}


@pytest.mark.parametrize("rule", ["no_purchase", "collapse", "outflow_ahead", "distress"])
def test_the_change_that_an_alert_names_ends_it_and_a_smaller_one_does_not(
    rule: str, whole: Replay, records: list[Line], plan: Plan
) -> None:
    raised = [one for one in of_model(whole.result.signals)
              if one.rule == rule and one.kind == "raised"]  # fmt: skip
    assert raised
    assert all(change_of(one) for one in raised), "each names a change"
    of_each = {tuple(change_of(one)): one for one in raised}  # the last that names it
    for one in {one.id: one for one in [*raised[::40][:5], *of_each.values()]}.values():
        size, ways = ways_of(one)
        assert all(ends(plan, records, one, size, *way) for way in ways)
        if size > 1:
            assert not all(ends(plan, records, one, size - 1, *way) for way in ways)


def test_where_a_small_payment_would_do_no_deposit_is_asked_for(whole: Replay) -> None:
    changes = [change_of(one) for one in of_model(whole.result.signals)
               if one.kind == "raised" and one.rule in ("outflow_ahead", "distress")]  # fmt: skip
    assert all("clear_deposit_minor" in one or "clear_payment_max_minor" in one for one in changes)
    once = [one for one in changes if one.get("clear_payments") == 1]
    assert len(once) > len(changes) // 2


DEPOSITS = (("cash_in", "customer"), ("transfer_in", "customer"), ("transfer_in", "bank"))


def test_the_deposit_that_an_alert_names_ends_it_however_it_comes() -> None:
    """In cash, which is an act of his and of which this score makes much, less would do."""
    plan = risk_plan.plan_of(where_cash_counts())

    def told_after(amount: int, kind: str, by: str) -> list[Signal]:
        live = Live(plan)
        for day, minor in ((0, 3_000_000), (130, -700_000)):
            live.feed(made_bank.booked("one", "CA", day, minor, "transfer_in", "bank", day), b"one")
        (raised,) = live.close_through(0, 130)[130]
        live.feed(made_bank.booked("one", "CA", 131, amount, kind, by, 131), b"one")
        return [raised, *live.close(131)]

    raised, *_ = told_after(1, *DEPOSITS[0])
    ((code, named),) = change_of(raised).items()
    assert code == "clear_deposit_minor"
    assert [len(told_after(named, *way)) for way in DEPOSITS] == [2, 2, 2]
    assert [len(told_after(named - 10_000, *way)) for way in DEPOSITS] == [2, 1, 1]


def where_cash_counts() -> RiskModel:
    """An outflow ahead, by the balance that is left and by how often he uses cash or card."""
    model = hand_made("CA")
    (score,) = (one for one in model.scores if one.goal == "outflow")
    method = score.methods["linear"]
    assert isinstance(method, Linear)
    weights = list(method.weights_micro)
    weights[method.names.index("cash_middle")] = -200_000
    method = msgspec.structs.replace(method, weights_micro=tuple(weights))
    score = msgspec.structs.replace(score, methods={"linear": method})
    return msgspec.structs.replace(model, scores=(score,))


def change_of(one: Signal) -> dict[str, int]:
    return {code: size for code, size in one.terms.items() if code.startswith("clear_")}


Way = tuple[int, str, str]  # amount, kind, by whom


def ways_of(one: Signal) -> tuple[int, list[Way]]:
    """On how many days what is named must be done, and all that it may be."""
    (what, times), *amounts = change_of(one).items()
    assert what in ("clear_purchases", "clear_payments"), "of the made bank"
    if not amounts:  # whatever the amount: his usual one, as a small one
        return times, [(-1, "card", "customer"), (-100_000, "card", "customer")]
    (code, amount), = amounts
    least = 1 if code == "clear_payment_max_minor" else amount
    return times, [(-least, "card", "customer"), (-amount, "card", "customer")]


def ends(
    plan: Plan, records: list[Line], one: Signal, days: int, amount: int, kind: str, by: str
) -> bool:
    """The customer's events through the alert, then the change alone: is the alert over?"""
    live, number = Live(plan), one.customer_number.encode()
    for record in records:
        if record.key in (number, None):
            found = live.feed(record.value, record.key)
            if any(s.id == one.id for s in found):
                break
    else:
        raise AssertionError("the alert does not come again")
    begin = (one.on - BEGIN).days + 1
    for day in range(begin, begin + days):
        line = made_bank.booked(one.account_number, "CARD" if one.rule == "no_purchase" else "CA",
                                day, amount, kind, by, 10_000 + day)  # fmt: skip
        live.feed(line, number)
        if any(s.rule == one.rule and s.kind == "cleared" for s in live.close(day)):
            return True
    return False


# The file ----------------------------------------------------------------------------------------


def test_a_wrong_file_is_refused_by_one_sentence(learned: RiskModel, tmp_path: Path) -> None:
    file = tmp_path / "model.json"
    risk_model.save(learned, file)
    good = file.read_text()
    assert risk_plan.read(file).version == learned.version
    other_tau = msgspec.json.decode(good)
    other_tau["scores"][0]["methods"]["linear"]["taus_days"][0] = 16
    twice = msgspec.structs.replace(learned, scores=(*learned.scores, learned.scores[0]))
    for content, says in (
        (good[: len(good) // 2], "truncated"),
        (good.replace('"format": 2', '"format": 1'), "format"),
        (good.replace('"repeat_count"', '"weather"'), "features"),
        (msgspec.json.encode(other_tau).decode(), "time constants"),
        (msgspec.json.encode(twice).decode(), "CARD is scored twice for silence"),
        ("\udcff", "."),
    ):  # fmt: skip
        file.write_bytes(content.encode(errors="surrogateescape"))
        with pytest.raises(risk_plan.ModelRefused, match=says) as refused:
            risk_plan.read(file)
        assert str(file) in str(refused.value)
        assert "\n" not in str(refused.value)
    with pytest.raises(risk_plan.ModelRefused, match="cannot be read: No such file"):
        risk_plan.read(tmp_path / "none.json")


def test_the_command_replays_with_a_model_and_refuses_a_wrong_one(
    learned: RiskModel, published: Path, whole: Replay, tmp_path: Path
) -> None:
    file, alerts = tmp_path / "model.json", tmp_path / "alerts.jsonl"
    risk_model.save(learned, file)

    def call(model: Path) -> Any:
        return CliRunner().invoke(app, [
            "replay", str(published), "--until", str(BEGIN + timedelta(days=DAYS)),
            "--currency", "CNY", "--alerts", str(alerts), "--risk-model", str(model),
        ])  # fmt: skip

    assert call(file).exit_code == 0
    written = {msgspec.json.decode(one)["id"]: one for one in alerts.read_bytes().splitlines()}
    assert {key: written[key] for key in told(whole)} == told(whole)
    file.write_text("{}")
    refused = call(file)
    assert refused.exit_code == 1
    assert "is refused" in refused.output
